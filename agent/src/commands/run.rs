//! `tidemark-agent run`: wires the parts together and runs them until a signal, in reading order.

mod supervised;

use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use clap::Args;
use tidemark_agent_core::{Backoff, BackoffConfig, SamplingInterval};
use tidemark_model::{Epoch, HostFacts, HostId};
use tidemark_platform::{disk, own};
use tidemark_runtime::lifecycle::shutdown_signal;
use tidemark_runtime::{Clock, Entropy, Lifecycle, Outcome, telemetry};
use tidemark_spool::{Recovery, Spool, SpoolLimits};
use tokio_util::sync::CancellationToken;

use super::enroll::token_missing;
use super::lock::DataLock;
use super::service::hosted;
use super::supervisor::{Supervisor, Turn};
use super::{SettingsArgs, block_on};
use crate::actions::policy_file::PolicyFile;
use crate::actions::{ActionFeed, Desk, DeskParts, Witness, Witnessed};
use crate::audit::{AuditFeed, Auditor, DIGEST_TIME, Holders, Reader, Topics, Watched};
use crate::checkpoints::CheckpointBook;
use crate::collect::Collector;
use crate::config::{AgentConfig, SpoolSettings};
use crate::enroll::enroll;
use crate::events::reader::{EventAcks, EventReaderError};
use crate::events::{BookmarkFile, EventReader, EventReaderParts, live, selection};
use crate::facts;
use crate::identity::Vault;
use crate::incarnation::IncarnationBook;
use crate::link::{ControllerAddress, Dialer, SourcePorts};
use crate::outbox::OutboxHandle;
use crate::sampler::{Sampler, SamplerControl, SamplerError, SamplerSettings, watchdog};
use crate::session::{SessionEvent, SessionParts, SessionSettings, chain};
use crate::status::{StatusBoard, StatusWriter, local};
use crate::upgrades::said::Pulse;
use crate::upgrades::{self, UpgradeFeed};
use supervised::{Supervised, open_upgrades, run_session, tell_supervisor};

pub(super) use supervised::run_as_release;

/// What the last steps of a stop may take beyond the drain: the half-closed stream and the sampler's thread.
const STOP_GRACE: Duration = Duration::from_secs(4);
/// A refusal that only an operator can lift is tried again this often: the token file may have been replaced.
const REFUSED_PAUSE: Duration = Duration::from_secs(60);

#[derive(Args, Clone, Debug)]
pub(super) struct RunArgs {
    #[command(flatten)]
    settings: SettingsArgs,
    /// Stop when standard input ends: for a parent that must not leave an agent behind.
    #[arg(long, hide = true)]
    stop_on_stdin_eof: bool,
    /// As which release it runs, 0 being the installed program: for a supervisor, which hears from standard output what to do
    /// and asks by standard input.
    #[arg(long, hide = true, value_name = "RELEASE")]
    supervised: Option<u32>,
    /// Log and tell as the service does: for the supervisor in it.
    #[arg(long, hide = true, requires = "supervised")]
    in_service: bool,
}

pub(super) fn run(args: &RunArgs) -> anyhow::Result<Outcome> {
    let config = args.settings.load()?;
    if let Some(release) = args.supervised.filter(|_| args.in_service) {
        return hosted::run_supervised(config, release);
    }
    telemetry::start(&config.telemetry)?;
    if let Some(release) = args.supervised {
        return run_as_release(config, release, |_| {});
    }
    let supervisor = if args.stop_on_stdin_eof {
        Supervisor::at_stdin()?
    } else {
        Supervisor::quiet(CancellationToken::new())
    };
    run_supervised(config, supervisor)
}

/// The agent from its start to its end, whoever started it. Logging has begun.
pub(super) fn run_supervised(
    config: AgentConfig,
    supervisor: Supervisor,
) -> anyhow::Result<Outcome> {
    run_as(config, supervisor, None)
}

fn run_as(
    config: AgentConfig,
    supervisor: Supervisor,
    supervised: Option<Supervised>,
) -> anyhow::Result<Outcome> {
    let controller = config.require_controller()?.clone();
    if let Err(error) = own::yield_to_others() {
        tracing::debug!(%error, "the agent runs at ordinary priority");
    }
    let _lock = DataLock::take(&config.data_dir)?;
    let enrolled = Vault::open(&config.identity_dir())?.is_some_and(|vault| vault.is_enrolled());
    if !enrolled && config.token.is_none() {
        return Err(token_missing().into());
    }
    block_on(serve(config, controller, (supervisor, supervised)))
}

