//! Four weeks of one port space as plain arrays of quarter hours, laid out for weighing at one time.
//!
//! Built from the memory for each weighing and dropped after it. The last element is the newest whole quarter hour.

use std::cell::OnceCell;

use tidemark_model::Timestamp;

use crate::memory::{FLOOR, HOUR_MS, Memory, PEAK, QUARTER_MS, TIME_WAIT};
use crate::stats::{median, scatter};

/// Quarter hours in a day.
pub(crate) const DAY: i64 = 96;
/// Longest series, in quarter hours: four weeks.
const LENGTH_MAX: i64 = 28 * DAY;

/// The arrays. What was not counted is NaN; positions are `i64` so that a look before the beginning is just empty.
#[derive(Clone, Debug)]
pub(crate) struct Series<'a> {
    /// Number of the first element's quarter hour since the Unix epoch.
    pub origin: i64,
    pub floor: Vec<f64>,
    /// Elements that are no part of what is usual.
    pub spoilt: Vec<bool>,
    /// Positions of boots.
    pub boots: Vec<i64>,
    pub capacity: f64,
    memory: &'a Memory,
    /// The floor without what is spoilt, where anything is.
    usable: OnceCell<Vec<f64>>,
    /// Most weighings end before they are asked for.
    peak: OnceCell<Vec<f64>>,
    time_wait: OnceCell<Vec<f64>>,
    /// What the floors of the newest times of day were over the week that began one to four days back.
    pub(super) week_profiles: [OnceCell<Vec<f64>>; 4],
}

impl<'a> Series<'a> {
    /// The series up to the quarter hour numbered `newest`; `None` when nothing is remembered.
    pub(crate) fn new(memory: &'a Memory, newest: i64, capacity: f64) -> Option<Self> {
        let hours_oldest = memory.hours.oldest()?.saturating_mul(HOUR_MS / QUARTER_MS);
        let oldest = memory.quarters.oldest()?.min(hours_oldest);
        let first_reading = memory.quarters.block_of(memory.first()?);
        let origin = oldest.max(first_reading).max(newest - LENGTH_MAX + 1);
        if origin > newest {
            return None;
        }
        Some(Self {
            origin,
            floor: column(memory, (origin, newest), FLOOR),
            memory,
            usable: OnceCell::new(),
            peak: OnceCell::new(),
            time_wait: OnceCell::new(),
            week_profiles: Default::default(),
            spoilt: spoilt(memory, origin, newest),
            boots: memory
                .boots()
                .iter()
                .map(|boot| memory.quarters.block_of(*boot) - origin)
                .collect(),
            capacity,
        })
    }

    /// The floor where it is part of what is usual, NaN elsewhere.
    pub(crate) fn usable(&self) -> &[f64] {
        if self.memory.spoilt().is_empty() {
            return &self.floor;
        }
        self.usable.get_or_init(|| {
            let known = self.floor.iter().zip(&self.spoilt);
            known
                .map(|(floor, spoilt)| if *spoilt { f64::NAN } else { *floor })
                .collect()
        })
    }

    /// Greatest ports in use.
    pub(crate) fn peak(&self) -> &[f64] {
        self.peak.get_or_init(|| self.column(PEAK))
    }

    /// Greatest ports of TIME_WAIT.
    pub(crate) fn time_wait(&self) -> &[f64] {
        self.time_wait.get_or_init(|| self.column(TIME_WAIT))
    }

    fn column(&self, field: usize) -> Vec<f64> {
        column(
            self.memory,
            (self.origin, self.origin + self.newest()),
            field,
        )
    }

    /// Greatest ports in use of each quarter hour of the newest day.
    pub(crate) fn peaks_of_today(&self) -> Vec<f64> {
        let newest = self.origin + self.newest();
        let mut today = Vec::with_capacity(DAY as usize);
        self.memory
            .quarters
            .append::<1>((newest - DAY + 1, newest), PEAK, &mut today);
        today
    }

    /// Position of the newest element.
    pub(crate) fn newest(&self) -> i64 {
        self.floor.len() as i64 - 1
    }

    /// Whether a boot lies in `after..=to`.
    pub(crate) fn has_boot(&self, after: i64, to: i64) -> bool {
        self.boots.iter().any(|boot| after < *boot && *boot <= to)
    }

    /// The first position after which nothing was reset: after the newest boot and the newest spoilt element.
    pub(crate) fn settled_from(&self) -> i64 {
        let spoilt = self.spoilt.iter().rposition(|spoilt| *spoilt);
        let after_spoilt = spoilt.map_or(0, |position| position as i64 + 1);
        let newest = self.newest();
        let boot = self.boots.iter().filter(|boot| **boot <= newest).max();
        boot.map_or(0, |boot| boot + 1).max(after_spoilt).max(0)
    }

    /// Whether the element at `position` is spoilt.
    pub(crate) fn is_spoilt(&self, position: i64) -> bool {
        at(&self.spoilt, position).copied().unwrap_or(false)
    }

