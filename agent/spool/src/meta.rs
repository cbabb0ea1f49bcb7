//! The spool's state file in two generations, `meta.a` and `meta.b`: written, synced, renamed, the folder synced. A file
//! that is empty, all zeros or damaged is a lost generation; the other one counts.

use std::io;
use std::path::Path;

use tidemark_disk::{Access, Disk, write_over};
use tidemark_model::GapReason;

use crate::error::SpoolError;
use crate::gaps::{DropCounts, GAPS_MAX, Gap, GapLedger};
use crate::segment::{SEQ_MAX, sync_dir};

const MAGIC: [u8; 7] = *b"TMSPOOL";
const VERSION: u8 = 1;
const SLOTS: [&str; 2] = ["meta.a", "meta.b"];
const TEMPORARY: &str = "meta.tmp";
/// More than any state file holds.
const READ_BYTES_MAX: u64 = 1024 * 1024;

/// What a state file says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Meta {
    /// Counts the writes; the highest is the newest.
    pub(crate) generation: u64,
    pub(crate) epoch: u64,
    /// Everything up to here is acked or was told as a gap.
    pub(crate) acked_through: u64,
    /// The newest seq that was given out and durable.
    pub(crate) newest: u64,
    pub(crate) age_ms: u64,
    /// Records up to `acked_through` that were lost.
    pub(crate) settled: DropCounts,
    /// Gaps behind `acked_through`.
    pub(crate) gaps: GapLedger,
}

/// What the state files hold together.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Loaded {
    /// There is none.
    Absent,
    /// There are some, and none is legible.
    Lost,
    /// One is of a version that this build does not know.
    Foreign,
    /// The newest legible one; `damaged` when the other one is not legible.
    Found { meta: Meta, damaged: bool },
}

enum Parsed {
    Meta(Meta),
    Foreign,
    Illegible,
}

/// Reads both generations.
pub(crate) fn load(disk: &dyn Disk, dir: &Path) -> Result<Loaded, SpoolError> {
    let mut newest: Option<Meta> = None;
    let mut illegible = false;
    for slot in SLOTS {
        let path = dir.join(slot);
        let bytes = match disk.read(&path, READ_BYTES_MAX) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
            Err(error) => return Err(SpoolError::io("reading", path)(error)),
        };
        match parse(&bytes) {
            Parsed::Foreign => return Ok(Loaded::Foreign),
            Parsed::Illegible => illegible = true,
            Parsed::Meta(meta) => {
                newest = newest
                    .take()
                    .filter(|other| other.generation > meta.generation)
                    .or(Some(meta));
            }
        }
    }
    Ok(match newest {
        Some(meta) => Loaded::Found {
            meta,
            damaged: illegible,
        },
        None if illegible => Loaded::Lost,
        None => Loaded::Absent,
    })
}

impl Meta {
    /// Writes it over the older of the two generations.
    pub(crate) fn store(&self, disk: &dyn Disk, dir: &Path) -> Result<(), SpoolError> {
        let temporary = dir.join(TEMPORARY);
        let [even, odd] = SLOTS;
        let slot = dir.join(if self.generation.is_multiple_of(2) {
            even
        } else {
            odd
        });
        write_over(disk, &temporary, &slot, &self.encode(), Access::Owner)
            .map_err(SpoolError::io("replacing", &slot))?;
        sync_dir(disk, dir)
    }

    fn encode(&self) -> Vec<u8> {
        let mut bytes = Vec::new();
        bytes.extend_from_slice(&MAGIC);
        bytes.push(VERSION);
        let mut number = |value: u64| bytes.extend_from_slice(&value.to_le_bytes());
        for value in [
            self.generation,
            self.epoch,
            self.acked_through,
            self.newest,
            self.age_ms,
        ] {
            number(value);
        }
        self.settled
            .as_array()
            .iter()
            .for_each(|count| number(*count));
        number(self.gaps.iter().len() as u64);
        for gap in self.gaps.iter() {
            number(gap.first);
            number(gap.last);
            number(gap.reason as u64 * 2 + u64::from(gap.told));
        }
        let crc = crc32c::crc32c(&bytes);
        bytes.extend_from_slice(&crc.to_le_bytes());
        bytes
    }
}

/// The checksum comes first: a damaged version byte must not look like a newer agent's file.
fn parse(bytes: &[u8]) -> Parsed {
    let Some((version, rest)) =
        checked(bytes).and_then(|checked| checked.strip_prefix(&MAGIC)?.split_first())
    else {
        return Parsed::Illegible;
    };
    if *version != VERSION {
        return Parsed::Foreign;
    }
    parse_known(rest).map_or(Parsed::Illegible, Parsed::Meta)
}

/// What the checksum at the end of a file covers, when it matches.
fn checked(bytes: &[u8]) -> Option<&[u8]> {
    let (checked, crc) = bytes.split_last_chunk::<4>()?;
    (crc32c::crc32c(checked) == u32::from_le_bytes(*crc)).then_some(checked)
}

fn parse_known(fields: &[u8]) -> Option<Meta> {
    let (numbers, rest) = fields.as_chunks::<8>();
    let mut numbers = numbers.iter().map(|number| u64::from_le_bytes(*number));
    let mut next = || numbers.next();
    let mut meta = Meta {
        generation: next()?,
        epoch: next()?,
        acked_through: next()?,
        newest: next()?,
        age_ms: next()?,
        settled: DropCounts::default(),
        gaps: GapLedger::default(),
    };
    let mut settled = [0; GapReason::ALL.len()];
    for count in &mut settled {
        *count = next()?;
    }
    meta.settled = DropCounts::from_array(settled);
    let gaps = usize::try_from(next()?)
        .ok()
        .filter(|gaps| *gaps <= GAPS_MAX)?;
    for _ in 0..gaps {
        let (first, last, kind) = (next()?, next()?, next()?);
        let reason = *GapReason::ALL.get(usize::try_from(kind / 2).ok()?)?;
        (meta.acked_through < first && first <= last && last <= meta.newest).then_some(())?;
        meta.gaps.insert(Gap {
            first,
            last,
            reason,
            told: kind % 2 == 1,
        });
    }
    let ordered = meta.acked_through <= meta.newest && meta.newest <= SEQ_MAX;
    let consistent = ordered && meta.settled.total() <= meta.acked_through;
    (consistent && rest.is_empty() && next().is_none()).then_some(meta)
}

#[cfg(test)]
mod tests;
