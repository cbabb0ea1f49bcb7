//! The local agent: an ordinary `tidemark-agent` in a process of its own, enrolled by an ordinary join token.
//!
//! It ends when its standard input does, so it never outlives this controller, however that ends.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use anyhow::Context as _;
use tidemark_model::HostId;
use tidemark_model::duration::format_duration;
use tidemark_model::token::JoinToken;
use tidemark_runtime::config;
use tidemark_runtime::durable::{self, Access};
use tokio::process::{Child, ChildStdin, Command};

use super::report::Report;
use crate::boot::{Started, reachable};
use crate::live::Change;

/// How long the first sample may take: enrolment, one connection, one commit.
const FIRST_SAMPLE_TIMEOUT: Duration = Duration::from_secs(45);

/// How long the agent may take to send what it holds, before it is killed. Its spool keeps the rest.
const STOP_TIMEOUT: Duration = Duration::from_secs(8);

/// Pause before an agent that ended by itself is started again.
const RESTART_PAUSE: Duration = Duration::from_secs(2);

/// Life of the local agent's join token.
const TOKEN_TTL: Duration = Duration::from_secs(600);

/// The agent's process and how to start it again.
#[derive(Debug)]
pub(super) struct LocalAgent {
    program: PathBuf,
    folder: PathBuf,
    child: Child,
    /// Held open for as long as the agent is to run. Not in `child`, whose `wait` would close it.
    stdin: Option<ChildStdin>,
}

/// The agent's program: beside this one, or built now when this one was started by cargo.
pub(super) async fn find_program(report: &Report) -> anyhow::Result<PathBuf> {
    let this = std::env::current_exe().context("this program's own path is unknown")?;
    let program = this.with_file_name(format!("tidemark-agent{}", std::env::consts::EXE_SUFFIX));
    let built_by_cargo = std::env::var_os("CARGO").zip(std::env::var_os("CARGO_MANIFEST_DIR"));
    if let Some((cargo, manifest_dir)) = built_by_cargo {
        report.line(
            "build",
            "agent and command line (the first time takes minutes, later ones a moment)",
        );
        build(Path::new(&cargo), Path::new(&manifest_dir), &this).await?;
    }
    if program.is_file() {
        return Ok(program);
    }
    anyhow::bail!(
        "{} is missing: put the agent's program beside this one, or start without a local agent (--no-agent)",
        program.display()
    )
}

async fn build(cargo: &Path, manifest_dir: &Path, this: &Path) -> anyhow::Result<()> {
    let mut command = Command::new(cargo);
    // The whole workspace, as `cargo run` in its root does: then both builds share what they compile.
    command.current_dir(manifest_dir).args([
        "build",
        "--workspace",
        "--bin",
        "tidemark-agent",
        "--bin",
        "tidemark",
    ]);
    // Build what belongs beside this program: the same profile, the same folder.
    let profile_folder = this.parent().and_then(Path::file_name).unwrap_or_default();
    if profile_folder == "release" {
        command.arg("--release");
    }
    let status = command
        .stdin(Stdio::null())
        .status()
        .await
        .context("cargo cannot be started")?;
    anyhow::ensure!(
        status.success(),
        "the agent could not be built; cargo's message above says why"
    );
    Ok(())
}

impl LocalAgent {
    pub(super) async fn start(
        program: &Path,
        folder: &Path,
        interval: Duration,
        started: &Started,
    ) -> anyhow::Result<Self> {
        ensure_token(folder, started).await?;
        write_config(folder, interval, started)?;
        let mut child = spawn(program, folder)?;
        Ok(Self {
            stdin: child.stdin.take(),
            child,
            program: program.to_owned(),
            folder: folder.to_owned(),
        })
    }

    pub(super) fn pid(&self) -> Option<u32> {
        self.child.id()
    }

    /// Waits until the agent's first sample is durable; says of which host.
    pub(super) async fn first_sample(&mut self, started: &Started) -> anyhow::Result<HostId> {
        let mut changes = started.app.live.subscribe();
        let since = started.app.clock.now();
        let sampled = async {
            loop {
                let ids = started.app.live.ids();
                let fresh = |id: &HostId| {
                    started
                        .app
                        .live
                        .read(*id, |host| host.newest.is_some())
                        .unwrap_or(false)
                };
                if let Some(id) = ids.into_iter().find(fresh) {
                    return id;
                }
                match changes.recv().await {
                    Ok(
                        Change::Host(_)
                        | Change::Notice(_)
                        | Change::Incidents(_)
                        | Change::Upgrades,
                    )
                    | Err(tokio::sync::broadcast::error::RecvError::Lagged(_)) => {}
                    Err(tokio::sync::broadcast::error::RecvError::Closed) => {
                        std::future::pending().await
                    }
                }
            }
        };
        tokio::select! {
            id = sampled => Ok(id),
            ended = self.child.wait() => anyhow::bail!("the local agent ended ({}){}", describe(ended), log_tail(&self.folder)),
            () = tokio::time::sleep(FIRST_SAMPLE_TIMEOUT) => anyhow::bail!(
                "no sample of the local agent within {}{}",
                format_duration(Duration::from_millis(u64::try_from(started.app.clock.now().ms_since(since)).unwrap_or(0))),
                log_tail(&self.folder)
            ),
        }
    }

