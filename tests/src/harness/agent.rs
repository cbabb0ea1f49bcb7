//! A second host's agent: a folder with its configuration and its join token, and the program that runs with them.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::Context as _;
use prost::Message as _;
use tidemark_agent::state_file::StateFile;
use tidemark_agent::status::AgentStatus;
use tidemark_model::SpoolCounts;
use tidemark_proto::v1;
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

/// Makes the agent take its certificate for one that is past the time to renew it: three quarters of its life lie behind
/// it by what is written beside it. Returns its generation.
///
/// # Errors
/// When there is none.
pub fn age_certificate(identity: &Path) -> anyhow::Result<u64> {
    let file = StateFile::new(identity, "credentials");
    let stored = file.read();
    let stored = stored.newest().context("there is a certificate")?;
    // The length of the key, the key, and what was issued for it.
    let (length, _) = stored.payload.split_first_chunk().context("a length")?;
    let key_ends = size_of::<u32>() + usize::try_from(u32::from_be_bytes(*length))?;
    let (key, issued) = stored
        .payload
        .split_at_checked(key_ends)
        .context("a key and a certificate")?;
    let mut issued = v1::Credentials::decode(issued)?;
    let life_ms = issued.not_after_ms - issued.not_before_ms;
    issued.not_before_ms -= life_ms * 3 / 4;
    issued.not_after_ms -= life_ms * 3 / 4;
    file.write(&[key, &issued.encode_to_vec()].concat())?;
    Ok(issued.generation)
}
