//! Where each host's session is and what the controller there knows of it at this moment, told to the other controllers. What is told
//! is opaque here.

use sqlx::FromRow;
use tidemark_model::{HostId, Timestamp};

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
    /// When that session began, or the one that has ended, by the database's clock: a host is where its last session began.
    pub began_at: Timestamp,
    /// Whatever else is to be told, as JSON.
    pub told: String,
    /// The newest sample, encoded.
    pub sample: Option<Vec<u8>>,
}

/// A row by its generation; `Err` when this release cannot read the rest of it.
pub type Told = (u64, Result<HostSession, StoreError>);

const TABLE: Table = Table("host_sessions");

macro_rules! upsert {
    ($from:literal) => {
        concat!(
            "INSERT INTO host_sessions (host, controller, generation, session, began_at, told, sample) ",
            $from,
            " ON CONFLICT (host) DO UPDATE SET controller = excluded.controller, generation = excluded.generation, \
             session = excluded.session, began_at = excluded.began_at, told = excluded.told, sample = excluded.sample \
             WHERE host_sessions.controller = excluded.controller OR host_sessions.began_at < excluded.began_at"
        )
    };
}

statements! {
    // In the order of hosts: two controllers that told of the same ones in another order would wait for each other.
    PUT = upsert!("VALUES ($1, $2, $3, $4, $5, $6, $7)"),
        postgres upsert!("SELECT * FROM UNNEST($1::text[], $2::text[], $3::bigint[], $4::text[], $5::bigint[], $6::text[], $7::bytea[]) \
            AS given (host, controller, generation, session, began_at, told, sample) ORDER BY host");
    AFTER = "SELECT host, generation, session, began_at, told, sample FROM host_sessions WHERE controller = $1 AND generation > $2 \
        ORDER BY generation LIMIT $3";
}

#[derive(FromRow)]
struct SessionRow {
    host: String,
    generation: i64,
    session: Option<String>,
    began_at: i64,
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
            began_at,
            told,
            sample,
        } = row;
        Ok(Self {
            host: TABLE.host("host", &host)?,
            generation: TABLE.unsigned("generation", generation)?,
            session,
            began_at: Timestamp::from_unix_ms(began_at),
            told,
            sample,
        })
    }
}

impl Tx {
    /// Tells of hosts, each once; meant for hundreds in one transaction. What another controller told of a host stays where its session
    /// began later.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn host_sessions_put(
        &mut self,
        controller: &str,
        rows: &[HostSession],
    ) -> Result<(), StoreError> {
        let controller = columns::text("name of a controller", controller)?;
        let mut generations = Vec::with_capacity(rows.len());
        for row in rows {
            columns::text("what is told of a host", &row.told)?;
            generations.push(columns::signed("generation of a session", row.generation)?);
        }
        match self {
            Self::Sqlite(tx) => {
                for (row, generation) in rows.iter().zip(generations) {
                    let put = sqlx::query(PUT.sqlite)
                        .bind(row.host.to_string())
                        .bind(controller)
                        .bind(generation)
                        .bind(row.session.as_deref());
                    let put = put.bind(row.began_at.unix_ms());
                    let put = put.bind(&row.told).bind(row.sample.as_deref());
                    put.execute(&mut **tx).await?;
                }
            }
            Self::Postgres(tx) => {
                let hosts: Vec<_> = rows.iter().map(|row| row.host.to_string()).collect();
                let sessions: Vec<_> = rows.iter().map(|row| row.session.as_deref()).collect();
                let began: Vec<_> = rows.iter().map(|row| row.began_at.unix_ms()).collect();
                let told: Vec<_> = rows.iter().map(|row| row.told.as_str()).collect();
                let samples: Vec<_> = rows.iter().map(|row| row.sample.as_deref()).collect();
                let put = sqlx::query(PUT.postgres)
                    .bind(hosts)
                    .bind(vec![controller; rows.len()])
                    .bind(generations)
                    .bind(sessions)
                    .bind(began);
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
    /// there any more, nor is what another one told of since. `Err` stands for a row that this release cannot read.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn host_sessions_after(
        &mut self,
        controller: &str,
        generation: u64,
        limit: u32,
    ) -> Result<Vec<Told>, StoreError> {
        let generation = columns::signed("generation of a session", generation)?;
        let rows: Vec<SessionRow> = on_conn!(self, conn => sqlx::query_as(AFTER)
            .bind(controller).bind(generation).bind(i64::from(limit))
            .fetch_all(conn).await?);
        let told = |row: SessionRow| {
            let generation = TABLE.unsigned("generation", row.generation)?;
            Ok((generation, HostSession::try_from(row)))
        };
        rows.into_iter().map(told).collect()
    }
}
