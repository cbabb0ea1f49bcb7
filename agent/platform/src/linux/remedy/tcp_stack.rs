//! The reset of the Windows stack, which Linux has not.

use std::path::{Path, PathBuf};

use tidemark_model::action::spec::ResetStep;

use crate::remedy_facts::{RemedyError, StackView};

/// What a reset would lose.
///
/// # Errors
/// [`RemedyError::Unsupported`], always.
pub fn look(_steps: &[ResetStep]) -> Result<StackView, RemedyError> {
    Err(RemedyError::Unsupported(
        "a reset of the stack is `netsh`'s, of Windows; it does not apply to Linux, which keeps no settings of the stack that \
         could be reset"
            .to_owned(),
    ))
}

/// Keeps what a reset loses.
///
/// # Errors
/// [`RemedyError::Unsupported`], always.
pub fn back_up(_folder: &Path, _view: &StackView) -> Result<Vec<PathBuf>, RemedyError> {
    look(&[]).map(|_| Vec::new())
}

/// The command of a step; `None` for one that is no command.
#[must_use]
pub const fn command(_step: ResetStep) -> Option<&'static str> {
    None
}

/// Does one step.
///
/// # Errors
/// [`RemedyError::Unsupported`], always.
pub fn reset(_step: ResetStep) -> Result<(), RemedyError> {
    look(&[]).map(drop)
}
