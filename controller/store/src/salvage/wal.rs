//! What is committed in a write-ahead log (<https://www.sqlite.org/fileformat.html#the_write_ahead_log>): frames whose checksums
//! follow one another from the log's header to the last commit, as SQLite itself takes them.

use std::collections::HashMap;
use std::fs::File;
use std::io::{self, BufReader, Read as _, Seek as _, SeekFrom};

use super::number;

const HEADER_BYTES: usize = 32;
const FRAME_HEADER_BYTES: usize = 24;
/// The magic number, whose last bit says how checksums read words.
const MAGIC: u32 = 0x377f_0682;

/// A write-ahead log, read up to its last commit.
pub(super) struct Log {
    file: File,
    page_bytes: usize,
    /// Where each page's newest committed content begins.
    pages: HashMap<u32, u64>,
    /// Pages of the database at the last commit.
    size: u32,
    is_damaged: bool,
}

impl Log {
    /// Reads the log; `None` when nothing is committed in it.
    pub(super) fn read(file: File) -> io::Result<Option<Self>> {
        let mut input = BufReader::new(file);
        let mut header = [0; HEADER_BYTES];
        if !fill(&mut input, &mut header)? {
            return Ok(None);
        }
        let (Some(magic), Some(page_bytes)) = (number(&header, 0), number(&header, 8)) else {
            return Ok(None);
        };
        let is_page = page_bytes.is_power_of_two() && (512..=65_536).contains(&page_bytes);
        if magic & !1 != MAGIC || !is_page {
            return Ok(None);
        }
        let words = if magic & 1 == 1 {
            u32::from_be_bytes
        } else {
            u32::from_le_bytes
        };
        let mut sum = Sum {
            words,
            one: 0,
            two: 0,
        };
        sum.take(header.get(..24).unwrap_or_default());
        if !sum.is(&header, 24) {
            return Ok(None);
        }
        let salts = header.get(16..24).unwrap_or_default().to_vec();
        let (pages, size, is_damaged) =
            frames(&mut input, (page_bytes as usize, &salts), &mut sum)?;
        let file = input.into_inner();
        // Damage to the only commit must be told as well.
        Ok((size > 0 || is_damaged).then_some(Self {
            file,
            page_bytes: page_bytes as usize,
            pages,
            size,
            is_damaged,
        }))
    }

    /// Whether commits are behind what cannot be read.
    pub(super) const fn is_damaged(&self) -> bool {
        self.is_damaged
    }

    /// Pages of the database at the last commit.
    pub(super) fn size(&self) -> Option<u32> {
        (self.size > 0).then_some(self.size)
    }

    /// The last page that is in it.
    pub(super) fn page_max(&self) -> u32 {
        self.pages.keys().copied().max().unwrap_or_default()
    }

    /// A page's newest committed content; `None` when it is not in the log.
    pub(super) fn page(&mut self, number: u32) -> Option<io::Result<Vec<u8>>> {
        let at = *self.pages.get(&number)?;
        let mut page = vec![0; self.page_bytes];
        let read = self
            .file
            .seek(SeekFrom::Start(at))
            .and_then(|_| self.file.read_exact(&mut page));
        Some(read.map(|()| page))
    }
}

type Frames = (HashMap<u32, u64>, u32, bool);

/// Follows the frames to the last one that holds, and looks whether commits of the same log are behind it.
fn frames(
    input: &mut BufReader<File>,
    (page_bytes, salts): (usize, &[u8]),
    sum: &mut Sum,
) -> io::Result<Frames> {
    let mut frame = vec![0; FRAME_HEADER_BYTES + page_bytes];
    let (mut committed, mut pending, mut size) = (HashMap::new(), HashMap::new(), 0);
    let (mut at, mut holds) = (HEADER_BYTES as u64, true);
    while fill(input, &mut frame)? {
        let (head, content) = frame.split_at(FRAME_HEADER_BYTES);
        // Frames of an older round of the log.
        if head.get(8..16) != Some(salts) {
            if holds {
                break;
            }
            at += frame.len() as u64;
            continue;
        }
        let (page, commit) = (
            number(head, 0).unwrap_or_default(),
            number(head, 4).unwrap_or_default(),
        );
        if holds {
            sum.take(head.get(..8).unwrap_or_default());
            sum.take(content);
            holds = page > 0 && sum.is(head, 16);
        }
        if holds {
            pending.insert(page, at + FRAME_HEADER_BYTES as u64);
            if commit > 0 {
                committed.extend(pending.drain());
                size = commit;
            }
        } else if commit > 0 {
            return Ok((committed, size, true));
        }
        at += frame.len() as u64;
    }
    Ok((committed, size, false))
}

/// The checksum of a log, which goes on from frame to frame.
struct Sum {
    words: fn([u8; 4]) -> u32,
    one: u32,
    two: u32,
}

impl Sum {
    fn take(&mut self, bytes: &[u8]) {
        let (pairs, _) = bytes.as_chunks::<8>();
        for pair in pairs {
            let [a, b, c, d, e, f, g, h] = *pair;
            self.one = self
                .one
                .wrapping_add((self.words)([a, b, c, d]))
                .wrapping_add(self.two);
            self.two = self
                .two
                .wrapping_add((self.words)([e, f, g, h]))
                .wrapping_add(self.one);
        }
    }

    fn is(&self, bytes: &[u8], at: usize) -> bool {
        number(bytes, at) == Some(self.one) && number(bytes, at + 4) == Some(self.two)
    }
}

/// Fills the buffer; `false` when the log ends before.
fn fill(input: &mut BufReader<File>, buffer: &mut [u8]) -> io::Result<bool> {
    match input.read_exact(buffer) {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Ok(false),
        Err(error) => Err(error),
    }
}
