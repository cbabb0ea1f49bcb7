//! A real OpenTelemetry collector (rotel) on a test's own network, which says what it takes.

use std::path::Path;
use std::time::Duration;

use tokio::net::TcpStream;
use tokio::process::Command;

use super::wait::{STARTING, until};
use super::{Machine, Process};

/// Where it takes OTLP over HTTP.
pub const ADDRESS: &str = "127.0.0.1:4318";

/// A running collector.
#[derive(Debug)]
pub struct Collector {
    process: Process,
}

impl Collector {
    /// Starts one and waits until it listens; `name` names its files in the test's folder.
    ///
    /// # Errors
    /// When it is not installed, as tests/run does it, or does not start.
    pub async fn start(machine: &Machine, name: &str) -> anyhow::Result<Self> {
        let packaged =
            Path::new(env!("CARGO_MANIFEST_DIR")).join("../target/python/rotel/rotel-agent");
        anyhow::ensure!(
            packaged.is_file(),
            "{} is missing: tests/run installs it",
            packaged.display()
        );
        let mut command = Command::new(packaged);
        command
            .env_clear()
            .args(["start", "--exporter", "blackhole", "--disable-batching"])
            .args(["--otlp-http-endpoint", ADDRESS])
            .args(["--otlp-grpc-endpoint", "127.0.0.1:4317"])
            .args(["--debug-log", "traces", "--debug-log", "metrics"])
            .args(["--debug-log-verbosity", "detailed"])
            .kill_on_drop(true);
        let process = Process::start(name, command, machine.folder())?;
        let mut collector = Self { process };
        until("the collector", STARTING, async || {
            if let Some(status) = collector.process.ended()? {
                anyhow::bail!("it ended with {status}: {}", collector.process.said());
            }
            Ok(TcpStream::connect(ADDRESS).await.ok())
        })
        .await?;
        Ok(collector)
    }

    /// What it said once that holds every one of `parts`.
    ///
    /// # Errors
    /// When it does not say so in that time.
    pub async fn took(&self, parts: &[&str], patience: Duration) -> anyhow::Result<String> {
        until(
            &format!("the collector to take {parts:?}"),
            patience,
            async || {
                let said = self.process.said();
                Ok(parts.iter().all(|part| said.contains(part)).then_some(said))
            },
        )
        .await
    }
}
