//! One port space: takes readings, weighs them at every scale, and says when its ports run out and why.
//!
//! Pure: the caller brings the time. Knows no host, no store and no wire.

use std::sync::Arc;
use std::time::Duration;

use tidemark_model::Sample;
use tidemark_model::Timestamp;
use tidemark_model::forecast::{Eta, Forecast, Road};
use tidemark_model::sample::PortSpaceSample;

use crate::causes::LeakSeen;
use crate::churn::Churn;
use crate::days::{Evidence, Standing};
use crate::explain;
use crate::leak::Leak;
use crate::memory::Memory;
use crate::observation::{DetectorSettings, Observation, Rollup, SampleReadings};
use crate::owners::Owners;
use crate::saturation::Saturation;
use crate::wording::{clock_time, count};

/// The newest reading.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Latest {
    pub at: Timestamp,
    pub capacity: u32,
    pub in_use: u32,
    pub strong: u32,
}

/// Watches one port space.
///
/// Readings may be repeated, late and disordered. The memory of extremes does not depend on their order as long as
/// they reach into it (4 minutes at the finest scale, ten days at the coarsest). Verdicts are weighed when a reading
/// newer than all before it arrives, with what is known by then: a late reading changes the next verdict, not past ones.
#[derive(Clone, Debug)]
pub struct SpaceDetector {
    settings: DetectorSettings,
    latest: Option<Latest>,
    memory: Memory,
    owners: Owners,
    leak: Leak,
    churn: Churn,
    saturation: Saturation,
    days: Standing,
}

impl SpaceDetector {
    /// A detector that knows nothing yet.
    #[must_use]
    pub fn new(settings: DetectorSettings) -> Self {
        Self {
            settings,
            latest: None,
            memory: Memory::new(),
            owners: Owners::new(settings.owners_max),
            leak: Leak::new(),
            churn: Churn::new(settings.lifetime_ms(), settings.destinations_max),
            saturation: Saturation::default(),
            days: Standing::default(),
        }
    }

    /// What it was made with.
    #[must_use]
    pub const fn settings(&self) -> &DetectorSettings {
        &self.settings
    }

    /// Takes one port space of a sample, read at `at` on the controller's clock.
    pub fn observe_sample(
        &mut self,
        at: Timestamp,
        sample: &Sample,
        space: &PortSpaceSample,
        exhaustion_events: u32,
    ) {
        let readings = SampleReadings::new(sample, space);
        self.observe(&readings.observation(at, exhaustion_events));
    }

    /// Takes a reading.
    pub fn observe(&mut self, observation: &Observation<'_>) {
        self.memory.take(observation);
        self.churn.take(observation);
        self.owners.take(
            observation.at,
            observation.owners,
            observation.unlisted_ports_max,
        );
        let latest = Latest {
            at: observation.at,
            capacity: observation.capacity,
            in_use: observation.in_use,
            strong: observation.strong,
        };
        if self.is_newer(observation.at) {
            self.churn.take_destinations(observation.destinations);
            self.weigh(latest, observation.exhaustion_events);
            self.weigh_churn(latest);
        }
        self.settle_owners();
    }

    /// Something was deployed to the host at `at`: a step is to be expected, and a rise waits to be believed.
    pub fn note_deploy(&mut self, at: Timestamp) {
        self.days.deploy(at);
    }

    /// Takes a stretch of stored history, in time order, before live readings.
    pub fn observe_rollup(&mut self, rollup: &Rollup<'_>) {
        self.memory.take_rollup(rollup);
        self.owners
            .take(rollup.from, rollup.owners, rollup.unlisted_ports_max);
        let end = rollup.to.saturating_sub(Duration::from_millis(1));
        let latest = Latest {
            at: end.max(rollup.from),
            capacity: rollup.capacity,
            in_use: rollup.in_use.last,
            strong: rollup.strong.last,
        };
        if self.is_newer(latest.at) {
            self.weigh(latest, rollup.exhaustion_events);
        }
        self.settle_owners();
    }

