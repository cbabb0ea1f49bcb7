//! What is remembered of one process: ports and handles per block of time, and its restarts.
//!
//! Readings wait a little before they are taken into the blocks; who looks at those lets them settle first.

use std::ops::Range;
use std::sync::Arc;

use tidemark_model::Timestamp;

use crate::observation::OwnerReading;
use crate::owners::{Culprit, DAY_MS, Evidence, Group, Usual};
use crate::ring::{Keep, Ring, stored};
use crate::stats::median;

pub(super) const PORTS: usize = 0;
pub(super) const HANDLES: usize = 1;
static KEEP: [Keep; 2] = [Keep::Least, Keep::Least];

/// Width and number of the blocks kept of each process, finest first.
const LEVELS: [(i64, usize); 5] = [
    (10_000, 24),
    (60_000, 48),
    (300_000, 48),
    (1_800_000, 96),
    (10_800_000, 88),
];
/// Position of the half hours among the levels.
const HALF_HOURS: usize = 3;
/// Handles are stored in fours, so that 262,140 of them fit into a block.
pub(super) const HANDLES_UNIT: u32 = 4;
/// How many restarts are remembered of a process.
const RESTARTS_MAX: usize = 8;
/// For this long after a restart, what a process holds counts as its level after it.
const RESTART_SETTLES_MS: i64 = 10_800_000;
/// Where history does not tell restarts, one leaves less than this share of the ports and handles.
const RESTART_KEEPS: f64 = 0.67;
/// How many readings wait until the blocks are touched: they lie apart in memory, and most are looked at once an hour.
pub(super) const WAITING_MAX: usize = 16;

/// What is remembered of one process name.
#[derive(Clone, Debug)]
pub(super) struct Track {
    pub(super) name: Arc<str>,
    /// Of the name.
    pub(super) digest: u64,
    /// Apart from what each reading touches.
    levels: Box<[Ring<2>; 5]>,
    /// Ports and handles of the readings that wait, from `waits_from` on.
    waiting: [[u16; 2]; WAITING_MAX],
    waits_from: usize,
    incarnation: Option<i64>,
    /// Handles at the newest reading, where they are known.
    last_handles: Option<u32>,
    pub(super) restarts: Vec<Restart>,
    pub(super) last_ports: u32,
    pub(super) last_at: Timestamp,
    /// When it was first listed, and the most that it can have held before.
    listed_at: Timestamp,
    before_ports: Option<u32>,
}

/// A restart of a process: what it held before, and the least in the three hours after.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Restart {
    pub at: Timestamp,
    pub before: u32,
    pub after: u32,
}

/// The readings that wait to be taken into the blocks of all processes: when they were taken.
#[derive(Clone, Debug)]
pub(super) struct Waiting {
    times: [Timestamp; WAITING_MAX],
    count: usize,
}

impl Waiting {
    pub(super) const fn none() -> Self {
        Self {
            times: [Timestamp::from_unix_ms(0); WAITING_MAX],
            count: 0,
        }
    }

    /// Position of the reading that comes next; `None` while there is no room.
    pub(super) fn next(&self) -> Option<usize> {
        (self.count < WAITING_MAX).then_some(self.count)
    }

    /// One more reading waits.
    pub(super) fn add(&mut self, at: Timestamp) {
        if let Some(slot) = self.times.get_mut(self.count) {
            *slot = at;
            self.count += 1;
        }
    }

    /// Takes what waits into the blocks of `tracks`.
    pub(super) fn settle(&mut self, tracks: &mut [Track]) {
        if self.count == 0 {
            return;
        }
        let times = self.times.get(..self.count).unwrap_or_default();
        let runs = LEVELS.map(|level| runs(times, level));
        for track in tracks {
            track.settle(&runs);
        }
        self.count = 0;
    }
}

/// Readings that lie in one block of a level, one after the other.
struct Run {
    block: i64,
    positions: Range<usize>,
}

/// The readings by block of a level; those that the newest of them push out are left out.
fn runs(times: &[Timestamp], (width_ms, slots): (i64, usize)) -> Vec<Run> {
    let block_of = |at: &Timestamp| at.unix_ms().div_euclid(width_ms);
    let newest = times.iter().map(block_of).max().unwrap_or(0);
    let mut runs: Vec<Run> = Vec::with_capacity(times.len());
    for (position, block) in times.iter().map(block_of).enumerate() {
        if newest.saturating_sub(block) >= slots as i64 {
            continue;
        }
        match runs.last_mut() {
            Some(run) if run.block == block && run.positions.end == position => {
                run.positions.end = position + 1;
            }
            Some(_) | None => runs.push(Run {
                block,
                positions: position..position + 1,
            }),
        }
    }
    runs
}

