//! Services: systemd where it runs, init scripts elsewhere.

use std::time::Duration;

use tidemark_model::action::spec::OnHang;

use super::{init_script, systemd};
use crate::remedy_facts::{RemedyError, ServiceView, Teller};

/// Looks at a service.
///
/// # Errors
/// [`RemedyError::NoSuchTarget`] when there is none of that name.
pub fn look(name: &str) -> Result<ServiceView, RemedyError> {
    if systemd::runs() {
        return systemd::look(name);
    }
    init_script::look(name)
}

/// Stops a service with what depends on it, starts them again, and makes sure that it runs.
///
/// # Errors
/// [`RemedyError`]; steps that were done stand in what was told.
pub fn restart(
    name: &str,
    stop_patience: Duration,
    on_hang: OnHang,
    tell: Teller<'_>,
) -> Result<(), RemedyError> {
    if systemd::runs() {
        return systemd::restart(name, stop_patience, on_hang, tell);
    }
    init_script::restart(name, stop_patience, tell)
}
