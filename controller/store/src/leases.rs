//! The lease of the controller that leads, and the guard by which a transaction of one that was replaced fails.
//!
//! Time is the database's own on Postgres, since controllers' clocks differ; on SQLite it is what its one controller gives.

use std::time::Duration;

use sqlx::FromRow;
use tidemark_model::Timestamp;
use tidemark_model::time::duration_ms;

use crate::columns::{self, Table};
use crate::tx::{on_conn, statements};
use crate::{News, StoreError, Tx};

/// The lease that there is.
const LEADER: &str = "leader";

/// One holder's time as the leader. Whoever takes the lease after it has a higher epoch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Term {
    /// The controller.
    pub holder: String,
    /// Which term it is; no two have the same.
    pub epoch: u64,
}

/// The lease as the database has it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Lease {
    /// Who has it; `None` when nobody took it or it was given back.
    pub holder: Option<String>,
    /// The term.
    pub epoch: u64,
    /// When the term began.
    pub since: Timestamp,
    /// When it ends unless it is renewed.
    pub until: Timestamp,
    /// What time it was by the same clock.
    pub now: Timestamp,
}

statements! {
    // One moment counts for the whole statement. On Postgres it is that of its beginning also where it has to wait for the row:
    // the lease then ends early, never late.
    TAKE = "UPDATE leases SET holder = $2, until = $4 + $3, \
            since = CASE WHEN holder = $2 AND until > $4 THEN since ELSE $4 END, \
            epoch = epoch + CASE WHEN holder = $2 AND until > $4 THEN 0 ELSE 1 END \
        WHERE name = $1 AND (holder IS NULL OR holder = $2 OR until <= $4) \
        RETURNING holder, epoch, since, until, CAST($4 AS BIGINT) AS now",
        postgres "UPDATE leases SET holder = $2, until = clock.now + $3, \
            since = CASE WHEN holder = $2 AND until > clock.now THEN since ELSE clock.now END, \
            epoch = epoch + CASE WHEN holder = $2 AND until > clock.now THEN 0 ELSE 1 END \
        FROM (SELECT CAST(extract(epoch FROM clock_timestamp()) * 1000 AS BIGINT) AS now) AS clock \
        WHERE name = $1 AND (holder IS NULL OR holder = $2 OR until <= clock.now) \
        RETURNING holder, epoch, since, until, clock.now AS now";
    SEIZE = "UPDATE leases SET holder = $2, epoch = epoch + 1, since = $3, until = $3 WHERE name = $1 \
        RETURNING holder, epoch, since, until, CAST($3 AS BIGINT) AS now";
    FIND = "SELECT holder, epoch, since, until, CAST($2 AS BIGINT) AS now FROM leases WHERE name = $1",
        postgres "SELECT holder, epoch, since, until, \
            CAST(extract(epoch FROM clock_timestamp()) * 1000 AS BIGINT) AS now FROM leases WHERE name = $1";
    GIVE_BACK = "UPDATE leases SET holder = NULL WHERE name = $1 AND holder = $2 AND epoch = $3";
    // A controller that is stopped amid such a transaction would hold up the takeover for as long as it is: Postgres ends its
    // session then, and with it the transaction.
    GUARD = "SELECT CAST(1 AS BIGINT) FROM leases WHERE name = $1 AND holder = $2 AND epoch = $3",
        postgres "SELECT CAST(1 AS BIGINT), set_config('idle_in_transaction_session_timeout', '10s', true) \
        FROM leases WHERE name = $1 AND holder = $2 AND epoch = $3 FOR KEY SHARE";
}

#[derive(FromRow)]
struct LeaseRow {
    holder: Option<String>,
    epoch: i64,
    since: i64,
    until: i64,
    now: i64,
}

impl TryFrom<LeaseRow> for Lease {
    type Error = StoreError;

