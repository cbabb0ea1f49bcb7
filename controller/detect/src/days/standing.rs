//! The standing verdict at the scale of hours to weeks: raise slowly, hold, clear on a reset, a boot or a real stall.
//!
//! After the reference detector's fourth stage. Weighed once for every quarter hour of readings; between whole hours
//! only when something moves.

mod account;
mod view;

use std::sync::Arc;

use tidemark_model::Timestamp;

use crate::days::doubts;
use crate::days::load::{Growing, LoadGrowth};
use crate::days::onset;
use crate::days::outlook::Outlook;
use crate::days::passage::{Passage, hour_number, passage};
use crate::days::refusal::Refusal;
use crate::days::restarts;
use crate::days::series::{DAY, Series, least, missing, part, quarter_start};
use crate::days::slope::{Hours, Slope, slope};
use crate::days::staircase::{self, Climb};
use crate::memory::{FLOOR, Memory, QUARTER_MS};
use crate::owners::{Culprit, Owners};
use view::{Asks, View};

/// A date further ahead than this many hours is no reason to raise an alarm: a fortnight.
const AHEAD_MAX_HOURS: f64 = 336.0;
/// No rise is extrapolated further than this many times its age ...
const EXTRAPOLATION: f64 = 3.0;
/// ... and beyond three days and a half only half way: so far ahead it costs nothing to watch longer, chance and plateaus
/// pass, and three days' warning stays possible.
const HALF_WAY_HOURS: f64 = 84.0;
/// After a deploy, this many hours must pass unless the end is nearer than two fifths of them.
const SETTLE_HOURS: i64 = 14;
/// Checks that must agree.
const AGREEING: u32 = 2;
/// Below this share of the rise left, the leak was put right.
const RESET_SHARE: f64 = 0.45;
/// A leak that gained less than this share of what its slope promised has stalled.
const STALL_SHARE: f64 = 0.15;
/// After a stall, this many quarter hours pass before a slower rise is believed.
const COOLING: i64 = 4 * DAY;
/// After as many weighings in a row that see no end, a leak has stalled.
const HOPELESS: u32 = 6;
/// With the end nearer than this, a verdict is weighed every quarter hour instead of every hour.
const NEAR_HOURS: f64 = 6.0;

/// A leak over hours to weeks. Numbers of quarter hours count from the Unix epoch.
#[derive(Clone, Debug)]
pub(crate) struct SlowLeak {
    pub culprit: Option<Culprit>,
    /// Ports an hour.
    pub slope: f64,
    /// Steps that went up, of how many, and hours in each.
    pub steps: (usize, usize, f64),
    /// Ports gained over the climb and its hours.
    pub gain: (f64, f64),
    /// Quarter hour in which it began.
    pub onset: i64,
    /// Hours until the end, counted from the end of `weighed`.
    pub passage: Passage,
    /// The newest quarter hour that was weighed.
    pub weighed: i64,
    /// Whether it keeps the week and the newest day is one of rest.
    rests: bool,
    /// Weighings in a row that see no end.
    hopeless: u32,
    raised: i64,
    raised_slope: f64,
    base: f64,
    top: f64,
}

/// The standing verdict.
#[derive(Clone, Debug, Default)]
pub(crate) struct Standing {
    weighed: Option<i64>,
    pending: u32,
    raised: Option<Box<SlowLeak>>,
    /// Until that quarter hour, a slope below this is not believed.
    cooling: Option<(i64, f64)>,
    deployed: Option<Timestamp>,
    growing: Growing,
    capacity: f64,
}

/// What a weighing looks at.
pub(crate) struct Evidence<'a> {
    pub owners: &'a Owners,
    pub capacity: f64,
    pub is_saturated: bool,
}

/// A quarter hour that is to be weighed.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Due {
    newest: i64,
    /// Everything is looked at; else only what moves.
    is_full: bool,
}

/// A rise that would be told if a second check agrees.
struct Candidate {
    climb: Climb,
    onset: i64,
    slope: f64,
    culprit: Option<Culprit>,
    passage: Passage,
}

impl Standing {
    pub(crate) fn raised(&self) -> Option<&SlowLeak> {
        self.raised.as_deref()
    }

    /// Load that will reach capacity, when no leak will.
    pub(crate) fn growing(&self) -> Option<&LoadGrowth> {
        self.growing.raised()
    }

    /// Something was deployed to the host: steps are to be expected.
    pub(crate) fn deploy(&mut self, at: Timestamp) {
        self.deployed = Some(self.deployed.map_or(at, |deployed| deployed.max(at)));
    }

    /// Bytes on the heap.
    pub(crate) fn heap_bytes(&self) -> usize {
        self.raised.as_ref().map_or(0, |_| size_of::<SlowLeak>()) + self.growing.heap_bytes()
    }

