//! Services, through the service control manager.

use std::time::Duration;

use tidemark_model::action::spec::OnHang;

use crate::remedy_facts::{RemedyError, Teller};

/// What would be restarted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServiceView {
    /// Its name, as the system has it.
    pub name: String,
    /// Who keeps it.
    pub keeper: &'static str,
    /// Whether it runs; `None` when that is not told.
    pub is_running: Option<bool>,
    /// What goes down and comes up with it, in the order in which it goes down.
    pub dependents: Vec<String>,
}

/// Looks at a service.
///
/// # Errors
/// [`RemedyError::Unsupported`]: this build restarts no Windows services.
pub fn look(_name: &str) -> Result<ServiceView, RemedyError> {
    Err(RemedyError::Unsupported(
        "this build restarts no Windows services".to_owned(),
    ))
}

/// Stops a service with what depends on it, starts them again, and makes sure that it runs.
///
/// # Errors
/// [`RemedyError::Unsupported`]: this build restarts no Windows services.
pub fn restart(
    name: &str,
    _stop_patience: Duration,
    _on_hang: OnHang,
    _tell: Teller<'_>,
) -> Result<(), RemedyError> {
    look(name).map(drop)
}
