//! The agent's command line: one file a command, errors and exit codes here.
//!
//! 0 done, 1 failed, 2 wrong usage or configuration; `doctor` has its own.

mod bound_self_test;
mod doctor;
mod enroll;
mod events;
mod lock;
mod policy;
mod private_folder;
mod reset;
mod run;
mod service;
mod snapshot;
mod status;
mod supervise;
mod supervisor;
mod support_bundle;
mod table;

use std::io::{self, Write as _};
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Context as _;
use clap::{Args, CommandFactory as _, Parser, Subcommand, ValueEnum};
use tidemark_platform::system_service;
use tidemark_platform::tables::BOUND_SELF_TEST;
use tidemark_runtime::Outcome;
use tidemark_runtime::config::ConfigError;

use crate::config::{AgentConfig, ConfigFlags};
use crate::doctor::Verdict;

/// The service's log in its data folder, where it has no standard error.
const LOG_FILE: &str = "agent.log";

/// Beside it, that of the service when the agent is a child of its own.
const SUPERVISOR_LOG_FILE: &str = "supervisor.log";

/// Watches this host's TCP and UDP ports and streams what it sees to the controller.
#[derive(Debug, Parser)]
#[command(name = "tidemark-agent", version, propagate_version = true)]
pub struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Sample this host and deliver the samples, until stopped.
    Run(run::RunArgs),
    /// Run the agent, switch to releases of it that the host's policy takes, and go back when one does not get well.
    Supervise(SettingsArgs),
    /// Enrol this host with a join token, without running.
    Enroll(SettingsArgs),
    /// Make, start, stop or remove the Windows service that runs the agent.
    #[command(hide = !system_service::IS_AVAILABLE)]
    Service(service::ServiceArgs),
    /// Show how the agent on this host does.
    Status(status::StatusArgs),
    /// Take one sample and show it; needs no controller.
    Snapshot(snapshot::SnapshotArgs),
    /// Say what is wrong with this host's ports, why, and what to do; needs no controller.
    ///
    /// Exit code: 0 nothing found, 1 warning, 2 critical, 3 could not tell.
    Doctor(doctor::DoctorArgs),
    /// Put a report, a snapshot, the configuration without secrets, status and log into one file for support.
    SupportBundle(support_bundle::BundleArgs),
    /// Show events that concern ports, of this host's log or of a saved one; needs no controller.
    Events(events::EventsArgs),
    /// Show what this host lets be done to it, or check one action beforehand.
    Policy(policy::PolicyArgs),
    /// Stop every action on this host, or let them go on.
    Lockdown(policy::LockdownArgs),
    /// Forget this host's identity; it needs a new token afterwards.
    ResetIdentity(reset::ResetArgs),
    /// Try in a process of its own whether bound sockets are listed.
    #[command(name = BOUND_SELF_TEST, hide = true)]
    BoundSelfTest(bound_self_test::BoundSelfTestArgs),
    /// Print a completion script.
    Completion {
        /// For which shell.
        shell: clap_complete::Shell,
    },
    /// Write manual pages, one for each command.
    Man {
        /// Into this folder.
        folder: PathBuf,
    },
}

/// Where the settings come from.
#[derive(Args, Clone, Debug)]
struct SettingsArgs {
    /// Configuration file [default: /etc/tidemark/agent.toml if it is there].
    #[arg(long, value_name = "FILE", env = "TIDEMARK_CONFIG")]
    config: Option<PathBuf>,
    #[command(flatten)]
    flags: ConfigFlags,
}

impl SettingsArgs {
    fn load(&self) -> Result<AgentConfig, ConfigError> {
        AgentConfig::load(self.config.as_deref(), &self.flags)
    }
}

/// How to show something.
#[derive(Args, Clone, Copy, Debug)]
struct OutputArgs {
    /// Form of the output.
    #[arg(short, long, value_enum, default_value_t = Output::Table)]
    output: Output,
    /// The same as `--output json`.
    #[arg(long)]
    json: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Output {
    Table,
    Json,
}

impl OutputArgs {
    const fn is_json(self) -> bool {
        self.json || matches!(self.output, Output::Json)
    }
}

/// Runs a command and says how it went.
#[must_use]
pub fn execute(arguments: Arguments) -> ExitCode {
    let done = match arguments.command {
        Command::Run(args) => run::run(&args),
        Command::Supervise(args) => supervise::run(&args),
        Command::Enroll(args) => enroll::run(&args),
        Command::Service(args) => service::run(args),
        Command::Status(args) => status::run(&args),
        Command::Snapshot(args) => snapshot::run(&args),
        // Its verdict is its exit code.
        Command::Doctor(args) => return doctor::run(&args),
        Command::SupportBundle(args) => support_bundle::run(&args),
        Command::Events(args) => events::run(&args),
        Command::Policy(args) => policy::policy(&args),
        Command::Lockdown(args) => policy::lockdown(&args),
        Command::ResetIdentity(args) => reset::run(&args),
        Command::BoundSelfTest(args) => bound_self_test::run(&args),
        Command::Completion { shell } => {
            let mut command = Arguments::command();
            clap_complete::generate(shell, &mut command, "tidemark-agent", &mut io::stdout());
            Ok(Outcome::Clean)
        }
        Command::Man { folder } => clap_mangen::generate_to(Arguments::command(), &folder)
            .with_context(|| format!("cannot write manual pages into {}", folder.display()))
            .map(|()| Outcome::Clean),
    };
    match done {
        Ok(Outcome::Clean) => ExitCode::SUCCESS,
        Ok(Outcome::Crashed) => ExitCode::FAILURE,
        Err(error) => {
            // Nothing is left to tell it to when standard error is gone.
            writeln!(io::stderr(), "tidemark-agent: {error:#}").ok();
            let is_usage = error.downcast_ref::<ConfigError>().is_some();
            ExitCode::from(if is_usage { 2 } else { 1 })
        }
    }
}

/// Says what is wrong with the arguments, or what was asked for. To whoever reads `doctor`'s exit code, 2 is a verdict: there,
/// wrong usage is "could not tell".
#[must_use]
pub fn usage(error: &clap::Error) -> ExitCode {
    // Nothing is left to tell it to when standard error is gone.
    error.print().ok();
    let is_doctor = std::env::args_os()
        .nth(1)
        .is_some_and(|name| name == "doctor");
    match error.exit_code() {
        0 => ExitCode::SUCCESS,
        _ if is_doctor => ExitCode::from(Verdict::CouldNotTell.exit_code()),
        _ => ExitCode::from(2),
    }
}

/// One thread runs everything but the collector: an agent that watches a host must not weigh on it.
fn block_on<T>(work: impl Future<Output = anyhow::Result<T>>) -> anyhow::Result<T> {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .max_blocking_threads(2)
        .build()
        .context("the system gives no resources for timers and sockets")?
        .block_on(work)
}

/// Prints to standard output; a reader that has gone away is no failure.
fn print(text: &str) -> anyhow::Result<Outcome> {
    match io::stdout().write_all(text.as_bytes()) {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => {
            Err(error).context("standard output cannot be written")
        }
        Ok(()) | Err(_) => Ok(Outcome::Clean),
    }
}

#[cfg(test)]
mod tests;
