//! Segments: compressed series of one host over a stretch of time, in tiers of coarseness.

use std::ops::ControlFlow;

use futures::TryStreamExt;
use sqlx::FromRow;
use tidemark_model::{HostId, Timestamp};

use crate::batch::{BySize, all_rows, eight_rows, sixty_four_rows};
use crate::columns::{self, Table};
use crate::host_rows::HostRows;
use crate::tx::{on_conn, statements};
use crate::{RecentId, Span, StoreError, Tx};

/// How coarse a segment's points are. Stored by number: never change one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Tier {
    /// As sampled.
    Raw,
    /// Five minutes: min, avg, max, last.
    FiveMinutes,
    /// One hour: min, avg, max, last.
    Hour,
}

impl Tier {
    /// Every tier, finest first.
    pub const ALL: [Self; 3] = [Self::Raw, Self::FiveMinutes, Self::Hour];

    /// Its stored number.
    #[must_use]
    pub const fn number(self) -> i64 {
        match self {
            Self::Raw => 0,
            Self::FiveMinutes => 1,
            Self::Hour => 2,
        }
    }

    /// The tier of that number.
    #[must_use]
    pub fn from_number(number: i64) -> Option<Self> {
        Self::ALL.into_iter().find(|tier| tier.number() == number)
    }
}

/// Names one segment.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SegmentId(pub(crate) i64);

/// A segment to be stored.
#[derive(Clone, Debug)]
pub struct NewSegment<B = Vec<u8>> {
    /// The host.
    pub host: HostId,
    /// How coarse its points are.
    pub tier: Tier,
    /// From its first point, to after its last one. Segments of one tier may overlap: late records make their own.
    pub span: Span,
    /// Points in it.
    pub points: u64,
    /// The points, encoded by the history crate.
    pub body: B,
}

/// A segment as stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Segment {
    /// Names the row.
    pub id: SegmentId,
    /// The host.
    pub host: HostId,
    /// How coarse its points are.
    pub tier: Tier,
    /// From its first point, to after its last one.
    pub span: Span,
    /// Points in it.
    pub points: u64,
    /// The points, encoded by the history crate.
    pub body: Vec<u8>,
}

/// What replaces what, for one host, at once.
#[derive(Clone, Debug)]
pub struct Replacement {
    /// The host.
    pub host: HostId,
    /// Batches that are in `put`.
    pub recent: Vec<RecentId>,
    /// Segments that are in `put`.
    pub segments: Vec<SegmentId>,
    /// What takes their place.
    pub put: Vec<NewSegment>,
}

/// Bytes of one tier's segments of all hosts that end on one day.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SegmentDay {
    /// The tier.
    pub tier: Tier,
    /// End of the day, UTC.
    pub until: Timestamp,
    /// Bytes of their bodies.
    pub size_bytes: u64,
}

const TABLE: Table = Table("segments");

macro_rules! select_segments {
    ($rest:literal) => {
        concat!(
            "SELECT id, host, tier, from_at, to_at, points, body FROM segments ",
            $rest
        )
    };
}

macro_rules! put_segments {
    ($rows:expr) => {
        concat!(
            "INSERT INTO segments (host, tier, from_at, to_at, points, size_bytes, body) VALUES ",
            $rows
        )
    };
}

const PUT_ARRAYS: &str = "INSERT INTO segments (host, tier, from_at, to_at, points, size_bytes, body) \
    SELECT * FROM UNNEST($1::text[], $2::bigint[], $3::bigint[], $4::bigint[], $5::bigint[], $6::bigint[], $7::bytea[])";

const PUT: BySize = BySize {
    sixty_four: PUT_64.sqlite,
    eight: PUT_8.sqlite,
    one: PUT_1.sqlite,
};

statements! {
    PUT_64 = put_segments!(sixty_four_rows!("(?, ?, ?, ?, ?, ?, ?)")), postgres PUT_ARRAYS;
    PUT_8 = put_segments!(eight_rows!("(?, ?, ?, ?, ?, ?, ?)")), postgres PUT_ARRAYS;
    PUT_1 = put_segments!("(?, ?, ?, ?, ?, ?, ?)"), postgres PUT_ARRAYS;
    OF_HOST = select_segments!("WHERE host = $1 AND tier = $2 AND to_at > $3 AND from_at < $4 ORDER BY to_at, id");
    DELETE = "DELETE FROM segments WHERE id IN (SELECT ids.value FROM json_each($1) AS hosts, json_each(hosts.value) AS ids)",
        postgres "DELETE FROM segments USING UNNEST($1::text[], $2::bigint[]) AS gone (host, id) \
            WHERE segments.host = gone.host AND segments.id = gone.id";
    // Division truncates alike on both, and segments before 1970 do not occur.
    DAYS = "SELECT tier, (to_at + 86399999) / 86400000 AS day, CAST(sum(size_bytes) AS BIGINT) AS size_bytes \
        FROM segments GROUP BY 1, 2 ORDER BY 1, 2";
}

#[derive(FromRow)]
struct SegmentRow {
    id: i64,
    host: String,
    tier: i64,
    from_at: i64,
    to_at: i64,
    points: i64,
    body: Vec<u8>,
}

impl TryFrom<SegmentRow> for Segment {
    type Error = StoreError;

    fn try_from(row: SegmentRow) -> Result<Self, StoreError> {
        let SegmentRow {
            id,
            host,
            tier,
            from_at,
            to_at,
            points,
            body,
        } = row;
        Ok(Self {
            id: SegmentId(id),
            host: TABLE.host("host", &host)?,
            tier: Tier::from_number(tier).ok_or_else(|| TABLE.unreadable("tier", tier))?,
            span: Span {
                from: Timestamp::from_unix_ms(from_at),
                to: Timestamp::from_unix_ms(to_at),
            },
            points: TABLE.unsigned("points", points)?,
            body,
        })
    }
}

