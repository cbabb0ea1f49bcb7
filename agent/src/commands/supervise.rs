//! `tidemark-agent supervise`: the agent's supervisor. A process of the installed version that runs the current one as its child,
//! switches to a version that is staged, and goes back when that does not get well.
//!
//! It opens no socket and knows nothing of the controller, so that nothing of a new version can keep it from going back.

use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};
use std::pin::{Pin, pin};
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use anyhow::Context as _;
use tidemark_agent_core::upgrades::{Launch, Switch};
use tidemark_model::duration::format_duration;
use tidemark_platform::own;
use tidemark_runtime::lifecycle::shutdown_signal;
use tidemark_runtime::{Clock, Outcome, telemetry};
use tokio::io::AsyncWriteExt as _;
use tokio::process::{Child, ChildStdin, ChildStdout, Command};
use tokio::time::Instant;
use tokio_stream::StreamExt as _;
use tokio_util::codec::{FramedRead, LinesCodec};
use tokio_util::sync::CancellationToken;

use super::lock::DataLock;
use super::supervisor::{Supervisor as Above, Turn};
use super::{SettingsArgs, block_on};
use crate::actions::policy_file::PolicyFile;
use crate::config::AgentConfig;
use crate::upgrades::memory::{Kept, MemoryFile, switch_of};
use crate::upgrades::said;
use crate::upgrades::versions::{Versions, digest_of};

/// What an agent may take to stop beyond its drain before it is killed.
const STOP_GRACE: Duration = Duration::from_secs(10);
/// What a version on trial may hold of the host's memory beside its own program, in bytes: eight times the agent's goal of 12 MB
/// with 56,000 connections (docs/sizing.md). Below `MemoryMax=` of the unit, which would end the supervisor as well.
const TRIAL_RESIDENT_BYTES_MAX: u64 = 8 * 12_000_000;
/// How often that is looked at.
const TRIAL_LOOKED_AT_EVERY: Duration = Duration::from_millis(250);
/// How often it is looked whether a former agent has ended.
const FORMER_ASKED_EVERY: Duration = Duration::from_millis(100);

pub(super) fn run(args: &SettingsArgs) -> anyhow::Result<Outcome> {
    let config = args.load()?;
    telemetry::start(&config.telemetry)?;
    let _lock = DataLock::take_as_supervisor(&config.data_dir)?;
    let supervisor = Supervisor::of(&config, Place::Terminal)?;
    block_on(supervisor.run(shutdown_signal(), || {}))
}

/// The same within a service, whose logging has begun.
pub(super) fn host(config: &AgentConfig, above: &Above) -> anyhow::Result<Outcome> {
    let _lock = DataLock::take_as_supervisor(&config.data_dir)?;
    let supervisor = Supervisor::of(config, Place::Service)?;
    let stopping = CancellationToken::new();
    let asked = async {
        above.asks_to_stop().await;
        stopping.cancel();
    };
    above.tell(Turn::Starting);
    block_on(async {
        tokio::select! {
            outcome = supervisor.run(asked, || above.tell(Turn::Running)) => outcome,
            never = above.tell_of_stop(stopping.clone()) => match never {},
        }
    })
}

/// Whether this host is to have a supervisor without being told by a command: its policy takes releases, or it runs one.
pub(super) fn is_wanted(config: &AgentConfig) -> bool {
    let takes_releases = PolicyFile::of(config)
        .read()
        .policy
        .is_ok_and(|policy| policy.release_threshold.is_some());
    takes_releases || switch_of(&config.data_dir).is_ok_and(|switch| switch.current().is_some())
}

/// Where a supervisor runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Place {
    /// Where standard error is kept by somebody.
    Terminal,
    /// In a service, which has none.
    Service,
}

impl Place {
    /// Words of the command line before the settings: the program and its command.
    const fn words(self) -> usize {
        match self {
            // supervise
            Self::Terminal => 2,
            // service run
            Self::Service => 3,
        }
    }
}

struct Supervisor {
    installed: PathBuf,
    /// What each version is started with: the supervisor's own settings.
    arguments: Vec<OsString>,
    place: Place,
    folder: PathBuf,
    versions: Versions,
    memory: MemoryFile,
    grace: Duration,
    stop_patience: Duration,
    clock: Clock,
}

