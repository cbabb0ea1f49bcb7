//! `tidemark-agent service`: the agent as a Windows service, made and asked here, hosted in `service/hosted.rs`.

pub(super) mod hosted;

use std::ffi::OsString;
use std::fs::OpenOptions;
use std::io::{ErrorKind, Write as _};
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context as _, bail};
use clap::{Args, Subcommand};
use serde::Serialize;
use tidemark_platform::service_facts::{
    SERVICE_NAME, ServiceError, ServicePlan, ServiceReport, ServiceState,
};
use tidemark_platform::{application_log, folders, system_service};
use tidemark_runtime::Outcome;
use tokio::time::Instant;

use super::enroll::token_missing;
use super::{OutputArgs, SettingsArgs, block_on, print, private_folder};
use crate::config::AgentConfig;
use crate::identity::Vault;

/// How long a start may take: it reads every table and process once.
const START_PATIENCE: Duration = Duration::from_secs(45);
/// How long a stop may take: the longest drain that can be configured, and its grace.
const STOP_PATIENCE: Duration = Duration::from_secs(90);
/// How often the system is asked meanwhile.
const ASK_INTERVAL: Duration = Duration::from_millis(200);

const WHERE_IT_SAYS_WHY: &str = "the Application log and agent.log in its data folder say why";

#[derive(Args, Clone, Debug)]
pub(super) struct ServiceArgs {
    #[command(subcommand)]
    command: ServiceCommand,
}

#[derive(Clone, Debug, Subcommand)]
enum ServiceCommand {
    /// Make the service, or give it its settings anew. Settings given here are written to the configuration file if
    /// there is none.
    Install(SettingsArgs),
    /// Stop the service and remove it. The host's identity and what is spooled stay.
    Uninstall,
    /// Start the service and wait until it runs.
    Start,
    /// Stop the service and wait until it has ended.
    Stop,
    /// Show what the system says of the service.
    Status(OutputArgs),
    /// Be the service: for the service control manager alone.
    #[command(hide = true)]
    Run(SettingsArgs),
}

pub(super) fn run(args: ServiceArgs) -> anyhow::Result<Outcome> {
    if !system_service::IS_AVAILABLE {
        return Err(ServiceError::Elsewhere.into());
    }
    match args.command {
        ServiceCommand::Install(settings) => install(&settings),
        ServiceCommand::Uninstall => uninstall(),
        ServiceCommand::Start => start(),
        ServiceCommand::Stop => stop(),
        ServiceCommand::Status(output) => status(output),
        ServiceCommand::Run(settings) => hosted::host(settings),
    }
}

fn install(settings: &SettingsArgs) -> anyhow::Result<Outcome> {
    let file = config_file(settings)?;
    private_folder::make(folder_of(&file)?)?;
    let given = absolute_paths(settings.flags.to_table())?;
    // Without a file the settings that are given here, or that an installation left, may do.
    let is_wanted = settings.config.is_some() && given.is_empty();
    let read = (is_wanted || file.is_file()).then_some(&*file);
    let config = AgentConfig::load(read, &settings.flags)?;
    config.require_controller()?;
    if !given.is_empty() {
        write_new(&file, &given)?;
    }
    let has_file = read.is_some() || !given.is_empty();
    private_folder::make(&config.data_dir)?;
    let vault = Vault::open(&config.identity_dir())?;
    if config.token.is_none() && !vault.is_some_and(|vault| vault.is_enrolled()) {
        return Err(token_missing().into());
    }
    let program = std::env::current_exe().context("the agent's own path is unknown")?;
    let mut arguments = vec![OsString::from("service"), OsString::from("run")];
    if has_file {
        arguments.extend([OsString::from("--config"), file.into_os_string()]);
    }
    let installed = system_service::install(&ServicePlan {
        program: program.clone(),
        arguments,
    })?;
    let mut text = format!(
        "the service {SERVICE_NAME} {}; start it with `tidemark-agent service start`\n",
        if installed.was_there {
            "has its settings anew"
        } else {
            "is installed"
        }
    );
    if let Err(error) = application_log::register(&program) {
        text.push_str(&format!(
            "the texts of its messages are not registered with the Application log: {error}\n"
        ));
    }
    for setting in installed.left_out {
        text.push_str(&format!("not set on this system: {setting}\n"));
    }
    print(&text)
}

fn uninstall() -> anyhow::Result<Outcome> {
    system_service::stop()?;
    block_on(settled(ServiceState::Stopped, STOP_PATIENCE))?;
    system_service::uninstall()?;
    application_log::unregister().context("the service is removed, its log messages are not")?;
    print(&format!(
        "the service {SERVICE_NAME} is removed; the host's identity and spool stay\n"
    ))
}

fn start() -> anyhow::Result<Outcome> {
    system_service::start()?;
    block_on(settled(ServiceState::Running, START_PATIENCE))?;
    print(&format!("the service {SERVICE_NAME} runs\n"))
}

