//! A controller with its agent on a machine with a thousand ports, a service to connect to, and a program that eats the
//! ports.

use serde::Deserialize;

use super::controller::tcp;
use super::{Controller, Machine, Process, SOON, Up, program, until};

/// A thousand ports, below the kernel's defaults, so that nothing else takes them.
const FIRST_PORT: u16 = 20_000;
const LAST_PORT: u16 = 20_999;

/// How many they are.
pub const CAPACITY: u32 = 1_000;

/// Where the service is: on a port outside the range.
pub const SERVICE: &str = "127.0.0.1:9000";

/// Everything up to the program that eats ports.
#[derive(Debug)]
pub struct Site {
    /// Samples its own machine every second.
    pub controller: Controller,
    _service: Process,
}

/// A line of the program that eats ports.
#[derive(Clone, Debug, Deserialize)]
pub struct Said {
    /// `started` or `exhausted`.
    pub event: String,
    /// When, in unix milliseconds.
    pub at_ms: i64,
}

impl Site {
    /// Sets the ports, starts everything and waits until it answers.
    ///
    /// # Errors
    /// When something does not start.
    pub async fn start(machine: &Machine) -> anyhow::Result<Self> {
        Self::start_with(machine, &Up::with_agent()).await
    }

    /// The same with a controller of one's own.
    ///
    /// # Errors
    /// When something does not start.
    pub async fn start_with(machine: &Machine, up: &Up) -> anyhow::Result<Self> {
        machine.set_dynamic_ports(FIRST_PORT, LAST_PORT)?;
        let service = serve(machine, SERVICE).await?;
        Ok(Self {
            controller: Controller::up(machine, up).await?,
            _service: service,
        })
    }

    /// The same with the controller and its agent stopped in order, and started again.
    ///
    /// # Errors
    /// When it does not end, or not start.
    pub async fn restarted(self, machine: &Machine, up: &Up) -> anyhow::Result<Self> {
        let status = self.controller.stop().await?;
        anyhow::ensure!(status.success(), "the controller ended: {status}");
        Ok(Self {
            controller: Controller::up(machine, up).await?,
            _service: self._service,
        })
    }

    /// Starts `port_eater` with `mode`, as in `leak --per-second 12`.
    ///
    /// # Errors
    /// When it was not built.
    pub fn eat(&self, machine: &Machine, mode: &str) -> anyhow::Result<Process> {
        let mut command = program("port_eater")?;
        command.args(mode.split(' ')).args(["--to", SERVICE]);
        Process::start("eater", command, machine.folder())
    }
}

/// A service on the test's machine that takes every connection, once it listens.
///
/// # Errors
/// When it was not built, or cannot listen there.
pub async fn serve(machine: &Machine, at: &str) -> anyhow::Result<Process> {
    let mut serve = program("port_eater")?;
    serve.args(["serve", "--at", at]);
    let service = Process::start("service", serve, machine.folder())?;
    until("the service", SOON, async || {
        Ok(said(&service, "started")?.map(drop))
    })
    .await?;
    Ok(service)
}

/// TCP ports in use of the controller's first host; `None` while none has told.
///
/// # Errors
/// When the controller does not answer.
pub async fn tcp_in_use(controller: &Controller) -> anyhow::Result<Option<u32>> {
    let hosts = controller.hosts().await?;
    let space = hosts.first().and_then(|host| tcp(host).ok());
    Ok(space.map(|space| space.in_use))
}

/// The first line in which `process` said that `event` happened.
///
/// # Errors
/// When its output cannot be read.
pub fn said(process: &Process, event: &str) -> anyhow::Result<Option<Said>> {
    for line in process.stdout()?.lines() {
        // The last line may be on its way.
        if let Ok(said) = serde_json::from_str::<Said>(line)
            && said.event == event
        {
            return Ok(Some(said));
        }
    }
    Ok(None)
}
