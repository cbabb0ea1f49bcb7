//! Segments: a window of one host's history as bytes, from which single series can be read.
//!
//! ```text
//! "TMSG"  version u8  tier u8  crc32c u32 LE of all that follows
//! window start, length; rows; series; length of times, of directory          varints
//! times: first, then a column of differences
//! directory, by ascending key: entity delta * 2 + has presence, metric (delta), presence length,
//!            for each field: encoding u8, then the constant itself or the column's length
//! data: for each series its presence, then its columns
//! ```

mod cell;
mod encode;
mod presence;
mod reader;

pub use cell::Cell;
pub use encode::encode_segment;
pub use reader::SegmentReader;

use crate::table::Table;
use crate::{CodecError, Tier, Window};

const MAGIC: [u8; 4] = *b"TMSG";
const VERSION: u8 = 1;
const HEADER_BYTES: usize = 10;

/// Most times in one segment: a day at one sample a second, three times over, and one page of pco.
pub const ROWS_MAX: usize = 1 << 18;

/// Most series in one segment: every entity of a host at its limit, with every metric that it has.
pub const SERIES_MAX: usize = 1 << 18;

/// Largest segment that is read, in bytes.
pub const SEGMENT_BYTES_MAX: usize = 64 << 20;

/// Joins segments of one tier into one of `window`, as of twelve times two hours into a day. Where two have a cell of
/// one series at one time, the one that comes later in `segments` counts.
///
/// # Errors
/// When a segment is damaged or of another tier, or the joined one exceeds the format's limits.
pub fn merge_segments(
    tier: Tier,
    window: Window,
    segments: &[&[u8]],
) -> Result<Vec<u8>, CodecError> {
    match tier {
        Tier::Raw => merge_as::<i64>(tier, window, segments),
        Tier::FiveMinutes | Tier::Hour => merge_as::<crate::Bucket>(tier, window, segments),
    }
}

fn merge_as<V: Cell>(
    tier: Tier,
    window: Window,
    segments: &[&[u8]],
) -> Result<Vec<u8>, CodecError> {
    encode_segment(tier, window, &joined_table::<V>(tier, segments)?)
}

/// The segments' tables as one, the later ones over the earlier ones.
pub(crate) fn joined_table<V: Cell>(
    tier: Tier,
    segments: &[&[u8]],
) -> Result<Table<V>, CodecError> {
    let mut table = Table::default();
    for bytes in segments {
        let reader = SegmentReader::open(bytes)?;
        if reader.tier() != tier {
            return Err(CodecError::WrongTier {
                found: reader.tier().as_str(),
                wanted: tier.as_str(),
            });
        }
        table.merge(reader.table::<V>()?);
    }
    Ok(table)
}

#[cfg(test)]
mod tests;
