//! What an agent and its supervisor say to each other: lines on the agent's standard output, bytes on its standard input. A
//! contract between releases: a word that is once here stays.

use std::io::{self, Write as _};
use std::sync::atomic::{AtomicBool, Ordering};

use tidemark_model::Seq;

/// The release is verified and on disk: the agent is to be stopped, and the new version to be started.
pub(crate) const SWITCH: &str = "switch";
/// The controller made durable what this very process had seen.
pub(crate) const HEALTHY: &str = "healthy";
/// Begins a line that says what goes wrong at the moment.
pub(crate) const TROUBLE: &str = "trouble ";
/// Longest line, in bytes.
pub(crate) const LINE_BYTES_MAX: usize = 1_024;
/// The supervisor has made the version the current one. The end of the input asks the agent to stop.
pub(crate) const COMMITTED: u8 = b'+';

/// Says a line to the supervisor.
pub(crate) fn say(line: &str) {
    let line: String = line
        .chars()
        .map(|one| if one.is_control() { ' ' } else { one })
        .take(LINE_BYTES_MAX / 4)
        .collect();
    // Without a supervisor that listens the end of standard input says so as well.
    writeln!(io::stdout(), "{line}").ok();
}

/// Says once that this process is healthy: when something is durable at the controller that it made itself.
#[derive(Debug)]
pub(crate) struct Pulse {
    newest_before: Seq,
    is_said: AtomicBool,
}

impl Pulse {
    /// The pulse of a process that found records up to `newest_before`.
    pub(crate) const fn after(newest_before: Seq) -> Self {
        Self {
            newest_before,
            is_said: AtomicBool::new(false),
        }
    }

    /// Whether this acknowledgement is the first one that shows it.
    pub(crate) fn is_shown_by(&self, through: Seq) -> bool {
        through > self.newest_before && !self.is_said.swap(true, Ordering::Relaxed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_an_earlier_process_made_shows_no_health() {
        let pulse = Pulse::after(Seq::new(7));
        assert!(!pulse.is_shown_by(Seq::new(7)));
        assert!(pulse.is_shown_by(Seq::new(8)));
        assert!(!pulse.is_shown_by(Seq::new(9)), "it is said once");
    }
}
