//! Every row of a tree that can be read, whatever pages of it are damaged.
//!
//! What is below a damaged page is found by the pointer map, in which every page names the page above it: a damaged page of a
//! table with numbered rows costs its own rows, and none when it is no leaf.

use std::cmp::Ordering;
use std::collections::HashSet;
use std::ops::ControlFlow;
use std::sync::Arc;

use super::Seen;
use super::cells::{Cell, Keys, Page};
use super::pages::{Owner, Pages};
use super::record::{Value, decode, order};

/// A key, in the order of its tree.
pub(super) type Key = Arc<[Value]>;

/// A row: its number, if it has one, and its columns as they are stored.
pub(super) struct Row {
    pub rowid: Option<i64>,
    pub values: Vec<Value>,
}

/// Keys between which rows are lost: after the first, up to the last; `None` where it is not known.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct LostRange {
    pub after: Option<Key>,
    pub through: Option<Key>,
    /// Rows that are lost there at least.
    pub rows_min: u64,
}

/// What of a tree cannot be read.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Losses {
    /// Rows that are lost one by one.
    pub rows: u64,
    /// Pages that are lost with their rows.
    pub ranges: Vec<LostRange>,
    /// Pages that are damaged, whether rows are lost by it or not.
    pub pages: u64,
    /// The largest number that a lost row may have had.
    pub rowid_max: i64,
}

impl Losses {
    pub(super) fn is_nothing(&self) -> bool {
        self.rows == 0 && self.ranges.is_empty()
    }

    pub(super) fn add(&mut self, other: Self) {
        self.rows += other.rows;
        self.ranges.extend(other.ranges);
        self.pages += other.pages;
        self.rowid_max = self.rowid_max.max(other.rowid_max);
    }
}

/// A page that a tree says is its own, with the bounds of its keys.
#[derive(Clone, Debug)]
pub(super) struct Claim {
    page: u32,
    /// The page above; `None` for the first.
    above: Option<u32>,
    after: Option<Key>,
    through: Option<Key>,
}

impl Claim {
    /// The first page of a tree.
    pub(super) const fn root(page: u32) -> Self {
        Self {
            page,
            above: None,
            after: None,
            through: None,
        }
    }

    fn holds(&self, key: &[Value]) -> bool {
        let is_after = |bound: &Key| order(bound, key) == Ordering::Less;
        let is_before = |bound: &Key| order(key, bound) != Ordering::Greater;
        self.after.as_ref().is_none_or(is_after) && self.through.as_ref().is_none_or(is_before)
    }

    fn lost(&self, rows_min: u64) -> LostRange {
        LostRange {
            after: self.after.clone(),
            through: self.through.clone(),
            rows_min,
        }
    }
}

/// Where rows go; breaks when nobody takes more.
pub(super) type Sink<'a> = &'a mut dyn FnMut(Row) -> ControlFlow<()>;

/// A walk through one tree.
pub(super) struct Walk<'a> {
    pages: &'a mut Pages,
    seen: &'a mut Seen,
    keys: Keys,
    todo: Vec<Claim>,
    /// Pages that are damaged as a whole, or of which pages below are missing.
    damaged: Vec<(Claim, Extent)>,
    /// Claims that the pointer map contradicts, for when every other page has its tree.
    disputed: Option<Vec<Claim>>,
    /// Pages whose word the pointer map contradicts, and that were looked after.
    doubted: HashSet<u32>,
    losses: Losses,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Extent {
    Whole,
    /// So many of its cells.
    Part(u64),
}

impl<'a> Walk<'a> {
    /// Takes claims that the pointer map contradicts for later.
    pub(super) fn new(pages: &'a mut Pages, seen: &'a mut Seen, keys: Keys) -> Self {
        Self {
            pages,
            seen,
            keys,
            todo: Vec::new(),
            damaged: Vec::new(),
            disputed: Some(Vec::new()),
            doubted: HashSet::new(),
            losses: Losses::default(),
        }
    }

    /// Believes claims that the pointer map contradicts.
    pub(super) fn believing(mut self) -> Self {
        self.disputed = None;
        self
    }

    /// Hands every row below those pages to `sink`; answers what cannot be read, and the claims that are left for later.
    pub(super) fn run(mut self, claims: Vec<Claim>, sink: Sink<'_>) -> (Losses, Vec<Claim>) {
        self.todo = claims;
        loop {
            while let Some(claim) = self.todo.pop() {
                if self.visit(claim, sink).is_break() {
                    return (self.losses, Vec::new());
                }
            }
            if !self.damaged.is_empty() {
                self.adopt();
            } else if !self.adopt_instead() {
                return (self.losses, self.disputed.unwrap_or_default());
            }
        }
    }

    fn visit(&mut self, claim: Claim, sink: Sink<'_>) -> ControlFlow<()> {
        let owner = self.pages.owner(claim.page);
        let agrees = match (claim.above, owner) {
            (Some(above), Some(owner)) => owner == Owner::Below(above),
            (None, _) | (_, None) => true,
        };
        if !agrees && let Some(disputed) = &mut self.disputed {
            disputed.push(claim);
            return ControlFlow::Continue(());
        }
        if !self.seen.take(claim.page) {
            // Beyond the file, or another tree's; a claim that was disputed may have been wrong all along.
            self.losses.pages += 1;
            let least = u64::from(self.disputed.is_some());
            self.losses.ranges.push(claim.lost(least));
            return ControlFlow::Continue(());
        }
        let usable = self.pages.usable();
        let page = self
            .pages
            .page(claim.page)
            .and_then(|content| Page::parse(content, claim.page, self.keys, usable));
        let Some(page) = page else {
            self.damage(claim, Extent::Whole);
            return ControlFlow::Continue(());
        };
        let is_empty = page.len() == 0 && page.right.is_none();
        let cells: Vec<Option<Cell>> = (0..page.len())
            .map(|place| page.cell(place, usable))
            .collect();
        let bad = cells.iter().filter(|cell| cell.is_none()).count();
        if bad * 2 > cells.len() || (is_empty && claim.above.is_some()) {
            self.damage(claim, Extent::Whole);
            return ControlFlow::Continue(());
        }
        self.take_cells(&page, cells, claim, sink)
    }

