//! What hosts tell about their policies: the last word of each.

use std::collections::HashMap;

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
    PAGE = "SELECT host, told_at, content FROM host_policies WHERE host > $1 ORDER BY host LIMIT $2";
    FIND = "SELECT told_at, content FROM host_policies WHERE host = $1";
    OF = "SELECT host, content FROM host_policies WHERE host IN (SELECT value FROM json_each($1))",
        postgres "SELECT host, content FROM host_policies WHERE host = ANY($1::text[])";
}

#[derive(FromRow)]
struct PolicyRow {
    told_at: i64,
    content: String,
}

#[derive(FromRow)]
struct PageRow {
    host: String,
    told_at: i64,
    content: String,
}

/// What one host told about its policy, and when.
#[derive(Clone, Debug, PartialEq)]
pub struct ToldPolicy {
    /// Which host.
    pub host: HostId,
    /// When, on the controller's clock.
    pub told_at: Timestamp,
    /// What.
    pub policy: HostPolicyView,
}

impl Tx {
    /// What hosts told last about their policies, by host, after that one; at most `limit`.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn host_policies(
        &mut self,
        after: Option<HostId>,
        limit: u32,
    ) -> Result<Vec<ToldPolicy>, StoreError> {
        let after = after.map(|host| host.to_string()).unwrap_or_default();
        let rows: Vec<PageRow> = on_conn!(self, conn => sqlx::query_as(PAGE)
            .bind(after).bind(i64::from(limit)).fetch_all(conn).await?);
        rows.into_iter()
            .map(|row| {
                let PageRow {
                    host,
                    told_at,
                    content,
                } = row;
                Ok(ToldPolicy {
                    host: TABLE.host("host", &host)?,
                    told_at: Timestamp::from_unix_ms(told_at),
                    policy: TABLE.json("content", &content)?,
                })
            })
            .collect()
    }

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

    /// What each of these hosts told last about its policy; hosts that told nothing are left out.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn host_policies_of(
        &mut self,
        hosts: &[HostId],
    ) -> Result<HashMap<HostId, HostPolicyView>, StoreError> {
        let hosts: Vec<String> = hosts.iter().map(HostId::to_string).collect();
        let rows: Vec<(String, String)> = match self {
            Self::Sqlite(tx) => {
                sqlx::query_as(OF.sqlite)
                    .bind(columns::json("hosts", &hosts)?)
                    .fetch_all(&mut **tx)
                    .await?
            }
            Self::Postgres(tx) => {
                sqlx::query_as(OF.postgres)
                    .bind(&hosts)
                    .fetch_all(&mut **tx)
                    .await?
            }
        };
        let read = |(host, content): (String, String)| {
            let policy = TABLE.json("content", &content)?;
            Ok((TABLE.host("host", &host)?, policy))
        };
        rows.into_iter().map(read).collect()
    }
}