    /// The quarter hour before the one that `at` lies in, when it is to be weighed: once, and mostly at whole hours only.
    pub(crate) fn due(&self, memory: &Memory, at: Timestamp, capacity: f64) -> Option<Due> {
        let newest = memory.quarters.block_of(at) - 1;
        if self.weighed.is_some_and(|weighed| weighed >= newest) {
            return None;
        }
        let is_whole_hour = (newest + 1).rem_euclid(4) == 0;
        let has_skipped_hour = self
            .weighed
            .is_none_or(|weighed| weighed.div_euclid(4) < newest.div_euclid(4) - 1);
        let is_full = is_whole_hour || has_skipped_hour;
        let is_wanted = is_full
            || self.raised.is_some()
            || self.pending > 0
            || is_moving(memory, newest, capacity);
        is_wanted.then_some(Due { newest, is_full })
    }

    /// Weighs what is due.
    pub(crate) fn weigh(&mut self, memory: &mut Memory, due: Due, evidence: &Evidence<'_>) {
        let Due { newest, is_full } = due;
        self.weighed = Some(newest);
        let Some(series) = Series::new(memory, newest, evidence.capacity) else {
            return;
        };
        if missing(part(&series.floor, series.newest() - 3, series.newest())) >= 1.0 {
            return;
        }
        let view = View {
            series: &series,
            evidence,
            is_full,
            asks: Asks::Verdict,
        };
        if is_full && self.raised.is_none() {
            if evidence.capacity > self.capacity {
                self.growing.clear();
            }
            self.capacity = evidence.capacity;
            self.growing
                .check(&series, evidence.owners, evidence.is_saturated);
        }
        let spoilt = match self.raised.take() {
            Some(leak) => self.follow(*leak, &view),
            None => {
                self.consider(&view);
                None
            }
        };
        if let Some((from, to)) = spoilt {
            memory.spoil(from, to);
        }
    }

    fn consider(&mut self, view: &View<'_>) {
        let candidate = self.candidate(view);
        match candidate {
            Some(candidate) => {
                self.pending += 1;
                if self.pending >= AGREEING {
                    self.pending = 0;
                    self.raised = Some(Box::new(view.raise(candidate)));
                }
            }
            None if view.is_full => self.pending = self.pending.saturating_sub(1),
            None => {}
        }
    }

    fn candidate(&self, view: &View<'_>) -> Option<Candidate> {
        let found = self.longest(view);
        if found.is_some() || !view.is_full {
            return found;
        }
        let overdue = restarts::overdue(view.series, view.evidence.owners)?;
        let age = overdue.climb.length as f64 / 4.0;
        let slope = Slope {
            value: overdue.climb.slope,
            error: 0.1 * overdue.climb.slope,
        };
        let outlook = Outlook::steady(slope);
        let passage = passage(
            view.series,
            &Hours::new(view.series),
            &outlook,
            (age, AHEAD_MAX_HOURS),
        );
        (passage[1] <= AHEAD_MAX_HOURS).then_some(Candidate {
            onset: overdue.climb.from,
            slope: overdue.climb.slope,
            climb: overdue.climb,
            culprit: Some(overdue.culprit),
            passage,
        })
    }

    /// The longest climb that is a leak. Where a long one flattens, the shorter ones are asked: a leak may have begun on a rise
    /// that is coming to its end.
    fn longest(&self, view: &View<'_>) -> Option<Candidate> {
        let tries = staircase::tries(view.series, 0).rev();
        for climb in tries.filter_map(|tried| tried.outcome.ok()) {
            match self.judge(view, climb) {
                Ok(candidate) => return Some(candidate),
                Err(Refusal::Flattens) => {}
                Err(_) => return None,
            }
        }
        None
    }

    fn judge(&self, view: &View<'_>, climb: Climb) -> Result<Candidate, Refusal> {
        let series = view.series;
        let culprit = view.culprit(climb.from, climb.gain);
        let share = culprit.as_ref().map_or(0.0, |culprit| culprit.share);
        if share < climb.owner_share {
            let least = climb.owner_share;
            return Err(Refusal::NoOwner { share, least });
        }
        let onset = onset::onset(series, &climb);
        let age = ((series.newest() - onset) as f64 / 4.0).max(1.0);
        let hours = Hours::new(series);
        let slope = slope(&hours, age, climb.slope);
        if slope.value <= 0.0 {
            return Err(Refusal::NoSlope);
        }
        let gain = climb.gain.max(0.8 * slope.value * age);
        if !doubts::is_unusual(series, onset, gain, climb.block_hours) {
            return Err(Refusal::Usual { gain });
        }
        let outlook = Outlook::new(&hours, slope, age, hour_number(series));
        let most = AHEAD_MAX_HOURS
            .min(EXTRAPOLATION * age)
            .min(age.max(HALF_WAY_HOURS));
        let passage = passage(series, &hours, &outlook, (age, view.looks_ahead(most)));
        let ahead = passage[1];
        if ahead > most {
            return Err(Refusal::Far { hours: ahead, most });
        }
        if self.is_cooling(view.number(), slope.value, ahead) {
            return Err(Refusal::Cooling);
        }
        if self.is_settling(view.number(), ahead) {
            return Err(Refusal::Settling);
        }
        let owners = view.evidence.owners;
        let reach = (ahead, climb.block_hours);
        if restarts::come_in_time(series, owners, culprit.as_ref(), reach) {
            return Err(Refusal::Restarts);
        }
        if doubts::flattens(series, onset, ahead) {
            return Err(Refusal::Flattens);
        }
        Ok(Candidate {
            climb,
            onset,
            slope: slope.value,
            culprit,
            passage,
        })
    }

