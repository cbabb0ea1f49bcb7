//! Decoded history of one host: the times of its samples, and for each series which of them it has a value at.
//!
//! Generic over what a cell is: a raw value, or a bucket of a coarser tier.

use std::collections::BTreeMap;

use hashbrown::HashMap;

use tidemark_model::Timestamp;

use crate::{Row, SeriesKey, Window};

/// Times and series of one host.
#[derive(Clone, Debug, PartialEq)]
pub struct Table<V> {
    times: Vec<i64>,
    series: BTreeMap<SeriesKey, Cells<V>>,
}

/// The cells of one series.
#[derive(Clone, Debug, PartialEq)]
pub struct Cells<V> {
    /// Positions in the table's times, strictly ascending.
    pub(crate) rows: Vec<u32>,
    /// A value for each of them.
    pub(crate) values: Vec<V>,
}

impl<V> Default for Cells<V> {
    fn default() -> Self {
        Self {
            rows: Vec::new(),
            values: Vec::new(),
        }
    }
}

impl<V> Default for Table<V> {
    fn default() -> Self {
        Self {
            times: Vec::new(),
            series: BTreeMap::new(),
        }
    }
}

impl<V: Copy> Table<V> {
    /// From parts that fit together: ascending times, and rows of each series that are positions in them.
    pub(crate) const fn from_parts(times: Vec<i64>, series: BTreeMap<SeriesKey, Cells<V>>) -> Self {
        Self { times, series }
    }

    /// The times in Unix milliseconds, strictly ascending.
    #[must_use]
    pub fn times(&self) -> &[i64] {
        &self.times
    }

    /// The series with their cells, by key.
    pub fn series(&self) -> impl ExactSizeIterator<Item = (SeriesKey, &Cells<V>)> {
        self.series.iter().map(|(key, cells)| (*key, cells))
    }

    /// Whether it holds neither a time nor a series.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.times.is_empty()
    }

    /// How many cells hold a value.
    #[must_use]
    pub fn cells(&self) -> u64 {
        let lengths = self.series.values().map(|cells| cells.values.len() as u64);
        lengths.sum()
    }

    /// Time and value of each cell of `key`, in order of time; empty when there is no such series.
    pub fn points(&self, key: SeriesKey) -> impl Iterator<Item = (i64, V)> + '_ {
        let cells = self.series.get(&key);
        cells
            .into_iter()
            .flat_map(move |cells| self.cells_at(cells))
    }

    /// Time and value of each cell of `cells`, which must be of this table.
    pub(crate) fn cells_at<'a>(
        &'a self,
        cells: &'a Cells<V>,
    ) -> impl Iterator<Item = (i64, V)> + 'a {
        let places = cells.rows.iter().zip(&cells.values);
        places.filter_map(|(row, value)| Some((*self.times.get(*row as usize)?, *value)))
    }

    /// Joins `newer` into this one: where both have a cell of a series at a time, the newer one stays.
    pub fn merge(&mut self, newer: Self) {
        self.merge_by(newer, |_, newer| newer);
    }

    /// Joins `newer` into this one: where both have a cell of a series at a time, `pick(own, newer)` stays.
    pub(crate) fn merge_by(&mut self, newer: Self, pick: impl Fn(V, V) -> V) {
        match (self.times.last(), newer.times.first()) {
            (_, None) => {}
            (None, Some(_)) => *self = newer,
            (Some(last), Some(first)) if last < first => self.append(newer),
            (Some(_), Some(_)) => self.interleave(newer, pick),
        }
    }

    /// The part of it whose times lie in `window`; `self` keeps the rest.
    #[must_use]
    pub fn split_off(&mut self, window: Window) -> Self {
        let is_inside = |time: &i64| window.contains(Timestamp::from_unix_ms(*time));
        let inside = self.part(is_inside);
        *self = self.part(|time| !is_inside(time));
        inside
    }

    /// The cells at times that are `wanted`.
    fn part(&self, wanted: impl Fn(&i64) -> bool) -> Self {
        let mut times = Vec::new();
        // Where each time ends up, if it does.
        let places: Vec<Option<u32>> = self
            .times
            .iter()
            .map(|time| {
                let place = wanted(time).then(|| row_number(times.len()))?;
                times.push(*time);
                Some(place)
            })
            .collect();
        let place_of = |row: u32| *places.get(row as usize)?;
        let series = self.series.iter().filter_map(|(key, cells)| {
            let mut part = Cells::default();
            for (row, value) in cells.rows.iter().zip(&cells.values) {
                if let Some(place) = place_of(*row) {
                    part.push(place, *value);
                }
            }
            (!part.rows.is_empty()).then_some((*key, part))
        });
        Self {
            series: series.collect(),
            times,
        }
    }

    /// The common case of windows that follow each other.
    fn append(&mut self, newer: Self) {
        let offset = row_number(self.times.len());
        self.times.extend(newer.times);
        for (key, cells) in newer.series {
            let target = self.series.entry(key).or_default();
            target
                .rows
                .extend(cells.rows.iter().map(|row| row.saturating_add(offset)));
            target.values.extend(cells.values);
        }
    }

    fn interleave(&mut self, newer: Self, pick: impl Fn(V, V) -> V) {
        let (times, own_rows, newer_rows) = union(&self.times, &newer.times);
        for cells in self.series.values_mut() {
            renumber(&mut cells.rows, &own_rows);
        }
        for (key, mut cells) in newer.series {
            renumber(&mut cells.rows, &newer_rows);
            let target = self.series.entry(key).or_default();
            *target = interleave_cells(std::mem::take(target), cells, &pick);
        }
        self.times = times;
    }
}