    fn try_from(row: LeaseRow) -> Result<Self, StoreError> {
        let LeaseRow {
            holder,
            epoch,
            since,
            until,
            now,
        } = row;
        Ok(Self {
            holder,
            epoch: Table("leases").unsigned("epoch", epoch)?,
            since: Timestamp::from_unix_ms(since),
            until: Timestamp::from_unix_ms(until),
            now: Timestamp::from_unix_ms(now),
        })
    }
}

impl Tx {
    /// Takes the lease for `ttl`, or renews it, unless another holder's time is not over. A renewal that comes after the own time
    /// was over begins another term: somebody else may have led in between.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn lease_take(
        &mut self,
        holder: &str,
        ttl: Duration,
        now: Timestamp,
    ) -> Result<Option<Lease>, StoreError> {
        let holder = columns::text("holder of a lease", holder)?;
        let ttl_ms = duration_ms(ttl);
        let row: Option<LeaseRow> = match self {
            Self::Sqlite(tx) => {
                let take = sqlx::query_as(TAKE.sqlite).bind(LEADER).bind(holder);
                let take = take.bind(ttl_ms).bind(now.unix_ms());
                take.fetch_optional(&mut **tx).await?
            }
            Self::Postgres(tx) => {
                let take = sqlx::query_as(TAKE.postgres).bind(LEADER).bind(holder);
                take.bind(ttl_ms).fetch_optional(&mut **tx).await?
            }
        };
        row.map(Lease::try_from).transpose()
    }

    /// Takes the lease whoever has it: for a controller that knows by other means that it is alone.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn lease_seize(&mut self, holder: &str, now: Timestamp) -> Result<Lease, StoreError> {
        let holder = columns::text("holder of a lease", holder)?;
        let row: Option<LeaseRow> = on_conn!(self, conn => sqlx::query_as(SEIZE)
            .bind(LEADER).bind(holder).bind(now.unix_ms()).fetch_optional(conn).await?);
        row.ok_or(StoreError::NotFound { what: "lease" })?
            .try_into()
    }

    /// How the lease stands.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn lease_find(&mut self, now: Timestamp) -> Result<Lease, StoreError> {
        let row: Option<LeaseRow> = match self {
            Self::Sqlite(tx) => {
                let find = sqlx::query_as(FIND.sqlite).bind(LEADER);
                find.bind(now.unix_ms()).fetch_optional(&mut **tx).await?
            }
            Self::Postgres(tx) => {
                let find = sqlx::query_as(FIND.postgres).bind(LEADER);
                find.fetch_optional(&mut **tx).await?
            }
        };
        row.ok_or(StoreError::NotFound { what: "lease" })?
            .try_into()
    }

    /// Gives the lease back, so that another controller may take it at once; the others hear of it. Whether this term held still.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn lease_give_back(&mut self, term: &Term) -> Result<bool, StoreError> {
        let holder = columns::text("holder of a lease", &term.holder)?;
        let epoch = columns::signed("epoch of a lease", term.epoch)?;
        let given = on_conn!(self, conn => sqlx::query(GIVE_BACK)
            .bind(LEADER).bind(holder).bind(epoch).execute(conn).await?
            .rows_affected());
        self.tell(News::Lease).await?;
        Ok(given == 1)
    }

    /// Lets this transaction go on only while that term holds, and until it ends nobody begins another one.
    ///
    /// # Errors
    /// [`StoreError::Fenced`] when the term is over.
    pub async fn fenced(&mut self, term: &Term) -> Result<(), StoreError> {
        let holder = columns::text("holder of a lease", &term.holder)?;
        let epoch = columns::signed("epoch of a lease", term.epoch)?;
        let held: Option<i64> = match self {
            Self::Sqlite(tx) => {
                let guard = sqlx::query_scalar(GUARD.sqlite).bind(LEADER).bind(holder);
                guard.bind(epoch).fetch_optional(&mut **tx).await?
            }
            Self::Postgres(tx) => {
                let guard = sqlx::query_scalar(GUARD.postgres).bind(LEADER).bind(holder);
                guard.bind(epoch).fetch_optional(&mut **tx).await?
            }
        };
        held.map(drop)
            .ok_or(StoreError::Fenced { epoch: term.epoch })
    }
}
