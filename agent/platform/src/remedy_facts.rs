//! Words of the remedies that every system shares: why one was not done, and what it says while it is.

use tidemark_model::action::{Step, StepState};

/// Why something was not done, or not to its end.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RemedyError {
    /// This system has no such thing.
    #[error("{0}")]
    Unsupported(String),
    /// What it was to be done to is not there, or not as the order says. Nothing was done.
    #[error("{0}")]
    NoSuchTarget(String),
    /// It would break something. Nothing was done.
    #[error("{0}")]
    Unsafe(String),
    /// It was tried.
    #[error("{0}")]
    Failed(String),
}

/// Hears of every step.
pub type Teller<'a> = &'a mut dyn FnMut(Step);

/// A step that was tried, told as it came out.
pub(crate) fn tried<T>(
    tell: Teller<'_>,
    what: &str,
    outcome: Result<T, RemedyError>,
) -> Result<T, RemedyError> {
    let (state, text) = match &outcome {
        Ok(_) => (StepState::Done, String::new()),
        Err(error) => (StepState::Failed, error.to_string()),
    };
    tell(Step {
        what: what.to_owned(),
        state,
        text,
    });
    outcome
}
