//! The detection benchmark's lines in, its verdict lines out: a fleet of hosts replayed in lock step.
//!
//! Bookkeeping only; the caller reads and writes the lines.

mod causes;
mod lines;

use std::collections::HashMap;

use tidemark_model::forecast::{Eta, Forecast};
use tidemark_model::{PortSpaceKey, Protocol, Timestamp};

use crate::causes::{AttributeChange, LeakSeen};
use crate::clock::HostClock;
use crate::host::HostDetector;
use crate::observation::{DetectorSettings, Observation, OwnerReading, Rollup};

pub use causes::CauseWatch;
pub use lines::{
    EventId, EventLine, FieldProblem, GroupLine, InventoryLine, ProcessLine, SampleLine, Told,
    VerdictLine,
};

/// Event ids that say that a port was refused: 4231 (TCP) and 4266 (UDP).
const EXHAUSTION_EVENTS: [u64; 2] = [4231, 4266];
/// A date is told again when it moved by more than this share of the time left.
const MOVED_SHARE: f64 = 0.01;
/// Where no upper bound is known, the benchmark is told this many times the median.
const OPEN_END: f64 = 2.5;
/// Common causes are looked for at whole hours of the controller's clock.
const SWEEP_EVERY_MS: i64 = 3_600_000;

struct Replayed {
    host: String,
    detector: HostDetector,
    clock: HostClock,
    told: Option<VerdictLine>,
}

/// A fleet under replay.
#[derive(Default)]
pub struct Backtest {
    /// In the order of their first samples.
    hosts: Vec<Replayed>,
    /// Positions of the hosts by name.
    positions: HashMap<String, usize>,
    causes: CauseWatch,
}

impl Backtest {
    /// Hosts that are replayed.
    #[must_use]
    pub fn hosts(&self) -> usize {
        self.hosts.len()
    }

    /// Takes what is known of a host beside its samples.
    pub fn inventory(&mut self, line: InventoryLine) {
        self.causes.attributes(line.host, line.attrs);
    }

    /// Takes one sample, in the order of receipt.
    pub fn sample(&mut self, line: &SampleLine<'_>) {
        self.note_deploys(line);
        if let Some(replayed) = self.replayed(&line.host, DetectorSettings::windows()) {
            replayed.take(line);
        }
    }

    /// The host of that name, which is made with `settings` when it is new.
    fn replayed(&mut self, host: &str, settings: DetectorSettings) -> Option<&mut Replayed> {
        let position = self.positions.get(host).copied().unwrap_or_else(|| {
            self.hosts.push(Replayed::new(host, settings));
            self.positions.insert(host.to_owned(), self.hosts.len() - 1);
            self.hosts.len() - 1
        });
        self.hosts.get_mut(position)
    }

    fn known(&self, host: &str) -> Option<&Replayed> {
        self.hosts.get(*self.positions.get(host)?)
    }

    /// Takes a stretch of stored history of one port space of a host, in time order.
    pub fn rollup(
        &mut self,
        host: &str,
        key: &PortSpaceKey,
        told: (DetectorSettings, &Rollup<'_>),
    ) {
        let (settings, rollup) = told;
        if let Some(replayed) = self.replayed(host, settings) {
            replayed.detector.observe_rollup(key, rollup);
        }
    }

    /// Notes the deploys of a sample.
    fn note_deploys(&mut self, line: &SampleLine<'_>) {
        for event in &line.events {
            let (EventId::Name(id), Some(service), Some(version)) =
                (&event.id, &event.svc, &event.ver)
            else {
                continue;
            };
            if id == "deploy" {
                let change = AttributeChange {
                    at: Timestamp::from_unix_ms(line.recv_unix_ms),
                    attribute: format!("svc:{service}"),
                    value: version.to_string(),
                };
                self.causes.change(&line.host, change);
            }
        }
    }

    /// What changed since the tick before: verdicts and, at whole hours, common causes.
    pub fn tick(&mut self, now: Timestamp) -> Vec<Told> {
        let mut told: Vec<Told> = self
            .hosts
            .iter_mut()
            .filter_map(|replayed| replayed.change(now))
            .map(Told::Verdict)
            .collect();
        if now.unix_ms().rem_euclid(SWEEP_EVERY_MS) == 0 {
            told.extend(self.sweep(now).into_iter().map(Told::Group));
        }
        told
    }

    fn sweep(&mut self, now: Timestamp) -> Vec<GroupLine> {
        let leaks = self
            .hosts
            .iter()
            .filter_map(|replayed| Some((&replayed.host, replayed.leak()?)));
        for (host, leak) in leaks {
            self.causes.note(host, now, leak);
        }
        let hosts = self
            .hosts
            .iter()
            .map(|replayed| (replayed.host.as_str(), replayed.processes()));
        self.causes.sweep(now, hosts)
    }

    /// The leak of a host at this moment.
    #[must_use]
    pub fn leak_of(&self, host: &str) -> Option<LeakSeen> {
        self.known(host)?.leak()
    }

    /// The processes of a host whose ports are remembered.
    #[must_use]
    pub fn processes_of(&self, host: &str) -> Vec<String> {
        let processes = self.known(host).map(Replayed::processes);
        let names = processes.into_iter().flatten();
        names.map(str::to_owned).collect()
    }

    /// Why a host is reported or not at `now`, step by step; `None` for a host without samples.
    #[must_use]
    pub fn account(&self, host: &str, now: Timestamp) -> Option<Vec<String>> {
        let replayed = self.known(host)?;
        let mut text = Vec::new();
        for (key, space) in replayed.detector.spaces() {
            text.push(format!("{key}:"));
            text.extend(
                space
                    .account(now)
                    .into_iter()
                    .map(|line| format!("  {line}")),
            );
        }
        Some(text)
    }

    /// The largest state of a host, in bytes.
    #[must_use]
    pub fn state_bytes_max(&self) -> usize {
        self.hosts
            .iter()
            .map(|replayed| replayed.detector.state_bytes() + replayed.clock.heap_bytes())
            .max()
            .unwrap_or(0)
    }
}

impl Replayed {
    fn new(host: &str, settings: DetectorSettings) -> Self {
        Self {
            host: host.to_owned(),
            detector: HostDetector::new(settings),
            clock: HostClock::default(),
            told: None,
        }
    }

