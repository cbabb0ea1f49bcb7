//! Pages of rows of which a caller may see only some: read on until there are enough of those, within a bound.

use tidemark_model::HostScope;

/// Rows of one read for a caller who sees a part of the fleet.
const ROWS: u32 = 500;

/// Reads for one page; a page may then hold fewer rows than its limit and still have a cursor to the next one.
const READS_MAX: usize = 10;

/// A page that is being read: `while let Some((after, rows)) = page.next_read()` it takes what is found there.
pub struct SeenPage<R, K> {
    /// Those that are seen, at most as many as were asked for.
    pub rows: Vec<R>,
    /// The place after which the next page begins; `None` when this was the last one.
    pub next: Option<K>,
    limit: usize,
    rows_of_read: u32,
    reads_left: usize,
}

impl<R, K: Clone> SeenPage<R, K> {
    /// A page of at most `limit` rows after that place of the list, for a caller of that scope.
    #[must_use]
    pub fn new(scope: &HostScope, limit: u32, after: Option<K>) -> Self {
        let is_all = scope.is_all();
        Self {
            rows: Vec::new(),
            next: after,
            limit: limit as usize,
            rows_of_read: if is_all { limit } else { ROWS },
            reads_left: if is_all { 1 } else { READS_MAX },
        }
    }

    /// What to read: rows after that place, at most so many. `None` when the page is there.
    #[must_use]
    pub fn next_read(&mut self) -> Option<(Option<K>, u32)> {
        self.reads_left = self.reads_left.checked_sub(1)?;
        Some((self.next.clone(), self.rows_of_read))
    }

    /// Takes what was read, each with its place and whether the caller sees it.
    pub fn take(&mut self, found: Vec<R>, place: impl Fn(&R) -> K, is_seen: impl Fn(&R) -> bool) {
        let is_last = found.len() < self.rows_of_read as usize;
        for row in found {
            self.next = Some(place(&row));
            if is_seen(&row) {
                self.rows.push(row);
            }
            if self.rows.len() >= self.limit {
                self.reads_left = 0;
                return;
            }
        }
        if is_last {
            self.next = None;
            self.reads_left = 0;
        }
    }
}
