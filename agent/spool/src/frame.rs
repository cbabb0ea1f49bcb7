//! A record on disk: a header with its own checksum, then the payload. Little-endian.
//!
//! ```text
//! magic u32 | worth and payload length u32 | seq u64 | age u64 | payload crc u32 | header crc u32 | payload
//! ```
//! The header's checksum begins with the epoch, so that no text inside a payload can pass for a header.

use crate::limits::RECORD_BYTES_MAX;

/// Begins each record, for finding the next one after damage.
pub(crate) const MAGIC: [u8; 4] = *b"TMR1";
/// Bytes before the payload.
pub(crate) const HEADER_BYTES: usize = 32;

/// The length's highest bit, which no length reaches: the record is a lasting one.
const LASTING: u32 = 1 << 31;

/// What a record is worth when room must be made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Worth {
    /// One of many; the next one says nearly the same.
    Ordinary,
    /// Goes only when no ordinary one is left to go.
    Lasting,
}

/// A record's header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Header {
    pub(crate) worth: Worth,
    pub(crate) seq: u64,
    /// The spool's age clock when it was appended, in milliseconds.
    pub(crate) age_ms: u64,
    pub(crate) payload_bytes: usize,
    payload_crc: u32,
}

/// What is to be kept.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Record<'a> {
    pub(crate) worth: Worth,
    pub(crate) payload: &'a [u8],
}

/// A record, encoded.
pub(crate) fn encode(epoch: u64, seq: u64, age_ms: u64, record: Record<'_>) -> Vec<u8> {
    let Record { worth, payload } = record;
    let length = u32::try_from(payload.len()).expect("payloads are limited to RECORD_BYTES_MAX");
    let flag = match worth {
        Worth::Ordinary => 0,
        Worth::Lasting => LASTING,
    };
    let mut frame = Vec::with_capacity(HEADER_BYTES + payload.len());
    frame.extend_from_slice(&MAGIC);
    frame.extend_from_slice(&(length | flag).to_le_bytes());
    frame.extend_from_slice(&seq.to_le_bytes());
    frame.extend_from_slice(&age_ms.to_le_bytes());
    frame.extend_from_slice(&crc32c::crc32c(payload).to_le_bytes());
    let header_crc = header_crc(epoch, &frame);
    frame.extend_from_slice(&header_crc.to_le_bytes());
    frame.extend_from_slice(payload);
    frame
}

/// The header at the start of `bytes`; `None` when there is none, or it is damaged.
pub(crate) fn parse_header(epoch: u64, bytes: &[u8]) -> Option<Header> {
    let (header, _) = bytes.split_at_checked(HEADER_BYTES)?;
    let (checked, crc) = header.split_at_checked(HEADER_BYTES - 4)?;
    if !checked.starts_with(&MAGIC) || header_crc(epoch, checked).to_le_bytes() != crc {
        return None;
    }
    let length = u32::from_le_bytes(checked.get(4..8)?.try_into().ok()?);
    let payload_bytes = (length & !LASTING) as usize;
    (payload_bytes <= RECORD_BYTES_MAX).then_some(())?;
    Some(Header {
        worth: if length & LASTING == 0 {
            Worth::Ordinary
        } else {
            Worth::Lasting
        },
        seq: u64::from_le_bytes(checked.get(8..16)?.try_into().ok()?),
        age_ms: u64::from_le_bytes(checked.get(16..24)?.try_into().ok()?),
        payload_bytes,
        payload_crc: u32::from_le_bytes(checked.get(24..28)?.try_into().ok()?),
    })
}

impl Header {
    /// Bytes of the whole record.
    pub(crate) const fn frame_bytes(&self) -> usize {
        HEADER_BYTES + self.payload_bytes
    }

    /// Whether `payload` is what was written.
    pub(crate) fn matches(&self, payload: &[u8]) -> bool {
        payload.len() == self.payload_bytes && crc32c::crc32c(payload) == self.payload_crc
    }
}

fn header_crc(epoch: u64, fields: &[u8]) -> u32 {
    crc32c::crc32c_append(crc32c::crc32c(&epoch.to_le_bytes()), fields)
}