/// How a child came to its end.
enum Ended {
    /// The supervisor was asked to stop.
    Asked,
    /// It was stopped for the version that it had staged.
    ForSwitch,
    /// By itself.
    Itself(ExitStatus),
    /// It was not healthy within its grace.
    Late,
    /// On trial it held so many bytes of memory.
    Hungry(u64),
}

impl Supervisor {
    fn of(config: &AgentConfig, place: Place) -> anyhow::Result<Self> {
        Ok(Self {
            place,
            installed: std::env::current_exe().context("the supervisor's own path is unknown")?,
            arguments: std::env::args_os().skip(place.words()).collect(),
            versions: Versions::in_folder(&config.data_dir),
            memory: MemoryFile::of_supervisor(&config.data_dir),
            folder: config.data_dir.clone(),
            grace: config.upgrade_grace,
            stop_patience: config.drain_timeout + STOP_GRACE,
            clock: Clock::System,
        })
    }

    /// Until `asked` completes, or the agent ends by itself. `started` hears of each agent that was started.
    async fn run(
        self,
        asked: impl Future<Output = ()>,
        started: impl Fn(),
    ) -> anyhow::Result<Outcome> {
        let mut asked = pin!(asked);
        loop {
            self.wait_for_former().await;
            let (mut switch, launch) = self.next();
            let Some(mut running) = self.start(&mut switch, &launch)? else {
                continue;
            };
            started();
            let ended = running.watch(&self, &mut switch, asked.as_mut()).await?;
            let is_on_trial = switch.on_trial().is_some();
            match ended {
                Ended::Asked => {
                    switch.forgive_start();
                    self.keep(&switch);
                    return Ok(Outcome::Clean);
                }
                Ended::ForSwitch => {}
                Ended::Itself(status) if is_on_trial => {
                    self.go_back(
                        &mut switch,
                        &running.why(&format!("it ended by itself ({status})")),
                    );
                }
                Ended::Late => {
                    let grace = format_duration(self.grace);
                    self.go_back(
                        &mut switch,
                        &running.why(&format!("it was not healthy within {grace}")),
                    );
                }
                Ended::Hungry(bytes) => {
                    let (held, limit) = (bytes / 1_000_000, running.resident_bytes_max / 1_000_000);
                    self.go_back(
                        &mut switch,
                        &running.why(&format!(
                            "it held {held} MB of memory, more than {limit} MB"
                        )),
                    );
                }
                // Whoever started the supervisor knows when to start it again.
                Ended::Itself(status) if status.success() => return Ok(Outcome::Clean),
                Ended::Itself(status) => {
                    tracing::error!(%status, "the agent ended by itself");
                    return Ok(Outcome::Crashed);
                }
            }
        }
    }

    /// The agent of a supervisor that was killed still ends: one that were started beside it would not get the data folder, which
    /// says nothing about its version.
    async fn wait_for_former(&self) {
        let gone_by = Instant::now() + self.stop_patience;
        while DataLock::is_taken(&self.folder) && Instant::now() < gone_by {
            tokio::time::sleep(FORMER_ASKED_EVERY).await;
        }
    }

    /// Starts a version; `None` when it was on trial and cannot be. In place of one that was healthy once the installed program
    /// does.
    fn start(&self, switch: &mut Switch, launch: &Launch) -> anyhow::Result<Option<Running>> {
        let error = match Running::start(self, launch) {
            Ok(running) => return Ok(Some(running)),
            Err(error) => error,
        };
        match launch {
            Launch::Trial(_) => {
                self.go_back(switch, &format!("{error:#}"));
                Ok(None)
            }
            Launch::Current(_) => {
                tracing::error!(
                    error = format!("{error:#}"),
                    "the installed version is started"
                );
                Running::start(self, &Launch::Installed).map(Some)
            }
            Launch::Installed => Err(error),
        }
    }

