//! Linux starts the agent by systemd; everything here says so.

use crate::service_facts::{
    HostedService, Installed, ServiceError, ServicePhase, ServicePlan, ServiceReport,
};

/// Whether this system has services of this kind.
pub const IS_AVAILABLE: bool = false;

/// Makes the service, or gives it its settings anew.
///
/// # Errors
/// Always.
pub const fn install(_plan: &ServicePlan) -> Result<Installed, ServiceError> {
    Err(ServiceError::Elsewhere)
}

/// Completes what the service lacks of its settings.
///
/// # Errors
/// Always.
pub const fn complete(_plan: &ServicePlan) -> Result<Vec<String>, ServiceError> {
    Err(ServiceError::Elsewhere)
}

/// Removes the service.
///
/// # Errors
/// Always.
pub const fn uninstall() -> Result<(), ServiceError> {
    Err(ServiceError::Elsewhere)
}

/// Asks the system to start the service.
///
/// # Errors
/// Always.
pub const fn start() -> Result<(), ServiceError> {
    Err(ServiceError::Elsewhere)
}

/// Asks the system to stop the service.
///
/// # Errors
/// Always.
pub const fn stop() -> Result<(), ServiceError> {
    Err(ServiceError::Elsewhere)
}

/// What the system says of the service.
///
/// # Errors
/// Always.
pub const fn report() -> Result<ServiceReport, ServiceError> {
    Err(ServiceError::Elsewhere)
}

/// Runs `service` as the process of the service.
///
/// # Errors
/// Always.
pub fn host(service: HostedService) -> Result<(), ServiceError> {
    drop(service);
    Err(ServiceError::Elsewhere)
}

/// Tells the system where the hosted agent is. Nobody hosts it here.
pub const fn tell(_phase: ServicePhase) {}
