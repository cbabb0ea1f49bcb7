//! What this host saw by itself, handed from the threads that sample and read the log to the desk.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tidemark_agent_core::actions::grants::Evidence;
use tidemark_model::sample::EventHit;
use tidemark_model::{Sample, Timestamp};
use tokio::time::Instant;

use crate::sampler::SampleSource;

/// What was seen since the agent started; shared by its clones.
#[derive(Clone, Debug)]
pub struct Witness {
    evidence: Arc<Mutex<Evidence>>,
    started: Instant,
}

impl Default for Witness {
    fn default() -> Self {
        Self {
            evidence: Arc::default(),
            started: Instant::now(),
        }
    }
}

impl Witness {
    /// Since the start.
    pub(super) fn running(&self) -> Duration {
        self.started.elapsed()
    }

    /// What was seen.
    pub(crate) fn seen(&self) -> MutexGuard<'_, Evidence> {
        // Every change leaves it legal at each step, so a panic in one does not spoil it.
        self.evidence.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Notes an event of the host's log, read at `now`.
    pub fn event(&self, hit: &EventHit, now: Timestamp) {
        let read = (now, self.running());
        self.seen().event(&hit.source, hit.code, hit.at, read);
    }

    /// Notes a sample.
    pub fn sample(&self, sample: &Sample) {
        let running = self.running();
        self.seen().sample(sample, running);
    }
}

/// A source whose samples are witnessed as they pass.
#[derive(Debug)]
pub struct Witnessed<S> {
    source: S,
    witness: Witness,
}

impl<S> Witnessed<S> {
    /// Witnesses what `source` samples.
    #[must_use]
    pub const fn new(source: S, witness: Witness) -> Self {
        Self { source, witness }
    }
}

impl<S: SampleSource> SampleSource for Witnessed<S> {
    type Error = S::Error;

    fn sample(&mut self, now: Timestamp) -> Result<Sample, S::Error> {
        let sample = self.source.sample(now)?;
        self.witness.sample(&sample);
        Ok(sample)
    }

    fn light_count(&mut self, now: Timestamp) -> Result<(), S::Error> {
        self.source.light_count(now)
    }

    fn light_interval(&self) -> Duration {
        self.source.light_interval()
    }

    fn hindrance(&self) -> Option<Arc<str>> {
        self.source.hindrance()
    }
}
