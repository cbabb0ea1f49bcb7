//! Diagnosis: what a host's samples, events and facts say is wrong, why, and what to do about it.
//!
//! Pure and deterministic; the agent's `doctor` and the controller run the same rules. Knows no IO, no clock and no wire.

mod case;
mod events;
mod evidence;
mod host;
mod playbook;
mod rank;
mod rules;
mod series;
mod situation;
mod space;
mod suspect;

pub use events::is_asked_for;
pub use rank::weight;
pub use situation::{Os, Peer, SAMPLES_MAX, Situation};
pub use suspect::{asked_medians, is_suspect, needs_a_look};

use tidemark_model::Finding;

use crate::events::Events;
use crate::host::Host;
use crate::space::SpaceView;

/// Everything the rules look at.
struct View<'a> {
    situation: &'a Situation,
    /// Ordered by key.
    spaces: Vec<SpaceView<'a>>,
    events: Events<'a>,
    host: Host<'a>,
}

/// Runs every rule; the finding that matters most comes first. The order of samples, events and peers does not matter.
#[must_use]
pub fn diagnose(situation: &Situation) -> Vec<Finding> {
    let samples = situation.ordered_samples();
    let view = View {
        spaces: space::views(situation, &samples),
        events: Events::of(situation, &samples),
        host: Host::of(situation, &samples),
        situation,
    };
    let mut findings: Vec<Finding> = rules::ALL.iter().flat_map(|rule| rule(&view)).collect();
    rank::link_and_sort(&mut findings, &view);
    findings
}
