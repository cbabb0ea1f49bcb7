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

const MAGIC: [u8; 4] = *b"TMSG";
const VERSION: u8 = 1;
const HEADER_BYTES: usize = 10;

/// Most times in one segment: a day at one sample a second, three times over, and one page of pco.
pub const ROWS_MAX: usize = 1 << 18;

/// Most series in one segment: every entity of a host at its limit, with every metric that it has.
pub const SERIES_MAX: usize = 1 << 18;

/// Most cells in one segment: what a segment of constants announces in a few bytes must fit in memory, here 400 MB.
pub const CELLS_MAX: u64 = 1 << 25;

/// Largest segment that is read, in bytes.
pub const SEGMENT_BYTES_MAX: usize = 64 << 20;

#[cfg(test)]
mod tests;
