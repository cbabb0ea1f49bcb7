//! `SYSTEM_PROCESS_INFORMATION`: every process in one answer, each with a link to the next.

use super::DataError;
use super::bytes::{self, Bytes};

const WHAT: &str = "list of processes";
/// Up to and with the count of handles; what follows is not read.
const ENTRY_BYTES: usize = 100;
const CREATED_AT: usize = 32;
const NAME_BYTES_AT: usize = 56;
const NAME_POINTER_AT: usize = 64;
const PROCESS_AT: usize = 80;
const HANDLES_AT: usize = 96;

/// One process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ListedProcess<'a> {
    /// Its number.
    pub process: u32,
    /// When it started, as a `FILETIME`; with the number it names one process for good. 0 for the idle process.
    pub started: u64,
    /// Open handles.
    pub handles: u32,
    name: &'a [u8],
}

impl ListedProcess<'_> {
    /// File name of its image, as in `w3wp.exe`; empty for the idle process. Hostile text.
    #[must_use]
    pub fn name(&self) -> String {
        bytes::text(self.name)
    }
}

/// Hands each process in `list`, whose first byte was at address `base`, to `on_process`.
///
/// # Errors
/// When an entry is cut short or links to where no next one can be; those before it were handed out.
pub fn each_process<'a>(
    list: &'a [u8],
    base: u64,
    mut on_process: impl FnMut(ListedProcess<'a>),
) -> Result<(), DataError> {
    let mut at = 0;
    loop {
        let entry = list.get(at..).filter(|entry| entry.len() >= ENTRY_BYTES);
        let entry = entry.ok_or(DataError::Short {
            what: WHAT,
            bytes: list.len(),
            needed: at.saturating_add(ENTRY_BYTES),
        })?;
        if let Some(process) = decode(Bytes(entry), Bytes(list), base) {
            on_process(process);
        }
        let next = Bytes(entry).u32(0).unwrap_or(0);
        let next = usize::try_from(next).unwrap_or(usize::MAX);
        if next == 0 {
            return Ok(());
        }
        let to = at.saturating_add(next);
        if next < ENTRY_BYTES || to >= list.len() {
            return Err(DataError::Link { what: WHAT, to });
        }
        at = to;
    }
}

/// An entry; `None` when its number is none that a process can have.
fn decode<'a>(entry: Bytes<'a>, list: Bytes<'a>, base: u64) -> Option<ListedProcess<'a>> {
    let name_bytes = usize::from(entry.u16(NAME_BYTES_AT)?);
    let name = list.behind(entry.u64(NAME_POINTER_AT)?, base);
    Some(ListedProcess {
        process: u32::try_from(entry.u64(PROCESS_AT)?).ok()?,
        started: entry.u64(CREATED_AT)?,
        handles: entry.u32(HANDLES_AT)?,
        // A name that is not in the list is no name, and no reason to leave out its process.
        name: name
            .and_then(|name| name.get(..name_bytes))
            .unwrap_or_default(),
    })
}

#[cfg(test)]
mod tests;
