//! What is stored of hosts' history, without the bytes: what plans are made from.

use std::collections::HashMap;

use sqlx::FromRow;
use tidemark_model::{HostId, Timestamp};

use crate::columns::Table;
use crate::host_rows::host_texts;
use crate::tx::statements;
use crate::{RecentId, SegmentId, Span, StoreError, Tier, Tx};

/// A segment without its body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SegmentHead {
    /// Its id.
    pub id: SegmentId,
    /// How coarse its points are.
    pub tier: Tier,
    /// From its first point, to after its last one.
    pub span: Span,
    /// Bytes of its body.
    pub size_bytes: u64,
}

/// A batch of `recent` without its body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RecentHead {
    /// Its id.
    pub id: RecentId,
    /// Time of its first point.
    pub first_at: Timestamp,
    /// Time of its last point.
    pub last_at: Timestamp,
    /// Bytes of its body.
    pub size_bytes: u64,
}

/// What is stored of one host's history.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct HistoryHeads {
    /// Batches in the order of arrival.
    pub recent: Vec<RecentHead>,
    /// Segments of all tiers in the order of writing.
    pub segments: Vec<SegmentHead>,
}

const RECENT: Table = Table("recent");
const SEGMENTS: Table = Table("segments");

macro_rules! recent_heads {
    ($hosts:literal) => {
        concat!(
            "SELECT host, id, first_at, last_at, CAST(length(body) AS BIGINT) AS size_bytes FROM recent WHERE host ",
            $hosts,
            " AND last_at >= $2 AND first_at < $3 ORDER BY host, id LIMIT $4"
        )
    };
}

macro_rules! segment_heads {
    ($hosts:literal) => {
        concat!(
            "SELECT host, id, tier, from_at, to_at, size_bytes FROM segments WHERE host ",
            $hosts,
            " AND to_at > $2 AND from_at < $3 ORDER BY host, id"
        )
    };
}

macro_rules! recent_bounds {
    ($hosts:literal) => {
        concat!(
            "SELECT host, min(first_at), max(last_at) FROM recent WHERE host ",
            $hosts,
            " AND last_at >= $2 AND first_at < $3 GROUP BY host"
        )
    };
}

statements! {
    RECENT_BOUNDS = recent_bounds!("IN (SELECT value FROM json_each($1))"),
        postgres recent_bounds!("= ANY($1::text[])");
    RECENT_HEADS = recent_heads!("IN (SELECT value FROM json_each($1))"),
        postgres recent_heads!("= ANY($1::text[])");
    SEGMENT_HEADS = segment_heads!("IN (SELECT value FROM json_each($1))"),
        postgres segment_heads!("= ANY($1::text[])");
}

#[derive(FromRow)]
struct RecentRow {
    host: String,
    id: i64,
    first_at: i64,
    last_at: i64,
    size_bytes: i64,
}

#[derive(FromRow)]
struct SegmentRow {
    host: String,
    id: i64,
    tier: i64,
    from_at: i64,
    to_at: i64,
    size_bytes: i64,
}

impl SegmentId {
    /// Its number, ascending in the order of writing.
    #[must_use]
    pub const fn get(self) -> i64 {
        self.0
    }

    /// The id of that number, as a plan names it.
    #[must_use]
    pub const fn of_number(number: i64) -> Self {
        Self(number)
    }
}

impl RecentId {
    /// Its number, ascending in the order of arrival.
    #[must_use]
    pub const fn get(self) -> i64 {
        self.0
    }

    /// The id of that number, as a plan names it.
    #[must_use]
    pub const fn of_number(number: i64) -> Self {
        Self(number)
    }
}

impl TryFrom<RecentRow> for RecentHead {
    type Error = StoreError;

    fn try_from(row: RecentRow) -> Result<Self, StoreError> {
        Ok(Self {
            id: RecentId(row.id),
            first_at: Timestamp::from_unix_ms(row.first_at),
            last_at: Timestamp::from_unix_ms(row.last_at),
            size_bytes: RECENT.unsigned("size of a body", row.size_bytes)?,
        })
    }
}

impl TryFrom<SegmentRow> for SegmentHead {
    type Error = StoreError;

    fn try_from(row: SegmentRow) -> Result<Self, StoreError> {
        Ok(Self {
            id: SegmentId(row.id),
            tier: Tier::from_number(row.tier)
                .ok_or_else(|| SEGMENTS.unreadable("tier", row.tier))?,
            span: Span {
                from: Timestamp::from_unix_ms(row.from_at),
                to: Timestamp::from_unix_ms(row.to_at),
            },
            size_bytes: SEGMENTS.unsigned("size_bytes", row.size_bytes)?,
        })
    }
}