fn row_number(position: usize) -> u32 {
    u32::try_from(position).unwrap_or(u32::MAX)
}

/// The union of two ascending lists, and where each element of either ends up in it.
fn union(left: &[i64], right: &[i64]) -> (Vec<i64>, Vec<u32>, Vec<u32>) {
    let mut times = Vec::with_capacity(left.len() + right.len());
    let (mut left_rows, mut right_rows) = (Vec::new(), Vec::new());
    let (mut left, mut right) = (left.iter().peekable(), right.iter().peekable());
    while let Some(next) = match (left.peek(), right.peek()) {
        (Some(a), Some(b)) => Some(**a.min(b)),
        (Some(one), None) | (None, Some(one)) => Some(**one),
        (None, None) => None,
    } {
        let row = row_number(times.len());
        if left.next_if(|time| **time == next).is_some() {
            left_rows.push(row);
        }
        if right.next_if(|time| **time == next).is_some() {
            right_rows.push(row);
        }
        times.push(next);
    }
    (times, left_rows, right_rows)
}

fn renumber(rows: &mut [u32], new_rows: &[u32]) {
    for row in rows {
        *row = new_rows.get(*row as usize).copied().unwrap_or(u32::MAX);
    }
}

fn interleave_cells<V: Copy>(
    older: Cells<V>,
    newer: Cells<V>,
    pick: impl Fn(V, V) -> V,
) -> Cells<V> {
    let capacity = older.rows.len() + newer.rows.len();
    let mut joined = Cells {
        rows: Vec::with_capacity(capacity),
        values: Vec::with_capacity(capacity),
    };
    let mut push = |row, value| {
        joined.rows.push(row);
        joined.values.push(value);
    };
    let mut older = older.rows.into_iter().zip(older.values).peekable();
    for (row, mut value) in newer.rows.into_iter().zip(newer.values) {
        while let Some((older_row, older_value)) = older.next_if(|(older, _)| *older <= row) {
            if older_row < row {
                push(older_row, older_value);
            } else {
                value = pick(older_value, value);
            }
        }
        push(row, value);
    }
    for (row, value) in older {
        push(row, value);
    }
    joined
}

/// Series that come with the first samples get room for as many cells: an hour's at one sample in 30 s.
const DENSE_ROWS_MAX: usize = 128;
/// At most so many of them: 1.5 MB.
const DENSE_SERIES_MAX: usize = 1_024;

