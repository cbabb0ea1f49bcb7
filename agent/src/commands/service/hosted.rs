//! The agent as the service control manager runs it: the same agent as `run`, told of and logged elsewhere.

use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind};

use anyhow::Context as _;
use tidemark_platform::application_message::ApplicationMessage;
use tidemark_platform::service_facts::{HostedService, ServiceEnd, ServicePhase, ServicePlan};
use tidemark_platform::{application_log, system_service};
use tidemark_runtime::log_file::LogFile;
use tidemark_runtime::{Outcome, telemetry};
use tokio_util::sync::CancellationToken;

use super::super::supervisor::{Supervisor, Turn};
use super::super::{LOG_FILE, SUPERVISOR_LOG_FILE, SettingsArgs, private_folder, run, supervise};
use super::{config_file, folder_of};
use crate::config::AgentConfig;

/// Its size, and once more for the one before.
const LOG_BYTES_MAX: u64 = 8 * 1024 * 1024;

/// Runs as the service until the system asks to stop. How it went is told to the system.
pub(super) fn host(settings: SettingsArgs) -> anyhow::Result<Outcome> {
    let stop = CancellationToken::new();
    let asked = stop.clone();
    system_service::host(HostedService {
        on_stop: Box::new(move || asked.cancel()),
        body: Box::new(move || end_of(&settings, stop)),
    })?;
    Ok(Outcome::Clean)
}

fn end_of(settings: &SettingsArgs, stop: CancellationToken) -> ServiceEnd {
    let ended = catch_unwind(AssertUnwindSafe(|| agent(settings, stop)));
    let (end, message, text) = match ended {
        Ok(Ok(Outcome::Clean)) => (
            ServiceEnd::Clean,
            ApplicationMessage::Stopped,
            "it was asked to".to_owned(),
        ),
        Ok(Ok(Outcome::Crashed)) => (
            ServiceEnd::Crashed,
            ApplicationMessage::Failed,
            format!("a part of it failed; {LOG_FILE} in its data folder says which"),
        ),
        Ok(Err(error)) => (
            ServiceEnd::Crashed,
            ApplicationMessage::CannotStart,
            format!("{error:#}"),
        ),
        Err(panic) => (
            ServiceEnd::Crashed,
            ApplicationMessage::Failed,
            format!("this is a bug: {}", words_of(&*panic)),
        ),
    };
    if end == ServiceEnd::Crashed {
        tracing::error!(text, "service ends");
    }
    report(message, &text);
    end
}

fn agent(settings: &SettingsArgs, stop: CancellationToken) -> anyhow::Result<Outcome> {
    private_folder::make(folder_of(&config_file(settings)?)?)?;
    let config = settings.load()?;
    private_folder::make(&config.data_dir)?;
    let is_supervised = supervise::is_wanted(&config);
    start_logging(
        &config,
        if is_supervised {
            SUPERVISOR_LOG_FILE
        } else {
            LOG_FILE
        },
    )?;
    if let Err(error) = complete() {
        tracing::warn!(
            error = format!("{error:#}"),
            "the service lacks some of its settings"
        );
    }
    let controller = config.require_controller()?.to_string();
    let supervisor = Supervisor::new(stop, move |turn| told(turn, &controller));
    if is_supervised {
        return supervise::host(&config, &supervisor);
    }
    run::run_supervised(config, supervisor)
}

/// The agent as a child of the supervisor that the service is: its log is where the service's own would be, and what keeps it
/// from its work is in the Application log.
pub(in super::super) fn run_supervised(
    config: AgentConfig,
    release: u32,
) -> anyhow::Result<Outcome> {
    start_logging(&config, LOG_FILE)?;
    let told = |turn: Turn<'_>| {
        if let Turn::NotEnrolled(why) = turn {
            report(ApplicationMessage::NotEnrolled, why);
        }
    };
    run::run_as_release(config, release, told).inspect_err(|error| {
        let text = format!("{error:#}");
        tracing::error!(text, "agent cannot start");
        report(ApplicationMessage::CannotStart, &text);
    })
}

fn told(turn: Turn<'_>, controller: &str) {
    match turn {
        Turn::Starting => system_service::tell(ServicePhase::Starting),
        Turn::Stopping => system_service::tell(ServicePhase::Stopping),
        Turn::Running => {
            system_service::tell(ServicePhase::Running);
            let text = format!("what it finds is for the controller at {controller}");
            report(ApplicationMessage::Started, &text);
        }
        Turn::NotEnrolled(why) => report(ApplicationMessage::NotEnrolled, why),
    }
}

/// A service has no standard error.
fn start_logging(config: &AgentConfig, name: &str) -> anyhow::Result<()> {
    let file = LogFile::open(&config.data_dir.join(name), LOG_BYTES_MAX)?;
    Ok(telemetry::start_in_file(&config.telemetry, file)?)
}

/// What an installer could not do for the service it does for itself; it works without.
fn complete() -> anyhow::Result<()> {
    let program = std::env::current_exe().context("the agent's own path is unknown")?;
    let plan = ServicePlan {
        program: program.clone(),
        // Those of the service: nobody else starts this process.
        arguments: std::env::args_os().skip(1).collect(),
    };
    for setting in system_service::complete(&plan)? {
        tracing::info!(setting, "the service lacks what this system does not take");
    }
    application_log::register(&program)
        .context("the texts of its messages cannot be registered with the Application log")
}

fn report(message: ApplicationMessage, text: &str) {
    let facts = format!(
        "version={} pid={}",
        env!("CARGO_PKG_VERSION"),
        std::process::id()
    );
    if let Err(error) = application_log::report(message, text, &facts) {
        tracing::warn!(%error, id = message.number(), "message not written to the Application log");
    }
}

fn words_of(panic: &(dyn Any + Send)) -> &str {
    panic
        .downcast_ref::<String>()
        .map(String::as_str)
        .or_else(|| panic.downcast_ref::<&str>().copied())
        .unwrap_or("a panic without words")
}