impl Tx {
    /// What is stored of `hosts` within `span`; a host without anything is there, empty.
    ///
    /// With more than `recent_max` batches, which is one at least, some hosts are left out for another call; when the
    /// first alone has more, its oldest are answered. One host at least is answered.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn history_heads(
        &mut self,
        hosts: &[HostId],
        span: Span,
        recent_max: u32,
    ) -> Result<HashMap<HostId, HistoryHeads>, StoreError> {
        let mut rows: Vec<RecentRow> = self.recent_rows(hosts, span, recent_max).await?;
        let mut hosts: HashMap<String, HostId> =
            hosts.iter().map(|host| (host.to_string(), *host)).collect();
        if rows.len() >= recent_max as usize {
            leave_out(&mut rows, &mut hosts);
        }
        let covered: Vec<HostId> = hosts.values().copied().collect();
        let mut segments = self.segment_heads(&covered, span).await?;
        let mut heads: HashMap<HostId, HistoryHeads> = HashMap::with_capacity(covered.len());
        for host in covered {
            let segments = segments.remove(&host).unwrap_or_default();
            heads.entry(host).or_default().segments = segments;
        }
        for row in rows {
            let host = hosts.get(&row.host).and_then(|host| heads.get_mut(host));
            if let Some(of_host) = host {
                of_host.recent.push(row.try_into()?);
            }
        }
        Ok(heads)
    }

    /// Times of the first and the last point of hosts' batches that have points in `span`; hosts without any are left out.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn recent_bounds(
        &mut self,
        hosts: &[HostId],
        span: Span,
    ) -> Result<HashMap<HostId, (Timestamp, Timestamp)>, StoreError> {
        let texts = host_texts(hosts);
        let (from, to) = (span.from.unix_ms(), span.to.unix_ms());
        let rows: Vec<(String, i64, i64)> = match self {
            Self::Sqlite(tx) => {
                sqlx::query_as(RECENT_BOUNDS.sqlite)
                    .bind(serde_json::json!(texts).to_string())
                    .bind(from)
                    .bind(to)
                    .fetch_all(&mut **tx)
                    .await?
            }
            Self::Postgres(tx) => {
                sqlx::query_as(RECENT_BOUNDS.postgres)
                    .bind(texts)
                    .bind(from)
                    .bind(to)
                    .fetch_all(&mut **tx)
                    .await?
            }
        };
        let bounds = rows.into_iter().map(|(host, first, last)| {
            let bounds = (
                Timestamp::from_unix_ms(first),
                Timestamp::from_unix_ms(last),
            );
            Ok((RECENT.host("host", &host)?, bounds))
        });
        bounds.collect()
    }

    /// The segments of `hosts` that overlap `span`, of all tiers in the order of writing; hosts without any are left out.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn segment_heads(
        &mut self,
        hosts: &[HostId],
        span: Span,
    ) -> Result<HashMap<HostId, Vec<SegmentHead>>, StoreError> {
        let mut heads: HashMap<HostId, Vec<SegmentHead>> = HashMap::new();
        for row in self.segment_rows(hosts, span).await? {
            let host = SEGMENTS.host("host", &row.host)?;
            heads.entry(host).or_default().push(row.try_into()?);
        }
        Ok(heads)
    }

    async fn recent_rows(
        &mut self,
        hosts: &[HostId],
        span: Span,
        limit: u32,
    ) -> Result<Vec<RecentRow>, StoreError> {
        let texts = host_texts(hosts);
        let (from, to) = (span.from.unix_ms(), span.to.unix_ms());
        Ok(match self {
            Self::Sqlite(tx) => {
                sqlx::query_as(RECENT_HEADS.sqlite)
                    .bind(serde_json::json!(texts).to_string())
                    .bind(from)
                    .bind(to)
                    .bind(i64::from(limit))
                    .fetch_all(&mut **tx)
                    .await?
            }
            Self::Postgres(tx) => {
                sqlx::query_as(RECENT_HEADS.postgres)
                    .bind(texts)
                    .bind(from)
                    .bind(to)
                    .bind(i64::from(limit))
                    .fetch_all(&mut **tx)
                    .await?
            }
        })
    }

    async fn segment_rows(
        &mut self,
        hosts: &[HostId],
        span: Span,
    ) -> Result<Vec<SegmentRow>, StoreError> {
        let texts = host_texts(hosts);
        let (from, to) = (span.from.unix_ms(), span.to.unix_ms());
        Ok(match self {
            Self::Sqlite(tx) => {
                sqlx::query_as(SEGMENT_HEADS.sqlite)
                    .bind(serde_json::json!(texts).to_string())
                    .bind(from)
                    .bind(to)
                    .fetch_all(&mut **tx)
                    .await?
            }
            Self::Postgres(tx) => {
                sqlx::query_as(SEGMENT_HEADS.postgres)
                    .bind(texts)
                    .bind(from)
                    .bind(to)
                    .fetch_all(&mut **tx)
                    .await?
            }
        })
    }
}

/// Of rows that a limit has cut off: the last host's may be incomplete, and those of hosts behind it are missing.
fn leave_out(rows: &mut Vec<RecentRow>, hosts: &mut HashMap<String, HostId>) {
    let (Some(first), Some(last)) = (rows.first(), rows.last()) else {
        return;
    };
    let (first, last) = (first.host.clone(), last.host.clone());
    if first == last {
        hosts.retain(|host, _| *host == first);
    } else {
        rows.retain(|row| row.host != last);
        hosts.retain(|host, _| *host < last);
    }
}
