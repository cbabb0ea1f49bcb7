//! The detection benchmark's lines in, its verdict lines out: a fleet of hosts replayed in lock step.
//!
//! Shapes and bookkeeping only; the caller reads and writes the lines.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use tidemark_model::forecast::{Eta, Forecast};
use tidemark_model::{PortSpaceKey, Protocol, Timestamp};

use crate::clock::HostClock;
use crate::host::HostDetector;
use crate::observation::{DetectorSettings, Observation, OwnerReading};

/// Event ids that say that a port was refused: 4231 (TCP) and 4266 (UDP).
const EXHAUSTION_EVENTS: [u64; 2] = [4231, 4266];
/// A date is told again when it moved by more than this share of the time left.
const MOVED_SHARE: f64 = 0.01;
/// Where no upper bound is known, the benchmark is told this many times the median.
const OPEN_END: f64 = 2.5;

/// One sample of the benchmark.
#[derive(Debug, Deserialize)]
pub struct SampleLine<'a> {
    /// Host name.
    #[serde(borrow)]
    pub host: &'a str,
    /// When it was taken, by the host's clock.
    pub ts_unix_ms: i64,
    /// When the controller received it.
    pub recv_unix_ms: i64,
    /// When the host booted, by the host's clock.
    pub boot_unix_ms: i64,
    /// Ports in use.
    pub in_use: u32,
    /// Ports that can be handed out.
    pub capacity: u32,
    /// Ports of TIME_WAIT.
    pub time_wait: u32,
    /// Ports of bound sockets.
    pub bound: Option<u32>,
    /// The largest holders.
    #[serde(borrow)]
    pub procs: Vec<ProcessLine<'a>>,
    /// What the host's log said.
    #[serde(borrow)]
    pub events: Vec<EventLine<'a>>,
}

/// One process of a sample.
#[derive(Debug, Deserialize)]
pub struct ProcessLine<'a> {
    /// Image name.
    #[serde(borrow)]
    pub name: std::borrow::Cow<'a, str>,
    /// Process id.
    pub pid: i64,
    /// Ports that it holds.
    pub ports: u32,
    /// Its open handles.
    pub handles: Option<u32>,
}

/// One event of a sample.
#[derive(Debug, Deserialize)]
pub struct EventLine<'a> {
    /// An event id, or `deploy`.
    #[serde(borrow)]
    pub id: EventId<'a>,
    /// How many times it was seen.
    pub n: Option<u32>,
}

/// An event id of the benchmark.
#[derive(Debug, Deserialize)]
#[serde(untagged)]
pub enum EventId<'a> {
    /// Of the System log.
    Number(u64),
    /// Of the replay itself.
    #[serde(borrow)]
    Name(&'a str),
}

/// What is held of a host from now on.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct VerdictLine {
    /// Host name.
    pub host: String,
    /// Whether it will run out of ports.
    pub alert: bool,
    /// When (median).
    pub eta_unix_ms: Option<i64>,
    /// Start of the 80 % interval.
    pub eta_lo: Option<i64>,
    /// End of the 80 % interval.
    pub eta_hi: Option<i64>,
    /// Process or remote endpoint.
    pub culprit: Option<String>,
    /// Why, in one sentence.
    pub text: String,
}

struct Replayed {
    detector: HostDetector,
    clock: HostClock,
    told: Option<VerdictLine>,
}

/// A fleet under replay.
#[derive(Default)]
pub struct Backtest {
    hosts: BTreeMap<String, Replayed>,
}

impl Backtest {
    /// Takes one sample, in the order of receipt.
    pub fn sample(&mut self, line: &SampleLine<'_>) {
        if !self.hosts.contains_key(line.host) {
            let replayed = Replayed {
                detector: HostDetector::new(DetectorSettings::windows()),
                clock: HostClock::default(),
                told: None,
            };
            self.hosts.insert(line.host.to_owned(), replayed);
        }
        if let Some(replayed) = self.hosts.get_mut(line.host) {
            replayed.take(line);
        }
    }

    /// The verdicts that changed since the tick before.
    pub fn tick(&mut self, now: Timestamp) -> Vec<VerdictLine> {
        self.hosts
            .iter_mut()
            .filter_map(|(host, replayed)| replayed.change(host, now))
            .collect()
    }

    /// The largest state of a host, in bytes.
    #[must_use]
    pub fn state_bytes_max(&self) -> usize {
        self.hosts
            .values()
            .map(|replayed| replayed.detector.state_bytes() + replayed.clock.heap_bytes())
            .max()
            .unwrap_or(0)
    }
}

impl Replayed {
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
                incarnation: process.pid,
                ports: process.ports,
                handles: process.handles,
            })
            .collect();
        let mut refused = 0u32;
        for event in &line.events {
            match event.id {
                EventId::Number(id) if EXHAUSTION_EVENTS.contains(&id) => {
                    refused = refused.saturating_add(event.n.unwrap_or(1));
                }
                EventId::Name("deploy") => self.detector.note_deploy(received),
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

    fn change(&mut self, host: &str, now: Timestamp) -> Option<VerdictLine> {
        let (_, forecast) = self.detector.forecasts(now).next()?;
        let line = verdict(host, now, &forecast);
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

fn verdict(host: &str, now: Timestamp, forecast: &Forecast) -> VerdictLine {
    let Forecast {
        eta,
        culprit,
        explanation,
        ..
    } = forecast;
    let open_end = |eta: &Eta| {
        let ahead = eta.at.ms_since(now) as f64 * OPEN_END;
        now.unix_ms().saturating_add(ahead as i64)
    };
    VerdictLine {
        host: host.to_owned(),
        alert: eta.is_some(),
        eta_unix_ms: eta.map(|eta| eta.at.unix_ms()),
        eta_lo: eta.map(|eta| eta.earliest.unix_ms()),
        eta_hi: eta.map(|eta| {
            eta.latest
                .map_or_else(|| open_end(&eta), Timestamp::unix_ms)
        }),
        culprit: culprit.as_deref().map(str::to_owned),
        text: explanation.clone(),
    }
}
