//! The agent as a Windows service: its entry with the service control manager, made, asked and removed.
//!
//! Being that service is `host`'s.

mod host;
mod settings;

pub use host::{host, tell};

use std::ffi::OsString;
use std::io;

use windows_service::service::{
    Service, ServiceAccess, ServiceDependency, ServiceErrorControl, ServiceExitCode, ServiceInfo,
    ServiceStartType, ServiceState as RawState, ServiceStatus, ServiceType,
};
use windows_service::service_manager::{ServiceManager, ServiceManagerAccess};
use windows_sys::Win32::Foundation::{
    ERROR_ACCESS_DENIED, ERROR_SERVICE_ALREADY_RUNNING, ERROR_SERVICE_DOES_NOT_EXIST,
    ERROR_SERVICE_EXISTS, ERROR_SERVICE_NEVER_STARTED, ERROR_SERVICE_NOT_ACTIVE,
};

use crate::service_facts::{
    DISPLAY_NAME, Installed, SERVICE_NAME, ServiceError, ServicePlan, ServiceReport, ServiceState,
};

/// Whether this system has services of this kind.
pub const IS_AVAILABLE: bool = true;

/// What must run before: TCP/IP, the service behind its tables, and the log that is read.
const DEPENDENCIES: [&str; 3] = ["Tcpip", "nsi", "EventLog"];

/// Makes the service, or gives it its settings anew: a process of its own, as LocalSystem, started at boot after
/// everything else, started again when it fails.
///
/// # Errors
/// [`ServiceError`]; it takes administrator rights.
pub fn install(plan: &ServicePlan) -> Result<Installed, ServiceError> {
    let rights = ServiceManagerAccess::CONNECT | ServiceManagerAccess::CREATE_SERVICE;
    let manager = manager(rights)?;
    let info = ServiceInfo {
        name: OsString::from(SERVICE_NAME),
        display_name: OsString::from(DISPLAY_NAME),
        service_type: ServiceType::OWN_PROCESS,
        start_type: ServiceStartType::AutoStart,
        error_control: ServiceErrorControl::Normal,
        executable_path: plan.program.clone(),
        launch_arguments: plan.arguments.clone(),
        dependencies: DEPENDENCIES
            .map(|name| ServiceDependency::Service(OsString::from(name)))
            .to_vec(),
        account_name: None,
        account_password: None,
    };
    let (service, was_there) = match manager.create_service(&info, settings::RIGHTS) {
        Ok(service) => (service, false),
        Err(error) if is_code(&error, ERROR_SERVICE_EXISTS) => {
            let service = open(settings::RIGHTS)?;
            service
                .change_config(&info)
                .map_err(refused("change the service"))?;
            (service, true)
        }
        Err(error) => return Err(refused("make the service")(error)),
    };
    Ok(Installed {
        was_there,
        left_out: settings::apply(&service),
    })
}

/// Completes what the service lacks of its settings, as one that an installer made does: recovery and the like, and
/// quotes around `plan`'s program when its path has spaces. What somebody set is left alone. Returns what this system
/// does not take.
///
/// # Errors
/// [`ServiceError`]; it takes administrator rights.
pub fn complete(plan: &ServicePlan) -> Result<Vec<String>, ServiceError> {
    let service = open(settings::RIGHTS)?;
    let config = service
        .query_config()
        .map_err(refused("show the settings of the service"))?;
    if is_open_to_others(&config.executable_path.display().to_string()) {
        let quoted = ServiceInfo {
            name: OsString::from(SERVICE_NAME),
            display_name: config.display_name,
            service_type: config.service_type,
            start_type: config.start_type,
            error_control: config.error_control,
            executable_path: plan.program.clone(),
            launch_arguments: plan.arguments.clone(),
            dependencies: config.dependencies,
            // None leaves the account as it is.
            account_name: None,
            account_password: None,
        };
        service
            .change_config(&quoted)
            .map_err(refused("quote the path of the service"))?;
    }
    if settings::has_actions(&service) {
        return Ok(Vec::new());
    }
    Ok(settings::apply(&service))
}

