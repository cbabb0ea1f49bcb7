//! The main metrics of a port space by hour, as plain rows for SQL users and Grafana.

use sqlx::FromRow;
use tidemark_model::{HostId, PortSpaceKey, Timestamp};

use crate::batch::{BySize, all_rows, eight_rows, sixty_four_rows};
use crate::columns::{self, Table};
use crate::tx::{on_conn, statements};
use crate::{Span, StoreError, Tx};

/// One hour of one port space. All counts are ports.
#[derive(Clone, Debug, PartialEq)]
pub struct HourlyRow {
    /// The host.
    pub host: HostId,
    /// Start of the hour.
    pub hour_at: Timestamp,
    /// The port space.
    pub space: PortSpaceKey,
    /// Ports that can be handed out, at the end of the hour.
    pub capacity: u32,
    /// Fewest in use.
    pub in_use_min: u32,
    /// Average in use.
    pub in_use_avg: f64,
    /// Most in use.
    pub in_use_max: u32,
    /// In use at the end of the hour.
    pub in_use_last: u32,
    /// Most held in any state but TIME_WAIT.
    pub strong_max: u32,
    /// Most held by TIME_WAIT alone.
    pub time_wait_max: u32,
    /// Most held by bound-but-unconnected sockets alone; `None` where the system cannot tell.
    pub bound_max: Option<u32>,
}

const TABLE: Table = Table("host_hourly");

macro_rules! upsert {
    ($rows:expr) => {
        concat!(
            "INSERT INTO host_hourly (host, hour_at, protocol, namespace, capacity, in_use_min, in_use_avg, \
             in_use_max, in_use_last, strong_max, time_wait_max, bound_max) ",
            $rows,
            " ON CONFLICT (host, hour_at, protocol, namespace) DO UPDATE SET capacity = excluded.capacity, \
             in_use_min = excluded.in_use_min, in_use_avg = excluded.in_use_avg, in_use_max = excluded.in_use_max, \
             in_use_last = excluded.in_use_last, strong_max = excluded.strong_max, \
             time_wait_max = excluded.time_wait_max, bound_max = excluded.bound_max"
        )
    };
}

macro_rules! upsert_values {
    ($rows:expr) => {
        upsert!(concat!("VALUES ", $rows))
    };
}

const UPSERT_ARRAYS: &str = upsert!(
    "SELECT * FROM UNNEST($1::text[], $2::bigint[], $3::text[], $4::text[], $5::bigint[], $6::bigint[], \
     $7::double precision[], $8::bigint[], $9::bigint[], $10::bigint[], $11::bigint[], $12::bigint[])"
);

const UPSERT: BySize = BySize {
    sixty_four: UPSERT_64.sqlite,
    eight: UPSERT_8.sqlite,
    one: UPSERT_1.sqlite,
};

statements! {
    UPSERT_64 = upsert_values!(sixty_four_rows!("(?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)")), postgres UPSERT_ARRAYS;
    UPSERT_8 = upsert_values!(eight_rows!("(?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)")), postgres UPSERT_ARRAYS;
    UPSERT_1 = upsert_values!("(?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"), postgres UPSERT_ARRAYS;
    OF_HOST = "SELECT host, hour_at, protocol, namespace, capacity, in_use_min, in_use_avg, in_use_max, in_use_last, \
        strong_max, time_wait_max, bound_max FROM host_hourly \
        WHERE host = $1 AND hour_at >= $2 AND hour_at < $3 ORDER BY hour_at, protocol, namespace LIMIT $4";
    DELETE_BEFORE = "DELETE FROM host_hourly WHERE (host, hour_at) IN \
        (SELECT host, hour_at FROM host_hourly WHERE hour_at < $1 ORDER BY hour_at LIMIT $2)";
}

#[derive(FromRow)]
struct Row {
    host: String,
    hour_at: i64,
    protocol: String,
    namespace: String,
    capacity: i64,
    in_use_min: i64,
    in_use_avg: f64,
    in_use_max: i64,
    in_use_last: i64,
    strong_max: i64,
    time_wait_max: i64,
    bound_max: Option<i64>,
}

impl TryFrom<Row> for HourlyRow {
    type Error = StoreError;