async fn serve(
    config: AgentConfig,
    controller: ControllerAddress,
    (supervisor, supervised): (Supervisor, Option<Supervised>),
) -> anyhow::Result<Outcome> {
    let life = Lifecycle::new(config.drain_timeout + STOP_GRACE);
    let (clock, entropy) = (Clock::System, Entropy::System);
    supervisor.tell(Turn::Starting);
    let facts = facts::gather(config.labels.clone(), &config.collect);
    supervisor.tell(Turn::Starting);
    let outbox = open_spool(&config, &clock, &entropy)?;
    supervisor.tell(Turn::Starting);
    let holders = Holders::default();
    let witness = Witness::default();
    let seen = (holders.clone(), witness.clone());
    let sampler = start_sampler(&config, seen, &outbox, &clock)?;
    let control = sampler.control();
    let events = start_events(&config, &outbox, (&control, &witness), &clock)?;
    let auditor = start_auditor(&config, holders, &clock, &entropy)?;
    let board = StatusBoard::new(clock.clone());
    tell_start(&config, &controller);
    let writer = Arc::new(StatusWriter {
        board: board.clone(),
        sampler: control.clone(),
        outbox: outbox.clone(),
        controller: controller.to_string(),
        folder: config.data_dir.clone(),
        started_at: clock.now(),
        capabilities: facts.capabilities.clone(),
    });
    // It answers while the agent drains as well.
    let _answering = local::open(&writer);
    let delivery = Delivery {
        dialer: Arc::new(Dialer::new(
            controller,
            SourcePorts::OutsideDynamicRange(config.collect.dynamic_range),
            entropy.clone(),
        )),
        config,
        facts,
        outbox: outbox.clone(),
        audits: auditor.as_ref().map_or_else(AuditFeed::none, Auditor::feed),
        control: control.clone(),
        event_acks: events.iter().map(EventReader::acks).collect(),
        board,
        clock: clock.clone(),
        entropy,
        supervisor: supervisor.clone(),
        supervised,
        witness,
    };
    let stop = life.stop_token();
    for events in events {
        life.spawn("events", keep_reading(events, stop.clone()));
    }
    if let Some(auditor) = auditor {
        life.spawn("audit", keep_auditing(auditor, stop.clone()));
    }
    life.spawn_critical("sampler", keep_sampling(sampler, stop.clone()));
    life.spawn(
        "watchdog",
        watchdog::watch(control, outbox, clock, stop.clone()),
    );
    life.spawn("status", Arc::clone(&writer).run(stop.clone()));
    life.spawn_critical("delivery", delivery.run(stop.clone()));
    supervisor.tell(Turn::Running);
    let outcome = tokio::select! {
        outcome = life.run_until(supervisor.asks_to_stop(), shutdown_signal()) => outcome,
        never = supervisor.tell_of_stop(stop) => match never {},
    };
    writer.finish();
    tracing::info!(?outcome, "agent stopped");
    Ok(outcome)
}

fn tell_start(config: &AgentConfig, controller: &ControllerAddress) {
    tracing::info!(
        version = env!("CARGO_PKG_VERSION"),
        controller = %controller,
        interval_ms = config.collect.interval.as_millis(),
        data_dir = %config.data_dir.display(),
        profile = ?config.profile,
        "agent started"
    );
}

fn open_spool(
    config: &AgentConfig,
    clock: &Clock,
    entropy: &Entropy,
) -> anyhow::Result<OutboxHandle> {
    let SpoolSettings {
        bytes_max,
        age_max,
        disk_percent_max,
    } = config.spool;
    let limits = SpoolLimits {
        bytes_max,
        age_max,
        // A disk whose size cannot be read sets no limit.
        disk_share_max: disk::size_bytes(&config.spool_dir())
            .map(|size| size / 100 * u64::from(disk_percent_max))
            .ok(),
        ..SpoolLimits::default()
    };
    let fresh_epoch = Epoch::from_random(entropy.u64());
    let (spool, recovery) = Spool::open(&config.spool_dir(), limits, clock.now(), fresh_epoch)
        .context("the spool cannot be opened")?;
    tell_recovery(&recovery);
    Ok(OutboxHandle::new(spool))
}

fn tell_recovery(recovery: &Recovery) {
    if recovery.records_damaged > 0 || recovery.epoch_restarted || recovery.state_files_lost > 0 {
        tracing::warn!(
            records_damaged = recovery.records_damaged,
            state_files_lost = recovery.state_files_lost,
            epoch_restarted = recovery.epoch_restarted,
            "spool was damaged; what is lost will be told to the controller"
        );
    }
    if let Some(path) = &recovery.set_aside {
        tracing::warn!(path = %path.display(), "a spool of a newer agent was set aside");
    }
}

