//! What people change of a host at the controller: its labels and its state, each with a count of its changes, so that nobody
//! overwrites what somebody else changed meanwhile.

use std::collections::BTreeMap;

use sqlx::FromRow;
use tidemark_model::{HostId, HostState};

use crate::columns::{self, Table};
use crate::error::one_row;
use crate::tx::{on_conn, statements};
use crate::{News, StoreError, Tx};

const TABLE: Table = Table("hosts");

statements! {
    HOST_SET_LABELS = "UPDATE hosts SET token_labels = $3, labels_generation = labels_generation + 1 \
        WHERE id = $1 AND labels_generation = $2";
    HOSTS_RELABELLED = "SELECT id, labels_generation FROM hosts WHERE labels_generation > 0 AND id > $1 ORDER BY id LIMIT $2";
    HOST_SET_STATE = "UPDATE hosts SET state = $3, state_generation = state_generation + 1 \
        WHERE id = $1 AND state_generation = $2";
    HOSTS_APART = "SELECT id, state FROM hosts WHERE state <> 'enrolled' AND id > $1 ORDER BY id LIMIT $2";
}

#[derive(FromRow)]
struct ApartRow {
    id: String,
    state: String,
}

#[derive(FromRow)]
struct RelabelledRow {
    id: String,
    labels_generation: i64,
}

impl Tx {
    /// Stores other labels that the controller holds of a host, in place of those of generation `expected`.
    ///
    /// # Errors
    /// [`StoreError::Stale`] when the stored generation is another one, or there is no such host.
    pub async fn host_set_labels(
        &mut self,
        id: HostId,
        expected: u64,
        labels: &BTreeMap<String, String>,
    ) -> Result<(), StoreError> {
        let expected = columns::signed("labels generation", expected)?;
        let labels = columns::labels_to_json("label", labels)?;
        let updated = on_conn!(self, conn => sqlx::query(HOST_SET_LABELS)
            .bind(id.to_string())
            .bind(expected)
            .bind(labels)
            .execute(conn).await?
            .rows_affected());
        one_row(
            updated,
            StoreError::Stale {
                what: "host's labels",
            },
        )?;
        self.tell(News::Host(id)).await
    }

    /// The hosts whose labels were changed at the controller, with how often, by the text of their ids: at most `limit` after
    /// `after`.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn hosts_relabelled(
        &mut self,
        after: Option<HostId>,
        limit: u32,
    ) -> Result<Vec<(HostId, u64)>, StoreError> {
        let after = after.map(|id| id.to_string()).unwrap_or_default();
        let rows: Vec<RelabelledRow> = on_conn!(self, conn => sqlx::query_as(HOSTS_RELABELLED)
            .bind(after).bind(i64::from(limit)).fetch_all(conn).await?);
        rows.into_iter()
            .map(|row| {
                let generation = TABLE.unsigned("labels_generation", row.labels_generation)?;
                Ok((TABLE.host("id", &row.id)?, generation))
            })
            .collect()
    }

    /// Stores a state that follows from the one of generation `expected`.
    ///
    /// # Errors
    /// [`StoreError::Stale`] when the stored generation is another one, or there is no such host.
    pub async fn host_set_state(
        &mut self,
        id: HostId,
        expected: u64,
        state: HostState,
    ) -> Result<(), StoreError> {
        let expected = columns::signed("state generation", expected)?;
        let updated = on_conn!(self, conn => sqlx::query(HOST_SET_STATE)
            .bind(id.to_string())
            .bind(expected)
            .bind(state.as_str())
            .execute(conn).await?
            .rows_affected());
        one_row(updated, StoreError::Stale { what: "host" })?;
        self.tell(News::Host(id)).await
    }

    /// The hosts that are not, or no longer, enrolled as any other, by the text of their ids: at most `limit` after `after`.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn hosts_apart(
        &mut self,
        after: Option<HostId>,
        limit: u32,
    ) -> Result<Vec<(HostId, HostState)>, StoreError> {
        let after = after.map(|id| id.to_string()).unwrap_or_default();
        let rows: Vec<ApartRow> = on_conn!(self, conn => sqlx::query_as(HOSTS_APART)
            .bind(after).bind(i64::from(limit)).fetch_all(conn).await?);
        rows.into_iter()
            .map(|ApartRow { id, state }| {
                let known = HostState::from_name(&state);
                let state = known.ok_or_else(|| TABLE.unreadable("state", state))?;
                Ok((TABLE.host("id", &id)?, state))
            })
            .collect()
    }
}
