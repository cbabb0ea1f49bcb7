//! A second host's agent: a folder with its configuration and its join token, and the program that runs with them.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::Context as _;
use tidemark_agent::status::AgentStatus;
use tidemark_model::SpoolCounts;
use tokio::process::Command;

use super::{Machine, Process, program};

const STOP_TIMEOUT: Duration = Duration::from_secs(15);

/// An agent's configuration and state, whether it runs or not.
#[derive(Clone, Debug)]
pub struct AgentFolder {
    name: String,
    path: PathBuf,
    test_folder: PathBuf,
}

impl AgentFolder {
    /// Writes what the README tells an operator to: where the controller is, and the token's file.
    ///
    /// # Errors
    /// When the files cannot be written.
    pub fn create(
        machine: &Machine,
        name: &str,
        controller: &str,
        token: &str,
    ) -> anyhow::Result<Self> {
        let path = machine.folder().join(name);
        fs::create_dir(&path)?;
        let folder = Self {
            name: name.to_owned(),
            test_folder: machine.folder().to_owned(),
            path,
        };
        folder.put_token(token)?;
        folder.configure(&format!(
            "controller = \"{controller}\"\ntoken_file = \"{}\"\ndata_dir = \"{}\"\ninterval = \"1s\"\n",
            folder.path.join("join-token").display(),
            folder.data_dir().display(),
        ))?;
        Ok(folder)
    }

    /// Replaces the join token.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn put_token(&self, token: &str) -> anyhow::Result<()> {
        Ok(fs::write(self.path.join("join-token"), token)?)
    }

    /// Replaces the configuration file.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn configure(&self, content: &str) -> anyhow::Result<()> {
        Ok(fs::write(self.config(), content)?)
    }

    /// Adds to the configuration file.
    ///
    /// # Errors
    /// When it cannot be read or written.
    pub fn add_config(&self, lines: &str) -> anyhow::Result<()> {
        let before = fs::read_to_string(self.config())?;
        self.configure(&format!("{before}{lines}\n"))
    }

    /// Writes the host's policy.
    ///
    /// # Errors
    /// When it cannot be written, or the configuration cannot.
    pub fn allow(&self, policy: &str) -> anyhow::Result<()> {
        let is_new = !self.policy().is_file();
        fs::write(self.policy(), policy)?;
        if is_new {
            let line = format!("policy_file = \"{}\"", self.policy().display());
            self.add_config(&line)?;
        }
        Ok(())
    }

    /// The host's policy file.
    #[must_use]
    pub fn policy(&self) -> PathBuf {
        self.path.join("policy.toml")
    }

    /// The configuration file.
    #[must_use]
    pub fn config(&self) -> PathBuf {
        self.path.join("agent.toml")
    }

    /// Where the agent keeps identity and spool.
    #[must_use]
    pub fn data_dir(&self) -> PathBuf {
        self.path.join("data")
    }

    /// One of the agent's commands with this configuration.
    ///
    /// # Errors
    /// When the agent was not built.
    pub fn command(&self, name: &str) -> anyhow::Result<Command> {
        let mut command = program("tidemark-agent")?;
        command.arg(name).arg("--config").arg(self.config());
        Ok(command)
    }

    /// Runs the agent.
    ///
    /// # Errors
    /// When it was not built or cannot be started.
    pub fn run(&self) -> anyhow::Result<Process> {
        Process::start(&self.name, self.command("run")?, &self.test_folder)
    }

    /// Ends an agent in order; what became of its records, by its own last word.
    ///
    /// # Errors
    /// When it does not end, or left no status.
    pub async fn end(&self, agent: &mut Process) -> anyhow::Result<SpoolCounts> {
        agent.interrupt()?;
        agent.wait(STOP_TIMEOUT).await?;
        let status = AgentStatus::read(&self.data_dir()).context("the agent left no status")?;
        Ok(status.spool)
    }

    /// Where its files lie.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }
}