fn stop() -> anyhow::Result<Outcome> {
    system_service::stop()?;
    let report = block_on(settled(ServiceState::Stopped, STOP_PATIENCE))?;
    if report.exit_code.is_some_and(|code| code != 0) {
        bail!(
            "the service {SERVICE_NAME} ended {}; {WHERE_IT_SAYS_WHY}",
            code_of(&report)
        );
    }
    print(&format!("the service {SERVICE_NAME} is stopped\n"))
}

fn code_of(report: &ServiceReport) -> String {
    report.exit_code.map_or_else(
        || "without a code".to_owned(),
        |code| format!("with code {code}"),
    )
}

/// Waits until the service is in the state that it was asked for.
async fn settled(wanted: ServiceState, patience: Duration) -> anyhow::Result<ServiceReport> {
    let deadline = Instant::now() + patience;
    loop {
        let report = system_service::report()?;
        if report.state == wanted {
            return Ok(report);
        }
        // The system says that it is starting before it answers that it does.
        if report.state == ServiceState::Stopped {
            bail!(
                "the service {SERVICE_NAME} ended {} instead of starting; {WHERE_IT_SAYS_WHY}",
                code_of(&report)
            );
        }
        if Instant::now() >= deadline {
            bail!(
                "the service {SERVICE_NAME} is {} after {} s and was to be {wanted}",
                report.state,
                patience.as_secs()
            );
        }
        tokio::time::sleep(ASK_INTERVAL).await;
    }
}

/// What is shown.
#[derive(Debug, Serialize)]
struct Shown {
    installed: bool,
    state: Option<String>,
    process: Option<u32>,
    exit_code: Option<u32>,
    command: Option<String>,
    deviations: Vec<String>,
}

fn status(output: OutputArgs) -> anyhow::Result<Outcome> {
    let shown = match system_service::report() {
        Ok(report) => Shown {
            installed: true,
            state: Some(report.state.to_string()),
            process: report.process,
            exit_code: report.exit_code,
            command: Some(report.command),
            deviations: [report.deviations, application_log::gaps()].concat(),
        },
        Err(ServiceError::Missing) => Shown {
            installed: false,
            state: None,
            process: None,
            exit_code: None,
            command: None,
            deviations: Vec::new(),
        },
        Err(error) => return Err(error.into()),
    };
    if output.is_json() {
        return print(&format!("{}\n", serde_json::to_string_pretty(&shown)?));
    }
    print(&render(&shown))
}

fn render(shown: &Shown) -> String {
    let Some(state) = &shown.state else {
        return format!(
            "{SERVICE_NAME} is not installed; `tidemark-agent service install` does it\n"
        );
    };
    let mut text = format!("{:<12} {SERVICE_NAME}\n{:<12} {state}", "service", "state");
    if let Some(process) = shown.process {
        text.push_str(&format!(", process {process}"));
    }
    if let Some(code) = shown.exit_code.filter(|code| *code != 0) {
        text.push_str(&format!("; it ended with code {code}"));
    }
    let command = shown.command.as_deref().unwrap_or("unknown");
    text.push_str(&format!("\n{:<12} {command}\n", "command"));
    for deviation in &shown.deviations {
        text.push_str(&format!("{:<12} {deviation}\n", "trouble"));
    }
    text
}

/// The configuration file, as the service finds it from any folder.
fn config_file(settings: &SettingsArgs) -> anyhow::Result<PathBuf> {
    let file = settings.config.clone().unwrap_or_else(folders::config_file);
    std::path::absolute(&file).with_context(|| format!("{} is no path", file.display()))
}

fn folder_of(file: &Path) -> anyhow::Result<&Path> {
    file.parent()
        .with_context(|| format!("{} lies in no folder", file.display()))
}

/// Settings as a service understands them: it runs in a folder of the system's.
fn absolute_paths(mut given: toml::Table) -> anyhow::Result<toml::Table> {
    for key in ["token_file", "data_dir"] {
        if let Some(toml::Value::String(path)) = given.get_mut(key) {
            let absolute =
                std::path::absolute(&*path).with_context(|| format!("{key} is no path"))?;
            *path = absolute.display().to_string();
        }
    }
    Ok(given)
}

fn write_new(file: &Path, settings: &toml::Table) -> anyhow::Result<()> {
    let text = toml::to_string(settings)?;
    let mut options = OpenOptions::new();
    let created = options.write(true).create_new(true).open(file);
    match created.and_then(|mut made| made.write_all(text.as_bytes())) {
        Err(error) if error.kind() == ErrorKind::AlreadyExists => bail!(
            "{} is there already: change the settings in it, and leave them out here",
            file.display()
        ),
        written => written.with_context(|| format!("{} cannot be written", file.display())),
    }
}

#[cfg(test)]
mod tests;
