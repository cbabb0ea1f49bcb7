//! A small file in two generations: each write goes to the older slot, each read takes the newest whole one. A slot that
//! is damaged, or all zeros after a power loss, is a lost generation and never a reason not to start.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use sha2::{Digest, Sha256};
use tidemark_disk::{Access, Disk, SystemDisk, replace_file};
use zeroize::Zeroizing;

const MAGIC: &[u8; 8] = b"tmstate1";
const HASH_BYTES: usize = 32;
const HEADER_BYTES: usize = MAGIC.len() + HASH_BYTES + size_of::<u64>();

/// Largest payload that is read back, in bytes; a certificate chain with its key takes about 3 KiB.
pub const PAYLOAD_BYTES_MAX: usize = 256 * 1024;

/// One state, kept in the slots `<name>.a` and `<name>.b` of a folder.
#[derive(Clone, Debug)]
pub struct StateFile {
    disk: Arc<dyn Disk>,
    slots: [PathBuf; 2],
}

/// What a slot held.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stored {
    /// Counts the writes; the higher one of two slots is the newer.
    pub generation: u64,
    /// What was written.
    pub payload: Zeroizing<Vec<u8>>,
}

/// A slot that exists but cannot be used.
#[derive(Debug)]
pub struct LostSlot {
    /// Which file.
    pub path: PathBuf,
    /// Why.
    pub reason: SlotDamage,
}

/// Why a slot cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum SlotDamage {
    /// The file system refuses it.
    #[error("cannot be read")]
    Unreadable(#[source] io::Error),
    /// Nothing but zeros, as a power loss can leave behind.
    #[error("holds only zeros or nothing at all")]
    Blank,
    /// Not a state file, cut short, or changed.
    #[error("does not match its checksum")]
    Damaged,
}

/// Both slots as they were found.
#[derive(Debug, Default)]
pub struct Found {
    /// The whole generations, newest first.
    pub whole: Vec<Stored>,
    /// Slots that exist but cannot be used.
    pub lost: Vec<LostSlot>,
}

impl Found {
    /// The newest whole generation.
    #[must_use]
    pub fn newest(&self) -> Option<&Stored> {
        self.whole.first()
    }

    /// What was found, unless the file system may hide it.
    ///
    /// # Errors
    /// What the file system said of a slot, when there is no whole one: what is kept is unknown then, and not absent.
    pub fn certain(mut self) -> io::Result<Self> {
        let is_hidden = |slot: &LostSlot| matches!(slot.reason, SlotDamage::Unreadable(_));
        if self.whole.is_empty()
            && let Some(hidden) = self.lost.iter().position(is_hidden)
            && let SlotDamage::Unreadable(error) = self.lost.swap_remove(hidden).reason
        {
            return Err(error);
        }
        Ok(self)
    }

    /// Whether nothing was ever written.
    #[must_use]
    pub fn is_absent(&self) -> bool {
        self.whole.is_empty() && self.lost.is_empty()
    }
}

impl StateFile {
    /// The state called `name` in `folder`.
    #[must_use]
    pub fn new(folder: &Path, name: &str) -> Self {
        Self::on(Arc::new(SystemDisk), folder, name)
    }

    /// The same on another disk.
    #[must_use]
    pub fn on(disk: Arc<dyn Disk>, folder: &Path, name: &str) -> Self {
        Self {
            disk,
            slots: [
                folder.join(format!("{name}.a")),
                folder.join(format!("{name}.b")),
            ],
        }
    }

    /// Reads both slots. Never fails: what cannot be read is listed as lost.
    #[must_use]
    pub fn read(&self) -> Found {
        let mut found = Found::default();
        for path in &self.slots {
            match self.read_slot(path) {
                Ok(Some(stored)) => found.whole.push(stored),
                Ok(None) => {}
                Err(reason) => found.lost.push(LostSlot {
                    path: path.clone(),
                    reason,
                }),
            }
        }
        found
            .whole
            .sort_by_key(|stored| std::cmp::Reverse(stored.generation));
        found
    }