    fn take(&mut self, line: &SampleLine<'_>) {
        let sampled = Timestamp::from_unix_ms(line.ts_unix_ms);
        let received = Timestamp::from_unix_ms(line.recv_unix_ms);
        let at = self.clock.controller_time(sampled, received);
        let uptime = line.ts_unix_ms.saturating_sub(line.boot_unix_ms);
        let owners: Vec<OwnerReading<'_>> = line
            .procs
            .iter()
            .map(|process| OwnerReading {
                name: &process.name,
                incarnation: Some(process.pid),
                ports: process.ports,
                handles: process.handles,
            })
            .collect();
        let mut refused = 0u32;
        for event in &line.events {
            match &event.id {
                EventId::Number(id) if EXHAUSTION_EVENTS.contains(id) => {
                    refused = refused.saturating_add(event.n.unwrap_or(1));
                }
                EventId::Name(name) if name == "deploy" => self.detector.note_deploy(received),
                EventId::Number(_) | EventId::Name(_) => {}
            }
        }
        let observation = Observation {
            at,
            booted_at: Timestamp::from_unix_ms(at.unix_ms().saturating_sub(uptime)),
            capacity: line.capacity,
            in_use: line.in_use,
            strong: line.in_use.saturating_sub(line.time_wait),
            bound: line.bound,
            peak: None,
            opens_milli_per_s: None,
            exhaustion_events: refused,
            unlisted_ports_max: owners.iter().map(|owner| owner.ports).min().unwrap_or(0),
            owners: &owners,
            destinations: &[],
        };
        self.detector
            .observe(&PortSpaceKey::own(Protocol::Tcp), &observation);
    }

    fn leak(&self) -> Option<LeakSeen> {
        self.detector
            .spaces()
            .find_map(|(_, space)| space.leak_seen())
    }

    fn processes(&self) -> Vec<&str> {
        self.detector
            .spaces()
            .flat_map(|(_, space)| space.processes())
            .map(|name| &**name)
            .collect()
    }

    fn change(&mut self, now: Timestamp) -> Option<VerdictLine> {
        // Most hosts are calm at most ticks, and the words for that are told to nobody.
        let was_calm = self.told.as_ref().is_none_or(|told| !told.alert);
        if was_calm && self.detector.spaces().all(|(_, space)| space.is_calm()) {
            return None;
        }
        let forecast = soonest(&self.detector, now)?;
        let line = verdict(&self.host, now, &forecast);
        let is_new = match &self.told {
            None => line.alert,
            Some(told) => {
                let moved =
                    told.eta_unix_ms
                        .zip(line.eta_unix_ms)
                        .is_some_and(|(before, after)| {
                            let left = after.saturating_sub(now.unix_ms()) as f64;
                            before.abs_diff(after) as f64 > MOVED_SHARE * left.max(3_600_000.0)
                        });
                told.alert != line.alert || moved
            }
        };
        is_new.then(|| {
            self.told = Some(line.clone());
            line
        })
    }
}

/// The forecast of the port space that runs out first.
fn soonest(detector: &HostDetector, now: Timestamp) -> Option<Forecast> {
    detector
        .forecasts(now)
        .map(|(_, forecast)| forecast)
        .min_by_key(|forecast| forecast.eta.map_or(i64::MAX, |eta| eta.at.unix_ms()))
}

fn verdict(host: &str, now: Timestamp, forecast: &Forecast) -> VerdictLine {
    let Forecast {
        eta,
        culprit,
        explanation,
        road,
        ..
    } = forecast;
    let open_end = |eta: &Eta| {
        let ahead = eta.at.ms_since(now) as f64 * OPEN_END;
        now.unix_ms().saturating_add(ahead as i64)
    };
    VerdictLine {
        host: host.to_owned(),
        ts_unix_ms: now.unix_ms(),
        alert: eta.is_some(),
        eta_unix_ms: eta.map(|eta| eta.at.unix_ms()),
        eta_lo: eta.map(|eta| eta.earliest.unix_ms()),
        eta_hi: eta.map(|eta| {
            eta.latest
                .map_or_else(|| open_end(&eta), Timestamp::unix_ms)
        }),
        culprit: culprit.as_deref().map(str::to_owned),
        road: road.map(tidemark_model::forecast::Road::as_str),
        text: explanation.clone(),
    }
}
