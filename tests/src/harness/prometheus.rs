//! A real Prometheus on a test's own network.

use std::fs;
use std::path::Path;

use serde_json::Value;
use tokio::process::Command;

use super::{Machine, Process};

const ADDRESS: &str = "127.0.0.1:9090";

/// A running Prometheus.
#[derive(Debug)]
pub struct Prometheus {
    client: reqwest::Client,
    _process: Process,
}

impl Prometheus {
    /// Starts it with that configuration and waits until it answers.
    ///
    /// # Errors
    /// When it is not installed or does not start.
    pub async fn start(machine: &Machine, configuration: &Path) -> anyhow::Result<Self> {
        let mut command = Command::new("prometheus");
        let data = machine.folder().join("prometheus");
        fs::create_dir(&data)?;
        command
            .arg(format!("--config.file={}", configuration.display()))
            .arg(format!("--storage.tsdb.path={}", data.display()))
            .arg(format!("--web.listen-address={ADDRESS}"))
            .kill_on_drop(true);
        let mut process = Process::start("prometheus", command, machine.folder())?;
        let ready = format!("http://{ADDRESS}/-/ready");
        let client = process.answers_at("Prometheus", &ready).await?;
        Ok(Self {
            client,
            _process: process,
        })
    }

    /// What its API answers: the field `data`.
    ///
    /// # Errors
    /// When it does not answer, or with an error.
    pub async fn ask(&self, path: &str, query: &[(&str, &str)]) -> anyhow::Result<Value> {
        let address = format!("http://{ADDRESS}/api/v1/{path}");
        let mut answer: Value = self
            .client
            .get(address)
            .query(query)
            .send()
            .await?
            .json()
            .await?;
        anyhow::ensure!(answer["status"] == "success", "{path} {query:?}: {answer}");
        Ok(answer["data"].take())
    }

    /// The series that an expression has at this moment.
    ///
    /// # Errors
    /// When it is no expression.
    pub async fn query(&self, expression: &str) -> anyhow::Result<Vec<Value>> {
        let data = self.ask("query", &[("query", expression)]).await?;
        Ok(data["result"].as_array().cloned().unwrap_or_default())
    }
}
