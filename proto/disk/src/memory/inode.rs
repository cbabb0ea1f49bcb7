//! One file's content: what is read, what is durable, and what was written between.

use std::io;

use super::Chance;

/// A change of the content.
#[derive(Clone, Debug)]
enum Change {
    Write { offset: usize, bytes: Vec<u8> },
    Length(usize),
}

/// A file.
#[derive(Clone, Debug, Default)]
pub(super) struct Inode {
    bytes: Vec<u8>,
    durable: Vec<u8>,
    /// Since the last sync.
    pending: Vec<Change>,
}

impl Inode {
    pub(super) fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    pub(super) fn read_at(&self, offset: u64, into: &mut [u8]) -> io::Result<()> {
        let from = position(offset)?;
        let end = from
            .checked_add(into.len())
            .ok_or(io::ErrorKind::UnexpectedEof)?;
        let found = self
            .bytes
            .get(from..end)
            .ok_or(io::ErrorKind::UnexpectedEof)?;
        into.copy_from_slice(found);
        Ok(())
    }

    pub(super) fn write_at(&mut self, offset: u64, bytes: &[u8]) -> io::Result<()> {
        if bytes.is_empty() {
            return Ok(());
        }
        self.change(Change::Write {
            offset: position(offset)?,
            bytes: bytes.to_vec(),
        });
        Ok(())
    }

    pub(super) fn set_len(&mut self, bytes: u64) -> io::Result<()> {
        self.change(Change::Length(position(bytes)?));
        Ok(())
    }

    fn change(&mut self, change: Change) {
        apply(&mut self.bytes, &change);
        self.pending.push(change);
    }

    pub(super) fn sync(&mut self) {
        for change in self.pending.drain(..) {
            apply(&mut self.durable, &change);
        }
    }

    /// A sync that failed: the system takes what was written for clean, reads it, and never writes it again.
    pub(super) fn fail_sync(&mut self) {
        self.pending.clear();
    }

    /// Power has gone: the first of the pending changes are kept, the one behind them in part.
    pub(super) fn lose_power(&mut self, chance: &mut Chance) {
        let kept = chance.index(self.pending.len() + 1);
        let mut content = std::mem::take(&mut self.durable);
        let mut pending = std::mem::take(&mut self.pending).into_iter();
        pending
            .by_ref()
            .take(kept)
            .for_each(|change| apply(&mut content, &change));
        if let Some(Change::Write { offset, mut bytes }) = pending.next() {
            match chance.index(3) {
                // The length came to the disk before the bytes.
                0 => bytes.fill(0),
                1 => bytes.truncate(chance.index(bytes.len() + 1)),
                _ => bytes.clear(),
            }
            if !bytes.is_empty() {
                apply(&mut content, &Change::Write { offset, bytes });
            }
        }
        self.bytes.clone_from(&content);
        self.durable = content;
    }
}

fn apply(content: &mut Vec<u8>, change: &Change) {
    match change {
        Change::Length(bytes) => content.resize(*bytes, 0),
        Change::Write { offset, bytes } => {
            let end = offset + bytes.len();
            if content.len() < end {
                content.resize(end, 0);
            }
            if let Some(place) = content.get_mut(*offset..end) {
                place.copy_from_slice(bytes);
            }
        }
    }
}

fn position(offset: u64) -> io::Result<usize> {
    usize::try_from(offset).map_err(|_| io::ErrorKind::FileTooLarge.into())
}