impl Track {
    /// A process that is listed for the first time, in the reading of that position and time.
    pub(super) fn new(
        (position, at): (usize, Timestamp),
        group: &Group<'_>,
        before_ports: Option<u32>,
    ) -> Self {
        let reading = &group.whole;
        Self {
            name: Arc::from(reading.name),
            digest: group.digest,
            levels: Box::new(LEVELS.map(|(width, slots)| Ring::new(width, slots, &KEEP))),
            waiting: [[0; 2]; WAITING_MAX],
            waits_from: position,
            incarnation: reading.incarnation,
            last_handles: reading.handles,
            restarts: Vec::new(),
            last_ports: reading.ports,
            last_at: at,
            listed_at: at,
            before_ports,
        }
    }

    pub(super) fn take(&mut self, (position, at): (usize, Timestamp), reading: &OwnerReading<'_>) {
        let handles = reading.handles.map(|handles| handles / HANDLES_UNIT);
        self.wait(position, reading.ports, handles);
        if at < self.last_at {
            return;
        }
        if self.has_restarted(reading) {
            if self.restarts.len() >= RESTARTS_MAX {
                self.restarts.remove(0);
            }
            self.restarts.push(Restart {
                at,
                before: self.last_ports,
                after: reading.ports,
            });
        }
        self.incarnation = reading.incarnation.or(self.incarnation);
        self.last_handles = reading.handles.or(self.last_handles);
        if let Some(restart) = self.restarts.last_mut()
            && at.ms_since(restart.at) <= RESTART_SETTLES_MS
        {
            restart.after = restart.after.min(reading.ports);
        }
        self.last_ports = reading.ports;
        self.last_at = at;
    }

    /// Whether the process of a newer reading is another one than before.
    fn has_restarted(&self, reading: &OwnerReading<'_>) -> bool {
        if let Some((now, then)) = reading.incarnation.zip(self.incarnation) {
            return now != then;
        }
        if reading.incarnation.is_some() {
            return false;
        }
        let has_freed = |now: u32, then: u32| f64::from(now) < RESTART_KEEPS * f64::from(then);
        let handles_freed = reading
            .handles
            .zip(self.last_handles)
            .is_none_or(|(now, then)| has_freed(now, then));
        has_freed(reading.ports, self.last_ports) && handles_freed
    }

    /// It is not listed, so it holds no more than the bound.
    pub(super) fn take_unlisted(&mut self, (position, at): (usize, Timestamp), unlisted_max: u32) {
        self.wait(position, unlisted_max, None);
        if at >= self.last_at {
            self.last_ports = self.last_ports.min(unlisted_max);
        }
    }

    fn wait(&mut self, position: usize, ports: u32, handles: Option<u32>) {
        if let Some(slot) = self.waiting.get_mut(position) {
            *slot = [stored(Some(ports)), stored(handles)];
        }
    }

    fn settle(&mut self, runs: &[Vec<Run>; LEVELS.len()]) {
        for (level, runs) in self.levels.iter_mut().zip(runs) {
            for Run { block, positions } in runs {
                let from = positions.start.max(self.waits_from);
                let Some(readings) = self.waiting.get(from..positions.end) else {
                    continue;
                };
                let least =
                    |one: [u16; 2], other: &[u16; 2]| [one[0].min(other[0]), one[1].min(other[1])];
                if let Some((first, others)) = readings.split_first() {
                    level.merge_stored(*block, others.iter().fold(*first, least));
                }
            }
        }
        self.waits_from = 0;
    }