    /// Starts the agent again whenever it ends by itself.
    pub(super) async fn keep_alive(&mut self, report: &Report) {
        loop {
            let ended = self.child.wait().await;
            report.line(
                "agent",
                &format!(
                    "ended by itself ({}) and is started again{}",
                    describe(ended),
                    log_tail(&self.folder)
                ),
            );
            tokio::time::sleep(RESTART_PAUSE).await;
            match spawn(&self.program, &self.folder) {
                Ok(mut child) => {
                    self.stdin = child.stdin.take();
                    self.child = child;
                }
                Err(error) => report.line("agent", &format!("cannot be started: {error:#}")),
            }
        }
    }

    /// Asks the agent to end, and waits for it to send what it holds.
    pub(super) async fn stop(&mut self) -> anyhow::Result<()> {
        drop(self.stdin.take());
        if tokio::time::timeout(STOP_TIMEOUT, self.child.wait())
            .await
            .is_err()
        {
            self.child
                .kill()
                .await
                .context("the local agent cannot be stopped")?;
        }
        Ok(())
    }
}

fn spawn(program: &Path, folder: &Path) -> anyhow::Result<Child> {
    let log = folder.join("agent.log");
    let log = File::create(&log).with_context(|| format!("cannot create {}", log.display()))?;
    let mut command = Command::new(program);
    command
        .arg("run")
        .arg("--config")
        .arg(folder.join("agent.toml"))
        .arg("--stop-on-stdin-eof")
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(log)
        .kill_on_drop(true);
    // What this controller was told is not meant for the agent.
    for (name, _) in config::process_environment() {
        command.env_remove(name);
    }
    // Ctrl-C in the terminal is for the controller, which lets the agent send its last samples first.
    #[cfg(unix)]
    command.process_group(0);
    command
        .spawn()
        .with_context(|| format!("{} cannot be started", program.display()))
}

/// A token in the agent's folder that is used already belongs to the agent that is enrolled there.
async fn ensure_token(folder: &Path, started: &Started) -> anyhow::Result<()> {
    let path = folder.join("join-token");
    let app = &started.app;
    if let Ok(token) = fs::read_to_string(&path)
        .unwrap_or_default()
        .parse::<JoinToken>()
    {
        let mut tx = app.store.read().await?;
        let known = tx.join_token_find(token.id).await?;
        if known.is_some_and(|record| record.uses > 0 || record.expires_at > app.clock.now()) {
            return Ok(());
        }
    }
    let made = app.make_join_token(TOKEN_TTL, 1, BTreeMap::new()).await?;
    durable::replace_file(&path, made.token.expose_text().as_bytes(), Access::Owner)
        .with_context(|| format!("cannot write {}", path.display()))
}

fn write_config(folder: &Path, interval: Duration, started: &Started) -> anyhow::Result<()> {
    let mut config = toml::Table::new();
    let text = |path: PathBuf| {
        path.to_str()
            .map(toml::Value::from)
            .context("the data folder's path is not UTF-8; choose another --data-dir")
    };
    config.insert(
        "controller".to_owned(),
        reachable(started.grpc).to_string().into(),
    );
    config.insert("token_file".to_owned(), text(folder.join("join-token"))?);
    config.insert("data_dir".to_owned(), text(folder.to_owned())?);
    config.insert(
        "interval".to_owned(),
        format!("{}ms", interval.as_millis()).into(),
    );
    let path = folder.join("agent.toml");
    let content = format!("# Written by `tidemark-controller up` at each start.\n{config}");
    durable::replace_file(&path, content.as_bytes(), Access::Owner)
        .with_context(|| format!("cannot write {}", path.display()))
}

fn describe(ended: std::io::Result<std::process::ExitStatus>) -> String {
    match ended {
        Ok(status) => status.to_string(),
        Err(error) => error.to_string(),
    }
}

/// The last lines of the agent's log, for an error message.
fn log_tail(folder: &Path) -> String {
    let path = folder.join("agent.log");
    let log = fs::read_to_string(&path).unwrap_or_default();
    let lines: Vec<&str> = log.lines().collect();
    let tail = lines
        .get(lines.len().saturating_sub(5)..)
        .unwrap_or_default();
    format!(
        "; its log is {}:\n    {}",
        path.display(),
        tail.join("\n    ")
    )
}
