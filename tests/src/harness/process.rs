//! The built programs as processes: found beside the tests, cut off from the caller's settings, and killed with whatever
//! they started when the test lets go of them.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Output, Stdio};
use std::time::Duration;

use anyhow::Context as _;
use rustix::process::{Pid, Signal, kill_process, kill_process_group};
use tidemark_runtime::config;
use tokio::process::{Child, ChildStdin, Command};

use super::wait::{STARTING, until};

/// Programs that end by themselves get as long as a slow machine may need.
const RUN_TIMEOUT: Duration = Duration::from_secs(60);

/// A built program of this workspace, ready to be given arguments. Settings of the caller do not reach it.
///
/// # Errors
/// When it was not built.
pub fn program(name: &str) -> anyhow::Result<Command> {
    let mut command = Command::new(built(name)?);
    for (variable, _) in config::process_environment() {
        command.env_remove(variable);
    }
    // Under cargo the quick start would build the agent first.
    for variable in ["CARGO", "CARGO_MANIFEST_DIR", "RUST_LOG", "NO_COLOR"] {
        command.env_remove(variable);
    }
    command.kill_on_drop(true);
    Ok(command)
}

/// `wrapper` with `command` as its last arguments, as `nsenter` and its kind take a program, in the program's environment.
#[must_use]
pub fn wrapping(mut wrapper: Command, command: &Command) -> Command {
    let command = command.as_std();
    wrapper
        .arg(command.get_program())
        .args(command.get_args())
        .kill_on_drop(true);
    for (name, value) in command.get_envs() {
        match value {
            Some(value) => wrapper.env(name, value),
            None => wrapper.env_remove(name),
        };
    }
    wrapper
}

/// Where a program of this workspace was built: test executables lie in `deps` beside it.
///
/// # Errors
/// When it was not built.
pub fn built(name: &str) -> anyhow::Result<PathBuf> {
    let this = std::env::current_exe().context("the test's own path is unknown")?;
    let path = this
        .parent()
        .and_then(Path::parent)
        .context("the test lies in no target folder")?
        .join(name);
    anyhow::ensure!(
        path.is_file(),
        "{} is missing: run `cargo build --workspace --bins` first, as tests/run does",
        path.display()
    );
    Ok(path)
}

/// A program that ran to its end.
#[derive(Clone, Debug)]
pub struct Finished {
    /// How it ended; `None` when a signal ended it.
    pub code: Option<i32>,
    /// What it printed.
    pub stdout: String,
    /// What it complained of.
    pub stderr: String,
}

impl Finished {
    /// Runs `command` to its end.
    ///
    /// # Errors
    /// When it cannot be started or does not end.
    pub async fn of(command: Command) -> anyhow::Result<Self> {
        Self::within(command, RUN_TIMEOUT).await
    }

    /// The same of one that may take that long.
    ///
    /// # Errors
    /// As [`Finished::of`].
    pub async fn within(mut command: Command, patience: Duration) -> anyhow::Result<Self> {
        command.stdin(Stdio::null());
        let output = tokio::time::timeout(patience, command.output())
            .await
            .with_context(|| format!("{command:?} does not end"))??;
        let Output {
            status,
            stdout,
            stderr,
        } = output;
        Ok(Self {
            code: status.code(),
            stdout: String::from_utf8_lossy(&stdout).into_owned(),
            stderr: String::from_utf8_lossy(&stderr).into_owned(),
        })
    }

    /// What it printed, if it says that it succeeded.
    ///
    /// # Errors
    /// Its exit code and its complaint.
    pub fn succeeded(self) -> anyhow::Result<String> {
        anyhow::ensure!(
            self.code == Some(0),
            "exit code {:?}: {}{}",
            self.code,
            self.stderr,
            self.stdout
        );
        Ok(self.stdout)
    }
}

/// A running program in a process group of its own; its output goes to files in the test's folder.
#[derive(Debug)]
pub struct Process {
    child: Child,
    pid: Pid,
    output: PathBuf,
    errors: PathBuf,
    /// Programs that end with their standard input live as long as this.
    stdin: Option<ChildStdin>,
}

impl Process {
    /// Starts `command`; `name` names its files in `folder`.
    ///
    /// # Errors
    /// When it cannot be started.
    pub fn start(name: &str, mut command: Command, folder: &Path) -> anyhow::Result<Self> {
        let output = folder.join(format!("{name}.out"));
        let errors = folder.join(format!("{name}.err"));
        let mut child = command
            .stdin(Stdio::piped())
            .stdout(File::create(&output)?)
            .stderr(File::create(&errors)?)
            .process_group(0)
            .spawn()
            .with_context(|| format!("cannot start {name}"))?;
        let pid = child.id().and_then(|id| Pid::from_raw(id.cast_signed()));
        Ok(Self {
            stdin: child.stdin.take(),
            pid: pid.context("the process ended before it began")?,
            child,
            output,
            errors,
        })
    }