    /// Writes `payload` as the next generation, over the older or the damaged slot, readable by the owner alone.
    ///
    /// # Errors
    /// [`io::ErrorKind::InvalidInput`] for more than [`PAYLOAD_BYTES_MAX`]; else what the file system says. The other slot stays
    /// as it was.
    pub fn write(&self, payload: &[u8]) -> io::Result<()> {
        if payload.len() > PAYLOAD_BYTES_MAX {
            let text = format!(
                "a state of {} bytes is larger than the {PAYLOAD_BYTES_MAX} that are read back",
                payload.len()
            );
            return Err(io::Error::new(io::ErrorKind::InvalidInput, text));
        }
        let [first, second] = self.slots.each_ref().map(|path| self.read_slot(path));
        let [first, second] = match (first, second) {
            // Beside a newer one that could not be read, this one would be taken for the older.
            (Err(SlotDamage::Unreadable(error)), Err(_) | Ok(None))
            | (Err(_) | Ok(None), Err(SlotDamage::Unreadable(error))) => return Err(error),
            (first, second) => {
                [first, second].map(|slot| slot.ok().flatten().map(|stored| stored.generation))
            }
        };
        let newest = first.max(second).unwrap_or(0);
        let [slot_a, slot_b] = &self.slots;
        let target = if first < second { slot_a } else { slot_b };
        let content = slot_of(newest.saturating_add(1), payload);
        replace_file(&*self.disk, target, &content, Access::Owner)
    }

    /// Writes `payload` to both slots: for what is written once and must survive the loss of either.
    ///
    /// # Errors
    /// What the file system says.
    pub fn write_both(&self, payload: &[u8]) -> io::Result<()> {
        self.write(payload)?;
        self.write(payload)
    }

    /// Removes both slots; durable once anything in the folder is.
    ///
    /// # Errors
    /// What the file system says; a slot that is not there is no error.
    pub fn remove(&self) -> io::Result<()> {
        self.slots
            .iter()
            .try_for_each(|path| match self.disk.remove_file(path) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
                Ok(()) | Err(_) => Ok(()),
            })
    }

    fn read_slot(&self, path: &Path) -> Result<Option<Stored>, SlotDamage> {
        let limit = u64::try_from(HEADER_BYTES + PAYLOAD_BYTES_MAX).unwrap_or(u64::MAX);
        let content = match self.disk.read(path, limit) {
            Ok(content) => Zeroizing::new(content),
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(SlotDamage::Unreadable(error)),
        };
        if content.iter().all(|byte| *byte == 0) {
            return Err(SlotDamage::Blank);
        }
        parse(&content).map(Some).ok_or(SlotDamage::Damaged)
    }
}

fn slot_of(generation: u64, payload: &[u8]) -> Zeroizing<Vec<u8>> {
    let mut content = Zeroizing::new(Vec::with_capacity(HEADER_BYTES + payload.len()));
    content.extend_from_slice(MAGIC);
    content.extend_from_slice(&checksum(generation, payload));
    content.extend_from_slice(&generation.to_be_bytes());
    content.extend_from_slice(payload);
    content
}

fn parse(content: &[u8]) -> Option<Stored> {
    let rest = content.strip_prefix(MAGIC)?;
    let (hash, rest) = rest.split_at_checked(HASH_BYTES)?;
    let (generation, payload) = rest.split_first_chunk()?;
    let generation = u64::from_be_bytes(*generation);
    (checksum(generation, payload) == *hash).then(|| Stored {
        generation,
        payload: Zeroizing::new(payload.to_vec()),
    })
}

