//! Finds the records of a segment's bytes, damaged ones left out. Never fails and never panics, whatever the bytes.

use std::ops::RangeInclusive;

use crate::frame::{HEADER_BYTES, Header, MAGIC, parse_header};
use crate::segment;

/// What a segment is expected to hold.
#[derive(Clone, Debug)]
pub(crate) struct Expected {
    pub(crate) epoch: u64,
    /// Seqs that can occur in it.
    pub(crate) seqs: RangeInclusive<u64>,
}

/// A record in a segment.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Found<'a> {
    pub(crate) header: Header,
    /// Where its header begins.
    pub(crate) offset: usize,
    /// `None` when the payload is damaged; the header is not.
    pub(crate) payload: Option<&'a [u8]>,
}

/// What stands behind the last record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Tail {
    /// Nothing.
    Clean,
    /// The beginning of a record that was never finished, or space that was never written.
    Torn,
    /// Damage that may have been records.
    Unclear,
}

/// How a scan ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct ScanEnd {
    /// End of the last record.
    pub(crate) valid_bytes: usize,
    pub(crate) tail: Tail,
}

/// Calls `visit` for each record, in ascending order of seq.
pub(crate) fn scan<'a>(
    bytes: &'a [u8],
    expected: &Expected,
    mut visit: impl FnMut(Found<'a>),
) -> ScanEnd {
    let mut offset = segment::records_offset(bytes, expected.epoch);
    let mut valid_bytes = offset;
    let mut seqs = expected.seqs.clone();
    while let Some(rest) = bytes.get(offset..).filter(|rest| !rest.is_empty()) {
        match record_at(rest, expected.epoch, &seqs) {
            Some((header, payload)) => {
                let payload = header.matches(payload).then_some(payload);
                visit(Found {
                    header,
                    offset,
                    payload,
                });
                offset += header.frame_bytes();
                valid_bytes = offset;
                seqs = header.seq.saturating_add(1)..=*seqs.end();
            }
            None => match next_record(rest, expected.epoch, &seqs) {
                Some(skipped) => offset += skipped,
                None => {
                    let tail = tail_of(rest, expected.epoch, &seqs);
                    return ScanEnd { valid_bytes, tail };
                }
            },
        }
    }
    ScanEnd {
        valid_bytes,
        tail: Tail::Clean,
    }
}

/// A complete record at the start of `bytes`.
fn record_at<'a>(
    bytes: &'a [u8],
    epoch: u64,
    seqs: &RangeInclusive<u64>,
) -> Option<(Header, &'a [u8])> {
    let header = parse_header(epoch, bytes).filter(|header| seqs.contains(&header.seq))?;
    let payload = bytes.get(HEADER_BYTES..header.frame_bytes())?;
    Some((header, payload))
}

/// How many bytes lie before the next complete record.
fn next_record(bytes: &[u8], epoch: u64, seqs: &RangeInclusive<u64>) -> Option<usize> {
    bytes
        .windows(MAGIC.len())
        .enumerate()
        .skip(1)
        .filter(|(_, window)| *window == MAGIC)
        .find_map(|(skipped, _)| {
            record_at(bytes.get(skipped..)?, epoch, seqs)?;
            Some(skipped)
        })
}

fn tail_of(rest: &[u8], epoch: u64, seqs: &RangeInclusive<u64>) -> Tail {
    let unfinished = parse_header(epoch, rest).is_some_and(|header| seqs.contains(&header.seq));
    let unwritten = rest.iter().all(|byte| *byte == 0);
    if unfinished || unwritten || rest.len() < HEADER_BYTES {
        Tail::Torn
    } else {
        Tail::Unclear
    }
}
