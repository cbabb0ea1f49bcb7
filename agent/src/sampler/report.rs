//! How the sampler does, and what it tells the controller about its own troubles.

use std::sync::Arc;
use std::time::Duration;

use tidemark_agent_core::InvalidInterval;
use tidemark_model::Timestamp;
use tidemark_model::duration::format_duration;
use tidemark_model::sample::EventHit;
use tidemark_proto::convert::record::{Record, encode_stored};
use tokio::time::Instant;

use crate::outbox::OutboxHandle;

/// Source of the agent's own events.
pub const EVENT_SOURCE: &str = "tidemark-agent";

/// How a sampler does.
#[derive(Clone, Debug)]
pub struct SamplerStatus {
    /// Time between samples at present.
    pub interval: Duration,
    /// Samples that were taken and kept.
    pub taken: u64,
    /// Samples that could not be taken.
    pub failed: u64,
    /// Samples whose time passed while another one was being taken or the host slept.
    pub missed: u64,
    /// Light counts that failed.
    pub light_failed: u64,
    /// When the last sample was taken.
    pub last_sample_at: Option<Timestamp>,
    /// Why the last sample was not taken or kept; `None` when it was.
    pub last_error: Option<Arc<str>>,
    /// When the collection began that is under way.
    pub collecting_since: Option<Instant>,
    /// That collection was reported as hanging.
    pub hangs_reported: bool,
}

impl SamplerStatus {
    /// The status of a sampler that has not begun.
    #[must_use]
    pub const fn new(interval: Duration) -> Self {
        Self {
            interval,
            taken: 0,
            failed: 0,
            missed: 0,
            light_failed: 0,
            last_sample_at: None,
            last_error: None,
            collecting_since: None,
            hangs_reported: false,
        }
    }
}

/// What the controller is told; the codes are events' ids and never change their meaning.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Report {
    /// 1: samples cannot be taken.
    Failing {
        /// Why.
        error: Arc<str>,
    },
    /// 2: samples are taken again.
    Recovered {
        /// How many failed.
        failed: u64,
    },
    /// 3: a collection hangs.
    Hanging {
        /// For how long already.
        since: Duration,
    },
    /// 4: the collection that hung has ended.
    HangEnded,
    /// 5: the time of samples passed unused.
    Missed {
        /// How many.
        samples: u64,
    },
    /// 6: the wall clock was set, or the host was suspended.
    ClockJumped {
        /// Forward when positive, in milliseconds.
        jump_ms: i64,
    },
    /// 7: samples have probes and no port spaces.
    ProbesOnly {
        /// Why.
        reason: Arc<str>,
    },
}

impl Report {
    const fn code(&self) -> u32 {
        match self {
            Self::Failing { .. } => 1,
            Self::Recovered { .. } => 2,
            Self::Hanging { .. } => 3,
            Self::HangEnded => 4,
            Self::Missed { .. } => 5,
            Self::ClockJumped { .. } => 6,
            Self::ProbesOnly { .. } => 7,
        }
    }

    const fn count(&self) -> u64 {
        match self {
            Self::Recovered { failed: count } | Self::Missed { samples: count } => *count,
            Self::Failing { .. }
            | Self::Hanging { .. }
            | Self::HangEnded
            | Self::ClockJumped { .. }
            | Self::ProbesOnly { .. } => 1,
        }
    }

    fn text(&self) -> String {
        match self {
            Self::Failing { error } => format!("samples cannot be taken: {error}"),
            Self::Recovered { failed } => format!("samples are taken again; {failed} failed"),
            Self::Hanging { since } => {
                format!(
                    "taking a sample has lasted {} and goes on",
                    format_duration(*since)
                )
            }
            Self::HangEnded => "the sample that took so long is there".to_owned(),
            Self::Missed { samples } => {
                format!(
                    "{samples} samples were missed: the one before took too long, or the host slept"
                )
            }
            Self::ClockJumped { jump_ms } => {
                let by = format_duration(Duration::from_millis(jump_ms.unsigned_abs()));
                let way = if *jump_ms > 0 { "forward" } else { "back" };
                format!(
                    "the host's clock jumped {way} by {by}: it was set, or the host was suspended"
                )
            }
            Self::ProbesOnly { reason } => format!("ports are probed and not counted: {reason}"),
        }
    }
}

/// Tells each trouble once: a sampler that fails every second must not fill the spool with its complaints.
#[derive(Debug)]
pub(super) struct Reporter {
    outbox: OutboxHandle,
    failures: u64,
    refused_wish_ms: u32,
}

impl Reporter {
    pub(super) const fn new(outbox: OutboxHandle) -> Self {
        Self {
            outbox,
            failures: 0,
            refused_wish_ms: 0,
        }
    }

    /// Logs it and puts it into the outbox as an event.
    pub(super) fn report(&self, now: Timestamp, report: Report) {
        append(&self.outbox, now, &report);
    }

    pub(super) fn failed(&mut self, now: Timestamp, error: &Arc<str>) {
        self.failures += 1;
        if self.failures == 1 {
            let error = Arc::clone(error);
            self.report(now, Report::Failing { error });
        }
    }

    /// How many samples failed since the last one that did not; `None` when none did.
    pub(super) fn recovered(&mut self) -> Option<u64> {
        let failures = std::mem::take(&mut self.failures);
        (failures > 0).then_some(failures)
    }

    pub(super) fn illegal_wish(&mut self, wish_ms: u32, error: &InvalidInterval) {
        if self.refused_wish_ms != wish_ms {
            self.refused_wish_ms = wish_ms;
            tracing::warn!(%error, "the controller's interval is not taken; the own one stays");
        }
    }
}

/// Logs a report and puts it into the outbox as an event.
pub(super) fn append(outbox: &OutboxHandle, now: Timestamp, report: &Report) {
    let text = report.text();
    tracing::warn!(code = report.code(), text, "sampler");
    let event = EventHit {
        at: now,
        source: EVENT_SOURCE.into(),
        code: report.code(),
        count: u32::try_from(report.count()).unwrap_or(u32::MAX).max(1),
        text: text.into(),
        log: None,
    };
    if let Err(error) = outbox.append_lasting(&encode_stored(&Record::Event(event)), now) {
        tracing::warn!(%error, "the sampler's report could not be kept");
    }
}