impl Tx {
    /// Adds segments.
    ///
    /// # Errors
    /// [`StoreError::InvalidValue`] when a segment's span is empty; nothing is then written.
    pub async fn segments_put<B>(&mut self, segments: &[NewSegment<B>]) -> Result<(), StoreError>
    where
        B: AsRef<[u8]> + Sync,
    {
        let rows: Vec<PutRow<'_>> = segments
            .iter()
            .map(PutRow::of)
            .collect::<Result<_, StoreError>>()?;
        let put = match self {
            Self::Sqlite(tx) => {
                let mut put = 0;
                for (statement, piece) in PUT.pieces(&rows) {
                    let mut query = sqlx::query(statement);
                    for row in piece {
                        query = query
                            .bind(row.host.as_str())
                            .bind(row.tier)
                            .bind(row.from_at)
                            .bind(row.to_at)
                            .bind(row.points)
                            .bind(row.size_bytes)
                            .bind(row.body);
                    }
                    put += query.execute(&mut **tx).await?.rows_affected();
                }
                put
            }
            Self::Postgres(tx) => {
                let of = |value: fn(&PutRow<'_>) -> i64| rows.iter().map(value).collect::<Vec<_>>();
                let hosts: Vec<&str> = rows.iter().map(|row| row.host.as_str()).collect();
                let bodies: Vec<&[u8]> = rows.iter().map(|row| row.body).collect();
                let query = sqlx::query(PUT_1.postgres)
                    .bind(hosts)
                    .bind(of(|row| row.tier))
                    .bind(of(|row| row.from_at))
                    .bind(of(|row| row.to_at))
                    .bind(of(|row| row.points))
                    .bind(of(|row| row.size_bytes))
                    .bind(bodies);
                query.execute(&mut **tx).await?.rows_affected()
            }
        };
        all_rows(put, rows.len(), StoreError::Stale { what: "segment" })
    }

    /// Shows the segments of one host and tier that overlap `span` to `visit`, by their end, until it breaks. One
    /// segment is in memory at a time.
    ///
    /// # Errors
    /// When the database fails; some segments were then shown.
    pub async fn segments_each(
        &mut self,
        host: HostId,
        tier: Tier,
        span: Span,
        mut visit: impl FnMut(Segment) -> ControlFlow<()>,
    ) -> Result<(), StoreError> {
        on_conn!(self, conn => {
            let mut rows = sqlx::query_as::<_, SegmentRow>(OF_HOST)
                .bind(host.to_string())
                .bind(tier.number())
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

    /// Puts segments in the place of batches and segments, of many hosts at once.
    ///
    /// # Errors
    /// [`StoreError::Stale`] when one of the replaced rows is gone: another compactor was there, and this transaction
    /// must be given up. [`StoreError::InvalidValue`] when a segment is of another host.
    pub async fn history_replace(&mut self, changes: &[Replacement]) -> Result<(), StoreError> {
        let (mut recent, mut segments) = (HostRows::default(), HostRows::default());
        let mut put = Vec::new();
        for change in changes {
            if change.put.iter().any(|segment| segment.host != change.host) {
                return Err(StoreError::InvalidValue {
                    field: "host of a segment",
                    limit: "the host whose rows it replaces",
                });
            }
            recent.add(change.host, change.recent.iter().map(|RecentId(id)| *id));
            segments.add(change.host, change.segments.iter().map(|SegmentId(id)| *id));
            put.extend(change.put.iter().map(borrowed));
        }
        self.recent_delete(&recent).await?;
        self.delete_rows(DELETE, &segments, "host's segment")
            .await?;
        self.segments_put(&put).await
    }

    /// Bytes by tier and the day on which segments end, oldest days of each tier first. Reads an index of all segments.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn segment_days(&mut self) -> Result<Vec<SegmentDay>, StoreError> {
        let rows: Vec<(i64, i64, i64)> =
            on_conn!(self, conn => sqlx::query_as(DAYS).fetch_all(conn).await?);
        let day_of = |(tier, day, size_bytes): (i64, i64, i64)| {
            Ok(SegmentDay {
                tier: Tier::from_number(tier).ok_or_else(|| TABLE.unreadable("tier", tier))?,
                until: Timestamp::from_unix_ms(day.saturating_mul(86_400_000)),
                size_bytes: TABLE.unsigned("size_bytes", size_bytes)?,
            })
        };
        rows.into_iter().map(day_of).collect()
    }
}

fn borrowed(segment: &NewSegment) -> NewSegment<&[u8]> {
    NewSegment {
        host: segment.host,
        tier: segment.tier,
        span: segment.span,
        points: segment.points,
        body: &segment.body,
    }
}

/// A segment's row as the statements take it.
struct PutRow<'s> {
    host: String,
    tier: i64,
    from_at: i64,
    to_at: i64,
    points: i64,
    size_bytes: i64,
    body: &'s [u8],
}

impl<'s> PutRow<'s> {
    fn of<B: AsRef<[u8]>>(segment: &'s NewSegment<B>) -> Result<Self, StoreError> {
        if segment.span.to <= segment.span.from {
            return Err(StoreError::InvalidValue {
                field: "end of a segment",
                limit: "after its begin",
            });
        }
        let body = segment.body.as_ref();
        Ok(Self {
            host: segment.host.to_string(),
            tier: segment.tier.number(),
            from_at: segment.span.from.unix_ms(),
            to_at: segment.span.to.unix_ms(),
            points: columns::signed("points of a segment", segment.points)?,
            size_bytes: columns::signed("size of a segment", body.len() as u64)?,
            body,
        })
    }
}
