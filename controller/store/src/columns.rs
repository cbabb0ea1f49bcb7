//! How values of the model look in a column: ids as text, counts as 64-bit integers, labels as JSON.

use serde::Serialize;
use serde::de::DeserializeOwned;
use std::collections::BTreeMap;

use tidemark_model::{HostId, Timestamp};

use crate::StoreError;

/// A count as a column holds it.
pub(crate) fn signed(field: &'static str, count: u64) -> Result<i64, StoreError> {
    i64::try_from(count).map_err(|_| StoreError::InvalidValue {
        field,
        limit: "at most 2^63 - 1",
    })
}

/// Text as both databases hold it: Postgres has no NUL in texts.
pub(crate) fn text<'t>(field: &'static str, text: &'t str) -> Result<&'t str, StoreError> {
    if text.contains('\0') {
        return Err(StoreError::InvalidValue {
            field,
            limit: "text without NUL characters",
        });
    }
    Ok(text)
}

/// A value as a column of JSON holds it.
pub(crate) fn json(field: &'static str, value: &impl Serialize) -> Result<String, StoreError> {
    serde_json::to_string(value).map_err(|_| StoreError::InvalidValue {
        field,
        limit: "representable as JSON",
    })
}

/// Labels as a column holds them.
pub(crate) fn labels_to_json(
    field: &'static str,
    labels: &BTreeMap<String, String>,
) -> Result<String, StoreError> {
    // JSON escapes NUL, so that labels with one would be storable; they are refused to hold one rule for all text.
    for (name, value) in labels {
        text(field, name)?;
        text(field, value)?;
    }
    Ok(serde_json::Value::from_iter(
        labels
            .iter()
            .map(|(name, value)| (name.clone(), value.clone())),
    )
    .to_string())
}

pub(crate) fn optional_ms(at: Option<Timestamp>) -> Option<i64> {
    at.map(Timestamp::unix_ms)
}

pub(crate) fn optional_at(unix_ms: Option<i64>) -> Option<Timestamp> {
    unix_ms.map(Timestamp::from_unix_ms)
}

/// Reads the columns of one table.
#[derive(Clone, Copy)]
pub(crate) struct Table(pub &'static str);

impl Table {
    /// A column that this release cannot read.
    pub(crate) fn unreadable(self, column: &'static str, found: impl ToString) -> StoreError {
        StoreError::Unreadable {
            table: self.0,
            column,
            found: found.to_string().chars().take(64).collect(),
        }
    }

    /// A count.
    pub(crate) fn unsigned(self, column: &'static str, value: i64) -> Result<u64, StoreError> {
        u64::try_from(value).map_err(|_| self.unreadable(column, value))
    }

    /// A count of 32 bits.
    pub(crate) fn unsigned_32(self, column: &'static str, value: i64) -> Result<u32, StoreError> {
        u32::try_from(value).map_err(|_| self.unreadable(column, value))
    }

    /// A host id.
    pub(crate) fn host(self, column: &'static str, text: &str) -> Result<HostId, StoreError> {
        text.parse().map_err(|_| self.unreadable(column, text))
    }

    /// 32 bytes of a hash.
    pub(crate) fn hash(self, column: &'static str, bytes: Vec<u8>) -> Result<[u8; 32], StoreError> {
        let length = bytes.len();
        bytes
            .try_into()
            .map_err(|_| self.unreadable(column, format_args!("{length} bytes")))
    }

    /// What a column of JSON holds.
    pub(crate) fn json<T: DeserializeOwned>(
        self,
        column: &'static str,
        json: &str,
    ) -> Result<T, StoreError> {
        serde_json::from_str(json).map_err(|_| self.unreadable(column, json))
    }
}
