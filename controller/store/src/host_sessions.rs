//! Where each host's session is and what the controller there knows of it at this moment, told to the other controllers. What is told
//! is opaque here.

use sqlx::FromRow;
use tidemark_model::HostId;

use crate::columns::{self, Table};
use crate::tx::{on_conn, statements};
use crate::{News, StoreError, Tx};

/// What a controller tells of one host.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HostSession {
    /// The host.
    pub host: HostId,
    /// Counts the rows that a controller tells, from 1: no two have the same.
    pub generation: u64,
    /// The session that is open there; `None` when it has ended.
    pub session: Option<String>,
    /// Whatever else is to be told, as JSON.
    pub told: String,
    /// The newest sample, encoded.
    pub sample: Option<Vec<u8>>,
}

/// Whose word counts when another controller told of the host last.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Claim {
    /// This one's: a session has just begun here.
    New,
    /// The other's: it came later.
    Old,
}

const TABLE: Table = Table("host_sessions");

macro_rules! upsert {
    ($from:literal, $which:literal) => {
        concat!(
            "INSERT INTO host_sessions (host, controller, generation, session, told, sample) ",
            $from,
            " ON CONFLICT (host) DO UPDATE SET controller = excluded.controller, generation = excluded.generation, \
             session = excluded.session, told = excluded.told, sample = excluded.sample",
            $which
        )
    };
}

statements! {
    PUT_NEW = upsert!("VALUES ($1, $2, $3, $4, $5, $6)", ""),
        postgres upsert!("SELECT * FROM UNNEST($1::text[], $2::text[], $3::bigint[], $4::text[], $5::text[], $6::bytea[])", "");
    PUT_OLD = upsert!("VALUES ($1, $2, $3, $4, $5, $6)", " WHERE host_sessions.controller = excluded.controller"),
        postgres upsert!(
            "SELECT * FROM UNNEST($1::text[], $2::text[], $3::bigint[], $4::text[], $5::text[], $6::bytea[])",
            " WHERE host_sessions.controller = excluded.controller"
        );
    AFTER = "SELECT host, generation, session, told, sample FROM host_sessions WHERE controller = $1 AND generation > $2 \
        ORDER BY generation LIMIT $3";
}

#[derive(FromRow)]
struct SessionRow {
    host: String,
    generation: i64,
    session: Option<String>,
    told: String,
    sample: Option<Vec<u8>>,
}

impl TryFrom<SessionRow> for HostSession {
    type Error = StoreError;

    fn try_from(row: SessionRow) -> Result<Self, StoreError> {
        let SessionRow {
            host,
            generation,
            session,
            told,
            sample,
        } = row;
        Ok(Self {
            host: TABLE.host("host", &host)?,
            generation: TABLE.unsigned("generation", generation)?,
            session,
            told,
            sample,
        })
    }
}

impl Tx {
    /// Tells of hosts, each once; meant for hundreds in one transaction. What another controller tells of a host stays where `claim` is
    /// old.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn host_sessions_put(
        &mut self,
        controller: &str,
        claim: Claim,
        rows: &[HostSession],
    ) -> Result<(), StoreError> {
        let controller = columns::text("name of a controller", controller)?;
        let statement = match claim {
            Claim::New => PUT_NEW,
            Claim::Old => PUT_OLD,
        };
        let mut generations = Vec::with_capacity(rows.len());
        for row in rows {
            columns::text("what is told of a host", &row.told)?;
            generations.push(columns::signed("generation of a session", row.generation)?);
        }
        match self {
            Self::Sqlite(tx) => {
                for (row, generation) in rows.iter().zip(generations) {
                    let put = sqlx::query(statement.sqlite)
                        .bind(row.host.to_string())
                        .bind(controller)
                        .bind(generation)
                        .bind(row.session.as_deref());
                    let put = put.bind(&row.told).bind(row.sample.as_deref());
                    put.execute(&mut **tx).await?;
                }
            }
            Self::Postgres(tx) => {
                let hosts: Vec<_> = rows.iter().map(|row| row.host.to_string()).collect();
                let sessions: Vec<_> = rows.iter().map(|row| row.session.as_deref()).collect();
                let told: Vec<_> = rows.iter().map(|row| row.told.as_str()).collect();
                let samples: Vec<_> = rows.iter().map(|row| row.sample.as_deref()).collect();
                let put = sqlx::query(statement.postgres)
                    .bind(hosts)
                    .bind(vec![controller; rows.len()])
                    .bind(generations)
                    .bind(sessions);
                put.bind(told).bind(samples).execute(&mut **tx).await?;
            }
        }
        Ok(())
    }

    /// Lets the other controllers know that there is something to read of sessions.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn host_sessions_announce(&mut self) -> Result<(), StoreError> {
        self.tell(News::Sessions).await
    }

    /// What a controller told after `generation`, in order, at most `limit`. What it told of a host before it told of it again is not
    /// there any more, nor is what another one told of since.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn host_sessions_after(
        &mut self,
        controller: &str,
        generation: u64,
        limit: u32,
    ) -> Result<Vec<HostSession>, StoreError> {
        let generation = columns::signed("generation of a session", generation)?;
        let rows: Vec<SessionRow> = on_conn!(self, conn => sqlx::query_as(AFTER)
            .bind(controller).bind(generation).bind(i64::from(limit))
            .fetch_all(conn).await?);
        rows.into_iter().map(HostSession::try_from).collect()
    }
}
