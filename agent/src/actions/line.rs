//! A line of the agent's own files: a checksum (CRC-32C in hexadecimal), a space, and JSON, which has no line breaks.

use std::io;

use serde::Serialize;
use serde::de::DeserializeOwned;

/// The line of a record, with its line break.
pub(super) fn of(record: &impl Serialize) -> io::Result<String> {
    let json = serde_json::to_string(record)?;
    Ok(format!("{:08x} {json}\n", crc32c::crc32c(json.as_bytes())))
}

/// The record of a line without its line break; `None` when it is not as it was written.
pub(super) fn read<T: DeserializeOwned>(line: &[u8]) -> Option<T> {
    let (sum, json) = std::str::from_utf8(line).ok()?.split_once(' ')?;
    let sum = u32::from_str_radix(sum, 16).ok()?;
    if crc32c::crc32c(json.as_bytes()) != sum {
        return None;
    }
    serde_json::from_str(json).ok()
}