    /// The floor at `position`, NaN when it was not counted or lies outside.
    pub(crate) fn floor_at(&self, position: i64) -> f64 {
        at(&self.floor, position).copied().unwrap_or(f64::NAN)
    }
}

/// One field of the quarter hours `origin..=newest`, those older than are kept by the hour they lie in.
fn column(memory: &Memory, (origin, newest): (i64, i64), field: usize) -> Vec<f64> {
    const HOUR: i64 = HOUR_MS / QUARTER_MS;
    let hour_of = |block: i64| block.div_euclid(HOUR);
    let count = (newest - origin + 1).max(0) as usize;
    let mut values = Vec::with_capacity(count + 2 * HOUR as usize);
    let quarters = memory.quarters.oldest().unwrap_or(newest + 1);
    let fine_from = quarters.clamp(origin, newest + 1);
    if origin < fine_from {
        let hours = (hour_of(origin), hour_of(fine_from - 1));
        memory
            .hours
            .append::<{ HOUR as usize }>(hours, field, &mut values);
        values.truncate((fine_from - HOUR * hours.0) as usize);
        values.drain(..(origin - HOUR * hours.0) as usize);
    }
    memory
        .quarters
        .append::<1>((fine_from, newest), field, &mut values);
    values
}

/// Which of the quarter hours `origin..=newest` begin in a stretch that is no part of what is usual.
fn spoilt(memory: &Memory, origin: i64, newest: i64) -> Vec<bool> {
    let mut spoilt = vec![false; (newest - origin + 1).max(0) as usize];
    for (from, to) in memory.spoilt() {
        let first = from
            .unix_ms()
            .saturating_add(QUARTER_MS - 1)
            .div_euclid(QUARTER_MS);
        let last = to.unix_ms().div_euclid(QUARTER_MS);
        let begin = (first.saturating_sub(origin)).clamp(0, newest - origin + 1) as usize;
        let end =
            (last.saturating_sub(origin).saturating_add(1)).clamp(0, newest - origin + 1) as usize;
        if let Some(part) = spoilt.get_mut(begin..end) {
            part.fill(true);
        }
    }
    spoilt
}

/// Start of a numbered quarter hour.
pub(crate) fn quarter_start(block: i64) -> Timestamp {
    Timestamp::from_unix_ms(block.saturating_mul(QUARTER_MS))
}

fn at<T>(values: &[T], position: i64) -> Option<&T> {
    usize::try_from(position)
        .ok()
        .and_then(|position| values.get(position))
}

/// The elements `from..=to`, cut to what there is.
pub(crate) fn part(values: &[f64], from: i64, to: i64) -> &[f64] {
    let begin = usize::try_from(from.max(0)).unwrap_or(0);
    let end = usize::try_from(to.saturating_add(1).max(0))
        .unwrap_or(0)
        .min(values.len());
    values.get(begin..end).unwrap_or_default()
}

fn counted(values: &[f64]) -> Vec<f64> {
    let mut counted = Vec::with_capacity(values.len());
    counted.extend(values.iter().copied().filter(|value| !value.is_nan()));
    counted
}

/// Least of what was counted; NaN of nothing.
pub(crate) fn least(values: &[f64]) -> f64 {
    extreme(
        values,
        f64::INFINITY,
        |one, other| if one < other { one } else { other },
    )
}

/// Greatest of what was counted; NaN of nothing.
pub(crate) fn greatest(values: &[f64]) -> f64 {
    extreme(values, f64::NEG_INFINITY, |one, other| {
        if one > other { one } else { other }
    })
}

/// The value that `better` prefers to all others, of which `none` is the worst: it takes its second where the first is NaN.
/// Several are looked for side by side, which costs half.
fn extreme(values: &[f64], none: f64, better: impl Fn(f64, f64) -> f64) -> f64 {
    let (lanes, rest) = values.as_chunks::<4>();
    let mut best = [none; 4];
    for lane in lanes {
        for (best, value) in best.iter_mut().zip(lane) {
            *best = better(*value, *best);
        }
    }
    let found = best
        .iter()
        .chain(rest)
        .fold(none, |best, value| better(*value, best));
    if found == none { f64::NAN } else { found }
}

/// Median of what was counted; NaN of nothing.
pub(crate) fn middle(values: &[f64]) -> f64 {
    median(&mut counted(values)).unwrap_or(f64::NAN)
}

/// Scatter of what was counted; NaN of nothing.
pub(crate) fn spread(values: &[f64]) -> f64 {
    scatter(&counted(values)).unwrap_or(f64::NAN)
}

/// Share of elements that were not counted; 1 of nothing.
pub(crate) fn missing(values: &[f64]) -> f64 {
    if values.is_empty() {
        return 1.0;
    }
    values.iter().filter(|value| value.is_nan()).count() as f64 / values.len() as f64
}

/// `value`, or `other` when it is NaN.
pub(crate) fn or(value: f64, other: f64) -> f64 {
    if value.is_nan() { other } else { value }
}