/// Removes the service. One that still runs is gone when it ends.
///
/// # Errors
/// [`ServiceError::Missing`] when there is none.
pub fn uninstall() -> Result<(), ServiceError> {
    open(ServiceAccess::DELETE)?
        .delete()
        .map_err(refused("remove the service"))
}

/// Asks the system to start the service; it may not run yet when this returns. It is no error that it runs.
///
/// # Errors
/// [`ServiceError`].
pub fn start() -> Result<(), ServiceError> {
    match open(ServiceAccess::START)?.start::<OsString>(&[]) {
        Err(error) if !is_code(&error, ERROR_SERVICE_ALREADY_RUNNING) => {
            Err(refused("start the service")(error))
        }
        Ok(()) | Err(_) => Ok(()),
    }
}

/// Asks the system to stop the service; it may still run when this returns. It is no error that it does not run.
///
/// # Errors
/// [`ServiceError`].
pub fn stop() -> Result<(), ServiceError> {
    match open(ServiceAccess::STOP)?.stop() {
        Err(error) if !is_code(&error, ERROR_SERVICE_NOT_ACTIVE) => {
            Err(refused("stop the service")(error))
        }
        Ok(_) | Err(_) => Ok(()),
    }
}

/// What the system says of the service.
///
/// # Errors
/// [`ServiceError::Missing`] when there is none.
pub fn report() -> Result<ServiceReport, ServiceError> {
    let service = open(ServiceAccess::QUERY_STATUS | ServiceAccess::QUERY_CONFIG)?;
    let status = service
        .query_status()
        .map_err(refused("tell about the service"))?;
    let config = service
        .query_config()
        .map_err(refused("show the settings of the service"))?;
    let command = config.executable_path.display().to_string();
    let mut deviations = settings::deviations(&service);
    if is_open_to_others(&command) {
        deviations.push("its command has a path with spaces and no quotes".to_owned());
    }
    Ok(ServiceReport {
        state: match status.current_state {
            RawState::Stopped => ServiceState::Stopped,
            RawState::StartPending => ServiceState::Starting,
            RawState::Running => ServiceState::Running,
            RawState::StopPending => ServiceState::Stopping,
            RawState::ContinuePending | RawState::PausePending | RawState::Paused => {
                ServiceState::Paused
            }
        },
        process: status.process_id,
        exit_code: exit_code(&status),
        command,
        deviations,
    })
}

fn exit_code(status: &ServiceStatus) -> Option<u32> {
    let is_stopped = status.current_state == RawState::Stopped;
    match status.exit_code {
        ServiceExitCode::Win32(ERROR_SERVICE_NEVER_STARTED) => None,
        ServiceExitCode::Win32(code) | ServiceExitCode::ServiceSpecific(code) => {
            is_stopped.then_some(code)
        }
    }
}

/// Whether Windows would look for other programs first: `C:\Program.exe` for `C:\Program Files\...`.
fn is_open_to_others(command: &str) -> bool {
    let program = command.split_once(".exe").map_or(command, |(path, _)| path);
    !command.starts_with('"') && program.contains(' ')
}

fn manager(rights: ServiceManagerAccess) -> Result<ServiceManager, ServiceError> {
    ServiceManager::local_computer(None::<&str>, rights).map_err(refused("answer"))
}

fn open(rights: ServiceAccess) -> Result<Service, ServiceError> {
    manager(ServiceManagerAccess::CONNECT)?
        .open_service(SERVICE_NAME, rights)
        .map_err(refused("open the service"))
}

fn is_code(error: &windows_service::Error, code: u32) -> bool {
    matches!(error, windows_service::Error::Winapi(error) if error.raw_os_error() == Some(code.cast_signed()))
}

fn refused(what: &'static str) -> impl Fn(windows_service::Error) -> ServiceError {
    move |error| {
        if is_code(&error, ERROR_ACCESS_DENIED) {
            return ServiceError::Denied;
        }
        if is_code(&error, ERROR_SERVICE_DOES_NOT_EXIST) {
            return ServiceError::Missing;
        }
        ServiceError::Refused {
            what,
            source: if let windows_service::Error::Winapi(error) = error {
                error
            } else {
                io::Error::other(error)
            },
        }
    }
}
