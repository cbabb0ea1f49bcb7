//! One weighing of a series: what a rise gained, whose it is, and whether it still goes on. Keeps no state.

use tidemark_model::Timestamp;

use super::{Candidate, Evidence, RESET_SHARE, STALL_SHARE, SlowLeak};
use crate::days::outlook::Outlook;
use crate::days::passage::{hour_number, passage};
use crate::days::series::{DAY, Series, least, middle, missing, or, part, quarter_start};
use crate::days::slope::{Hours, Slope, slope, slope_short};
use crate::memory::QUARTER_MS;
use crate::owners::Culprit;

/// One weighing.
pub(super) struct View<'a> {
    pub(super) series: &'a Series<'a>,
    pub(super) evidence: &'a Evidence<'a>,
    pub(super) is_full: bool,
    pub(super) asks: Asks,
}

/// What a weighing is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Asks {
    /// Only what decides is worth its cost.
    Verdict,
    /// A person wants the figures of what does not count, too.
    Account,
}

impl View<'_> {
    /// Number of the newest quarter hour since the Unix epoch.
    pub(super) fn number(&self) -> i64 {
        self.series.origin + self.series.newest()
    }

    /// How many hours ahead the end is looked for, when no more than `most` are believed.
    pub(super) fn looks_ahead(&self, most: f64) -> f64 {
        match self.asks {
            Asks::Verdict => most,
            Asks::Account => f64::INFINITY,
        }
    }

    pub(super) fn culprit(&self, from: i64, gain: f64) -> Option<Culprit> {
        let series = self.series;
        let span = (
            quarter_start(series.origin + from),
            quarter_start(self.number()),
        );
        let usual = |at: Timestamp| {
            let position = at.unix_ms().div_euclid(QUARTER_MS) - series.origin;
            !series.is_spoilt(position)
        };
        self.evidence.owners.explain(span, gain, &usual)
    }

    pub(super) fn raise(&self, candidate: Candidate) -> SlowLeak {
        let series = self.series;
        let newest = series.newest();
        let Candidate {
            climb,
            onset,
            slope,
            culprit,
            passage,
        } = candidate;
        let floor = least(part(&series.floor, newest - 3, newest)) - self.usual_here(onset, newest);
        let gained = climb.gain.max(slope * (newest - onset) as f64 / 4.0 * 0.8);
        let up = climb
            .steps
            .windows(2)
            .filter(|pair| matches!(pair, [before, after] if after > before))
            .count();
        SlowLeak {
            culprit,
            slope,
            steps: (up, climb.steps.len().saturating_sub(1), climb.block_hours),
            gain: (climb.gain, climb.length as f64 / 4.0),
            onset: onset + series.origin,
            passage,
            weighed: self.number(),
            rests: false,
            hopeless: 0,
            raised: self.number(),
            raised_slope: slope,
            base: floor - gained,
            top: floor,
        }
    }

    /// Measures slope and end anew.
    pub(super) fn update(&self, leak: &mut SlowLeak, onset: i64) {
        let series = self.series;
        let age = ((series.newest() - onset) as f64 / 4.0).max(1.0);
        let mut fallback = leak.slope.max(1e-6);
        if age < 30.0
            && let Some(short) = slope_short(series, onset).filter(|slope| *slope > 0.0)
        {
            fallback = short;
        }
        let hours = Hours::new(series);
        let mut measured = slope(&hours, age, fallback);
        if measured.value <= 0.0 {
            measured = Slope {
                value: 0.3 * fallback,
                error: 0.3 * fallback,
            };
        }
        leak.slope = measured.value;
        let outlook = Outlook::new(&hours, measured, age, hour_number(series));
        leak.rests = outlook.rests;
        let passage = passage(series, &hours, &outlook, (age, f64::INFINITY));
        if passage[1].is_finite() {
            leak.passage = passage;
            leak.weighed = self.number();
            leak.hopeless = 0;
        } else {
            leak.hopeless += 1;
        }
        leak.gain = (leak.slope * age, age);
        if (self.number() - leak.raised).rem_euclid(24) == 0 && self.is_full {
            let length = (series.newest() - onset).max(16);
            let gain = measured.value * length as f64 / 4.0;
            if let Some(culprit) = self
                .culprit(series.newest() - length, gain)
                .filter(|found| found.share >= 0.4)
            {
                leak.culprit = Some(culprit);
            }
        }
    }

    /// What the time of day of `position` usually adds to the floor, by the days before `onset`.
    pub(super) fn usual_here(&self, onset: i64, position: i64) -> f64 {
        let series = self.series;
        let mut same: Vec<f64> = Vec::with_capacity(5);
        for days in 1..21 {
            let end = position - DAY * days;
            if end < 3 || same.len() >= 5 {
                break;
            }
            if end <= onset + 8 && !series.is_spoilt(end) && !series.is_spoilt(end - 3) {
                let floor = least(part(&series.floor, end - 3, end));
                if !floor.is_nan() {
                    same.push(floor);
                }
            }
        }
        if same.is_empty() {
            return 0.0;
        }
        middle(&same) - or(middle(part(&series.floor, onset - DAY, onset)), 0.0)
    }

    /// Whether the ports were given back without a boot and without a restart of the process: then this host does
    /// such things, and they are usual.
    pub(super) fn came_back_by_itself(&self, leak: &SlowLeak) -> bool {
        let series = self.series;
        let newest = series.newest();
        let since = quarter_start(leak.onset);
        let restarts = leak.culprit.as_ref().map_or(&[][..], |culprit| {
            self.evidence.owners.restarts_of(&culprit.name)
        });
        let floor = least(part(&series.floor, newest - 3, newest))
            - self.usual_here(leak.onset - series.origin, newest);
        floor < leak.base + RESET_SHARE * (leak.top - leak.base)
            && !series.has_boot(leak.onset - series.origin, newest)
            && restarts.iter().all(|restart| restart.at < since)
    }

    /// No growth for a time that should have shown it.
    pub(super) fn has_stalled(&self, leak: &SlowLeak) -> bool {
        let series = self.series;
        let newest = series.newest();
        let onset = leak.onset - series.origin;
        let age = newest - onset;
        let block_hours = leak.steps.2;
        let is_fast = block_hours <= 1.0;
        let least_days = if block_hours <= 8.0 { 1.0 } else { 2.0 };
        let window = if is_fast {
            32
        } else {
            DAY * (0.3 * age as f64 / DAY as f64)
                .round()
                .max(least_days)
                .min(3.0) as i64
        };
        if newest - (leak.raised - series.origin) < window {
            return false;
        }
        let counted = |end: i64| 1.0 - missing(part(&series.floor, end - DAY + 1, end));
        if counted(newest) < 0.7 || counted(newest - window) < 0.7 {
            return false;
        }
        let floor_of = |end: i64, length: i64| least(part(&series.floor, end - length + 1, end));
        let (gain, span) = if is_fast && age < DAY {
            let usual = self.usual_here(onset, newest) - self.usual_here(onset, newest - window);
            (
                floor_of(newest, 8) - floor_of(newest - window, 8) - usual,
                window,
            )
        } else {
            let window = (window / DAY * DAY).max(DAY);
            (
                floor_of(newest, DAY) - floor_of(newest - window, DAY),
                window,
            )
        };
        gain < STALL_SHARE * leak.raised_slope.min(leak.slope) * span as f64 / 4.0
    }
}