    fn take_cells(
        &mut self,
        page: &Page,
        cells: Vec<Option<Cell>>,
        claim: Claim,
        sink: Sink<'_>,
    ) -> ControlFlow<()> {
        let is_leaf = page.right.is_none();
        let (mut after, mut bad) = (claim.after.clone(), 0_u64);
        let mut below = Vec::new();
        for cell in cells {
            let Some(mut cell) = cell else {
                bad += 1;
                continue;
            };
            let Some((key, row)) = self.read(page, &mut cell) else {
                bad += 1;
                continue;
            };
            let in_order = after
                .as_ref()
                .is_none_or(|after| order(after, &key) == Ordering::Less);
            if !in_order || !claim.holds(&key) {
                bad += 1;
                continue;
            }
            if let Some(child) = cell.below {
                below.push(Claim {
                    page: child,
                    above: Some(claim.page),
                    after: after.clone(),
                    through: Some(Arc::clone(&key)),
                });
            }
            after = Some(key);
            if let Some(row) = row {
                sink(row)?;
            }
        }
        if let Some(right) = page.right {
            below.push(Claim {
                page: right,
                above: Some(claim.page),
                after,
                through: claim.through.clone(),
            });
        }
        // The first of them is visited first.
        self.todo.extend(below.into_iter().rev());
        if is_leaf || self.keys != Keys::Rowid {
            self.losses.rows += bad;
        }
        if bad > 0 {
            if is_leaf {
                self.losses.pages += 1;
            } else {
                self.damage(claim, Extent::Part(bad));
            }
        }
        ControlFlow::Continue(())
    }

    /// A cell's key, and its row if it has one.
    fn read(&mut self, page: &Page, cell: &mut Cell) -> Option<(Key, Option<Row>)> {
        if cell.below.is_some()
            && let Some(rowid) = cell.rowid
        {
            return Some((Arc::new([Value::Integer(rowid)]), None));
        }
        let payload = page.payload(cell, self.pages, self.seen)?;
        let values = decode(&payload)?;
        let key: Key = match (self.keys, cell.rowid) {
            (Keys::Columns(columns), _) => values.get(..columns)?.into(),
            (Keys::Rowid, rowid) => Arc::new([Value::Integer(rowid?)]),
        };
        let row = Row {
            rowid: cell.rowid,
            values,
        };
        Some((key, Some(row)))
    }

    fn damage(&mut self, claim: Claim, extent: Extent) {
        self.losses.pages += 1;
        let bound = claim.through.as_deref().or(claim.after.as_deref());
        if let Some([Value::Integer(rowid)]) = bound {
            self.losses.rowid_max = self.losses.rowid_max.max(*rowid);
        }
        self.damaged.push((claim, extent));
    }

    /// Looks for what the pointer map has below pages whose own word it contradicts; `false` when there is nothing.
    fn adopt_instead(&mut self) -> bool {
        let above: Vec<u32> = self
            .disputed
            .iter()
            .flatten()
            .filter_map(|claim| claim.above)
            .filter(|above| self.doubted.insert(*above))
            .collect();
        let found = self.pages.below(above.into_iter());
        for (above, (children, _)) in found {
            let orphans = children.into_iter().filter(|child| !self.seen.has(*child));
            self.todo.extend(orphans.map(|page| Claim {
                page,
                above: Some(above),
                after: None,
                through: None,
            }));
        }
        !self.todo.is_empty()
    }

    /// Looks for what is below the pages that were damaged.
    fn adopt(&mut self) {
        let damaged = std::mem::take(&mut self.damaged);
        let found = self
            .pages
            .below(damaged.iter().map(|(claim, _)| claim.page));
        for (claim, extent) in damaged {
            let (children, rows) = found.get(&claim.page).cloned().unwrap_or_default();
            let orphans: Vec<u32> = children
                .iter()
                .copied()
                .filter(|child| !self.seen.has(*child))
                .collect();
            match extent {
                Extent::Whole if children.is_empty() => {
                    // A first page may have had no row; another one has at least one.
                    let least = u64::from(claim.above.is_some());
                    self.losses.ranges.push(claim.lost(rows.max(least)));
                }
                Extent::Whole if self.keys != Keys::Rowid => {
                    // Between every two pages below it one row was its own.
                    let between = children.len() as u64 - 1;
                    self.losses.ranges.push(claim.lost(between));
                }
                Extent::Part(cells) if (orphans.len() as u64) < cells => {
                    let pages = cells - orphans.len() as u64;
                    self.losses.ranges.push(claim.lost(pages));
                }
                Extent::Whole | Extent::Part(_) => {}
            }
            self.todo.extend(orphans.into_iter().map(|page| Claim {
                page,
                above: Some(claim.page),
                ..claim.clone()
            }));
        }
    }
}
