//! The last half hour of a host that may be ill: some samples of it for the diagnosis. A host that looks well has none, so
//! that a fleet of them costs nothing.

use std::collections::VecDeque;
use std::sync::Arc;

use tidemark_diagnose::is_suspect;
use tidemark_model::{Sample, Timestamp};

/// Time between two of them, in milliseconds: rules ask for half an hour, not for every sample.
const STEP_MS: i64 = 60_000;
/// Half an hour, both ends included.
const SAMPLES_MAX: usize = 31;

/// Samples of the last half hour, oldest first, and the newest.
#[derive(Debug, Default)]
pub struct Lately {
    samples: VecDeque<Arc<Sample>>,
}

impl Lately {
    /// Takes a host's newest sample in. One that looks well ends the story.
    pub fn take(&mut self, sample: &Arc<Sample>) {
        if !is_suspect(sample) {
            self.samples.clear();
            return;
        }
        let is_due = self
            .samples
            .back()
            .is_none_or(|kept| sample.at.ms_since(kept.at) >= STEP_MS);
        if is_due {
            self.samples.push_back(Arc::clone(sample));
        }
        while self.samples.len() > SAMPLES_MAX {
            self.samples.pop_front();
        }
    }

    /// Whether the host may be ill.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.samples.is_empty()
    }

    /// The samples that are kept, which were taken before `newest`.
    pub fn before(&self, newest: Timestamp) -> impl Iterator<Item = &Sample> {
        self.samples
            .iter()
            .map(|sample| &**sample)
            .filter(move |sample| sample.at < newest)
    }
}