    /// Its process id.
    #[must_use]
    pub const fn pid(&self) -> Pid {
        self.pid
    }

    /// What it printed so far.
    ///
    /// # Errors
    /// When the file is gone.
    pub fn stdout(&self) -> anyhow::Result<String> {
        Ok(fs::read_to_string(&self.output)?)
    }

    /// What it complained of so far.
    ///
    /// # Errors
    /// When the file is gone.
    pub fn stderr(&self) -> anyhow::Result<String> {
        Ok(fs::read_to_string(&self.errors)?)
    }

    /// What it said, for the message of a failed test.
    #[must_use]
    pub fn said(&self) -> String {
        let read = |path: &Path| fs::read_to_string(path).unwrap_or_default();
        format!("{}{}", read(&self.output), read(&self.errors))
    }

    /// How it ended, if it did.
    ///
    /// # Errors
    /// When the system cannot tell.
    pub fn ended(&mut self) -> anyhow::Result<Option<ExitStatus>> {
        Ok(self.child.try_wait()?)
    }

    /// Waits until its complaints hold `text`; fails at once when it ends before.
    ///
    /// # Errors
    /// When they do not in time, with what it said instead.
    pub async fn complains_of(&mut self, text: &str, patience: Duration) -> anyhow::Result<()> {
        let said = until(text, patience, async || {
            let said = self.stderr()?;
            let is_there = said.contains(text);
            anyhow::ensure!(is_there || self.ended()?.is_none(), "it ended");
            Ok(is_there.then_some(()))
        })
        .await;
        said.with_context(|| format!("it said: {}", self.said()))
    }

    /// Waits until it answers at that address with success; fails at once when it ends before. Answers a client for it.
    ///
    /// # Errors
    /// When it does not in time, or ends, with what it said.
    pub async fn answers_at(&mut self, name: &str, url: &str) -> anyhow::Result<reqwest::Client> {
        tidemark_runtime::tls::install_crypto_provider();
        let client = reqwest::Client::builder()
            .timeout(Duration::from_secs(10))
            .build()?;
        until(name, STARTING, async || {
            if let Some(status) = self.ended()? {
                anyhow::bail!("{name} ended: {status}: {}", self.said());
            }
            let answer = client.get(url).send().await;
            Ok(answer
                .is_ok_and(|answer| answer.status().is_success())
                .then_some(()))
        })
        .await?;
        Ok(client)
    }

    /// Asks it to end, as Ctrl-C does.
    ///
    /// # Errors
    /// When it is gone already.
    pub fn interrupt(&self) -> anyhow::Result<()> {
        Ok(kill_process(self.pid, Signal::INT)?)
    }

    /// Asks it to end, as a service manager does.
    ///
    /// # Errors
    /// When it is gone already.
    pub fn terminate(&self) -> anyhow::Result<()> {
        Ok(kill_process(self.pid, Signal::TERM)?)
    }

    /// Stops it where it is, as a debugger or an overloaded machine does.
    ///
    /// # Errors
    /// When it is gone.
    pub fn pause(&self) -> anyhow::Result<()> {
        Ok(kill_process(self.pid, Signal::STOP)?)
    }

    /// Lets it go on after [`Process::pause`].
    ///
    /// # Errors
    /// When it is gone.
    pub fn resume(&self) -> anyhow::Result<()> {
        Ok(kill_process(self.pid, Signal::CONT)?)
    }

    /// Waits for its end.
    ///
    /// # Errors
    /// When it does not end within `patience`.
    pub async fn wait(&mut self, patience: Duration) -> anyhow::Result<ExitStatus> {
        let ended = tokio::time::timeout(patience, self.child.wait()).await;
        let status = ended
            .with_context(|| format!("it does not end within {patience:?}: {}", self.said()))??;
        Ok(status)
    }

    /// Ends it as a power cut would, and everything in its process group.
    ///
    /// # Errors
    /// When the system refuses.
    pub async fn kill(&mut self) -> anyhow::Result<()> {
        self.kill_group();
        self.child.wait().await?;
        Ok(())
    }

    fn kill_group(&self) {
        // It may be gone already, which is what is wanted.
        kill_process_group(self.pid, Signal::KILL).ok();
    }

    /// Closes its standard input.
    pub fn close_stdin(&mut self) {
        drop(self.stdin.take());
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.kill_group();
    }
}

/// Whether a process is still there.
#[must_use]
pub fn is_running(pid: u32) -> bool {
    // A zombie has ended; only its parent has not looked yet.
    fs::read_to_string(format!("/proc/{pid}/stat")).is_ok_and(|stat| {
        !stat
            .rsplit(')')
            .next()
            .is_some_and(|rest| rest.starts_with(" Z"))
    })
}
