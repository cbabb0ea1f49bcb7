//! Global switches of the Windows stack, which Linux has not.

use tidemark_model::action::spec::TcpGlobal;

use crate::remedy_facts::{RemedyError, Switch};

/// How a switch stands.
///
/// # Errors
/// [`RemedyError::Unsupported`], always.
pub fn look(switch: TcpGlobal) -> Result<Switch, RemedyError> {
    Err(RemedyError::Unsupported(format!(
        "{} is a switch of Windows",
        switch.as_str()
    )))
}

/// Sets a switch.
///
/// # Errors
/// [`RemedyError::Unsupported`], always.
pub fn set(switch: TcpGlobal, _wish: Switch) -> Result<(), RemedyError> {
    look(switch).map(drop)
}