fn start_sampler(
    config: &AgentConfig,
    (holders, witness): (Holders, Witness),
    outbox: &OutboxHandle,
    clock: &Clock,
) -> anyhow::Result<Sampler> {
    let collector = Collector::new(config.collect.clone())
        .context("the socket tables of this host cannot be read")?;
    let settings = SamplerSettings {
        interval: SamplingInterval::new(config.collect.interval)?,
        light_interval: config.light_interval,
        outbox_bytes_max: config.spool.bytes_max,
    };
    let source = Witnessed::new(Watched::new(collector, holders), witness);
    Sampler::start(source, settings, outbox.clone(), clock.clone())
        .context("the system gives no thread for the sampler")
}

async fn keep_sampling(sampler: Sampler, stop: CancellationToken) -> Result<(), SamplerError> {
    tokio::select! {
        () = stop.cancelled() => {}
        () = sampler.ended() => {}
    }
    sampler.stop().await
}

/// Starts reading the system's logs; none on a system without them, which the host's capabilities tell.
fn start_events(
    config: &AgentConfig,
    outbox: &OutboxHandle,
    (control, witness): (&SamplerControl, &Witness),
    clock: &Clock,
) -> anyhow::Result<Vec<EventReader>> {
    if let Err(reason) = live::availability() {
        tracing::info!(%reason, "events of the system's log are not read");
        return Ok(Vec::new());
    }
    let start = |log| {
        let control = control.clone();
        EventReader::start(EventReaderParts {
            source: live::LiveLog::of(log),
            log,
            outbox: outbox.clone(),
            bookmark: BookmarkFile::new(&config.data_dir, log),
            clock: clock.clone(),
            ask_for_sample: Box::new(move || control.sample_now()),
            witness: witness.clone(),
        })
        .context("the system gives no thread for the event log")
    };
    selection::LOGS.into_iter().map(start).collect()
}

/// Samples matter more than events: a reader that ends leaves the agent running.
async fn keep_reading(events: EventReader, stop: CancellationToken) {
    tokio::select! {
        () = stop.cancelled() => {}
        () = events.ended() => {}
    }
    if let Err(error @ EventReaderError::Panicked) = events.stop().await {
        tracing::error!(%error, "events of the system's log are no more read");
    }
}

/// Starts reading the host's configuration; `None` when that is switched off.
fn start_auditor(
    config: &AgentConfig,
    holders: Holders,
    clock: &Clock,
    entropy: &Entropy,
) -> anyhow::Result<Option<Auditor>> {
    let Some(interval) = config.audit_interval else {
        return Ok(None);
    };
    let reader = Reader::new(Topics::of_system(holders, DIGEST_TIME));
    Auditor::start(reader, interval, clock.clone(), entropy.clone())
        .map(Some)
        .context("the system gives no thread for the audit")
}

/// Samples matter more than the configuration: an auditor that ends leaves the agent running.
async fn keep_auditing(auditor: Auditor, stop: CancellationToken) {
    tokio::select! {
        () = stop.cancelled() => {}
        () = auditor.ended() => {}
    }
    if let Err(error) = auditor.stop().await {
        tracing::error!(%error, "the host's configuration is no more read");
    }
}

/// Enrolment, then the session.
struct Delivery {
    config: AgentConfig,
    dialer: Arc<Dialer>,
    facts: HostFacts,
    outbox: OutboxHandle,
    audits: AuditFeed,
    control: SamplerControl,
    event_acks: Vec<EventAcks>,
    board: StatusBoard,
    clock: Clock,
    entropy: Entropy,
    supervisor: Supervisor,
    supervised: Option<Supervised>,
    witness: Witness,
}

