//! A leak within minutes to hours: raises it after two agreeing checks, holds it, and clears it on a reset or a stall.
//!
//! ```text
//! quiet -> suspected -> raised -> quiet
//! ```
//! Knows nothing of churn and of days.

use tidemark_model::Timestamp;

use crate::memory::{BOUND, FLOOR, MINUTES_WIDTHS_MS, Memory, PEAK};
use crate::owners::Owners;
use crate::rise::{self, Rise};
use crate::stats::median;

/// A rise is extrapolated no further than this many times its age when nothing else speaks for a leak: it has then used
/// two fifths of the headroom.
const EXTRAPOLATION: f64 = 1.6;
/// The same when bound sockets make up the rise: load seldom leaves them.
const EXTRAPOLATION_BOUND: f64 = 3.0;
/// Bound sockets make up a rise from this share on.
const BOUND_SHARE: f64 = 0.7;
/// A rise within what this host has held before is none: above this many times its usual peak it is unusual.
const UNUSUAL: f64 = 1.05;
/// From this ring on, a rise may be the time of day, so history or bound sockets must speak for it.
const DAYTIME_WIDTH_MS: i64 = 300_000;
/// ... and one process must explain this share of it, beyond what it gains every day.
const OWNER_SHARE: f64 = 0.6;
/// Below this share of the rise left, the leak was put right.
const RESET_SHARE: f64 = 0.45;
/// A raised leak stalls when it gains less than this share of what its slope promised.
const STALL_SHARE: f64 = 0.15;
/// A floor this near to capacity cannot rise any more.
const FULL_SHARE: f64 = 0.95;

/// A leak that was raised.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Raised {
    pub rise: Rise,
    /// Ports in use above the floor at block peaks: least, median and greatest of the last blocks.
    pub above: [f64; 3],
    /// Floor before the rise, and the highest since.
    base: f64,
    top: f64,
    /// When and at what floor it last made progress.
    progress: (Timestamp, f64),
}

impl Raised {
    /// Milliseconds from `at` until ports run out: soonest, median, latest (10, 50, 90 in a hundred).
    pub(crate) fn remaining_ms(&self, at: f64, capacity: f64) -> [f64; 3] {
        let [low, middle, high] = self.above;
        let error = (self.rise.relative_error.powi(2) + SLOPE_ERROR_LEAST.powi(2)).sqrt();
        let spread = 1.28 * error.min(0.5);
        let room = capacity - self.rise.floor_at(at);
        let after = |above: f64, factor: f64| (room - above).max(0.0) / (self.rise.slope * factor);
        [
            after(high, 1.0 + spread),
            after(middle, 1.0),
            after(low, 1.0 - spread),
        ]
    }
}

/// Slopes change more than their scatter over a short rise tells.
const SLOPE_ERROR_LEAST: f64 = 0.08;

#[derive(Clone, Debug)]
enum State {
    Quiet,
    Suspected { width_ms: i64, block: i64 },
    Raised(Raised),
}

/// The leak of one port space at the scale of minutes.
#[derive(Clone, Debug)]
pub(crate) struct Leak {
    state: State,
    /// Rises that began before are done with.
    since: Timestamp,
    /// What was found in each ring, and in which block it was looked for: within a block a floor can only fall.
    looked: [Option<(i64, Option<Rise>)>; 4],
}

impl Leak {
    pub(crate) const fn new() -> Self {
        Self {
            state: State::Quiet,
            since: Timestamp::from_unix_ms(i64::MIN),
            looked: [None; 4],
        }
    }

    pub(crate) const fn raised(&self) -> Option<&Raised> {
        match &self.state {
            State::Raised(raised) => Some(raised),
            State::Quiet | State::Suspected { .. } => None,
        }
    }

    /// Weighs the memory at `at`, the time of the newest reading.
    pub(crate) fn check(
        &mut self,
        memory: &mut Memory,
        owners: &mut Owners,
        at: Timestamp,
        capacity: f64,
    ) {
        let since = memory
            .booted_before(at)
            .map_or(self.since, |boot| boot.max(self.since));
        let found = self.longest(memory, since, capacity);
        self.state = match std::mem::replace(&mut self.state, State::Quiet) {
            State::Raised(raised) if raised.progress.0 < since => State::Quiet,
            State::Raised(raised) => match follow(raised, found, memory, at, capacity) {
                Some(raised) => State::Raised(raised),
                None => {
                    memory.spoil(timestamp(raised.rise.from), at);
                    self.since = at;
                    State::Quiet
                }
            },
            State::Quiet => match found.filter(|rise| is_telling(rise, memory, owners, capacity)) {
                Some(rise) => suspect(&rise, at),
                None => State::Quiet,
            },
            State::Suspected { width_ms, block } => {
                match found.filter(|rise| is_telling(rise, memory, owners, capacity)) {
                    Some(rise) if at.unix_ms().div_euclid(width_ms) > block => {
                        State::Raised(raise(rise, memory, at))
                    }
                    Some(_) => State::Suspected { width_ms, block },
                    None => State::Quiet,
                }
            }
        };
    }

    /// The rise that lasts longest, over all widths of blocks, and that no finer ring sees slowing.
    fn longest(&mut self, memory: &Memory, since: Timestamp, capacity: f64) -> Option<Rise> {
        let mut longest: Option<Rise> = None;
        for (position, (ring, looked)) in memory.minutes.iter().zip(&mut self.looked).enumerate() {
            let newest = ring.newest()?;
            let found = match *looked {
                Some((block, found)) if block == newest => {
                    found.filter(|rise| rise.from >= since.unix_ms() as f64)
                }
                _ => rise::find(ring, FLOOR, since.unix_ms(), capacity),
            };
            *looked = Some((newest, found));
            let Some(rise) = found else { continue };
            let is_slowing = memory
                .minutes
                .iter()
                .take(position)
                .any(|finer| rise::is_slowing(&rise, finer, FLOOR, capacity));
            if !is_slowing && longest.is_none_or(|longest| rise.age_ms() > longest.age_ms()) {
                longest = Some(rise);
            }
        }
        longest
    }
}

