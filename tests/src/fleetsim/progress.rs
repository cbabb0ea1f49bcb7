//! How far a simulation is: a bar on a terminal, a line now and then in a pipe. Always on standard error.

use std::io::{IsTerminal as _, Write as _};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use tokio::time::Instant;

use super::meter::Meter;

/// Time between two lines in a pipe.
const LINE_EVERY: Duration = Duration::from_secs(5);

/// Shows how far one step of a simulation is.
#[derive(Debug)]
pub struct Progress {
    what: &'static str,
    bar: ProgressBar,
    lines: Option<Mutex<Instant>>,
}

impl Progress {
    /// Shows progress of `what` on standard error, up to `total`.
    #[must_use]
    pub fn of(what: &'static str, total: u64) -> Self {
        let is_terminal = std::io::stderr().is_terminal();
        let target = if is_terminal {
            ProgressDrawTarget::stderr()
        } else {
            ProgressDrawTarget::hidden()
        };
        let bar = ProgressBar::with_draw_target(Some(total), target).with_style(style());
        bar.set_prefix(what);
        Self {
            what,
            bar,
            lines: (!is_terminal).then(|| Mutex::new(Instant::now())),
        }
    }

    /// Shows nothing.
    #[must_use]
    pub fn hidden() -> Self {
        Self {
            what: "",
            bar: ProgressBar::hidden(),
            lines: None,
        }
    }

    /// So much more is done.
    pub fn advance(&self, by: u64) {
        self.bar.inc(by);
        self.line();
    }

    /// So much is done in all.
    pub fn reach(&self, position: u64) {
        self.bar.set_position(position);
        self.line();
    }

    /// Shows the fleet's figures beside the position.
    pub fn note(&self, meter: &Meter) {
        self.bar.set_message(format!(
            "{} connected, {} produced, {} acked",
            meter.connected.get(),
            meter.produced.get(),
            meter.acked.get()
        ));
        self.line();
    }

    /// The step is over.
    pub fn finish(self) {
        self.print();
        self.bar.finish_and_clear();
    }

    fn line(&self) {
        let Some(lines) = &self.lines else { return };
        let mut last = lines.lock().unwrap_or_else(PoisonError::into_inner);
        if last.elapsed() >= LINE_EVERY {
            *last = Instant::now();
            self.print();
        }
    }

    fn print(&self) {
        if self.lines.is_none() {
            return;
        }
        let (position, total) = (self.bar.position(), self.bar.length().unwrap_or(0));
        let message = self.bar.message();
        let separator = if message.is_empty() { "" } else { ": " };
        // Progress that nobody can read is no reason to fail.
        writeln!(
            std::io::stderr().lock(),
            "{} {position}/{total}{separator}{message}",
            self.what
        )
        .ok();
    }
}

fn style() -> ProgressStyle {
    ProgressStyle::with_template("{prefix:10} [{bar:30}] {pos}/{len} {eta} {msg}")
        .unwrap_or_else(|_| ProgressStyle::default_bar())
        .progress_chars("=> ")
}
