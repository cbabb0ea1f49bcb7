//! What befalls a program at a chosen system call: `strace` kills it before the call is made, as a power cut would end it there, or
//! has the call fail.

use std::path::{Path, PathBuf};

use anyhow::Context as _;
use rustix::process::Pid;
use tokio::process::Command;

use super::process::wrapping;
use super::{Process, SOON};

/// One point at which it happens. Calls are counted for each thread by itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mishap {
    /// Which call, as in `fdatasync`.
    pub call: &'static str,
    /// The how manieth of the calls that touch one of these files.
    pub nth: u32,
    /// What happens there.
    pub fate: Fate,
    /// The files.
    pub files: Vec<PathBuf>,
}

/// What happens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    /// The program dies.
    Killed,
    /// The call fails with that error, as in `ENOSPC`, and the next one does not.
    FailsOnce(&'static str),
    /// That call and all later ones fail.
    FailsFromThereOn(&'static str),
}

impl Mishap {
    /// `command` with this before it.
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

    /// Lets it happen to a running program; counts from here on, and writes what it counts to `log`.
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
        let what = match self.fate {
            Fate::Killed => format!("signal=KILL:when={nth}"),
            Fate::FailsOnce(error) => format!("error={error}:when={nth}"),
            Fate::FailsFromThereOn(error) => format!("error={error}:when={nth}+"),
        };
        strace.args(["-e", &format!("trace={call}")]);
        strace.args(["-e", &format!("inject={call}:{what}")]);
        strace
    }
}
