//! The main metrics of a port space by hour, as plain rows for SQL users and Grafana.

use sqlx::FromRow;
use tidemark_model::{HostId, PortSpaceKey, Timestamp};

use crate::batch::all_rows;
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

statements! {
    UPSERT = "INSERT INTO host_hourly (host, hour_at, protocol, namespace, capacity, in_use_min, in_use_avg, \
        in_use_max, in_use_last, strong_max, time_wait_max, bound_max) \
        VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12) \
        ON CONFLICT (host, hour_at, protocol, namespace) DO UPDATE SET capacity = excluded.capacity, \
        in_use_min = excluded.in_use_min, in_use_avg = excluded.in_use_avg, in_use_max = excluded.in_use_max, \
        in_use_last = excluded.in_use_last, strong_max = excluded.strong_max, \
        time_wait_max = excluded.time_wait_max, bound_max = excluded.bound_max";
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
    /// Writes hours; one that is there already is replaced.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn host_hourly_upsert(&mut self, rows: &[HourlyRow]) -> Result<(), StoreError> {
        for row in rows {
            let namespace = columns::text("namespace", &row.space.namespace)?;
            let written = on_conn!(self, conn => sqlx::query(UPSERT)
                .bind(row.host.to_string())
                .bind(row.hour_at.unix_ms())
                .bind(row.space.protocol.as_str())
                .bind(namespace)
                .bind(i64::from(row.capacity))
                .bind(i64::from(row.in_use_min))
                .bind(row.in_use_avg)
                .bind(i64::from(row.in_use_max))
                .bind(i64::from(row.in_use_last))
                .bind(i64::from(row.strong_max))
                .bind(i64::from(row.time_wait_max))
                .bind(row.bound_max.map(i64::from))
                .execute(conn).await?
                .rows_affected());
            all_rows(written, 1, StoreError::Stale { what: "hour" })?;
        }
        Ok(())
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