    fn is_newer(&self, at: Timestamp) -> bool {
        self.latest.is_none_or(|latest| at > latest.at)
    }

    fn weigh(&mut self, latest: Latest, refused: u32) {
        let before = self.latest.replace(latest);
        let has_rebooted = before.is_some_and(|before| {
            self.memory
                .booted_before(latest.at)
                .is_some_and(|boot| boot > before.at)
        });
        if has_rebooted {
            if let Some(began) = self.saturation.began() {
                self.memory.spoil_climb(began, latest.at, latest.strong);
            }
            self.saturation.clear();
            self.churn.restart();
        }
        if latest.capacity == 0 {
            return;
        }
        let relieved = self
            .saturation
            .check(latest.at, latest.in_use, latest.capacity, refused);
        if let Some(began) = relieved {
            self.memory.spoil_climb(began, latest.at, latest.strong);
        }
        let capacity = f64::from(latest.capacity);
        self.leak
            .check(&mut self.memory, &mut self.owners, latest.at, capacity);
        if let Some(due) = self.days.due(&self.memory, latest.at, capacity) {
            self.owners.settle();
            let evidence = Evidence {
                owners: &self.owners,
                capacity,
                is_saturated: self.saturation.began().is_some(),
            };
            self.days.weigh(&mut self.memory, due, &evidence);
        }
    }

    /// Whoever is told of a rise of minutes is told whose it is, by the newest readings.
    fn settle_owners(&mut self) {
        if self.leak.raised().is_some() {
            self.owners.settle();
        }
    }

    fn weigh_churn(&mut self, latest: Latest) {
        let time_wait = latest.in_use.saturating_sub(latest.strong);
        if latest.capacity > 0 {
            self.churn.check(
                latest.at,
                f64::from(latest.strong),
                f64::from(time_wait),
                f64::from(latest.capacity),
            );
        }
    }

    /// Whether nothing says that its ports run out: then a forecast has no date.
    #[must_use]
    pub fn is_calm(&self) -> bool {
        self.saturation.began().is_none()
            && self.leak.raised().is_none()
            && self.days.raised().is_none()
            && self.days.growing().is_none()
            && self.churn.raised().is_none()
    }

    /// What is known at `now` on the controller's clock.
    #[must_use]
    pub fn forecast(&self, now: Timestamp) -> Forecast {
        let Some(latest) = self.latest else {
            return Forecast::unknown("no sample has arrived yet".to_owned());
        };
        if latest.capacity == 0 {
            return Forecast::unknown("the size of the dynamic port range is unknown".to_owned());
        }
        let now = now.max(latest.at);
        let mut candidates = [
            self.churn_forecast(&latest, now),
            self.leak_forecast(&latest, now),
            self.slow_leak_forecast(&latest, now),
            self.growth_forecast(&latest, now),
        ];
        candidates.sort_by_key(|candidate| {
            candidate
                .as_ref()
                .and_then(|forecast| forecast.eta)
                .map_or(i64::MAX, |eta| eta.at.unix_ms())
        });
        let [soonest, ..] = candidates;
        if self.saturation.began().is_some() {
            return self.saturated(&latest, now, soonest);
        }
        soonest.unwrap_or_else(|| self.calm(&latest))
    }

    fn calm(&self, latest: &Latest) -> Forecast {
        let trend = self.memory.floor_trend();
        Forecast {
            level: Some(level(latest)),
            floor_ports_per_hour: trend.map(|trend| trend.ports_per_hour),
            eta: None,
            road: None,
            culprit: None,
            explanation: explain::calm(latest, trend.as_ref()),
        }
    }

    fn saturated(&self, latest: &Latest, now: Timestamp, cause: Option<Forecast>) -> Forecast {
        let largest = self.owners.largest();
        let began = self.saturation.began().unwrap_or(now);
        let explanation = explain::saturated(
            latest,
            now.ms_since(began),
            self.saturation.refused(),
            largest.as_ref(),
        );
        let cause = cause.unwrap_or_else(|| self.calm(latest));
        Forecast {
            eta: Some(Eta {
                at: now,
                earliest: now,
                latest: Some(now),
            }),
            road: Some(Road::Saturated),
            culprit: cause.culprit.or_else(|| largest.map(|(name, _)| name)),
            explanation,
            ..cause
        }
    }

