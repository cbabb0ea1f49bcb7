//! Being the service: the dispatcher, the control handler, and what the service control manager is told.
//!
//! The handler holds no state of its own, on purpose: windows-service 0.8 frees the handler after the first request to
//! stop, and the service control manager may call it again. What it needs is in statics, which stay.

use std::ffi::OsString;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};
use std::thread;
use std::time::Duration;

use windows_service::service::{
    ServiceControl, ServiceControlAccept, ServiceExitCode, ServiceState, ServiceStatus, ServiceType,
};
use windows_service::service_control_handler::{
    self, ServiceControlHandlerResult, ServiceStatusHandle,
};
use windows_service::{define_windows_service, service_dispatcher};
use windows_sys::Win32::Foundation::ERROR_FAILED_SERVICE_CONTROLLER_CONNECT;

use super::{is_code, refused};
use crate::service_facts::{HostedService, SERVICE_NAME, ServiceEnd, ServiceError, ServicePhase};

/// The service control manager takes the service for hung when it hears nothing for so long.
const START_STEP_MAX: Duration = Duration::from_secs(30);
const STOP_STEP_MAX: Duration = Duration::from_secs(10);
/// The exit code of an agent that crashed, beside the system's own.
const CRASHED: u32 = 1;

type Body = Box<dyn FnOnce() -> ServiceEnd + Send>;

static BODY: Mutex<Option<Body>> = Mutex::new(None);
static ON_STOP: OnceLock<Box<dyn Fn() + Send + Sync>> = OnceLock::new();
static TOLD: Mutex<Told> = Mutex::new(Told {
    handle: None,
    phase: ServicePhase::Starting,
    checkpoint: 0,
});

/// What the service control manager knows.
struct Told {
    handle: Option<ServiceStatusHandle>,
    phase: ServicePhase,
    checkpoint: u32,
}

define_windows_service!(service_main_of_system, service_main);

/// Runs `service` as the process of the service, and returns when it has ended. Once a process.
///
/// # Errors
/// [`ServiceError::NotStartedAsService`] when this process is none.
pub fn host(service: HostedService) -> Result<(), ServiceError> {
    *BODY.lock().unwrap_or_else(PoisonError::into_inner) = Some(service.body);
    // Only a second call finds it set, and that finds no body to run either.
    ON_STOP.set(service.on_stop).ok();
    service_dispatcher::start(SERVICE_NAME, service_main_of_system).map_err(|error| {
        if is_code(&error, ERROR_FAILED_SERVICE_CONTROLLER_CONNECT) {
            ServiceError::NotStartedAsService
        } else {
            refused("host the service")(error)
        }
    })
}

/// Tells the system where the hosted agent is; nobody is told when nobody hosts it. After it began to end, it is not
/// said to run again.
pub fn tell(phase: ServicePhase) {
    let mut told = told();
    if told.phase == ServicePhase::Stopping && phase != ServicePhase::Stopping {
        return;
    }
    told.checkpoint = if told.phase == phase && phase != ServicePhase::Running {
        told.checkpoint.saturating_add(1)
    } else {
        u32::from(phase != ServicePhase::Running)
    };
    told.phase = phase;
    told.send(match phase {
        ServicePhase::Starting => ServiceState::StartPending,
        ServicePhase::Running => ServiceState::Running,
        ServicePhase::Stopping => ServiceState::StopPending,
    });
}

/// Never unwinds: its caller is the system.
fn service_main(_arguments: Vec<OsString>) {
    let registered = service_control_handler::register(SERVICE_NAME, on_control);
    // Without a handler there is nobody to tell anything; the service control manager sees the process end.
    let Ok(handle) = registered else { return };
    told().handle = Some(handle);
    tell(ServicePhase::Starting);
    let body = BODY.lock().unwrap_or_else(PoisonError::into_inner).take();
    let end = body.map_or(ServiceEnd::Crashed, run_apart);
    told().send_stopped(end);
}

/// Runs the agent on a thread of its own, so that a panic ends there, and with the room that threads of Rust have.
fn run_apart(body: Body) -> ServiceEnd {
    let thread = thread::Builder::new()
        .name("service".to_owned())
        .spawn(body);
    let ended = thread.map(thread::JoinHandle::join);
    match ended {
        Ok(Ok(end)) => end,
        Ok(Err(_)) | Err(_) => ServiceEnd::Crashed,
    }
}

/// Never unwinds: its caller is the system.
fn on_control(control: ServiceControl) -> ServiceControlHandlerResult {
    if matches!(control, ServiceControl::Interrogate) {
        return ServiceControlHandlerResult::NoError;
    }
    let asks_to_end = matches!(
        control,
        ServiceControl::Stop | ServiceControl::Shutdown | ServiceControl::Preshutdown
    );
    if !asks_to_end {
        return ServiceControlHandlerResult::NotImplemented;
    }
    tell(ServicePhase::Stopping);
    if let Some(on_stop) = ON_STOP.get() {
        // A panic in there has told itself; the agent's own thread ends as it does.
        catch_unwind(AssertUnwindSafe(on_stop)).ok();
    }
    ServiceControlHandlerResult::NoError
}

fn told() -> MutexGuard<'static, Told> {
    TOLD.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Told {
    fn send(&self, state: ServiceState) {
        let (controls_accepted, wait_hint) = match self.phase {
            ServicePhase::Starting => (ServiceControlAccept::empty(), START_STEP_MAX),
            ServicePhase::Running => (
                ServiceControlAccept::STOP
                    | ServiceControlAccept::SHUTDOWN
                    | ServiceControlAccept::PRESHUTDOWN,
                Duration::ZERO,
            ),
            ServicePhase::Stopping => (ServiceControlAccept::empty(), STOP_STEP_MAX),
        };
        self.send_status(ServiceStatus {
            service_type: ServiceType::OWN_PROCESS,
            current_state: state,
            controls_accepted,
            exit_code: ServiceExitCode::NO_ERROR,
            checkpoint: self.checkpoint,
            wait_hint,
            process_id: None,
        });
    }

    fn send_stopped(&self, end: ServiceEnd) {
        self.send_status(ServiceStatus {
            service_type: ServiceType::OWN_PROCESS,
            current_state: ServiceState::Stopped,
            controls_accepted: ServiceControlAccept::empty(),
            exit_code: match end {
                ServiceEnd::Clean => ServiceExitCode::NO_ERROR,
                ServiceEnd::Crashed => ServiceExitCode::ServiceSpecific(CRASHED),
            },
            checkpoint: 0,
            wait_hint: Duration::ZERO,
            process_id: None,
        });
    }

    fn send_status(&self, status: ServiceStatus) {
        if let Some(handle) = self.handle {
            // The service control manager is the one who would be told of an error.
            handle.set_service_status(status).ok();
        }
    }
}