    fn is_cooling(&self, number: i64, slope: f64, ahead: f64) -> bool {
        self.cooling
            .is_some_and(|(until, before)| number < until && slope < 0.8 * before && ahead > 24.0)
    }

    fn is_settling(&self, number: i64, ahead: f64) -> bool {
        self.deployed.is_some_and(|deployed| {
            let since = quarter_start(number).ms_since(deployed) / QUARTER_MS;
            (0..4 * SETTLE_HOURS).contains(&since) && ahead > 0.4 * SETTLE_HOURS as f64
        })
    }

    fn follow(&mut self, mut leak: SlowLeak, view: &View<'_>) -> Option<Stretch> {
        let series = view.series;
        let newest = series.newest();
        let onset = leak.onset - series.origin;
        let usual = view.usual_here(onset, newest);
        if !view.evidence.is_saturated {
            let floor = least(part(&series.floor, newest - 3, newest)) - usual;
            leak.top = leak
                .top
                .max(least(part(&series.floor, newest - 7, newest)) - usual);
            let raised = leak.raised - series.origin;
            let is_reset = floor < leak.base + RESET_SHARE * (leak.top - leak.base);
            if is_reset || series.has_boot(raised, newest) {
                return self.clear(&leak, view);
            }
            if view.is_full && !leak.rests && view.has_stalled(&leak) || leak.hopeless >= HOPELESS {
                self.cooling = Some((view.number() + COOLING, leak.raised_slope));
                return self.clear(&leak, view);
            }
        }
        let passed = (view.number() - leak.weighed) as f64 / 4.0;
        if view.is_full || leak.passage[1] - passed <= NEAR_HOURS {
            view.update(&mut leak, onset);
        }
        self.raised = Some(Box::new(leak));
        None
    }

    /// Ends a verdict. Gives the stretch that is no part of what is usual.
    fn clear(&mut self, leak: &SlowLeak, view: &View<'_>) -> Option<Stretch> {
        self.pending = 0;
        let stretch = (quarter_start(leak.onset), quarter_start(view.number() + 1));
        (!view.came_back_by_itself(leak)).then_some(stretch)
    }
}

/// Cheap screen between whole hours: did the floor rise over the last two hours?
fn is_moving(memory: &Memory, newest: i64, capacity: f64) -> bool {
    let ring = &memory.quarters;
    let now = ring.get(newest, FLOOR);
    let then = ring.get(newest - 7, FLOOR);
    now.zip(then)
        .is_some_and(|(now, then)| now - then > 0.02 * capacity)
}

/// From when to when.
type Stretch = (Timestamp, Timestamp);

impl SlowLeak {
    /// Milliseconds from `now` until ports run out: soonest, median, latest.
    pub(crate) fn remaining_ms(&self, now: Timestamp) -> [f64; 3] {
        remaining_ms(self.passage, self.weighed, now)
    }

    /// When it began.
    pub(crate) fn since(&self) -> Timestamp {
        quarter_start(self.onset)
    }

    /// The process behind it.
    pub(crate) fn culprit_name(&self) -> Option<Arc<str>> {
        self.culprit
            .as_ref()
            .map(|culprit| Arc::clone(&culprit.name))
    }
}

impl LoadGrowth {
    /// Milliseconds from `now` until ports run out: soonest, median, latest.
    pub(crate) fn remaining_ms(&self, now: Timestamp) -> [f64; 3] {
        remaining_ms(self.passage, self.weighed, now)
    }
}

/// What is left at `now` of a passage counted from the end of the quarter hour `weighed`. Blocks of an hour and the
/// date of the weighing blur its ends.
fn remaining_ms([soonest, middle, latest]: Passage, weighed: i64, now: Timestamp) -> [f64; 3] {
    let passed = now.ms_since(quarter_start(weighed + 1)) as f64;
    [soonest - 1.0, middle, latest + 0.5].map(|hours| (hours * 3_600_000.0 - passed).max(0.0))
}