fn suspect(rise: &Rise, at: Timestamp) -> State {
    State::Suspected {
        width_ms: rise.width_ms,
        block: at.unix_ms().div_euclid(rise.width_ms),
    }
}

fn timestamp(unix_ms: f64) -> Timestamp {
    Timestamp::from_unix_ms(unix_ms as i64)
}

/// Ports in use above the floor's line, at the peaks of the last dozen blocks: least, median, greatest.
fn above_floor(rise: &Rise, memory: &Memory) -> [f64; 3] {
    let Some(ring) = memory
        .minutes
        .iter()
        .find(|ring| ring.width_ms() == rise.width_ms)
    else {
        return [0.0; 3];
    };
    let Some(newest) = ring.newest() else {
        return [0.0; 3];
    };
    let width = rise.width_ms as f64;
    let mut above: Vec<f64> = (newest - 12..newest)
        .filter(|block| *block as f64 * width >= rise.from)
        .filter_map(|block| {
            let line_at_end = rise.floor_at((block + 1) as f64 * width);
            Some((ring.get(block, PEAK)? - line_at_end).max(0.0))
        })
        .collect();
    let Some(middle) = median(&mut above) else {
        return [0.0; 3];
    };
    let least = above.iter().copied().fold(f64::INFINITY, f64::min);
    let greatest = above.iter().copied().fold(0.0, f64::max);
    [least, middle, greatest]
}

/// Whether a rise is worth telling: its end is near for its age, and it is nothing this host does every day.
fn is_telling(rise: &Rise, memory: &Memory, owners: &mut Owners, capacity: f64) -> bool {
    let [_, above, _] = above_floor(rise, memory);
    let remaining = (capacity - above - rise.floor_to).max(0.0) / rise.slope;
    let is_bound = bound_share(rise, memory) >= BOUND_SHARE;
    if is_bound {
        return remaining <= EXTRAPOLATION_BOUND * rise.age_ms();
    }
    let usual = memory.usual_peak_before(timestamp(rise.from));
    let is_unusual = match usual {
        Some(usual) => rise.floor_to + above > UNUSUAL * usual,
        None => rise.width_ms < DAYTIME_WIDTH_MS,
    };
    if !is_unusual || remaining > EXTRAPOLATION * rise.age_ms() {
        return false;
    }
    if rise.width_ms < DAYTIME_WIDTH_MS {
        return true;
    }
    owners.settle();
    let span = (timestamp(rise.from), timestamp(rise.to));
    owners
        .explain(span, rise.gain(), &|at| !memory.is_spoilt(at))
        .is_some_and(|culprit| culprit.share >= OWNER_SHARE)
}

/// Share of the rise that bound sockets make up; 0 where they cannot be seen.
fn bound_share(rise: &Rise, memory: &Memory) -> f64 {
    let Some(ring) = memory
        .minutes
        .iter()
        .find(|ring| ring.width_ms() == rise.width_ms)
    else {
        return 0.0;
    };
    let (from, to) = (timestamp(rise.from), timestamp(rise.to));
    let then = ring.get(ring.block_of(from), BOUND);
    let now = ring.get(ring.block_of(to), BOUND);
    then.zip(now)
        .map_or(0.0, |(then, now)| (now - then) / rise.gain().max(1.0))
}

fn raise(rise: Rise, memory: &Memory, at: Timestamp) -> Raised {
    Raised {
        rise,
        above: above_floor(&rise, memory),
        base: rise.floor_from,
        top: rise.floor_to,
        progress: (at, rise.floor_to),
    }
}

/// What a raised leak becomes; `None` when it was put right or stalled.
fn follow(
    mut raised: Raised,
    found: Option<Rise>,
    memory: &Memory,
    at: Timestamp,
    capacity: f64,
) -> Option<Raised> {
    if let Some(rise) = found {
        raised.rise = rise;
        raised.above = above_floor(&rise, memory);
        raised.base = raised.base.min(rise.floor_from);
    }
    let floor = floor_lately(memory, raised.rise.width_ms, at)?;
    raised.top = raised.top.max(floor);
    if floor < raised.base + RESET_SHARE * (raised.top - raised.base) {
        return None;
    }
    if floor >= FULL_SHARE * capacity {
        raised.progress = (at, floor);
        return Some(raised);
    }
    let (since, level) = raised.progress;
    let waited = at.ms_since(since) as f64;
    let promised = raised.rise.slope * waited;
    let patience = (6 * raised.rise.width_ms) as f64;
    if floor - level >= 0.5 * promised {
        if waited >= patience {
            raised.progress = (at, floor);
        }
    } else if waited >= patience.max(0.3 * raised.rise.age_ms())
        && floor - level < STALL_SHARE * promised
    {
        return None;
    }
    if found.is_none() {
        // The line is held to what was counted: a pause moves the date by as long as it lasts.
        raised.rise.floor_to = floor;
        raised.rise.to = at.unix_ms() as f64;
    }
    Some(raised)
}

/// The floor of the last two blocks of that width.
fn floor_lately(memory: &Memory, width_ms: i64, at: Timestamp) -> Option<f64> {
    let index = MINUTES_WIDTHS_MS
        .iter()
        .position(|width| *width == width_ms)?;
    let ring = memory.minutes.get(index)?;
    let block = ring.block_of(at);
    ring.over(block - 1, block, FLOOR).last()
}