/// Collects cells in any order; quickest when times ascend and each sample brings its series in the same order.
#[derive(Debug)]
pub struct TableBuilder<V> {
    /// As they were added.
    times: Vec<i64>,
    /// Rows are positions in `times`.
    series: Vec<(SeriesKey, Cells<V>)>,
    places: HashMap<SeriesKey, usize>,
    /// Where the next cell will be if the order is that of the sample before.
    next: usize,
    /// How many times are to come.
    expected: usize,
    /// How many had come with the first cell.
    first: Option<usize>,
}

impl<V: Copy> TableBuilder<V> {
    /// One that is to be given about so many times.
    #[must_use]
    pub fn with_times(expected: usize) -> Self {
        Self {
            times: Vec::with_capacity(expected.min(DENSE_ROWS_MAX)),
            series: Vec::new(),
            places: HashMap::new(),
            next: 0,
            expected,
            first: None,
        }
    }

    /// Adds a time, so that it stays known even if no series has a cell at it.
    pub fn time(&mut self, at: Timestamp) {
        self.times.push(at.unix_ms());
        self.next = 0;
    }

    /// Adds a cell at the time that was added last; without one there is none. The last of several cells of one series and time counts.
    pub fn cell(&mut self, key: SeriesKey, value: V) {
        if let Some(row) = self.times.len().checked_sub(1) {
            self.cells(key).push(row_number(row), value);
        }
    }

    /// The cells of a series, to which those at times that were added may be added, by their positions.
    pub(crate) fn cells(&mut self, key: SeriesKey) -> &mut Cells<V> {
        let expected = self.series.get(self.next).map(|(key, _)| *key);
        let place = if expected == Some(key) {
            self.next
        } else {
            *self.places.entry(key).or_insert(self.series.len())
        };
        self.next = place + 1;
        if place == self.series.len() {
            let first = *self.first.get_or_insert(self.times.len());
            // A series that comes late may have few cells, and a host that tells of thousands once may mean harm.
            let is_dense = first == self.times.len() && place < DENSE_SERIES_MAX;
            let room = if is_dense {
                self.expected.min(DENSE_ROWS_MAX)
            } else {
                0
            };
            self.series.push((key, Cells::with_capacity(room)));
        }
        &mut self.series[place].1
    }

    /// Times that were added.
    pub(crate) const fn times(&self) -> usize {
        self.times.len()
    }

    /// The table.
    #[must_use]
    pub fn build(self) -> Table<V> {
        let mut times = self.times;
        let mut series = self.series;
        if !times.is_sorted_by(|left, right| left < right) {
            let mut ascending = times.clone();
            ascending.sort_unstable();
            ascending.dedup();
            // Each of them is there.
            let place = |time: &i64| row_number(ascending.partition_point(|other| other < time));
            let places: Vec<u32> = times.iter().map(place).collect();
            for (_, cells) in &mut series {
                renumber(&mut cells.rows, &places);
            }
            times = ascending;
        }
        series.retain(|(_, cells)| !cells.rows.is_empty());
        for (_, cells) in &mut series {
            cells.settle();
        }
        Table {
            series: series.into_iter().collect(),
            times,
        }
    }
}

impl TableBuilder<i64> {
    /// Adds a sample's points.
    pub fn row(&mut self, row: &Row) {
        self.time(row.at);
        for point in &row.points {
            self.cell(point.key, point.value);
        }
    }
}

impl<V: Copy> Cells<V> {
    fn with_capacity(cells: usize) -> Self {
        Self {
            rows: Vec::with_capacity(cells),
            values: Vec::with_capacity(cells),
        }
    }

    pub(crate) fn push(&mut self, row: u32, value: V) {
        self.rows.push(row);
        self.values.push(value);
    }

    /// Puts them into the order of their rows; of several of one row the last that was added stays.
    fn settle(&mut self) {
        if self.rows.is_sorted_by(|left, right| left < right) {
            return;
        }
        let mut added: Vec<(u32, V)> = self.rows.drain(..).zip(self.values.drain(..)).collect();
        added.sort_by_key(|(row, _)| *row);
        for same_row in added.chunk_by(|(left, _), (right, _)| left == right) {
            if let Some((row, value)) = same_row.last() {
                self.rows.push(*row);
                self.values.push(*value);
            }
        }
    }
}

#[cfg(test)]
mod tests;
