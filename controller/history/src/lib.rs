//! Series, segment codec, tiers and the query engine: everything about history but SQL.
//!
//! Pure and deterministic: bytes and clock readings come in, bytes and plans go out; who stores them is not known here.

pub mod codec_error;
mod column;
pub mod compact;
pub mod flatten;
pub mod hourly;
pub mod intern;
pub mod query;
pub mod recent;
pub mod segment;
pub mod series;
pub mod stored;
pub mod table;
pub mod tier;
mod varint;

#[cfg(test)]
mod fixture;

pub use codec_error::CodecError;
pub use flatten::{EntityRef, flatten};
pub use intern::{EntityInterner, FlatSample};
pub use recent::{RecentReader, decode_recent, encode_recent};
pub use segment::{SegmentReader, encode_segment};
pub use series::{EntityNumber, Point, Row, SeriesKey, Window};
pub use stored::{RecentMeta, SegmentMeta};
pub use table::{Table, TableBuilder};
pub use tier::{Bucket, Tier};
