//! What is stored of a host's history, without the bytes: what plans are made from.

use sqlx::FromRow;
use tidemark_model::{HostId, Timestamp};

use crate::columns::Table;
use crate::tx::{on_conn, statements};
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

const TABLE: Table = Table("segments");

statements! {
    HEADS = "SELECT id, from_at, to_at, size_bytes FROM segments \
        WHERE host = $1 AND tier = $2 AND to_at > $3 AND from_at < $4 ORDER BY id";
    RECENT_BOUNDS = "SELECT min(first_at), max(last_at) FROM recent \
        WHERE host = $1 AND last_at >= $2 AND first_at < $3";
}

#[derive(FromRow)]
struct HeadRow {
    id: i64,
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
}

impl RecentId {
    /// Its number, ascending in the order of arrival.
    #[must_use]
    pub const fn get(self) -> i64 {
        self.0
    }
}

impl Tx {
    /// The segments of one host that overlap `span`, tier by tier, each in the order of writing.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn segment_heads(
        &mut self,
        host: HostId,
        span: Span,
    ) -> Result<Vec<SegmentHead>, StoreError> {
        let mut heads = Vec::new();
        for tier in Tier::ALL {
            let rows: Vec<HeadRow> = on_conn!(self, conn => sqlx::query_as(HEADS)
                .bind(host.to_string())
                .bind(tier.number())
                .bind(span.from.unix_ms())
                .bind(span.to.unix_ms())
                .fetch_all(conn).await?);
            for row in rows {
                let HeadRow {
                    id,
                    from_at,
                    to_at,
                    size_bytes,
                } = row;
                heads.push(SegmentHead {
                    id: SegmentId(id),
                    tier,
                    span: Span {
                        from: Timestamp::from_unix_ms(from_at),
                        to: Timestamp::from_unix_ms(to_at),
                    },
                    size_bytes: TABLE.unsigned("size_bytes", size_bytes)?,
                });
            }
        }
        Ok(heads)
    }

    /// Times of the first and the last point of one host's batches that have points in `span`; `None` without any.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn recent_bounds(
        &mut self,
        host: HostId,
        span: Span,
    ) -> Result<Option<(Timestamp, Timestamp)>, StoreError> {
        let (first, last): (Option<i64>, Option<i64>) = on_conn!(self, conn => sqlx::query_as(RECENT_BOUNDS)
                .bind(host.to_string())
                .bind(span.from.unix_ms())
                .bind(span.to.unix_ms())
                .fetch_one(conn).await?);
        Ok(first.zip(last).map(|(first, last)| {
            (
                Timestamp::from_unix_ms(first),
                Timestamp::from_unix_ms(last),
            )
        }))
    }
}
