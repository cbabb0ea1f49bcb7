//! Services, through the service control manager: dependents first, in its own order, each step told.

mod control;
mod plan;

use std::io;
use std::sync::mpsc::{RecvTimeoutError, sync_channel};
use std::time::Duration;

use tidemark_model::action::spec::OnHang;
use windows_service::service::{ServiceExitCode, ServiceState};
use windows_sys::Win32::Foundation::{
    ERROR_SERVICE_ALREADY_RUNNING, ERROR_SERVICE_CANNOT_ACCEPT_CTRL, ERROR_SERVICE_NOT_ACTIVE,
    ERROR_SERVICE_REQUEST_TIMEOUT,
};

use self::plan::Plan;
use super::process;
use crate::remedy_facts::{RemedyError, ServiceView, Teller, tried};
use crate::windows::own::time_since_boot;
use crate::windows::process::ProcessHandle;
use crate::windows_data::service_control::{Next, Wait, meaning};

/// How long a service may take to start.
const START_PATIENCE: Duration = Duration::from_secs(180);
/// How long the manager may take to notice that a process is gone.
const NOTICE_PATIENCE: Duration = Duration::from_secs(10);

/// Looks at a service.
///
/// # Errors
/// [`RemedyError::NoSuchTarget`] when there is none of that name; [`RemedyError::Unsafe`] when it or what depends on it
/// could not be started again, or belongs to a failover cluster.
pub fn look(name: &str) -> Result<ServiceView, RemedyError> {
    let plan = Plan::of(name)?;
    Ok(ServiceView {
        name: name.to_owned(),
        keeper: "service control manager",
        is_running: match plan.state {
            ServiceState::Running => Some(true),
            ServiceState::Stopped => Some(false),
            ServiceState::StartPending
            | ServiceState::StopPending
            | ServiceState::ContinuePending
            | ServiceState::PausePending
            | ServiceState::Paused => None,
        },
        dependents: plan.dependents,
    })
}

/// Stops a service with what depends on it, starts them again, and makes sure that it runs. `stop_patience` is for all
/// that is stopped together. What depends on it is never ended by force.
///
/// # Errors
/// [`RemedyError`]; steps that were done stand in what was told.
pub fn restart(
    name: &str,
    stop_patience: Duration,
    on_hang: OnHang,
    tell: Teller<'_>,
) -> Result<(), RemedyError> {
    let plan = Plan::of(name)?;
    let until = time_since_boot().saturating_add(stop_patience);
    let left = || until.saturating_sub(time_since_boot());
    let mut stopped = Vec::new();
    for dependent in &plan.dependents {
        let outcome = stop(dependent, left()).map_err(Stuck::into_error);
        if let Err(error) = tried(tell, &format!("stop {dependent}"), outcome) {
            // What depends on the service need not stay down as long as that runs.
            start_all(&stopped, tell).ok();
            return Err(error);
        }
        stopped.push(dependent.clone());
    }
    if let Err(error) = stop_target(&plan, left(), on_hang, tell) {
        if Plan::state(name) == Ok(ServiceState::Running) {
            start_all(&stopped, tell).ok();
        }
        return Err(error);
    }
    tried(tell, &format!("start {name}"), start(name))?;
    start_all(&stopped, tell)?;
    match Plan::state(name)? {
        ServiceState::Running => Ok(()),
        ServiceState::Stopped
        | ServiceState::StartPending
        | ServiceState::StopPending
        | ServiceState::ContinuePending
        | ServiceState::PausePending
        | ServiceState::Paused => Err(RemedyError::Failed(format!(
            "{name} was started, but does not run; look at its own log and at events 7031 and 7034"
        ))),
    }
}

/// Starts what was stopped, the last first: all of it, even when one fails.
fn start_all(stopped: &[String], tell: Teller<'_>) -> Result<(), RemedyError> {
    let mut outcome = Ok(());
    for service in stopped.iter().rev() {
        let started = tried(tell, &format!("start {service}"), start(service));
        outcome = outcome.and(started);
    }
    outcome
}

fn stop_target(
    plan: &Plan,
    patience: Duration,
    on_hang: OnHang,
    tell: Teller<'_>,
) -> Result<(), RemedyError> {
    let name = &plan.name;
    let held = plan.own_process.filter(|_| on_hang == OnHang::EndProcess);
    // Held from before the stop: its number can be given to no other process meanwhile.
    let held = held.and_then(|pid| hold(name, pid));
    let what = format!("stop {name}");
    let stuck = match (stop(name, patience), on_hang) {
        (Err(Stuck::Hung(text)), OnHang::EndProcess) => text,
        (outcome, OnHang::EndProcess | OnHang::Fail) => {
            return tried(tell, &what, outcome.map_err(Stuck::into_error));
        }
    };
    tried::<()>(tell, &what, Err(RemedyError::Failed(stuck.clone()))).ok();
    let what = format!("end the process of {name}");
    let Some((handle, pid)) = held else {
        let text = format!(
            "{stuck}; its process is not ended: it is not the service's alone, or may not be ended"
        );
        return tried(tell, &what, Err(RemedyError::Failed(text)));
    };
    let ended = process::end(&handle, pid);
    tried(tell, &what, ended)?;
    match arrive(name, ServiceState::Stopped, NOTICE_PATIENCE) {
        // The process is gone, whatever the manager shows: Wine's notices when it starts the service again.
        Ok(()) | Err(Stuck::Hung(_)) => Ok(()),
        Err(Stuck::Failed(error)) => Err(error),
    }
}