    fn leak_forecast(&self, latest: &Latest, now: Timestamp) -> Option<Forecast> {
        let raised = self.leak.raised()?;
        let rise = raised.rise;
        let capacity = f64::from(latest.capacity);
        let remaining = raised.remaining_ms(now.unix_ms() as f64, capacity);
        let from = Timestamp::from_unix_ms(rise.from as i64);
        let usual = |at| !self.memory.is_spoilt(at);
        let culprit = self.owners.explain((from, latest.at), rise.gain(), &usual);
        Some(Forecast {
            level: Some(level(latest)),
            floor_ports_per_hour: Some(rise.slope * 3_600_000.0),
            eta: Some(eta(now, remaining)),
            road: Some(Road::Leak),
            culprit: culprit.as_ref().map(|culprit| Arc::clone(&culprit.name)),
            explanation: explain::leak(&rise, culprit.as_ref(), latest.capacity, remaining[1]),
        })
    }

    fn slow_leak_forecast(&self, latest: &Latest, now: Timestamp) -> Option<Forecast> {
        let leak = self.days.raised()?;
        let remaining = leak.remaining_ms(now);
        Some(Forecast {
            level: Some(level(latest)),
            floor_ports_per_hour: Some(leak.slope),
            eta: remaining[1].is_finite().then(|| eta(now, remaining)),
            road: Some(Road::Leak),
            culprit: leak.culprit_name(),
            explanation: explain::slow_leak(leak, latest, remaining[1]),
        })
    }

    fn growth_forecast(&self, latest: &Latest, now: Timestamp) -> Option<Forecast> {
        let growth = self
            .days
            .growing()
            .filter(|_| self.days.raised().is_none())?;
        let remaining = growth.remaining_ms(now);
        let road = if growth.is_storm {
            Road::Churn
        } else {
            Road::Load
        };
        Some(Forecast {
            level: Some(level(latest)),
            floor_ports_per_hour: self.memory.floor_trend().map(|trend| trend.ports_per_hour),
            eta: Some(eta(now, remaining)),
            road: Some(road),
            culprit: growth.culprit.clone(),
            explanation: explain::growth(growth, latest, remaining[1]),
        })
    }

    fn churn_forecast(&self, latest: &Latest, now: Timestamp) -> Option<Forecast> {
        let growth = self.churn.raised()?;
        let in_use = f64::from(latest.in_use);
        let room =
            f64::from(latest.capacity) - in_use - growth.slope * now.ms_since(latest.at) as f64;
        let time_wait = f64::from(latest.in_use.saturating_sub(latest.strong));
        let spread = 1.28 * (growth.relative_error.powi(2) + 0.01).sqrt().min(0.5);
        let remaining = [1.0 + spread, 1.0, 1.0 - spread]
            .map(|factor| (room.max(0.0)) / (growth.slope * factor));
        let destination = self.churn.busiest(time_wait);
        let lifetime = self.churn.lifetime_ms();
        Some(Forecast {
            level: Some(level(latest)),
            floor_ports_per_hour: self.memory.floor_trend().map(|trend| trend.ports_per_hour),
            eta: Some(eta(now, remaining)),
            road: Some(Road::Churn),
            culprit: destination.map(|destination| Arc::from(destination.remote.to_string())),
            explanation: explain::churn(
                growth,
                destination.as_ref(),
                latest,
                (lifetime, remaining[1]),
            ),
        })
    }

    /// The leak that was raised, of minutes or of days, with its process; `None` without a process to name.
    #[must_use]
    pub fn leak_seen(&self) -> Option<LeakSeen> {
        if let Some(leak) = self.days.raised() {
            return Some(LeakSeen {
                culprit: leak.culprit_name()?,
                since: leak.since(),
            });
        }
        let rise = self.leak.raised()?.rise;
        let from = Timestamp::from_unix_ms(rise.from as i64);
        let usual = |at| !self.memory.is_spoilt(at);
        let span = (from, self.latest?.at);
        let culprit = self.owners.explain(span, rise.gain(), &usual)?;
        Some(LeakSeen {
            culprit: culprit.name,
            since: from,
        })
    }

