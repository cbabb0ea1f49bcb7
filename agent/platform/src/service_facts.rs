//! The agent as a service of the system: its names, what is known of it, and why something could not be done with it.

use std::ffi::OsString;
use std::fmt;
use std::io;
use std::path::PathBuf;

/// Name of the service, for `sc.exe` and `Restart-Service`.
pub const SERVICE_NAME: &str = "tidemark-agent";
/// Name that people see.
pub const DISPLAY_NAME: &str = "Tidemark agent";
/// What it is for, as the list of services shows it.
pub const DESCRIPTION: &str =
    "Watches this host's TCP and UDP ports and tells the Tidemark controller before they run out.";

/// What the system starts.
#[derive(Clone, Debug)]
pub struct ServicePlan {
    /// The program.
    pub program: PathBuf,
    /// Its arguments.
    pub arguments: Vec<OsString>,
}

/// How an installation went.
#[derive(Clone, Debug, Default)]
pub struct Installed {
    /// Whether the service was there before; it got its settings anew.
    pub was_there: bool,
    /// Settings that this system does not take, and why. The service works without them.
    pub left_out: Vec<String>,
}

/// What a service does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ServiceState {
    /// It does not run.
    Stopped,
    /// It begins.
    Starting,
    /// It runs.
    Running,
    /// It ends.
    Stopping,
    /// It is paused, or on its way there or back.
    Paused,
}

impl fmt::Display for ServiceState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Stopped => "stopped",
            Self::Starting => "starting",
            Self::Running => "running",
            Self::Stopping => "stopping",
            Self::Paused => "paused",
        })
    }
}

/// What the system says of the service.
#[derive(Clone, Debug)]
pub struct ServiceReport {
    /// What it does.
    pub state: ServiceState,
    /// Its process, while it runs.
    pub process: Option<u32>,
    /// How it ended last, 0 as it was asked to; `None` while it runs, and when it never ran since the system started.
    pub exit_code: Option<u32>,
    /// The command that the system starts.
    pub command: String,
    /// Settings that are not as [`crate::system_service::install`] makes them.
    pub deviations: Vec<String>,
}

/// How the hosted agent ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ServiceEnd {
    /// It was asked to, and everything ended in time.
    Clean,
    /// Something failed: the system starts it again.
    Crashed,
}

/// Where the hosted agent is between its start and its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ServicePhase {
    /// It begins. Said again it tells that something was done since.
    Starting,
    /// It works.
    Running,
    /// It ends. Said again it tells that it still does.
    Stopping,
}

/// An agent that the system hosts.
pub struct HostedService {
    /// Called on a thread of the system's when the service is to end; more than once when it is asked again.
    pub on_stop: Box<dyn Fn() + Send + Sync>,
    /// The agent, from its start to its end.
    pub body: Box<dyn FnOnce() -> ServiceEnd + Send>,
}

impl fmt::Debug for HostedService {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HostedService").finish_non_exhaustive()
    }
}

/// Why something could not be done with the service.
#[derive(Debug, thiserror::Error)]
pub enum ServiceError {
    /// This system starts services otherwise.
    #[error(
        "this system has no service control manager; with systemd use `systemctl enable --now tidemark-agent`"
    )]
    Elsewhere,
    /// There is no such service.
    #[error(
        "the service {SERVICE_NAME} is not installed; run `tidemark-agent service install` first"
    )]
    Missing,
    /// It takes more rights.
    #[error("this takes administrator rights; run it from an elevated prompt")]
    Denied,
    /// A process that the system did not start as a service cannot be one.
    #[error(
        "the service control manager did not start this process; use `tidemark-agent service start`, or `tidemark-agent run` for a run in the foreground"
    )]
    NotStartedAsService,
    /// Something else.
    #[error("the service control manager refused to {what}")]
    Refused {
        /// What was asked of it.
        what: &'static str,
        /// Its answer.
        source: io::Error,
    },
}