    fn try_from(row: Row) -> Result<Self, StoreError> {
        let Row {
            host,
            hour_at,
            protocol,
            namespace,
            capacity,
            in_use_min,
            in_use_avg,
            in_use_max,
            in_use_last,
            strong_max,
            time_wait_max,
            bound_max,
        } = row;
        Ok(Self {
            host: TABLE.host("host", &host)?,
            hour_at: Timestamp::from_unix_ms(hour_at),
            space: PortSpaceKey {
                protocol: protocol
                    .parse()
                    .map_err(|_| TABLE.unreadable("protocol", protocol))?,
                namespace: namespace.into(),
            },
            capacity: TABLE.unsigned_32("capacity", capacity)?,
            in_use_min: TABLE.unsigned_32("in_use_min", in_use_min)?,
            in_use_avg,
            in_use_max: TABLE.unsigned_32("in_use_max", in_use_max)?,
            in_use_last: TABLE.unsigned_32("in_use_last", in_use_last)?,
            strong_max: TABLE.unsigned_32("strong_max", strong_max)?,
            time_wait_max: TABLE.unsigned_32("time_wait_max", time_wait_max)?,
            bound_max: bound_max
                .map(|ports| TABLE.unsigned_32("bound_max", ports))
                .transpose()?,
        })
    }
}

impl Tx {
    /// Writes hours; one that is there already is replaced. No two of `rows` may be of one hour of one port space.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn host_hourly_upsert(&mut self, rows: &[HourlyRow]) -> Result<(), StoreError> {
        for row in rows {
            columns::text("namespace", &row.space.namespace)?;
        }
        let written = match self {
            Self::Sqlite(tx) => {
                let mut written = 0;
                for (statement, piece) in UPSERT.pieces(rows) {
                    let mut query = sqlx::query(statement);
                    for row in piece {
                        query = query
                            .bind(row.host.to_string())
                            .bind(row.hour_at.unix_ms())
                            .bind(row.space.protocol.as_str())
                            .bind(&*row.space.namespace)
                            .bind(i64::from(row.capacity))
                            .bind(i64::from(row.in_use_min))
                            .bind(row.in_use_avg)
                            .bind(i64::from(row.in_use_max))
                            .bind(i64::from(row.in_use_last))
                            .bind(i64::from(row.strong_max))
                            .bind(i64::from(row.time_wait_max))
                            .bind(row.bound_max.map(i64::from));
                    }
                    written += query.execute(&mut **tx).await?.rows_affected();
                }
                written
            }
            Self::Postgres(tx) => {
                let of = |value: fn(&HourlyRow) -> u32| {
                    rows.iter()
                        .map(|row| i64::from(value(row)))
                        .collect::<Vec<_>>()
                };
                let hosts: Vec<_> = rows.iter().map(|row| row.host.to_string()).collect();
                let hours: Vec<_> = rows.iter().map(|row| row.hour_at.unix_ms()).collect();
                let protocols: Vec<_> =
                    rows.iter().map(|row| row.space.protocol.as_str()).collect();
                let namespaces: Vec<_> = rows.iter().map(|row| &*row.space.namespace).collect();
                let averages: Vec<_> = rows.iter().map(|row| row.in_use_avg).collect();
                let bound: Vec<_> = rows
                    .iter()
                    .map(|row| row.bound_max.map(i64::from))
                    .collect();
                let query = sqlx::query(UPSERT_1.postgres)
                    .bind(hosts)
                    .bind(hours)
                    .bind(protocols)
                    .bind(namespaces)
                    .bind(of(|row| row.capacity))
                    .bind(of(|row| row.in_use_min))
                    .bind(averages)
                    .bind(of(|row| row.in_use_max))
                    .bind(of(|row| row.in_use_last))
                    .bind(of(|row| row.strong_max))
                    .bind(of(|row| row.time_wait_max))
                    .bind(bound);
                query.execute(&mut **tx).await?.rows_affected()
            }
        };
        all_rows(written, rows.len(), StoreError::Stale { what: "hour" })
    }

    /// The hours of a host that begin in `span`, by time and port space, at most `limit`. For the rows after these
    /// begin a span at the last row's hour.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn host_hourly_of(
        &mut self,
        host: HostId,
        span: Span,
        limit: u32,
    ) -> Result<Vec<HourlyRow>, StoreError> {
        let rows: Vec<Row> = on_conn!(self, conn => sqlx::query_as(OF_HOST)
            .bind(host.to_string())
            .bind(span.from.unix_ms())
            .bind(span.to.unix_ms())
            .bind(i64::from(limit))
            .fetch_all(conn).await?);
        rows.into_iter().map(HourlyRow::try_from).collect()
    }

    /// Deletes the rows of about `limit` hours of hosts that began before `cutoff`, oldest first. Answers how many
    /// rows; 0 when none is left.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn host_hourly_delete_before(
        &mut self,
        cutoff: Timestamp,
        limit: u32,
    ) -> Result<u64, StoreError> {
        Ok(on_conn!(self, conn => sqlx::query(DELETE_BEFORE)
            .bind(cutoff.unix_ms()).bind(i64::from(limit)).execute(conn).await?
            .rows_affected()))
    }
}