    /// The processes whose ports are remembered.
    pub fn processes(&self) -> impl Iterator<Item = &Arc<str>> {
        self.owners.names()
    }

    /// Why there is a forecast at `now` or none, step by step, with the figures that decide.
    #[must_use]
    pub fn account(&self, now: Timestamp) -> Vec<String> {
        let forecast = self.forecast(now);
        let mut lines = vec![match (forecast.road, forecast.eta) {
            (Some(road), Some(eta)) => format!(
                "reported ({}): ports run out {} (80 %: {} to {}): {}",
                road.as_str(),
                clock_time(eta.at),
                clock_time(eta.earliest),
                eta.latest.map_or_else(|| "open".to_owned(), clock_time),
                forecast.explanation
            ),
            _ => format!("not reported: {}", forecast.explanation),
        }];
        let Some(latest) = self.latest else {
            return lines;
        };
        lines.push(format!(
            "newest reading {}: {} in use of {}, {} of them TIME_WAIT",
            clock_time(latest.at),
            count(f64::from(latest.in_use)),
            count(f64::from(latest.capacity)),
            count(f64::from(latest.in_use.saturating_sub(latest.strong)))
        ));
        lines.push(match self.saturation.began() {
            Some(began) => format!("full since {}", clock_time(began)),
            None => "not full: below 98.5 % of capacity, and no port was refused".to_owned(),
        });
        lines.push(match self.leak.raised() {
            Some(_) => "the floor over minutes: a leak stands".to_owned(),
            None => "the floor over 30 s to 4 h: no leak stands".to_owned(),
        });
        lines.push(match self.churn.raised() {
            Some(_) => "churn: TIME_WAIT grows towards a plateau above capacity".to_owned(),
            None => "churn: TIME_WAIT does not grow towards a plateau above capacity".to_owned(),
        });
        let mut owners = self.owners.clone();
        owners.settle();
        let evidence = Evidence {
            owners: &owners,
            capacity: f64::from(latest.capacity),
            is_saturated: self.saturation.began().is_some(),
        };
        lines.extend(self.days.account(&self.memory, latest.at, &evidence));
        lines.push(match self.days.growing() {
            Some(growth) => format!(
                "load: the daily peak grew from {} to {} ports within {} days",
                count(growth.peaks.0),
                count(growth.peaks.1),
                growth.days
            ),
            None => "load: no steady growth of the daily peak that ends at capacity".to_owned(),
        });
        lines
    }

    /// Readings that came too late for any scale; they changed nothing.
    #[must_use]
    pub const fn readings_too_late(&self) -> u64 {
        self.memory.too_late
    }

    /// Bytes held, on the heap and in place.
    #[must_use]
    pub fn state_bytes(&self) -> usize {
        size_of::<Self>()
            + self.memory.heap_bytes()
            + self.owners.heap_bytes()
            + self.churn.heap_bytes()
            + self.days.heap_bytes()
    }
}

fn level(latest: &Latest) -> f64 {
    f64::from(latest.in_use) / f64::from(latest.capacity.max(1))
}

/// The longest time ahead that is given as a date: a hundred years.
const FAR_MS: f64 = 100.0 * 365.25 * 86_400_000.0;

fn eta(now: Timestamp, [soonest, middle, latest]: [f64; 3]) -> Eta {
    let after = |milliseconds: f64| {
        let ahead = milliseconds.clamp(0.0, FAR_MS) as i64;
        Timestamp::from_unix_ms(now.unix_ms().saturating_add(ahead))
    };
    Eta {
        at: after(middle),
        earliest: after(soonest.min(middle)),
        latest: (latest < FAR_MS).then(|| after(latest.max(middle))),
    }
}
