//! `fleetsim replay`: a recording of samples, sent by one agent a host at the pace in which it was received.
//!
//! The file is read twice: once to know its hosts, its length and its faults, and once to send it.

mod convert;
mod line;
mod reader;
mod repeats;
mod survey;

use std::collections::{BTreeMap, HashMap};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use serde::Serialize;
use tidemark_model::HostFacts;
use tidemark_runtime::{Clock, Lifecycle};
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep_until};
use tokio_util::sync::CancellationToken;

use super::agent::{Agent, facts};
use super::fleet::Fleet;
use super::progress::Progress;
use convert::Recording;
use line::SampleLine;
use repeats::{InOrder, Seen};
pub use survey::{MalformedLine, Survey};

/// Lines that are read ahead.
const LINES_AHEAD: usize = 1_024;
/// Records of all hosts together that may wait for their acks when as fast as possible.
const IN_FLIGHT_MAX: usize = 65_536;
/// And of one host: more than the credit that a controller gives would only wait.
const IN_FLIGHT_PER_HOST: (usize, usize) = (64, 1_024);

/// What is replayed, and how.
#[derive(Clone, Debug)]
pub struct ReplayPlan {
    /// JSON lines, plain or gzip.
    pub file: PathBuf,
    /// How fast.
    pub speed: Speed,
    /// Under which times.
    pub times: Times,
}

/// How fast a recording is sent.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Speed {
    /// As fast as acks allow.
    Max,
    /// At the recorded pace times this.
    Factor(f64),
}

/// The times that samples bear.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum Times {
    /// Moved so that the recording ends when its replay does: live views and forecasts are about the present.
    #[default]
    Shifted,
    /// As recorded: history is where it was, and live views show hosts that were last heard of then.
    Recorded,
}

/// What was read and what came of it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct ReplayReport {
    /// Lines read, malformed ones included.
    pub lines: u64,
    /// Samples handed to agents.
    pub samples: u64,
    /// Events handed to agents.
    pub events: u64,
    /// Lines left out because their host's seq had been there: a session delivers each seq once.
    pub repeated: u64,
    /// Lines left out because their host did not enrol.
    pub without_agent: u64,
    /// Lines that are no samples.
    pub malformed: u64,
    /// The first of those, and why.
    pub first_malformed: Vec<MalformedLine>,
    /// Why the file could not be read to its end; `null` when it could.
    pub broken_off: Option<String>,
}

impl std::str::FromStr for Speed {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if text == "max" {
            return Ok(Self::Max);
        }
        match text.parse::<f64>() {
            Ok(factor) if (0.001..=1e6).contains(&factor) => Ok(Self::Factor(factor)),
            Ok(_) | Err(_) => Err(
                "the speed is `max`, or how many times the recorded pace, 0.001 to 1000000"
                    .to_owned(),
            ),
        }
    }
}

impl ReplayPlan {
    /// Reads the file once, to know what is in it.
    ///
    /// # Errors
    /// When it cannot be opened, or holds not one sample.
    pub async fn survey(&self, progress: Progress) -> anyhow::Result<Survey> {
        let life = Lifecycle::new(Duration::ZERO);
        let file = self.file.clone();
        let survey = life
            .spawn_blocking(move || Survey::of(&file, progress))
            .await
            .context("reading the recording broke off")??;
        if survey.hosts.is_empty() {
            let faults: Vec<String> = survey
                .report
                .first_malformed
                .iter()
                .map(ToString::to_string)
                .collect();
            anyhow::bail!(
                "there is no sample in {}; it must hold a JSON object a line, as docs/FLEETSIM.md says ({})",
                self.file.display(),
                faults.join("; ")
            );
        }
        Ok(survey)
    }

    /// Sends the recording until its end or `stop`.
    ///
    /// # Errors
    /// When the file cannot be opened again.
    pub async fn produce(
        &self,
        fleet: &Fleet,
        survey: &Survey,
        progress: &Progress,
        stop: &CancellationToken,
    ) -> anyhow::Result<ReplayReport> {
        let mut sending = Sending::new(self, fleet, survey);
        let (lines_tx, mut lines) = mpsc::channel(LINES_AHEAD);
        let life = Lifecycle::new(Duration::ZERO);
        let file = self.file.clone();
        let reading = life.spawn_blocking(move || {
            reader::each_line(&file, |_, line| {
                line.is_none_or(|line| lines_tx.blocking_send(line).is_ok())
            })
        });
        while let Some(line) = lines.recv().await {
            tokio::select! {
                () = stop.cancelled() => break,
                () = sending.send(line) => {}
            }
            progress.reach(sending.lines);
            if sending.lines.is_multiple_of(256) {
                progress.note(fleet.meter());
            }
        }
        drop(lines);
        reading
            .await
            .context("reading the recording broke off")?
            .with_context(|| format!("cannot read {}", self.file.display()))?;
        Ok(ReplayReport {
            lines: survey.report.lines,
            malformed: survey.report.malformed,
            first_malformed: survey.report.first_malformed.clone(),
            broken_off: survey.report.broken_off.clone(),
            ..sending.report
        })
    }
}