/// The process in which a service runs, if it is still the one that the manager names.
fn hold(name: &str, pid: u32) -> Option<(ProcessHandle, u32)> {
    let handle = process::hold(pid).ok()?;
    let is_same = control::own_process(name).ok()? == Some(pid);
    is_same.then_some((handle, pid))
}

/// Why a service is not where it was told to go.
enum Stuck {
    /// It does not move.
    Hung(String),
    /// It was not told, or went elsewhere.
    Failed(RemedyError),
}

impl Stuck {
    fn into_error(self) -> RemedyError {
        match self {
            Self::Hung(text) => RemedyError::Failed(text),
            Self::Failed(error) => error,
        }
    }
}

fn stop(name: &str, patience: Duration) -> Result<(), Stuck> {
    match control::stop(name) {
        Err(error) if process::is_code(&error, ERROR_SERVICE_NOT_ACTIVE) => return Ok(()),
        // It may be on its way without having answered, or since before.
        Err(error)
            if process::is_code(&error, ERROR_SERVICE_REQUEST_TIMEOUT)
                || process::is_code(&error, ERROR_SERVICE_CANNOT_ACCEPT_CTRL) =>
        {
            let why = refused(name, &error).to_string();
            return match arrive(name, ServiceState::Stopped, patience) {
                Err(Stuck::Hung(_)) => Err(Stuck::Hung(why)),
                outcome => outcome,
            };
        }
        told => told.map_err(|error| Stuck::Failed(refused(name, &error)))?,
    }
    arrive(name, ServiceState::Stopped, patience)
}

fn start(name: &str) -> Result<(), RemedyError> {
    match control::start(name) {
        Err(error) if !process::is_code(&error, ERROR_SERVICE_ALREADY_RUNNING) => {
            return Err(refused(name, &error));
        }
        Ok(()) | Err(_) => {}
    }
    arrive(name, ServiceState::Running, START_PATIENCE).map_err(Stuck::into_error)
}

/// Waits until a service is in `wanted`, as long as it moves.
fn arrive(name: &str, wanted: ServiceState, patience: Duration) -> Result<(), Stuck> {
    let mut wait = Wait::begin(time_since_boot(), patience);
    loop {
        let status = control::status(name);
        let status = status.map_err(|error| Stuck::Failed(refused(name, &error)))?;
        let state = status.current_state;
        if state == wanted {
            return Ok(());
        }
        if wanted == ServiceState::Running && state == ServiceState::Stopped {
            return Err(Stuck::Failed(RemedyError::Failed(ended(
                name,
                status.exit_code,
            ))));
        }
        let now = time_since_boot();
        match wait.look(now, status.checkpoint, status.wait_hint) {
            Next::Look(pause) => pass(pause),
            Next::Stalled => {
                return Err(Stuck::Hung(format!(
                    "{name} hangs: it is {state:?} and shows no progress"
                )));
            }
            Next::TimeIsUp => {
                return Err(Stuck::Hung(format!(
                    "{name} is still {state:?} after {} s",
                    patience.as_secs()
                )));
            }
        }
    }
}

/// What a service says that ended while it was to start.
fn ended(name: &str, code: ServiceExitCode) -> String {
    match code {
        ServiceExitCode::Win32(0) => format!("{name} ended at once, without an error"),
        ServiceExitCode::Win32(code) => {
            let error = io::Error::from_raw_os_error(code.cast_signed());
            let meaning = meaning(code).map_or_else(|| error.to_string(), str::to_owned);
            format!("{name} ended with error {code}: {meaning}")
        }
        ServiceExitCode::ServiceSpecific(code) => {
            format!("{name} ended with its own error {code}; look at its own log")
        }
    }
}

fn refused(name: &str, error: &io::Error) -> RemedyError {
    let code = error.raw_os_error().map(i32::cast_unsigned);
    match code.and_then(|code| Some((code, meaning(code)?))) {
        Some((1060, meaning)) => RemedyError::NoSuchTarget(format!("{name}: {meaning} (1060)")),
        Some((code, meaning)) => RemedyError::Failed(format!("{name}: {meaning} ({code})")),
        None => RemedyError::Failed(format!("{name}: {error}")),
    }
}

/// Lets time pass.
fn pass(time: Duration) {
    let (_nobody_sends, silence) = sync_channel::<()>(0);
    match silence.recv_timeout(time) {
        Ok(()) | Err(RecvTimeoutError::Timeout | RecvTimeoutError::Disconnected) => {}
    }
}
