//! What the controller keeps about itself: texts by key, each with a generation.

use sqlx::FromRow;

use crate::columns::{self, Table};
use crate::error::one_row;
use crate::tx::{on_conn, statements};
use crate::{StoreError, Tx};

/// A text by key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Setting {
    /// The text.
    pub value: String,
    /// Counts its changes, from 1; pass it to [`Tx::setting_replace`].
    pub generation: u64,
}

statements! {
    SETTING_FIND = "SELECT value, generation FROM settings WHERE key = $1";
    SETTING_INSERT = "INSERT INTO settings (key, value, generation) VALUES ($1, $2, 1)";
    SETTING_REPLACE = "UPDATE settings SET value = $3, generation = generation + 1 \
        WHERE key = $1 AND generation = $2";
}

#[derive(FromRow)]
struct SettingRow {
    value: String,
    generation: i64,
}

impl TryFrom<SettingRow> for Setting {
    type Error = StoreError;

    fn try_from(row: SettingRow) -> Result<Self, StoreError> {
        let SettingRow { value, generation } = row;
        Ok(Self {
            value,
            generation: Table("settings").unsigned("generation", generation)?,
        })
    }
}

impl Tx {
    /// The setting of that key.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn setting_find(&mut self, key: &str) -> Result<Option<Setting>, StoreError> {
        let key = columns::text("key of a setting", key)?;
        let row: Option<SettingRow> = on_conn!(self, conn => sqlx::query_as(SETTING_FIND)
            .bind(key).fetch_optional(conn).await?);
        row.map(Setting::try_from).transpose()
    }

    /// Adds a setting, in generation 1.
    ///
    /// # Errors
    /// [`StoreError::AlreadyExists`] when the key is taken.
    pub async fn setting_insert(&mut self, key: &str, value: &str) -> Result<(), StoreError> {
        let key = columns::text("key of a setting", key)?;
        let value = columns::text("value of a setting", value)?;
        let inserted = on_conn!(self, conn => sqlx::query(SETTING_INSERT)
            .bind(key).bind(value)
            .execute(conn).await.map_err(StoreError::unless_exists("setting"))?
            .rows_affected());
        one_row(inserted, StoreError::AlreadyExists { what: "setting" })
    }

    /// Replaces the setting of generation `expected`; the new one's is `expected + 1`.
    ///
    /// # Errors
    /// [`StoreError::Stale`] when the stored generation is another one, or there is no such setting.
    pub async fn setting_replace(
        &mut self,
        key: &str,
        expected: u64,
        value: &str,
    ) -> Result<(), StoreError> {
        let key = columns::text("key of a setting", key)?;
        let value = columns::text("value of a setting", value)?;
        let expected = columns::signed("generation of a setting", expected)?;
        let updated = on_conn!(self, conn => sqlx::query(SETTING_REPLACE)
            .bind(key).bind(expected).bind(value).execute(conn).await?
            .rows_affected());
        one_row(updated, StoreError::Stale { what: "setting" })
    }
}
