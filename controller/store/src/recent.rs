//! Recent rows: what the group commit writes, one a host and batch, until the compactor makes segments of them.

use std::ops::ControlFlow;

use futures::TryStreamExt;
use sqlx::FromRow;
use tidemark_model::{HostId, Timestamp};

use crate::batch::{BySize, all_rows, eight_rows, sixty_four_rows};
use crate::columns::Table;
use crate::host_rows::HostRows;
use crate::tx::{on_conn, statements};
use crate::{Span, StoreError, Tx};

/// Names one recent row, ascending in order of arrival.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RecentId(pub(crate) i64);

/// One batch of one host, to be stored.
#[derive(Clone, Debug)]
pub struct NewRecent<B = Vec<u8>> {
    /// The host.
    pub host: HostId,
    /// Time of its first point.
    pub first_at: Timestamp,
    /// Time of its last point, `first_at` or later.
    pub last_at: Timestamp,
    /// Points in it.
    pub points: u32,
    /// The points, encoded by the history crate.
    pub body: B,
}

/// One batch of one host, as stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Recent {
    /// Names the row.
    pub id: RecentId,
    /// The host.
    pub host: HostId,
    /// Time of its first point.
    pub first_at: Timestamp,
    /// Time of its last point.
    pub last_at: Timestamp,
    /// Points in it.
    pub points: u32,
    /// The points, encoded by the history crate.
    pub body: Vec<u8>,
}

const TABLE: Table = Table("recent");

macro_rules! append_recent {
    ($rows:expr) => {
        concat!(
            "INSERT INTO recent (host, first_at, last_at, points, body) VALUES ",
            $rows
        )
    };
}

macro_rules! select_recent {
    ($rest:literal) => {
        concat!(
            "SELECT id, host, first_at, last_at, points, body FROM recent ",
            $rest
        )
    };
}

statements! {
    APPEND_64 = append_recent!(sixty_four_rows!("(?, ?, ?, ?, ?)")), postgres APPEND_ARRAYS;
    APPEND_8 = append_recent!(eight_rows!("(?, ?, ?, ?, ?)")), postgres APPEND_ARRAYS;
    APPEND_1 = append_recent!("(?, ?, ?, ?, ?)"), postgres APPEND_ARRAYS;
    OF_HOST = select_recent!("WHERE host = $1 AND last_at >= $2 AND first_at < $3 ORDER BY last_at, id");
    NEWEST_OF_HOST = "SELECT MAX(last_at) FROM recent WHERE host = $1";
    HOSTS_OLDER_THAN = "SELECT id FROM hosts WHERE id > $1 \
        AND EXISTS (SELECT 1 FROM recent WHERE recent.host = hosts.id AND recent.last_at < $2) \
        ORDER BY id LIMIT $3";
    DELETE = "DELETE FROM recent WHERE id IN (SELECT ids.value FROM json_each($1) AS hosts, json_each(hosts.value) AS ids)",
        postgres "DELETE FROM recent USING UNNEST($1::text[], $2::bigint[]) AS gone (host, id) \
            WHERE recent.host = gone.host AND recent.id = gone.id";
}

const APPEND_ARRAYS: &str = "INSERT INTO recent (host, first_at, last_at, points, body) \
    SELECT * FROM UNNEST($1::text[], $2::bigint[], $3::bigint[], $4::bigint[], $5::bytea[])";

const APPEND: BySize = BySize {
    sixty_four: APPEND_64.sqlite,
    eight: APPEND_8.sqlite,
    one: APPEND_1.sqlite,
};

#[derive(FromRow)]
struct RecentRow {
    id: i64,
    host: String,
    first_at: i64,
    last_at: i64,
    points: i64,
    body: Vec<u8>,
}

impl TryFrom<RecentRow> for Recent {
    type Error = StoreError;

    fn try_from(row: RecentRow) -> Result<Self, StoreError> {
        let RecentRow {
            id,
            host,
            first_at,
            last_at,
            points,
            body,
        } = row;
        Ok(Self {
            id: RecentId(id),
            host: TABLE.host("host", &host)?,
            first_at: Timestamp::from_unix_ms(first_at),
            last_at: Timestamp::from_unix_ms(last_at),
            points: TABLE.unsigned_32("points", points)?,
            body,
        })
    }
}

