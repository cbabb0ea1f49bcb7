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
/// Rounds of probes that confirm what they find; they are rarer than samples.
const PROBED_MAX: usize = 2;

/// Samples of the last half hour, and those with the newest probes.
#[derive(Debug, Default)]
pub struct Lately {
    stepped: VecDeque<Arc<Sample>>,
    probed: VecDeque<Arc<Sample>>,
}

impl Lately {
    /// Takes a host's newest sample in. One that looks well ends the story, unless the probes of the one before did not and
    /// it has none itself.
    pub fn take(&mut self, sample: &Arc<Sample>) {
        let is_open = sample.probes.is_empty() && self.probed.back().is_some_and(|s| is_suspect(s));
        if !is_suspect(sample) && !is_open {
            self.stepped.clear();
            self.probed.clear();
            return;
        }
        let newest = self.stepped.back();
        if newest.is_none_or(|kept| sample.at.ms_since(kept.at) >= STEP_MS) {
            push(&mut self.stepped, sample, SAMPLES_MAX);
        }
        if !sample.probes.is_empty() {
            push(&mut self.probed, sample, PROBED_MAX);
        }
    }

    /// Whether the host may be ill.
    #[must_use]
    pub fn is_kept(&self) -> bool {
        !self.stepped.is_empty()
    }

    /// The samples that are kept and were taken before `newest`; some may come twice.
    pub fn before(&self, newest: Timestamp) -> impl Iterator<Item = &Sample> {
        let kept = self.stepped.iter().chain(&self.probed);
        kept.map(|sample| &**sample)
            .filter(move |sample| sample.at < newest)
    }
}

fn push(samples: &mut VecDeque<Arc<Sample>>, sample: &Arc<Sample>, most: usize) {
    if samples.len() >= most {
        samples.pop_front();
    }
    samples.push_back(Arc::clone(sample));
}
