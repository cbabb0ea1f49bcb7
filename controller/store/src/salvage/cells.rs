//! One page of a tree, taken apart (<https://www.sqlite.org/fileformat.html#b_tree_pages>), and rows that go on in other pages.

use super::pages::{Owner, Pages};
use super::record::varint;
use super::{Seen, number, number16};

/// What a tree's rows are found by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Keys {
    /// A number beside the row.
    Rowid,
    /// The first columns of the row: an index, and a table without a rowid.
    Columns(usize),
}

/// A page of a tree whose beginning makes sense.
pub(super) struct Page {
    number: u32,
    content: Vec<u8>,
    keys: Keys,
    /// Where each cell begins.
    cells: Vec<usize>,
    /// The last page below it; `None` in a leaf.
    pub right: Option<u32>,
}

/// A cell: a row or a part of one, and the page below it.
pub(super) struct Cell {
    /// The page below it, of a page that is no leaf.
    pub below: Option<u32>,
    /// Its number, of a row that has one.
    pub rowid: Option<i64>,
    payload: Option<Payload>,
}

struct Payload {
    length: usize,
    local: Vec<u8>,
    goes_on: Option<u32>,
}

impl Page {
    /// Takes a page apart; `None` when it is none of such a tree.
    pub(super) fn parse(content: Vec<u8>, number: u32, keys: Keys, usable: usize) -> Option<Self> {
        let start = if number == 1 { 100 } else { 0 };
        let is_leaf = match (content.get(start)?, keys) {
            (0x0d, Keys::Rowid) | (0x0a, Keys::Columns(_)) => true,
            (0x05, Keys::Rowid) | (0x02, Keys::Columns(_)) => false,
            _ => return None,
        };
        let count = usize::from(number16(&content, start + 3)?);
        let first = start + if is_leaf { 8 } else { 12 };
        let end = first + 2 * count;
        if end > usable {
            return None;
        }
        let right = if is_leaf {
            None
        } else {
            Some(super::number(&content, start + 8)?)
        };
        let pointers = (first..end).step_by(2);
        let cells = pointers
            .map(|at| usize::from(number16(&content, at).unwrap_or_default()))
            // One that points amid the pointers fails when it is read.
            .map(|at| {
                if at < end || at >= usable {
                    usize::MAX
                } else {
                    at
                }
            })
            .collect();
        Some(Self {
            number,
            content,
            keys,
            cells,
            right,
        })
    }

    /// How many cells it says that it has.
    pub(super) fn len(&self) -> usize {
        self.cells.len()
    }

    /// A cell; `None` when there is none where it should be.
    pub(super) fn cell(&self, place: usize, usable: usize) -> Option<Cell> {
        let mut rest = self.content.get(*self.cells.get(place)?..usable)?;
        let below = match self.right {
            None => None,
            Some(_) => {
                let below = number(rest, 0)?;
                rest = rest.get(4..)?;
                Some(below)
            }
        };
        if below.is_some() && self.keys == Keys::Rowid {
            let (rowid, _) = varint(rest)?;
            return Some(Cell {
                below,
                rowid: Some(rowid.cast_signed()),
                payload: None,
            });
        }
        let (length, bytes) = varint(rest)?;
        let length = usize::try_from(length).ok()?;
        rest = rest.get(bytes..)?;
        let rowid = match self.keys {
            Keys::Columns(_) => None,
            Keys::Rowid => {
                let (rowid, bytes) = varint(rest)?;
                rest = rest.get(bytes..)?;
                Some(rowid.cast_signed())
            }
        };
        let local_bytes = local(length, usable, self.keys)?;
        let local = rest.get(..local_bytes)?.to_vec();
        let goes_on = if local_bytes < length {
            Some(number(rest, local_bytes)?)
        } else {
            None
        };
        Some(Cell {
            below,
            rowid,
            payload: Some(Payload {
                length,
                local,
                goes_on,
            }),
        })
    }

    /// The whole content of a cell, which may go on in other pages; `None` when one of them is not what it should be.
    pub(super) fn payload(
        &self,
        cell: &mut Cell,
        pages: &mut Pages,
        seen: &mut Seen,
    ) -> Option<Vec<u8>> {
        let Payload {
            length,
            local: mut content,
            goes_on,
        } = cell.payload.take()?;
        let (mut next, mut before) = (goes_on.unwrap_or_default(), None);
        while content.len() < length {
            let expected = match before {
                None => Owner::Overflow(self.number),
                Some(before) => Owner::Further(before),
            };
            if pages.owner(next).is_some_and(|owner| owner != expected) {
                return None;
            }
            let page = pages.page(next)?;
            if !seen.take(next) {
                return None;
            }
            let part = page.get(4..pages.usable())?;
            let wanted = part.len().min(length - content.len());
            content.extend_from_slice(part.get(..wanted)?);
            before = Some(next);
            next = number(&page, 0)?;
        }
        // The last one says that it is.
        (next == 0).then_some(content)
    }
}

/// How many bytes of a row are in its page.
fn local(length: usize, usable: usize, keys: Keys) -> Option<usize> {
    let most = match keys {
        Keys::Rowid => usable.checked_sub(35)?,
        Keys::Columns(_) => (usable.checked_sub(12)? * 64 / 255).checked_sub(23)?,
    };
    if length <= most {
        return Some(length);
    }
    let least = (usable.checked_sub(12)? * 32 / 255).checked_sub(23)?;
    let fits = least + (length - least) % (usable - 4);
    Some(if fits <= most { fits } else { least })
}
