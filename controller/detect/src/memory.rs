//! What is remembered of a port space: extremes per block of time, from 5 s to an hour, and the boots between.
//!
//! Bounded by construction. Draws no conclusions.

use std::time::Duration;

use tidemark_model::Timestamp;

use crate::observation::{Observation, Rollup};
use crate::ring::{Keep, Ring};

/// Least ports held in any state but TIME_WAIT.
pub(crate) const FLOOR: usize = 0;
/// Greatest ports in use.
pub(crate) const PEAK: usize = 1;
/// Greatest ports of TIME_WAIT alone.
pub(crate) const TIME_WAIT: usize = 2;
/// Least bound ports, in the rings of minutes.
pub(crate) const BOUND: usize = 3;

static MINUTES_KEEP: [Keep; 4] = [Keep::Least, Keep::Greatest, Keep::Greatest, Keep::Least];
static QUARTER_KEEP: [Keep; 3] = [Keep::Least, Keep::Greatest, Keep::Greatest];
static HOUR_KEEP: [Keep; 3] = [Keep::Least, Keep::Greatest, Keep::Greatest];

/// Block widths of the rings of minutes: windows from 30 s to 4 h fit into 48 blocks of one of them.
pub(crate) const MINUTES_WIDTHS_MS: [i64; 4] = [5_000, 15_000, 60_000, 300_000];
const MINUTES_SLOTS: usize = 48;
/// Quarter hours.
pub(crate) const QUARTER_MS: i64 = 900_000;
/// Ten days of quarter hours: a week's profile, and a window of two days before the leak that spoils it.
const QUARTER_SLOTS: usize = 960;
/// An hour.
pub(crate) const HOUR_MS: i64 = 3_600_000;
/// Four weeks of hours.
const HOUR_SLOTS: usize = 672;
/// How many boots are remembered.
const BOOTS_MAX: usize = 8;
/// How many stretches judged bad are remembered.
const SPOILT_MAX: usize = 12;
/// A climb to capacity began where the floor was last within this share of the climb above where it ended.
const CLIMB_LOW_SHARE: f64 = 0.1;
/// The block in which ports came free holds both.
const SPOILT_AFTER: Duration = Duration::from_secs(900);
/// Two readings of one boot differ by less: clocks are corrected to within seconds.
const BOOT_TOLERANCE_MS: i64 = 120_000;

/// The rings of one port space.
#[derive(Clone, Debug)]
pub(crate) struct Memory {
    pub minutes: [Ring<4>; 4],
    pub quarters: Ring<3>,
    pub hours: Ring<3>,
    /// When the host booted, ascending, the newest kept.
    boots: Vec<Timestamp>,
    /// Stretches that are no part of what is usual here: leaks that were cleared.
    spoilt: Vec<(Timestamp, Timestamp)>,
    /// Earliest reading ever taken.
    first: Option<Timestamp>,
    /// Readings that were older than every ring.
    pub too_late: u64,
}

impl Memory {
    pub(crate) fn new() -> Self {
        Self {
            minutes: MINUTES_WIDTHS_MS.map(|width| Ring::new(width, MINUTES_SLOTS, &MINUTES_KEEP)),
            quarters: Ring::new(QUARTER_MS, QUARTER_SLOTS, &QUARTER_KEEP),
            hours: Ring::new(HOUR_MS, HOUR_SLOTS, &HOUR_KEEP),
            boots: Vec::new(),
            spoilt: Vec::new(),
            first: None,
            too_late: 0,
        }
    }

    /// Takes one reading into every ring that reaches back to it. Says whether it was the first of a boot.
    pub(crate) fn take(&mut self, observation: &Observation<'_>) {
        let at = observation.at;
        let peak = observation.peak.unwrap_or(0).max(observation.in_use);
        let time_wait = observation.time_wait();
        for ring in &mut self.minutes {
            ring.merge(
                at,
                [
                    Some(observation.strong),
                    Some(peak),
                    Some(time_wait),
                    observation.bound,
                ],
            );
        }
        self.take_long(at, [observation.strong, peak, time_wait]);
        self.note_boot(observation.booted_at);
    }

    /// Takes a stretch of history. Finer rings than the stretch is long would be filled unevenly and are left out.
    pub(crate) fn take_rollup(&mut self, rollup: &Rollup<'_>) {
        let length = rollup.to.ms_since(rollup.from).max(0);
        let time_wait = rollup.in_use.greatest.saturating_sub(rollup.strong.least);
        for ring in &mut self.minutes {
            if ring.width_ms() >= length {
                let values = [
                    Some(rollup.strong.least),
                    Some(rollup.in_use.greatest),
                    Some(time_wait),
                    rollup.bound.map(|bound| bound.least),
                ];
                ring.merge(rollup.from, values);
            }
        }
        let values = [rollup.strong.least, rollup.in_use.greatest, time_wait];
        self.take_long(rollup.from, values);
        if let Some(booted_at) = rollup.booted_at {
            self.note_boot(booted_at);
        }
    }

    fn take_long(&mut self, at: Timestamp, [floor, peak, time_wait]: [u32; 3]) {
        let values = [Some(floor), Some(peak), Some(time_wait)];
        self.quarters.merge(at, values);
        if !self.hours.merge(at, values) {
            self.too_late = self.too_late.saturating_add(1);
        }
        self.first = Some(self.first.map_or(at, |first| first.min(at)));
    }

