//! Tells each failure once: the first of its kind as a warning with what to do, its repetitions for debugging only.

use std::error::Error;
use std::fmt::Write as _;
use std::sync::Arc;

/// Remembers what was told.
#[derive(Debug, Default)]
pub(super) struct FailureLog {
    told: Option<&'static str>,
    repeated: u64,
}

impl FailureLog {
    /// A failure of `kind`.
    pub(super) fn failed(&mut self, kind: &'static str, text: &str) {
        if self.told == Some(kind) {
            self.repeated = self.repeated.saturating_add(1);
            tracing::debug!(kind, error = text, "controller still not reached");
        } else {
            tracing::warn!(
                kind,
                error = text,
                "controller not reached; trying again until it is"
            );
            self.told = Some(kind);
            self.repeated = 0;
        }
    }

    /// It works again.
    pub(super) fn recovered(&mut self) {
        if let Some(kind) = self.told.take() {
            tracing::info!(
                kind,
                attempts = self.repeated.saturating_add(1),
                "controller reached again"
            );
        }
        self.repeated = 0;
    }
}

/// An error with all its causes, in one line.
pub(crate) fn chain(error: &dyn Error) -> Arc<str> {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let shown = error.to_string();
        if !text.ends_with(&shown) {
            // Writing to a String cannot fail.
            write!(text, ": {shown}").ok();
        }
        cause = error.source();
    }
    text.into()
}