    /// By how much `field` rose from `from` to `to`; at the same time of day when that is days.
    pub(super) fn gain(
        &self,
        field: usize,
        (from, to): (Timestamp, Timestamp),
        usual: Usual<'_>,
    ) -> Option<f64> {
        let length = to.ms_since(from).max(0);
        let level = self
            .levels
            .iter()
            .find(|level| {
                level.width_ms().saturating_mul(slots_of(level.width_ms()))
                    >= length.saturating_mul(5) / 4
            })
            .or(self.levels.last())?;
        let end = level.block_of(to);
        let whole_days = length / DAY_MS * DAY_MS;
        if whole_days > 0 {
            let lag = whole_days / level.width_ms();
            let part = (length / level.width_ms() / 6).clamp(1, 8);
            let now = level.least(end - part + 1, end, field)?;
            let then = level.least(end - lag - part + 1, end - lag, field);
            let then = then.or_else(|| self.held_before(field, from))?;
            return Some((now - then) * length as f64 / whole_days as f64);
        }
        let now = level.over(end - 1, end, field).last()?;
        let begin = level.block_of(from);
        let then = level.over(begin, begin + 1, field).next();
        let then = then
            .or_else(|| self.held_before(field, from))
            .or_else(|| level.over(begin, end, field).next())?;
        Some(now - then - self.usual_gain(field, (from, to), usual))
    }

    /// What it gains between these times of day on usual days of the week before: the middle one, and the lower one of
    /// two, as the rise itself may reach into them. 0 for rises of minutes.
    fn usual_gain(
        &self,
        field: usize,
        (from, to): (Timestamp, Timestamp),
        usual: Usual<'_>,
    ) -> f64 {
        let fine = &self.levels[HALF_HOURS];
        if to.ms_since(from) < 4 * fine.width_ms() {
            return 0.0;
        }
        let mut gains: Vec<f64> = (1..=7)
            .filter_map(|days| {
                let back = |at: Timestamp| {
                    Timestamp::from_unix_ms(at.unix_ms().saturating_sub(days * DAY_MS))
                };
                let (from, to) = (back(from), back(to));
                if !(usual(from) && usual(to)) {
                    return None;
                }
                let gain = |level: &Ring<2>| {
                    let late = level.get(level.block_of(to), field)?;
                    let early = level.get(level.block_of(from), field)?;
                    Some((late - early).max(0.0))
                };
                gain(fine).or_else(|| self.levels.last().and_then(gain))
            })
            .collect();
        gains.sort_unstable_by(f64::total_cmp);
        gains
            .get(gains.len().saturating_sub(1) / 2)
            .copied()
            .unwrap_or(0.0)
    }

    /// The most that it can have held at `from`, when it was listed only later.
    fn held_before(&self, field: usize, from: Timestamp) -> Option<f64> {
        let before = self
            .before_ports
            .filter(|_| field == PORTS && self.listed_at > from)?;
        Some(f64::from(before.min(self.least_ever(PORTS))))
    }

    /// Ports at `at` over what it usually holds half a day around, relative to that.
    pub(super) fn stands_out(&self, at: Timestamp) -> Option<f64> {
        let level = &self.levels[HALF_HOURS];
        let block = level.block_of(at);
        let top = level.over(block - 1, block + 1, PORTS).reduce(f64::max)?;
        // A job that is listed only while it runs held next to nothing before.
        let listed = level.block_of(self.listed_at);
        let before = self.before_ports.map(f64::from);
        let held = |block: i64| match level.get(block, PORTS) {
            None if block < listed => before,
            known => known,
        };
        let mut day: Vec<f64> = (block - 24..=block + 24).filter_map(held).collect();
        let usual = median(&mut day)?;
        Some((top - usual) / (usual + 30.0))
    }

    fn least_ever(&self, field: usize) -> u32 {
        self.levels
            .last()
            .and_then(|level| level.least(level.oldest()?, level.newest()?, field))
            .map_or(0, |least| least as u32)
    }

    pub(super) fn culprit(&self, gain: f64, share: f64, evidence: Evidence) -> Culprit {
        Culprit {
            name: Arc::clone(&self.name),
            gain,
            share,
            evidence,
        }
    }

    pub(super) fn heap_bytes(&self) -> usize {
        let rings: usize = self.levels.iter().map(Ring::heap_bytes).sum();
        rings
            + size_of_val(&*self.levels)
            + self.restarts.capacity() * size_of::<Restart>()
            + self.name.len()
    }
}

fn slots_of(width_ms: i64) -> i64 {
    LEVELS
        .iter()
        .find(|(width, _)| *width == width_ms)
        .map_or(0, |(_, slots)| i64::try_from(*slots).unwrap_or(0))
}
