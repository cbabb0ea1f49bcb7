//! A real Alertmanager on a test's own network.

use std::fs;

use serde_json::Value;
use tokio::process::Command;

use super::{Machine, Process};

const ADDRESS: &str = "127.0.0.1:9093";

const CONFIGURATION: &str = "route:\n  receiver: nobody\nreceivers:\n  - name: nobody\n";

/// A running Alertmanager.
#[derive(Debug)]
pub struct Alertmanager {
    client: reqwest::Client,
    _process: Process,
}

impl Alertmanager {
    /// Starts it and waits until it answers.
    ///
    /// # Errors
    /// When it is not installed or does not start.
    pub async fn start(machine: &Machine) -> anyhow::Result<Self> {
        let folder = machine.folder().join("alertmanager");
        fs::create_dir(&folder)?;
        let configuration = folder.join("alertmanager.yml");
        fs::write(&configuration, CONFIGURATION)?;
        // Debian's name; upstream's is `alertmanager`.
        let mut command = Command::new("prometheus-alertmanager");
        command
            .arg(format!("--config.file={}", configuration.display()))
            .arg(format!("--storage.path={}", folder.join("data").display()))
            .arg(format!("--web.listen-address={ADDRESS}"))
            .arg("--cluster.listen-address=")
            .kill_on_drop(true);
        let mut process = Process::start("alertmanager", command, machine.folder())?;
        let ready = format!("http://{ADDRESS}/-/ready");
        let client = process.answers_at("Alertmanager", &ready).await?;
        Ok(Self {
            client,
            _process: process,
        })
    }

    /// Where it is.
    #[must_use]
    pub fn url(&self) -> String {
        format!("http://{ADDRESS}")
    }

    /// The alerts that are firing.
    ///
    /// # Errors
    /// When it does not answer.
    pub async fn alerts(&self) -> anyhow::Result<Vec<Value>> {
        let url = format!("{}/api/v2/alerts?active=true", self.url());
        let answer = self.client.get(url).send().await?;
        Ok(answer.error_for_status()?.json().await?)
    }
}
