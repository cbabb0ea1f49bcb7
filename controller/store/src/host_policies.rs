//! What hosts tell about their policies: the last word of each.

use sqlx::FromRow;
use tidemark_model::action::HostPolicyView;
use tidemark_model::{HostId, Timestamp};

use crate::columns::{self, Table};
use crate::tx::{on_conn, statements};
use crate::{StoreError, Tx};

const TABLE: Table = Table("host_policies");

statements! {
    PUT = "INSERT INTO host_policies (host, told_at, content) VALUES ($1, $2, $3) \
        ON CONFLICT (host) DO UPDATE SET told_at = excluded.told_at, content = excluded.content";
    FIND = "SELECT told_at, content FROM host_policies WHERE host = $1";
}

#[derive(FromRow)]
struct PolicyRow {
    told_at: i64,
    content: String,
}

impl Tx {
    /// Keeps what a host tells about its policy in place of what it told before.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn host_policy_put(
        &mut self,
        host: HostId,
        told_at: Timestamp,
        policy: &HostPolicyView,
    ) -> Result<(), StoreError> {
        let content = columns::json("policy", policy)?;
        on_conn!(self, conn => sqlx::query(PUT)
            .bind(host.to_string()).bind(told_at.unix_ms()).bind(content)
            .execute(conn).await?.rows_affected());
        Ok(())
    }

    /// What a host told last about its policy, and when.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn host_policy(
        &mut self,
        host: HostId,
    ) -> Result<Option<(Timestamp, HostPolicyView)>, StoreError> {
        let row: Option<PolicyRow> = on_conn!(self, conn => sqlx::query_as(FIND)
            .bind(host.to_string()).fetch_optional(conn).await?);
        let Some(PolicyRow { told_at, content }) = row else {
            return Ok(None);
        };
        let policy = TABLE.json("content", &content)?;
        Ok(Some((Timestamp::from_unix_ms(told_at), policy)))
    }
}
