//! Wire <-> model, once, at the edge.

use tidemark_model::error_code::ApiError;
use tidemark_model::{ErrorCode, Timestamp};

pub mod action;
pub mod audit;
mod budget;
pub mod checkpoint;
pub mod delivery;
pub mod facts;
pub mod grant;
pub mod key_statement;
pub mod names;
pub mod record;
pub mod sample;
pub mod upgrade;

/// Why a wire message is not a legal model value. The text names the field and the limit.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ConvertError {
    /// A required field is absent.
    #[error("{field} is missing")]
    Missing {
        /// Path of the field.
        field: &'static str,
    },
    /// A value lies outside its limits.
    #[error("{field} is {value}; the limit is {limit}")]
    OutOfRange {
        /// Path of the field.
        field: &'static str,
        /// What was sent.
        value: u64,
        /// What is allowed.
        limit: u64,
    },
    /// A time lies outside the years 1 to 9999.
    #[error("{field} is {unix_ms} ms; times lie in the years 1 to 9999")]
    TimeOutOfRange {
        /// Path of the field.
        field: &'static str,
        /// What was sent.
        unix_ms: i64,
    },
    /// A value is malformed.
    #[error("{field} is malformed: {reason}")]
    Malformed {
        /// Path of the field.
        field: &'static str,
        /// What is wrong with it.
        reason: &'static str,
    },
}

impl ApiError for ConvertError {
    fn code(&self) -> ErrorCode {
        ErrorCode::InvalidArgument
    }
}

/// Refuses `value` above `limit`.
fn at_most(field: &'static str, value: u64, limit: u64) -> Result<(), ConvertError> {
    if value > limit {
        return Err(ConvertError::OutOfRange {
            field,
            value,
            limit,
        });
    }
    Ok(())
}

/// Times on the wire lie within the years 1 to 9999.
const TIMES_MS: std::ops::RangeInclusive<i64> = -62_135_596_800_000..=253_402_300_799_999;

/// A time from the wire.
fn time_from_wire(field: &'static str, unix_ms: i64) -> Result<Timestamp, ConvertError> {
    if !TIMES_MS.contains(&unix_ms) {
        return Err(ConvertError::TimeOutOfRange { field, unix_ms });
    }
    Ok(Timestamp::from_unix_ms(unix_ms))
}

/// Refuses a list of more than `limit` elements.
fn list_at_most(field: &'static str, length: usize, limit: usize) -> Result<(), ConvertError> {
    at_most(field, length as u64, limit as u64)
}

/// Cuts a text to its first `chars_max` characters.
fn cut_chars(text: &str, chars_max: usize) -> &str {
    text.char_indices()
        .nth(chars_max)
        .and_then(|(end, _)| text.get(..end))
        .unwrap_or(text)
}
