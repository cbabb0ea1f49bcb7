//! A machine that systemd runs: Debian in a container of its own, started anew for each test from the root that `tests/run`
//! makes. What it changes in its files is gone with it.

use std::fs;
use std::path::PathBuf;

use anyhow::Context as _;
use rustix::process::{Pid, Signal, kill_process};
use tokio::process::Command;

use super::process::wrapping;
use super::wine::workspace;
use super::{Finished, Machine, Neighbour, Process, STARTING, until};

/// A Debian with systemd as its first process, on the network of a neighbour.
#[derive(Debug)]
pub struct Debian {
    /// Keeps the network for as long as the container is there.
    network: Neighbour,
    container: Process,
    init: Pid,
}

impl Debian {
    /// Boots it with files and folders of the test's machine, each at a path of its own, which it cannot write.
    ///
    /// # Errors
    /// When the root was not made, or systemd does not come up.
    pub async fn boot(
        machine: &Machine,
        network: Neighbour,
        brought: &[(PathBuf, &str)],
    ) -> anyhow::Result<Self> {
        let root = workspace().join("target/debian-root");
        anyhow::ensure!(
            root.join("usr/lib/systemd/systemd").is_file(),
            "{} is missing: tests/run makes it",
            root.display()
        );
        let mut nspawn = Command::new("systemd-nspawn");
        // It may set the parameters of its network, as a real machine may.
        nspawn
            .env("SYSTEMD_NSPAWN_API_VFS_WRITABLE", "network")
            .args(["--quiet", "--register=no", "--keep-unit"])
            .args(["--volatile=overlay", "--console=pipe"])
            .arg(format!("--directory={}", root.display()))
            .arg(format!("--machine={}", network.name()))
            .arg(format!("--hostname={}", network.name()))
            .arg(format!("--network-namespace-path={}", network.network()));
        for (path, place) in brought {
            nspawn.arg(format!("--bind-ro={}:{place}", path.display()));
        }
        nspawn
            .args(["--boot", "systemd.unit=multi-user.target"])
            .kill_on_drop(true);
        let name = format!("{}-console", network.name());
        let mut container = Process::start(&name, nspawn, machine.folder())?;
        let init = first_process(&mut container).await?;
        let booted = Self {
            network,
            container,
            init,
        };
        let waited = ["is-system-running", "--wait"];
        until("systemd", STARTING, async || {
            let state = booted.run("systemctl", &waited).await?;
            Ok((state.stdout.trim() == "running").then_some(()))
        })
        .await
        .with_context(|| booted.container.said())?;
        Ok(booted)
    }

    /// The machine that it is on.
    #[must_use]
    pub const fn network(&self) -> &Neighbour {
        &self.network
    }

    /// Runs a program in it to its end.
    ///
    /// # Errors
    /// When it cannot be started or does not end.
    pub async fn run(&self, program: &str, args: &[&str]) -> anyhow::Result<Finished> {
        let mut command = Command::new(program);
        command.args(args);
        let [program, arguments @ ..] = self.entry();
        let mut wrapper = Command::new(program);
        wrapper.args(arguments);
        Finished::of(wrapping(wrapper, &command)).await
    }

    /// What stands before a command that is to run in it, each word one argument.
    #[must_use]
    pub fn entry(&self) -> [String; 8] {
        let target = format!("--target={}", self.init.as_raw_pid());
        [
            "nsenter", &target, "--mount", "--uts", "--ipc", "--pid", "--net", "--cgroup",
        ]
        .map(str::to_owned)
    }

    /// Runs a line of shell in it; what it printed.
    ///
    /// # Errors
    /// When it fails, with its complaint.
    pub async fn shell(&self, script: &str) -> anyhow::Result<String> {
        self.run("sh", &["-ec", script]).await?.succeeded()
    }

    /// Writes one of its files, with the folders that it needs.
    ///
    /// # Errors
    /// When it cannot be written.
    pub async fn write(&self, path: &str, content: &str) -> anyhow::Result<()> {
        let script = r#"mkdir -p "$(dirname "$1")" && printf %s "$2" > "$1""#;
        let args = ["-ec", script, "sh", path, content];
        self.run("sh", &args).await?.succeeded().map(drop)
    }
}

impl Drop for Debian {
    fn drop(&mut self) {
        // Its first process outlives the program that started it, and takes everything else along.
        kill_process(self.init, Signal::KILL).ok();
    }
}

/// The first process of the container, as this machine numbers it, once it is systemd.
async fn first_process(container: &mut Process) -> anyhow::Result<Pid> {
    let pid = container.pid().as_raw_pid();
    let found = until("the container's first process", STARTING, async || {
        anyhow::ensure!(container.ended()?.is_none(), "the container ended");
        Ok(children(pid)?.into_iter().find(|child| is_systemd(*child)))
    })
    .await;
    let found = found.with_context(|| container.said())?;
    Pid::from_raw(found).context("a process has a number")
}

fn children(pid: i32) -> anyhow::Result<Vec<i32>> {
    let path = format!("/proc/{pid}/task/{pid}/children");
    let listed = fs::read_to_string(path)?;
    let numbers = listed.split_whitespace().map(str::parse);
    Ok(numbers.collect::<Result<_, _>>()?)
}

fn is_systemd(pid: i32) -> bool {
    fs::read_to_string(format!("/proc/{pid}/comm")).is_ok_and(|comm| comm.trim() == "systemd")
}
