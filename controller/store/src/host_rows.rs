//! Rows of several hosts, named by host and id, as one parameter of a statement: a trip to the database for many hosts.

use std::collections::BTreeMap;

use tidemark_model::HostId;

use crate::batch::all_rows;
use crate::tx::TwoArmed;
use crate::{StoreError, Tx};

/// Rows by host and id.
#[derive(Clone, Debug, Default)]
pub(crate) struct HostRows {
    of_hosts: BTreeMap<String, Vec<i64>>,
}

impl HostRows {
    pub(crate) fn add(&mut self, host: HostId, ids: impl IntoIterator<Item = i64>) {
        let of_host = self.of_hosts.entry(host.to_string()).or_default();
        of_host.extend(ids);
    }

    pub(crate) fn len(&self) -> usize {
        self.of_hosts.values().map(Vec::len).sum()
    }

    /// For SQLite: `{"host": [id, ..], ..}`, which `json_each` takes apart.
    pub(crate) fn as_json(&self) -> String {
        serde_json::json!(self.of_hosts).to_string()
    }

    /// For Postgres: hosts and ids as two arrays of one length.
    pub(crate) fn as_arrays(&self) -> (Vec<&str>, Vec<i64>) {
        let pairs = self.of_hosts.iter();
        let pairs = pairs.flat_map(|(host, ids)| ids.iter().map(move |id| (host.as_str(), *id)));
        pairs.unzip()
    }
}

impl Tx {
    /// Deletes exactly these rows, by a statement that takes [`HostRows`].
    ///
    /// # Errors
    /// [`StoreError::Stale`] when one of them is gone.
    pub(crate) async fn delete_rows(
        &mut self,
        statement: TwoArmed,
        rows: &HostRows,
        what: &'static str,
    ) -> Result<(), StoreError> {
        if rows.len() == 0 {
            return Ok(());
        }
        let deleted = match self {
            Self::Sqlite(tx) => {
                let query = sqlx::query(statement.sqlite).bind(rows.as_json());
                query.execute(&mut **tx).await?.rows_affected()
            }
            Self::Postgres(tx) => {
                let (hosts, ids) = rows.as_arrays();
                let query = sqlx::query(statement.postgres).bind(hosts).bind(ids);
                query.execute(&mut **tx).await?.rows_affected()
            }
        };
        all_rows(deleted, rows.len(), StoreError::Stale { what })
    }

    /// Ids and bodies of exactly these rows, by a statement that takes [`HostRows`].
    ///
    /// # Errors
    /// [`StoreError::Stale`] when one of them is gone.
    pub(crate) async fn bodies_of(
        &mut self,
        statement: TwoArmed,
        rows: &HostRows,
        what: &'static str,
    ) -> Result<Vec<(i64, Vec<u8>)>, StoreError> {
        if rows.len() == 0 {
            return Ok(Vec::new());
        }
        let found: Vec<(i64, Vec<u8>)> = match self {
            Self::Sqlite(tx) => {
                let query = sqlx::query_as(statement.sqlite).bind(rows.as_json());
                query.fetch_all(&mut **tx).await?
            }
            Self::Postgres(tx) => {
                let (hosts, ids) = rows.as_arrays();
                let query = sqlx::query_as(statement.postgres).bind(hosts).bind(ids);
                query.fetch_all(&mut **tx).await?
            }
        };
        all_rows(found.len() as u64, rows.len(), StoreError::Stale { what })?;
        Ok(found)
    }
}

/// The texts of hosts, for SQLite's `json_each` and for Postgres's arrays.
pub(crate) fn host_texts(hosts: &[HostId]) -> Vec<String> {
    hosts.iter().map(HostId::to_string).collect()
}
