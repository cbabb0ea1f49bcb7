//! What the service has beyond its entry: recovery, delayed start, identity. Systems that lack one do without.

use std::time::Duration;

use windows_service::service::{
    Service, ServiceAccess, ServiceAction, ServiceActionType, ServiceFailureActions,
    ServiceFailureResetPeriod, ServiceSidType,
};

use crate::service_facts::DESCRIPTION;

/// Rights that [`apply`] takes: recovery that starts the service takes the right to start it.
pub(super) const RIGHTS: ServiceAccess = ServiceAccess::CHANGE_CONFIG
    .union(ServiceAccess::QUERY_CONFIG)
    .union(ServiceAccess::START);

/// Failed once, twice, and more often: started again after so many seconds.
const RESTART_AFTER_S: [u64; 3] = [5, 30, 60];
/// Without a failure for a day, the next one is the first again.
const FORGET_AFTER: Duration = Duration::from_secs(86_400);
/// Longest drain that can be configured, and its grace; the system's own limit is 10 s since Windows 10.
const PRESHUTDOWN_TIMEOUT: Duration = Duration::from_secs(75);

/// Sets everything, and returns what this system does not take.
pub(super) fn apply(service: &Service) -> Vec<String> {
    let done = [
        ("description", service.set_description(DESCRIPTION)),
        ("delayed start", service.set_delayed_auto_start(true)),
        ("recovery", service.update_failure_actions(recovery())),
        (
            "recovery after errors",
            service.set_failure_actions_on_non_crash_failures(true),
        ),
        (
            "identity of its own",
            service.set_config_service_sid_info(ServiceSidType::Unrestricted),
        ),
        (
            "time to end at shutdown",
            service.set_preshutdown_timeout(PRESHUTDOWN_TIMEOUT),
        ),
    ];
    done.into_iter()
        .filter_map(|(setting, done)| Some(format!("{setting}: {}", told(&done.err()?))))
        .collect()
}

/// Whether the system does anything when the service fails.
pub(super) fn has_actions(service: &Service) -> bool {
    service
        .get_failure_actions()
        .is_ok_and(|set| set.actions.is_some_and(|actions| !actions.is_empty()))
}

/// What is not as [`apply`] makes it; what the system does not tell is left out.
pub(super) fn deviations(service: &Service) -> Vec<String> {
    let mut found = Vec::new();
    if let Ok(set) = service.get_failure_actions()
        && set.actions != recovery().actions
    {
        found
            .push("it is not started again when it fails, as `service install` sets it".to_owned());
    }
    if let Ok(false) = service.get_failure_actions_on_non_crash_failures() {
        found.push("it is not started again when it ends with an error".to_owned());
    }
    found
}

fn recovery() -> ServiceFailureActions {
    let actions = RESTART_AFTER_S.map(|seconds| ServiceAction {
        action_type: ServiceActionType::Restart,
        delay: Duration::from_secs(seconds),
    });
    ServiceFailureActions {
        reset_period: ServiceFailureResetPeriod::After(FORGET_AFTER),
        reboot_msg: None,
        command: None,
        actions: Some(actions.to_vec()),
    }
}

fn told(error: &windows_service::Error) -> String {
    if let windows_service::Error::Winapi(error) = error {
        return error.to_string();
    }
    error.to_string()
}