impl Delivery {
    async fn run(self, stop: CancellationToken) -> anyhow::Result<()> {
        let vault = tokio::select! {
            vault = self.enrolled() => vault?,
            () = stop.cancelled() => return Ok(()),
        };
        self.board.enrolled(&vault);
        tracing::info!(host.id = %vault.identity().host_id(), "identity ready");
        AgentConfig::forget_installed_token();
        let names = (vault.identity().host_id(), self.facts.name.to_string());
        let upgrades = open_upgrades(&self.config, self.supervised.as_ref(), &self.clock);
        let desk = open_desk(&self.config, names, (&self.clock, self.witness)).await;
        let actions = desk.as_ref().map_or_else(ActionFeed::none, Desk::feed);
        let feed = upgrades
            .as_ref()
            .map_or_else(UpgradeFeed::none, upgrades::Desk::feed);
        let pulse = self
            .supervised
            .as_ref()
            .map(|_| Pulse::after(self.outbox.lock().bounds().newest));
        let mut settings = SessionSettings::shipped(self.facts);
        settings.drain_timeout = self.config.drain_timeout;
        let (board, control, event_acks) = (self.board, self.control, self.event_acks);
        let parts = SessionParts {
            settings,
            dialer: self.dialer,
            vault: Arc::new(vault),
            outbox: self.outbox,
            audits: self.audits,
            actions,
            upgrades: feed.clone(),
            checkpoints: CheckpointBook::open(&self.config.identity_dir(), self.clock.clone()),
            incarnation: IncarnationBook::open(&self.config.identity_dir()),
            clock: self.clock,
            entropy: self.entropy,
            events: Box::new(move |event| {
                if let SessionEvent::SampleInterval(wish) = &event {
                    control.wish_interval(*wish);
                }
                if let SessionEvent::Acked { through } = &event {
                    event_acks.iter().for_each(|acks| acks.acked(*through));
                }
                if let Some(pulse) = &pulse {
                    tell_supervisor(pulse, &event);
                }
                board.note(&event);
            }),
        };
        let end = run_session(parts, stop, (self.supervised, feed)).await;
        if let Some(upgrades) = upgrades {
            upgrades.stop().await;
        }
        if let Some(desk) = desk
            && let Err(error) = desk.stop().await
        {
            tracing::error!(%error, "actions of this host ended badly");
        }
        tracing::info!(
            acked = end.counts.acked,
            held = end.counts.held,
            "delivery ended"
        );
        Ok(())
    }

    /// Tries until the host is enrolled; samples are spooled meanwhile. The token is read anew each time.
    async fn enrolled(&self) -> anyhow::Result<Vault> {
        let folder = self.config.identity_dir();
        let mut backoff = Backoff::new(BackoffConfig::default());
        let mut told = String::new();
        loop {
            if let Some(vault) = Vault::open(&folder)?.filter(Vault::is_enrolled) {
                return Ok(vault);
            }
            let attempt = self.try_to_enroll().await;
            let pause = match &attempt {
                Ok(()) => Duration::ZERO,
                Err((_, Passing::Soon)) => backoff.after_failure(self.entropy.u64()),
                Err((_, Passing::ByOperator)) => REFUSED_PAUSE,
            };
            if let Err((error, _)) = attempt {
                let text = chain(&*error).to_string();
                self.board.failed("enrolment", &text);
                if text == told {
                    tracing::debug!(error = text, "host still not enrolled");
                } else {
                    tracing::error!(error = text, "host not enrolled; trying again");
                    self.supervisor.tell(Turn::NotEnrolled(&text));
                    told = text;
                }
            }
            tokio::time::sleep(pause).await;
        }
    }

    async fn try_to_enroll(&self) -> Result<(), (anyhow::Error, Passing)> {
        let by_operator = |error: anyhow::Error| (error, Passing::ByOperator);
        let source = self
            .config
            .token
            .as_ref()
            .ok_or_else(|| by_operator(token_missing().into()))?;
        let token = source.read().map_err(|error| by_operator(error.into()))?;
        let vault = Vault::open_or_create(&self.config.identity_dir(), token.ca_pin)
            .map_err(|error| by_operator(error.into()))?;
        let enrolled = enroll(&self.dialer, &vault, &token, &self.facts).await;
        enrolled.map(drop).map_err(|error| {
            let passing = if error.is_passing() {
                Passing::Soon
            } else {
                Passing::ByOperator
            };
            (error.into(), passing)
        })
    }
}

/// Samples matter more than actions: a host that cannot remember what it does does nothing, and is watched on.
async fn open_desk(
    config: &AgentConfig,
    (host, host_name): (HostId, String),
    (clock, witness): (&Clock, Witness),
) -> Option<Desk> {
    let parts = DeskParts {
        host,
        policy: PolicyFile::of(config),
        folder: config.data_dir.clone(),
        hooks: config.hooks_dir(),
        collect: config.collect.clone(),
        clock: clock.clone(),
        host_name,
        witness,
    };
    let opened = tokio::task::spawn_blocking(move || Desk::start(parts)).await;
    match opened {
        Ok(Ok(desk)) => Some(desk),
        Ok(Err(error)) => {
            tracing::error!(error = %chain(&error), "this host takes no actions");
            None
        }
        Err(error) => {
            tracing::error!(%error, "this host takes no actions");
            None
        }
    }
}

/// What makes a failed enrolment succeed.
#[derive(Clone, Copy)]
enum Passing {
    Soon,
    ByOperator,
}

#[cfg(test)]
mod tests;