impl Survey {
    /// The facts of every recorded host.
    #[must_use]
    pub fn facts(&self) -> Vec<HostFacts> {
        self.hosts
            .iter()
            .map(|name| facts(name, "Windows Server (replayed)", BTreeMap::new()))
            .collect()
    }
}

/// One host of the recording and its agent.
struct Replayed {
    agent: Arc<Agent>,
    order: InOrder,
    recording: Recording,
}

struct Sending {
    hosts: HashMap<String, Replayed>,
    speed: Speed,
    began: Instant,
    first_received_ms: i64,
    /// Records of one host that may wait for their acks.
    in_flight_max: usize,
    /// Well-formed lines taken so far.
    lines: u64,
    report: ReplayReport,
}

impl Sending {
    fn new(plan: &ReplayPlan, fleet: &Fleet, survey: &Survey) -> Self {
        let shift_ms = match plan.times {
            Times::Recorded => 0,
            Times::Shifted => {
                let length_ms = survey
                    .last_received_ms
                    .saturating_sub(survey.first_received_ms);
                let takes_ms = match plan.speed {
                    Speed::Max => 0,
                    Speed::Factor(factor) => scaled_ms(length_ms, factor),
                };
                let ends_ms = Clock::System.now().unix_ms().saturating_add(takes_ms);
                ends_ms.saturating_sub(survey.last_received_ms)
            }
        };
        let hosts: HashMap<_, _> = fleet
            .agents()
            .iter()
            .map(|agent| {
                let name = agent.name().to_string();
                let seqs = survey.seqs.get(&name).cloned();
                let replayed = Replayed {
                    agent: Arc::clone(agent),
                    order: InOrder::new(seqs.unwrap_or_else(Seen::new)),
                    recording: Recording::new(shift_ms),
                };
                (name, replayed)
            })
            .collect();
        let (least, most) = IN_FLIGHT_PER_HOST;
        Self {
            in_flight_max: (IN_FLIGHT_MAX / hosts.len().max(1)).clamp(least, most),
            hosts,
            speed: plan.speed,
            began: Instant::now(),
            first_received_ms: survey.first_received_ms,
            lines: 0,
            report: ReplayReport::default(),
        }
    }

    async fn send(&mut self, line: SampleLine) {
        self.lines = self.lines.saturating_add(1);
        let due = self.due(line.recv_unix_ms);
        let Some(host) = self.hosts.get_mut(&line.host) else {
            self.report.without_agent = self.report.without_agent.saturating_add(1);
            return;
        };
        match due {
            Some(due) => sleep_until(due).await,
            None => host.agent.room(self.in_flight_max).await,
        }
        let Some(ready) = host.order.take(line) else {
            self.report.repeated = self.report.repeated.saturating_add(1);
            return;
        };
        for line in ready {
            let (sample, events) = host.recording.records(line);
            self.report.samples = self.report.samples.saturating_add(1);
            host.agent.produce(&sample);
            for event in events {
                self.report.events = self.report.events.saturating_add(1);
                host.agent.produce(&event);
            }
        }
    }

    /// When a line is to be sent; `None` for as soon as there is room.
    fn due(&self, received_ms: i64) -> Option<Instant> {
        let Speed::Factor(factor) = self.speed else {
            return None;
        };
        let since_ms = received_ms.saturating_sub(self.first_received_ms);
        let after = Duration::from_millis(u64::try_from(scaled_ms(since_ms, factor)).unwrap_or(0));
        Some(self.began + after)
    }
}

/// Milliseconds of a recording at `factor` times its pace.
#[expect(
    clippy::cast_possible_truncation,
    reason = "a float becomes the nearest integer that there is"
)]
fn scaled_ms(ms: i64, factor: f64) -> i64 {
    (ms as f64 / factor).round() as i64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_speed_is_max_or_a_factor() {
        assert_eq!("max".parse(), Ok(Speed::Max));
        assert_eq!("60".parse(), Ok(Speed::Factor(60.0)));
        for text in ["", "0", "-1", "nan", "inf", "fast", "1e9"] {
            assert!(text.parse::<Speed>().is_err(), "{text}");
        }
    }
}