    /// What to start, kept before it is started. Without a place to keep it no version is tried.
    fn next(&self) -> (Switch, Launch) {
        let mut switch: Switch = self.memory.read().unwrap_or_else(|why| {
            tracing::error!(why, "the installed version is started");
            Switch::default()
        });
        match digest_of(&self.installed) {
            Ok(found) => switch.note_installed(found),
            Err(error) => tracing::warn!(%error, "the installed program cannot be read"),
        }
        let kept: Kept = MemoryFile::of_agent(&self.folder)
            .read()
            .unwrap_or_default();
        let now = self.clock.now();
        let is_whole = |version: &_| self.versions.is_whole(version);
        let launch = switch.next(kept.staged.as_ref(), now, is_whole);
        if self.keep(&switch) {
            return (switch, launch);
        }
        switch.give_up("what is on trial cannot be kept on this host's disk", now);
        let launch = switch.next(None, now, is_whole);
        (switch, launch)
    }

    fn keep(&self, switch: &Switch) -> bool {
        let written = self.memory.write(switch);
        if let Err(error) = &written {
            tracing::error!(%error, "which version runs cannot be kept on this host's disk");
        }
        written.is_ok()
    }

    fn go_back(&self, switch: &mut Switch, why: &str) {
        tracing::error!(
            why,
            "the version on trial is given up; the one before it is started"
        );
        switch.give_up(why, self.clock.now());
        // What is not kept is tried again, and no more often than the starts of a trial allow.
        self.keep(switch);
    }

    fn program(&self, launch: &Launch) -> (PathBuf, u32) {
        match launch {
            Launch::Installed => (self.installed.clone(), 0),
            Launch::Current(version) | Launch::Trial(version) => {
                (self.versions.program(version.release), version.release)
            }
        }
    }

    fn command(&self, program: &Path, release: u32) -> Command {
        let mut command = Command::new(program);
        command
            .arg("run")
            .args(&self.arguments)
            .arg("--supervised")
            .arg(release.to_string())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .kill_on_drop(true);
        if self.place == Place::Service {
            command.arg("--in-service").stderr(Stdio::null());
            // Otherwise the system makes a console for it, and a process beside it.
            own::detach_from_console(command.as_std_mut());
        }
        command
    }
}

/// A child.
struct Running {
    child: Child,
    input: Option<ChildStdin>,
    lines: Option<FramedRead<ChildStdout, LinesCodec>>,
    /// When a trial is over.
    healthy_by: Option<Instant>,
    /// What it may hold of the host's memory while it is on trial, its program included.
    resident_bytes_max: u64,
    /// When the memory of a child on trial is looked at next.
    looked_at: Option<Instant>,
    /// When a child that was asked to stop is killed.
    gone_by: Option<Instant>,
    trouble: String,
}

/// What happens to a child.
enum Event {
    Said(String),
    Silent,
    Ended(ExitStatus),
    Look,
    Time,
    Asked,
}

impl Running {
    fn start(supervisor: &Supervisor, launch: &Launch) -> anyhow::Result<Self> {
        let (program, release) = supervisor.program(launch);
        let mut child = supervisor
            .command(&program, release)
            .spawn()
            .with_context(|| format!("{} cannot be started", program.display()))?;
        let is_trial = matches!(launch, Launch::Trial(_));
        let program_bytes = fs::metadata(&program).map_or(0, |file| file.len());
        tracing::info!(release, is_trial, program = %program.display(), "agent started by its supervisor");
        let codec = LinesCodec::new_with_max_length(said::LINE_BYTES_MAX);
        Ok(Self {
            input: child.stdin.take(),
            lines: child
                .stdout
                .take()
                .map(|output| FramedRead::new(output, codec)),
            child,
            healthy_by: is_trial.then(|| Instant::now() + supervisor.grace),
            resident_bytes_max: TRIAL_RESIDENT_BYTES_MAX.saturating_add(program_bytes),
            looked_at: is_trial.then(Instant::now),
            gone_by: None,
            trouble: String::new(),
        })
    }

