//! The pages of a SQLite file as its last commit left them: the file, and over it what is committed in its write-ahead log
//! (<https://www.sqlite.org/fileformat.html>). Read only, and no byte of them is trusted.

use std::collections::HashMap;
use std::fs::File;
use std::io::{self, Read as _, Seek as _, SeekFrom};
use std::path::Path;

use super::wal::Log;
use super::{Beyond, number, number16};
use crate::open::beside;
use crate::open::header::{HEADER_BYTES, Verdict, judge};

/// Bytes of an entry of a pointer map.
const ENTRY_BYTES: usize = 5;
/// The byte that SQLite locks; the page that holds it is never used.
const PENDING_BYTE: u64 = 0x4000_0000;

/// What a page belongs to, as the pointer map says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Owner {
    /// A tree's first page.
    Root,
    /// Not in use.
    Free,
    /// The first page of what did not fit into a row of that page.
    Overflow(u32),
    /// A further one, behind that page.
    Further(u32),
    /// A page of a tree, below that one.
    Below(u32),
}

/// A damaged file, page by page.
pub(super) struct Pages {
    file: File,
    log: Option<Log>,
    page_bytes: usize,
    usable: usize,
    /// Pages that can be there at all.
    count: u32,
    /// Pages that the header says there are.
    said: u32,
    has_map: bool,
    /// The page of the pointer map that was read last.
    map: Option<(u32, Vec<u8>)>,
}

impl Pages {
    /// Opens the file at `path`, with the write-ahead log beside it.
    pub(super) fn open(path: &Path) -> Result<Self, Beyond> {
        let mut file = File::open(path)?;
        let file_bytes = file.metadata()?.len();
        let log = match File::open(beside(path, "-wal")) {
            Ok(log) => Log::read(log)?,
            Err(error) if error.kind() == io::ErrorKind::NotFound => None,
            Err(error) => return Err(error.into()),
        };
        let mut log = log;
        let first = log.as_mut().and_then(|log| log.page(1)).transpose()?;
        let header = match first {
            Some(page) => page,
            None => {
                let mut start = Vec::with_capacity(HEADER_BYTES);
                file.by_ref()
                    .take(HEADER_BYTES as u64)
                    .read_to_end(&mut start)?;
                start
            }
        };
        match judge(header.get(..HEADER_BYTES).unwrap_or(&header)) {
            Verdict::Ours { .. } => {}
            Verdict::Foreign(found) => return Err(Beyond::Foreign(found)),
            Verdict::Repairing => return Err(Beyond::Foreign("it is the note of a repair")),
            Verdict::Damaged(found) => return Err(Beyond::Beginning(found.to_owned())),
        }
        let page_bytes = match number16(&header, 16) {
            Some(1) => 65_536,
            Some(bytes) if bytes.is_power_of_two() && bytes >= 512 => usize::from(bytes),
            found => {
                return Err(Beyond::Beginning(format!(
                    "its header says that a page has {} bytes",
                    found.unwrap_or_default()
                )));
            }
        };
        let reserved = usize::from(header.get(20).copied().unwrap_or_default());
        let in_file = u32::try_from(file_bytes.div_ceil(page_bytes as u64)).unwrap_or(u32::MAX);
        let in_log = log.as_ref().map_or(0, Log::page_max);
        Ok(Self {
            file,
            page_bytes,
            usable: page_bytes.saturating_sub(reserved).max(480),
            count: in_file.max(in_log),
            said: log
                .as_ref()
                .and_then(Log::size)
                .or_else(|| number(&header, 28))
                .unwrap_or_default(),
            has_map: number(&header, 52).is_some_and(|root| root != 0),
            map: None,
            log,
        })
    }

    /// Bytes of a page that hold content.
    pub(super) const fn usable(&self) -> usize {
        self.usable
    }

    /// Pages that can be there at all.
    pub(super) const fn count(&self) -> u32 {
        self.count
    }

    /// Pages that should be there and are not, since the file is cut off.
    pub(super) const fn cut_off(&self) -> u32 {
        self.said.saturating_sub(self.count)
    }

    /// Whether commits of the write-ahead log cannot be read.
    pub(super) fn log_is_damaged(&self) -> bool {
        self.log.as_ref().is_some_and(Log::is_damaged)
    }

    /// A page; `None` when it is not there or the disk does not give it.
    pub(super) fn page(&mut self, number: u32) -> Option<Vec<u8>> {
        if number == 0 || number > self.count {
            return None;
        }
        if let Some(found) = self.log.as_mut().and_then(|log| log.page(number)) {
            return found.ok().filter(|page| page.len() == self.page_bytes);
        }
        let mut page = vec![0; self.page_bytes];
        let at = u64::from(number - 1) * self.page_bytes as u64;
        self.file.seek(SeekFrom::Start(at)).ok()?;
        self.file.read_exact(&mut page).ok()?;
        Some(page)
    }

    /// What a page belongs to; `None` when the file has no pointer map or its entry makes no sense.
    pub(super) fn owner(&mut self, page: u32) -> Option<Owner> {
        let map = self.map_of(page)?;
        if self.map.as_ref().is_none_or(|(number, _)| *number != map) {
            let content = self.page(map)?;
            self.map = Some((map, content));
        }
        let (_, content) = self.map.as_ref()?;
        let at = usize::try_from(page.checked_sub(map + 1)?).ok()? * ENTRY_BYTES;
        let parent = number(content, at + 1)?;
        match (content.get(at)?, parent) {
            (1, 0) => Some(Owner::Root),
            (2, 0) => Some(Owner::Free),
            (3, parent) if parent <= self.count => Some(Owner::Overflow(parent)),
            (4, parent) if parent <= self.count => Some(Owner::Further(parent)),
            (5, parent) if parent <= self.count => Some(Owner::Below(parent)),
            _ => None,
        }
    }

    /// For each of `parents`: which pages the pointer map has below it, and how many rows of it go on in other pages.
    pub(super) fn below(
        &mut self,
        parents: impl Iterator<Item = u32>,
    ) -> HashMap<u32, (Vec<u32>, u64)> {
        let mut found: HashMap<u32, (Vec<u32>, u64)> =
            parents.map(|parent| (parent, (Vec::new(), 0))).collect();
        if !self.has_map || found.is_empty() {
            return found;
        }
        for page in 2..=self.count {
            match self.owner(page) {
                Some(Owner::Below(parent)) => {
                    if let Some((children, _)) = found.get_mut(&parent) {
                        children.push(page);
                    }
                }
                Some(Owner::Overflow(parent)) => {
                    if let Some((_, rows)) = found.get_mut(&parent) {
                        *rows += 1;
                    }
                }
                Some(Owner::Root | Owner::Free | Owner::Further(_)) | None => {}
            }
        }
        found
    }

    /// Which page of the pointer map tells of a page.
    fn map_of(&self, page: u32) -> Option<u32> {
        if !self.has_map || page < 3 || page > self.count {
            return None;
        }
        let span = u32::try_from(self.usable / ENTRY_BYTES + 1).ok()?;
        let map = (page - 2) / span * span + 2;
        let pending = u32::try_from(PENDING_BYTE / self.page_bytes as u64 + 1).ok()?;
        let map = if map == pending { map + 1 } else { map };
        (map < page).then_some(map)
    }
}
