//! Programs that die at a chosen system call, as a power cut would end them there: `strace` kills them before it is made.

use std::path::{Path, PathBuf};

use anyhow::Context as _;
use rustix::process::Pid;
use tokio::process::Command;

use super::process::wrapping;
use super::{Process, SOON};

/// One point to die at. Calls are counted for each thread by itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Death {
    /// Which call, as in `fdatasync`.
    pub call: &'static str,
    /// The how manieth of the calls that touch one of these files.
    pub nth: u32,
    /// The files.
    pub files: Vec<PathBuf>,
}

impl Death {
    /// `command` with this end before it.
    #[must_use]
    pub fn of(&self, command: &Command) -> Command {
        self.of_logged(command, Path::new("/dev/null"))
    }

    /// The same, with the counted calls written to `log`.
    #[must_use]
    pub fn of_logged(&self, command: &Command, log: &Path) -> Command {
        let mut strace = self.strace(log);
        strace.arg("--");
        wrapping(strace, command)
    }

    /// Gives a running program this end; counts from here on, and writes what it counts to `log`.
    ///
    /// # Errors
    /// When `strace` is missing, or may not.
    pub async fn attach(&self, program: Pid, log: &Path) -> anyhow::Result<Process> {
        let folder = log.parent().context("a file in a folder")?;
        let mut strace = self.strace(log);
        strace.arg("-p").arg(program.as_raw_pid().to_string());
        let mut strace = Process::start("strace", strace, folder)?;
        strace.complains_of("attached", SOON).await?;
        Ok(strace)
    }

    fn strace(&self, log: &Path) -> Command {
        let mut strace = Command::new("strace");
        strace.arg("-f").arg("-o").arg(log);
        for file in &self.files {
            strace.arg("-P").arg(file);
        }
        let Self { call, nth, .. } = self;
        strace.args(["-e", &format!("trace={call}")]);
        strace.args(["-e", &format!("inject={call}:signal=KILL:when={nth}")]);
        strace
    }
}