fn checksum(generation: u64, payload: &[u8]) -> [u8; HASH_BYTES] {
    let mut hasher = Sha256::new();
    hasher.update(generation.to_be_bytes());
    hasher.update(payload);
    hasher.finalize().into()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use tidemark_disk::{Fault, MemoryDisk};

    use super::*;

    fn newest(state: &StateFile) -> Option<Vec<u8>> {
        state.read().newest().map(|stored| stored.payload.to_vec())
    }

    #[test]
    fn the_newest_write_is_read_back_and_the_one_before_is_kept() {
        let folder = tempfile::tempdir().unwrap();
        let state = StateFile::new(folder.path(), "x");
        assert!(state.read().is_absent());
        for text in ["one", "two", "three"] {
            state.write(text.as_bytes()).unwrap();
        }
        let found = state.read();
        assert_eq!(newest(&state).unwrap(), b"three");
        assert_eq!(found.whole[1].payload.as_slice(), b"two");
    }

    #[test]
    fn every_kind_of_damage_falls_back_to_the_other_generation() {
        let folder = tempfile::tempdir().unwrap();
        let state = StateFile::new(folder.path(), "x");
        state.write(b"old").unwrap();
        state.write(b"new").unwrap();
        let path = state
            .slots
            .iter()
            .max_by_key(|path| state.read_slot(path).unwrap().unwrap().generation)
            .unwrap();
        let whole = std::fs::read(path).unwrap();
        let cut = whole.get(..whole.len() - 1).unwrap().to_vec();
        let mut flipped = whole.clone();
        *flipped.last_mut().unwrap() ^= 1;
        for damage in [
            Vec::new(),
            vec![0; whole.len()],
            cut,
            flipped,
            b"text".to_vec(),
        ] {
            std::fs::write(path, &damage).unwrap();
            assert_eq!(newest(&state).unwrap(), b"old", "{} bytes", damage.len());
            assert_eq!(state.read().lost.len(), 1);
        }
        state.write(b"newer").unwrap();
        assert_eq!(newest(&state).unwrap(), b"newer");
        assert!(
            state.read().lost.is_empty(),
            "the damaged slot is written over"
        );
    }

    #[test]
    fn what_is_written_to_both_slots_survives_the_loss_of_either() {
        for lost in [0, 1] {
            let folder = tempfile::tempdir().unwrap();
            let state = StateFile::new(folder.path(), "x");
            state.write_both(b"kept").unwrap();
            std::fs::write(&state.slots[lost], []).unwrap();
            assert_eq!(newest(&state).unwrap(), b"kept");
        }
    }

    #[test]
    fn a_newer_generation_that_cannot_be_read_for_a_moment_is_neither_absent_nor_written_below() {
        let disk = MemoryDisk::new(1);
        disk.make_folder(Path::new("/s")).unwrap();
        let state = StateFile::on(Arc::new(disk.clone()), Path::new("/s"), "x");
        for text in ["one", "two", "three"] {
            state.write(text.as_bytes()).unwrap();
        }
        let step = disk.steps();
        for fault in [Fault::Busy, Fault::Medium] {
            disk.fail_from(disk.steps(), fault);
            state.read().certain().unwrap_err();
            disk.mend();
        }
        assert!(disk.steps() > step);
        // Both slots are hidden from the write that follows, and nothing else is.
        disk.fail_at(disk.steps(), Fault::Busy);
        disk.fail_at(disk.steps() + 1, Fault::Busy);
        state.write(b"four").unwrap_err();
        assert_eq!(newest(&state).unwrap(), b"three");
        disk.fail_at(disk.steps(), Fault::Busy);
        state.write(b"four").unwrap();
        assert_eq!(newest(&state).unwrap(), b"four");
    }

    #[test]
    fn whenever_power_goes_what_was_written_before_is_there_or_what_was_being_written() {
        let write = |disk: &MemoryDisk| -> usize {
            let state = StateFile::on(Arc::new(disk.clone()), Path::new("/s"), "x");
            disk.make_folder(Path::new("/s")).unwrap_or_default();
            (1_u8..=4)
                .take_while(|number| state.write(&[*number; 100]).is_ok())
                .count()
        };
        let whole = MemoryDisk::new(0);
        assert_eq!(write(&whole), 4);
        for (step, seed) in (0..whole.steps()).flat_map(|step| (0..8).map(move |seed| (step, seed)))
        {
            let disk = MemoryDisk::new(seed);
            disk.fail_at(step, Fault::PowerCut);
            let written = write(&disk);
            disk.power_up();
            let state = StateFile::on(Arc::new(disk.clone()), Path::new("/s"), "x");
            let found = newest(&state).map_or(0, |payload| usize::from(payload[0]));
            assert!(
                (written..=written + 1).contains(&found),
                "{written} written, {found} found"
            );
            assert!(state.read().lost.is_empty(), "step {step}, seed {seed}");
        }
    }

    #[test]
    fn more_than_is_read_back_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let state = StateFile::new(folder.path(), "x");
        state.write(&vec![1; PAYLOAD_BYTES_MAX]).unwrap();
        let error = state.write(&vec![2; PAYLOAD_BYTES_MAX + 1]).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::InvalidInput);
        assert_eq!(newest(&state).unwrap()[0], 1);
    }

    proptest! {
        #[test]
        fn hostile_bytes_are_never_taken_for_state(content in proptest::collection::vec(any::<u8>(), 0..200)) {
            prop_assert!(parse(&content).is_none());
        }
    }
}
