//! The work of a job: bytes in, bytes out.

use tidemark_model::error_code::ApiError;
use tidemark_model::{ErrorCode, Timestamp};

use crate::segment::{Cell, encode_segment};
use crate::table::{Table, TableBuilder};
use crate::tier::roll_up_raw;
use crate::{Bucket, CodecError, RecentReader, SegmentReader, Tier, Window, recent};

/// A segment to store.
#[derive(Clone, Debug, PartialEq)]
pub struct NewSegment {
    /// How fine it is.
    pub tier: Tier,
    /// What it stands for.
    pub window: Window,
    /// What to store.
    pub bytes: Vec<u8>,
    /// Times in it.
    pub rows: usize,
    /// Values (or buckets) in it.
    pub cells: u64,
}

/// Samples of a row of `recent` that lie outside the window that was compacted: to be stored as a row of `recent`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Leftover {
    /// Time of its first sample.
    pub first: Timestamp,
    /// Time of its last sample.
    pub last: Timestamp,
    /// Points in it.
    pub points: u64,
    /// What to store.
    pub bytes: Vec<u8>,
}

/// What came of a window.
#[derive(Clone, Debug, PartialEq)]
pub struct Compacted {
    /// The window's segment; `None` when no sample lies in it.
    pub segment: Option<NewSegment>,
    /// What lies outside the window.
    pub leftover: Option<Leftover>,
    /// What the segment holds, for [`crate::hourly`].
    pub table: Table<i64>,
}

/// Why a job could not be done. Sources stay as they are.
#[derive(Debug, thiserror::Error)]
pub enum CompactError {
    /// A row of `recent` is damaged: count its samples as dropped, delete it and plan again.
    #[error("source row {position} of the job cannot be read")]
    Recent {
        /// Its position in the job's `recent`.
        position: usize,
        /// What is wrong with it.
        #[source]
        source: CodecError,
    },
    /// A segment is damaged: set it aside and plan again.
    #[error("source segment {position} of the job cannot be read")]
    Segment {
        /// Its position in the job's segments, or in `raw` followed by `into`.
        position: usize,
        /// What is wrong with it.
        #[source]
        source: CodecError,
    },
    /// The outcome exceeds what a segment may hold: leave the sources as they are.
    #[error("the outcome cannot be written")]
    Outcome(#[source] CodecError),
}

impl ApiError for CompactError {
    fn code(&self) -> ErrorCode {
        ErrorCode::Internal
    }
}

/// One raw segment of `window` from rows of `recent`, in the order of arrival, and the raw segments inside the window.
///
/// # Errors
/// Which source is damaged, or that the outcome is too large.
pub fn compact_window(
    window: Window,
    recent: &[&[u8]],
    segments: &[&[u8]],
) -> Result<Compacted, CompactError> {
    let mut table = joined::<i64>(Tier::Raw, segments, 0)?;
    let mut rows = rows_of(recent)?;
    let inside = |time: &i64| window.contains(Timestamp::from_unix_ms(*time));
    if rows.times().iter().all(inside) {
        table.merge(std::mem::take(&mut rows));
    } else {
        table.merge(rows.split_off(window));
    }
    let segment = if table.is_empty() {
        None
    } else {
        Some(written(Tier::Raw, window, &table)?)
    };
    let leftover = match (rows.times().first(), rows.times().last()) {
        (Some(first), Some(last)) => Some(Leftover {
            first: Timestamp::from_unix_ms(*first),
            last: Timestamp::from_unix_ms(*last),
            points: rows.cells(),
            bytes: recent::encode_table(&rows).map_err(CompactError::Outcome)?,
        }),
        _ => None,
    };
    Ok(Compacted {
        segment,
        leftover,
        table,
    })
}

/// One segment of `window` from several of `tier`, in the order in which they were written.
///
/// # Errors
/// Which source is damaged, or that the outcome is too large.
pub fn merge(tier: Tier, window: Window, segments: &[&[u8]]) -> Result<NewSegment, CompactError> {
    if tier == Tier::Raw {
        written(tier, window, &joined::<i64>(tier, segments, 0)?)
    } else {
        written(tier, window, &joined::<Bucket>(tier, segments, 0)?)
    }
}

/// The segment of `tier` and `window` that holds the buckets of `raw` segments and all other buckets of `into`.
///
/// Of two buckets of one time the one with more points stays, so that what is left of a day whose raw points have
/// partly expired never replaces what was rolled up from all of it.
///
/// # Errors
/// Which source is damaged, or that the outcome is too large.
pub fn roll_up(
    tier: Tier,
    window: Window,
    raw: &[&[u8]],
    into: &[&[u8]],
) -> Result<NewSegment, CompactError> {
    let mut table = joined::<Bucket>(tier, into, raw.len())?;
    let buckets = roll_up_raw(&joined::<i64>(Tier::Raw, raw, 0)?, tier);
    table.merge_by(
        buckets,
        |own, new| {
            if new.count >= own.count { new } else { own }
        },
    );
    written(tier, window, &table)
}

fn rows_of(recent: &[&[u8]]) -> Result<Table<i64>, CompactError> {
    let damaged = |position| move |source| CompactError::Recent { position, source };
    let mut builder = None;
    for (position, bytes) in recent.iter().enumerate() {
        let reader = RecentReader::open(bytes).map_err(damaged(position))?;
        // Rows of one host hold about as many samples each.
        let times = reader.times().len().saturating_mul(recent.len());
        let builder = builder.get_or_insert_with(|| TableBuilder::with_times(times));
        reader.add_to(builder).map_err(damaged(position))?;
    }
    Ok(builder.map_or_else(Table::default, TableBuilder::build))
}

fn joined<V: Cell>(
    tier: Tier,
    segments: &[&[u8]],
    first_position: usize,
) -> Result<Table<V>, CompactError> {
    let mut tables = Vec::with_capacity(segments.len());
    for (position, bytes) in (first_position..).zip(segments) {
        let read = SegmentReader::open(bytes).and_then(|reader| {
            if reader.tier() == tier {
                Ok(reader.table::<V>()?)
            } else {
                Err(CodecError::WrongTier {
                    found: reader.tier().as_str(),
                    wanted: tier.as_str(),
                })
            }
        });
        tables.push(read.map_err(|source| CompactError::Segment { position, source })?);
    }
    let mut table = Table::default();
    for next in in_order_of_time(tables) {
        table.merge(next);
    }
    Ok(table)
}

/// Appending is much cheaper than interleaving, and for tables that share no time the order makes no difference.
fn in_order_of_time<V: Copy>(mut tables: Vec<Table<V>>) -> Vec<Table<V>> {
    let mut by_time: Vec<(Option<&i64>, Option<&i64>)> = tables
        .iter()
        .map(|table| (table.times().first(), table.times().last()))
        .collect();
    by_time.sort();
    let disjoint = by_time
        .windows(2)
        .all(|pair| matches!(pair, [(_, last), (first, _)] if last < first || first.is_none()));
    if disjoint {
        tables.sort_by_key(|table| table.times().first().copied());
    }
    tables
}

fn written<V: Cell>(
    tier: Tier,
    window: Window,
    table: &Table<V>,
) -> Result<NewSegment, CompactError> {
    Ok(NewSegment {
        tier,
        window,
        bytes: encode_segment(tier, window, table).map_err(CompactError::Outcome)?,
        rows: table.times().len(),
        cells: table.cells(),
    })
}