    /// Remembers a boot unless it is one of those known; the oldest makes room.
    fn note_boot(&mut self, booted_at: Timestamp) {
        let is_known = self
            .boots
            .iter()
            .any(|boot| booted_at.ms_since(*boot).saturating_abs() <= BOOT_TOLERANCE_MS);
        if is_known {
            return;
        }
        let position = self.boots.partition_point(|boot| *boot < booted_at);
        self.boots.insert(position, booted_at);
        if self.boots.len() > BOOTS_MAX {
            self.boots.remove(0);
        }
    }

    /// The newest boot at or before `at`: floors of before say nothing of those after.
    pub(crate) fn booted_before(&self, at: Timestamp) -> Option<Timestamp> {
        self.boots.iter().rev().find(|boot| **boot <= at).copied()
    }

    /// Boots, ascending.
    pub(crate) fn boots(&self) -> &[Timestamp] {
        &self.boots
    }

    /// Earliest reading ever taken.
    pub(crate) const fn first(&self) -> Option<Timestamp> {
        self.first
    }

    /// Marks a stretch as no part of what is usual here.
    pub(crate) fn spoil(&mut self, from: Timestamp, to: Timestamp) {
        if self.spoilt.len() >= SPOILT_MAX {
            self.spoilt.remove(0);
        }
        self.spoilt.push((from, to));
    }

    /// Marks the climb to a saturation that began at `began` and is over at `at`, where the floor is `relieved_to`: what
    /// lies above that by more than a tenth of the climb is not usual. The fall itself, an hour, goes with it.
    pub(crate) fn spoil_climb(&mut self, began: Timestamp, at: Timestamp, relieved_to: u32) {
        let ring = &self.quarters;
        let end = ring.block_of(began);
        let relieved_to = f64::from(relieved_to);
        let top = ring.least(end - 4, end, FLOOR).unwrap_or(relieved_to);
        let low = relieved_to + CLIMB_LOW_SHARE * (top - relieved_to).max(0.0);
        let oldest = ring.oldest().unwrap_or(end);
        let is_low = |block: &i64| ring.get(*block, FLOOR).is_some_and(|floor| floor <= low);
        let from = (oldest..=end).rev().find(is_low).unwrap_or(oldest);
        let from = Timestamp::from_unix_ms(from.saturating_mul(QUARTER_MS));
        self.spoil(from, at.saturating_add(SPOILT_AFTER));
    }

    /// Whether `at` lies in a stretch that is no part of what is usual.
    pub(crate) fn is_spoilt(&self, at: Timestamp) -> bool {
        self.spoilt
            .iter()
            .any(|(from, to)| *from <= at && at <= *to)
    }

    /// Stretches that are no part of what is usual.
    pub(crate) fn spoilt(&self) -> &[(Timestamp, Timestamp)] {
        &self.spoilt
    }

    /// The highest number of ports in use before `until` that passed without harm; `None` without a day of such
    /// history.
    pub(crate) fn usual_peak_before(&self, until: Timestamp) -> Option<f64> {
        let first = self.first?;
        if until.ms_since(first) < 20 * HOUR_MS {
            return None;
        }
        let last = self.hours.block_of(until) - 1;
        let oldest = self.hours.oldest()?;
        (oldest..=last)
            .filter(|hour| !self.is_spoilt(Timestamp::from_unix_ms(hour.saturating_mul(HOUR_MS))))
            .filter_map(|hour| self.hours.get(hour, PEAK))
            .reduce(f64::max)
    }

    /// Bytes on the heap.
    pub(crate) fn heap_bytes(&self) -> usize {
        let minutes: usize = self.minutes.iter().map(Ring::heap_bytes).sum();
        let lists = self.boots.capacity() * size_of::<Timestamp>()
            + self.spoilt.capacity() * size_of::<(Timestamp, Timestamp)>();
        minutes + self.quarters.heap_bytes() + self.hours.heap_bytes() + lists
    }
}

/// Where the floor went lately.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Trend {
    /// The floor at the beginning and at the end.
    pub from: f64,
    pub to: f64,
    /// How long lies between.
    pub over_ms: f64,
    /// The slope.
    pub ports_per_hour: f64,
}

impl Memory {
    /// The floor's move over whole days where there are two, else over the longest ring with eight blocks.
    pub(crate) fn floor_trend(&self) -> Option<Trend> {
        self.trend_of_days().or_else(|| {
            self.minutes.iter().rev().find_map(|ring| {
                let (oldest, newest) = (ring.oldest()?, ring.newest()?);
                let third = (newest - oldest + 1) / 3;
                if third < 3 {
                    return None;
                }
                let from = ring.least(oldest, oldest + third, FLOOR)?;
                let to = ring.least(newest - third, newest, FLOOR)?;
                Some(Trend::new(
                    from,
                    to,
                    (newest - oldest - third) * ring.width_ms(),
                ))
            })
        })
    }

    /// Least of the newest day against the least of an equal day before, up to a week back.
    fn trend_of_days(&self) -> Option<Trend> {
        let (oldest, newest) = (self.hours.oldest()?, self.hours.newest()?);
        let days = ((newest - oldest + 1) / 24 - 1).min(7);
        if days < 1 {
            return None;
        }
        let to = self.hours.least(newest - 23, newest, FLOOR)?;
        let end = newest - 24 * days;
        let from = self.hours.least(end - 23, end, FLOOR)?;
        Some(Trend::new(from, to, days * 24 * HOUR_MS))
    }
}

impl Trend {
    fn new(from: f64, to: f64, over_ms: i64) -> Self {
        let over_ms = over_ms as f64;
        Self {
            from,
            to,
            over_ms,
            ports_per_hour: (to - from) / over_ms * HOUR_MS as f64,
        }
    }
}
