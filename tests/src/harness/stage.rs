//! Machines with an `/etc`, a `/var/lib`, a home and a name of their own, on which commands run as they stand in the
//! documentation. Nothing of it reaches the real machine's files.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use tokio::process::Command;

use super::process::built;
use super::{Finished, Machine, Neighbour, Process, SOON, until};

/// Lays files of its own over the machine's, takes the name $1, and stays.
const STAGE: &str = r#"set -e
mount -t tmpfs none /mnt
for folder in etc var/lib; do
  mkdir -p "/mnt/over/$folder" "/mnt/work/$folder"
  mount -t overlay overlay -o "lowerdir=/$folder,upperdir=/mnt/over/$folder,workdir=/mnt/work/$folder" "/$folder"
done
if [ -d /run/systemd ]; then mount -t tmpfs none /run/systemd; fi
hostname "$1"
exec sleep infinity"#;

/// A machine.
#[derive(Debug)]
pub struct Stage {
    holder: Process,
    name: String,
    home: PathBuf,
    environment: Vec<(String, String)>,
}

impl Stage {
    /// One on the test's own network, or on a neighbour's. What is started on it, to stay, has this environment.
    ///
    /// # Errors
    /// When it cannot be made.
    pub async fn set(
        machine: &Machine,
        name: &str,
        neighbour: Option<&Neighbour>,
        environment: &[(&str, &str)],
    ) -> anyhow::Result<Self> {
        let home = machine.folder().join(format!("home-{name}"));
        fs::create_dir(&home)?;
        let mut stage = Command::new("unshare");
        stage.args(["--mount", "--uts", "sh", "-c", STAGE, "sh", name]);
        let stage = match neighbour {
            Some(neighbour) => neighbour.inside(&stage),
            None => stage,
        };
        let holder = Process::start(&format!("stage-{name}"), stage, machine.folder())?;
        let pid = holder.pid().as_raw_pid();
        until("the machine", SOON, async || {
            let running =
                fs::read_to_string(format!("/proc/{pid}/comm")).with_context(|| holder.said())?;
            Ok((running.trim() == "sleep").then_some(()))
        })
        .await?;
        let pairs = environment.iter();
        Ok(Self {
            holder,
            name: name.to_owned(),
            home,
            environment: pairs
                .map(|(key, value)| ((*key).to_owned(), (*value).to_owned()))
                .collect(),
        })
    }

    /// Where commands run, and where their files lie.
    #[must_use]
    pub fn home(&self) -> &Path {
        &self.home
    }

    /// A shell on it with that line.
    ///
    /// # Errors
    /// When the programs were not built.
    pub fn shell(&self, line: &str) -> anyhow::Result<Command> {
        let programs = built("tidemark")?;
        let programs = programs.parent().context("a folder of programs")?;
        let mut command = Command::new("nsenter");
        command
            .arg("--target")
            .arg(self.holder.pid().as_raw_pid().to_string());
        command.args(["--mount", "--uts", "--net", "--"]);
        command.args(["bash", "-c", r#"cd "$HOME" && eval "$0""#, line]);
        command.env_clear().kill_on_drop(true);
        command.env("HOME", &self.home);
        command.env(
            "PATH",
            format!("{}:/usr/sbin:/usr/bin:/sbin:/bin", programs.display()),
        );
        Ok(command)
    }

    /// Runs a line to its end.
    ///
    /// # Errors
    /// When it cannot be started, or does not end.
    pub async fn run(&self, line: &str) -> anyhow::Result<Finished> {
        Finished::of(self.shell(line)?).await
    }

    /// Starts a line that stays; `name` names its output in the test's folder.
    ///
    /// # Errors
    /// When it cannot be started.
    pub fn start(&self, machine: &Machine, name: &str, line: &str) -> anyhow::Result<Process> {
        let name = format!("{}-{name}", self.name);
        let mut command = self.shell(&format!("exec {line}"))?;
        command.envs(self.environment.iter().map(|(key, value)| (key, value)));
        Process::start(&name, command, machine.folder())
    }
}