    async fn watch(
        &mut self,
        supervisor: &Supervisor,
        switch: &mut Switch,
        mut asked: Pin<&mut impl Future<Output = ()>>,
    ) -> anyhow::Result<Ended> {
        let mut ends_as: Option<Ended> = None;
        loop {
            match self.next(ends_as.is_none(), asked.as_mut()).await? {
                Event::Said(line) if line == said::HEALTHY => self.commit(supervisor, switch).await,
                Event::Said(line) if line == said::SWITCH && switch.on_trial().is_none() => {
                    self.ask_to_stop(supervisor);
                    ends_as.get_or_insert(Ended::ForSwitch);
                }
                Event::Said(line) => {
                    if let Some(trouble) = line.strip_prefix(said::TROUBLE) {
                        self.trouble = trouble.to_owned();
                    }
                }
                Event::Silent => self.lines = None,
                Event::Ended(status) => return Ok(ends_as.unwrap_or(Ended::Itself(status))),
                Event::Asked => {
                    self.ask_to_stop(supervisor);
                    ends_as = Some(Ended::Asked);
                }
                Event::Look => {
                    self.looked_at = Some(Instant::now() + TRIAL_LOOKED_AT_EVERY);
                    if let Some(bytes) = self.held_beyond_limit() {
                        self.kill().await?;
                        return Ok(ends_as.unwrap_or(Ended::Hungry(bytes)));
                    }
                }
                Event::Time => {
                    self.kill().await?;
                    return Ok(ends_as.unwrap_or(Ended::Late));
                }
            }
        }
    }

    async fn next(
        &mut self,
        may_be_asked: bool,
        asked: Pin<&mut impl Future<Output = ()>>,
    ) -> anyhow::Result<Event> {
        let deadline = self.gone_by.or(self.healthy_by);
        Ok(tokio::select! {
            line = next_line(self.lines.as_mut()) => line.map_or(Event::Silent, Event::Said),
            status = self.child.wait() => Event::Ended(status.context("the agent cannot be waited for")?),
            () = sleep_until(deadline) => Event::Time,
            () = sleep_until(self.looked_at) => Event::Look,
            () = asked, if may_be_asked => Event::Asked,
        })
    }

    /// How much memory it holds, when that is more than a version on trial may.
    fn held_beyond_limit(&self) -> Option<u64> {
        let held = own::resident_bytes_of(self.child.id()?)?;
        (held > self.resident_bytes_max).then_some(held)
    }

    async fn kill(&mut self) -> anyhow::Result<()> {
        let killed = self.child.kill().await;
        killed.context("the agent cannot be killed")
    }

    fn ask_to_stop(&mut self, supervisor: &Supervisor) {
        self.input = None;
        self.gone_by = Some(Instant::now() + supervisor.stop_patience);
    }

    /// The version is the current one once that is kept; until then it stays on trial.
    async fn commit(&mut self, supervisor: &Supervisor, switch: &mut Switch) {
        let Some(release) = switch.on_trial().map(|version| version.release) else {
            return;
        };
        let mut committed = switch.clone();
        committed.commit();
        if !supervisor.keep(&committed) {
            "it is healthy, but that cannot be kept on this host's disk"
                .clone_into(&mut self.trouble);
            return;
        }
        *switch = committed;
        self.healthy_by = None;
        self.looked_at = None;
        tracing::info!(release, "the version on trial is healthy and stays");
        supervisor.versions.clean(release, |one| switch.needs(one));
        if let Some(input) = &mut self.input {
            // An agent that has ended meanwhile is noticed by its end.
            input.write_all(&[said::COMMITTED]).await.ok();
        }
    }

    fn why(&self, what: &str) -> String {
        if self.trouble.is_empty() {
            what.to_owned()
        } else {
            format!("{what}: {}", self.trouble)
        }
    }
}

/// The next line; never without an output. A line that is too long says nothing.
async fn next_line(lines: Option<&mut FramedRead<ChildStdout, LinesCodec>>) -> Option<String> {
    match lines {
        Some(lines) => lines.next().await.map(Result::unwrap_or_default),
        None => std::future::pending().await,
    }
}

async fn sleep_until(deadline: Option<Instant>) {
    match deadline {
        Some(deadline) => tokio::time::sleep_until(deadline).await,
        None => std::future::pending().await,
    }
}