impl Tx {
    /// Appends batches. Meant for thousands in one transaction.
    ///
    /// # Errors
    /// [`StoreError::InvalidValue`] when a batch ends before it begins; nothing is then written.
    pub async fn recent_append<B>(&mut self, rows: &[NewRecent<B>]) -> Result<(), StoreError>
    where
        B: AsRef<[u8]> + Sync,
    {
        if rows.iter().any(|row| row.last_at < row.first_at) {
            return Err(StoreError::InvalidValue {
                field: "time of a batch's last point",
                limit: "the time of its first one or later",
            });
        }
        let appended = match self {
            Self::Sqlite(tx) => {
                let mut appended = 0;
                for (statement, piece) in APPEND.pieces(rows) {
                    let mut query = sqlx::query(statement);
                    for row in piece {
                        query = query
                            .bind(row.host.to_string())
                            .bind(row.first_at.unix_ms())
                            .bind(row.last_at.unix_ms())
                            .bind(i64::from(row.points))
                            .bind(row.body.as_ref());
                    }
                    appended += query.execute(&mut **tx).await?.rows_affected();
                }
                appended
            }
            Self::Postgres(tx) => {
                let hosts: Vec<_> = rows.iter().map(|row| row.host.to_string()).collect();
                let first: Vec<_> = rows.iter().map(|row| row.first_at.unix_ms()).collect();
                let last: Vec<_> = rows.iter().map(|row| row.last_at.unix_ms()).collect();
                let points: Vec<_> = rows.iter().map(|row| i64::from(row.points)).collect();
                let bodies: Vec<_> = rows.iter().map(|row| row.body.as_ref()).collect();
                let query = sqlx::query(APPEND_1.postgres)
                    .bind(hosts)
                    .bind(first)
                    .bind(last)
                    .bind(points)
                    .bind(bodies);
                query.execute(&mut **tx).await?.rows_affected()
            }
        };
        all_rows(appended, rows.len(), StoreError::Stale { what: "batch" })
    }

    /// Shows the batches of one host that have points in `span` to `visit`, by the time of their last point, until it
    /// breaks. One batch is in memory at a time.
    ///
    /// # Errors
    /// When the database fails; some batches were then shown.
    pub async fn recent_each(
        &mut self,
        host: HostId,
        span: Span,
        mut visit: impl FnMut(Recent) -> ControlFlow<()>,
    ) -> Result<(), StoreError> {
        on_conn!(self, conn => {
            let mut rows = sqlx::query_as::<_, RecentRow>(OF_HOST)
                .bind(host.to_string())
                .bind(span.from.unix_ms())
                .bind(span.to.unix_ms())
                .fetch(conn);
            while let Some(row) = rows.try_next().await? {
                if visit(row.try_into()?).is_break() {
                    break;
                }
            }
        });
        Ok(())
    }

    /// The time of a host's newest point among the batches; `None` without any.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn recent_newest_of(
        &mut self,
        host: HostId,
    ) -> Result<Option<Timestamp>, StoreError> {
        let newest: Option<i64> = on_conn!(self, conn => sqlx::query_scalar(NEWEST_OF_HOST)
            .bind(host.to_string()).fetch_one(conn).await?);
        Ok(newest.map(Timestamp::from_unix_ms))
    }

    /// The hosts after `after` that have a batch that ends before `cutoff`, by the text of their ids, at most `limit`.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn recent_hosts_older_than(
        &mut self,
        cutoff: Timestamp,
        after: Option<HostId>,
        limit: u32,
    ) -> Result<Vec<HostId>, StoreError> {
        let after = after.map(|id| id.to_string()).unwrap_or_default();
        let ids: Vec<String> = on_conn!(self, conn => sqlx::query_scalar(HOSTS_OLDER_THAN)
            .bind(after).bind(cutoff.unix_ms()).bind(i64::from(limit))
            .fetch_all(conn).await?);
        ids.iter().map(|id| TABLE.host("host", id)).collect()
    }

    /// Deletes exactly these batches: one that came meanwhile is never deleted unread.
    ///
    /// # Errors
    /// [`StoreError::Stale`] when one of them is gone: another compactor was there.
    pub(crate) async fn recent_delete(&mut self, batches: &HostRows) -> Result<(), StoreError> {
        self.delete_rows(DELETE, batches, "host's recent batch")
            .await
    }
}
