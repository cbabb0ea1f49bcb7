//! One simulated agent: identity and outbox in memory, otherwise what runs on a server.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use tidemark_agent::actions::ActionFeed;
use tidemark_agent::audit::AuditFeed;
use tidemark_agent::checkpoints::CheckpointBook;
use tidemark_agent::identity::Vault;
use tidemark_agent::incarnation::IncarnationBook;
use tidemark_agent::link::Dialer;
use tidemark_agent::outbox::{MemoryLimits, MemoryOutbox, OutboxHandle};
use tidemark_agent::session::{self, SessionParts, SessionSettings};
use tidemark_agent::upgrades::UpgradeFeed;
use tidemark_model::host::{Capability, CapabilityReport, CapabilityState};
use tidemark_model::{Epoch, GapReason, HostFacts, HostId, SpoolCounts};
use tidemark_proto::convert::record::{Record, encode_stored};
use tidemark_runtime::{Clock, Entropy};
use tokio_util::sync::CancellationToken;

use super::ledger::Ledger;
use super::meter::Meter;
use super::orders::{Desk, OrderPlan};

/// An enrolled agent.
#[derive(Debug)]
pub struct Agent {
    facts: HostFacts,
    orders: Option<Arc<OrderPlan>>,
    /// Between its going down and its coming back nothing is sampled.
    is_down: AtomicBool,
    vault: Arc<Vault>,
    outbox: OutboxHandle,
    epoch: Epoch,
    ledger: Arc<Ledger>,
    clock: Clock,
}

/// How the agents of a fleet deliver.
#[derive(Clone, Copy, Debug)]
pub struct DeliverySettings {
    /// What each agent holds while the controller is away; the oldest goes first.
    pub outbox: MemoryLimits,
    /// Longest wait between two attempts to connect.
    pub reconnect_max: Duration,
}

impl Default for DeliverySettings {
    /// 4,096 records in 16 MiB, which is an hour of samples every second; a minute, as agents ship.
    fn default() -> Self {
        Self {
            outbox: MemoryLimits {
                records_max: 4_096,
                bytes_max: 16 * 1024 * 1024,
            },
            reconnect_max: Duration::from_secs(60),
        }
    }
}

/// What became of one agent's records.
#[derive(Clone, Debug)]
pub struct HostOutcome {
    /// Its name.
    pub name: Arc<str>,
    /// Its id.
    pub host: HostId,
    /// The epoch that its records belong to.
    pub epoch: Epoch,
    /// Records produced, by the simulation's own count.
    pub produced: u64,
    /// What the outbox says.
    pub counts: SpoolCounts,
    /// Dropped records by reason.
    pub dropped: BTreeMap<&'static str, u64>,
    /// Connections that the controller welcomed.
    pub sessions: u64,
}

/// The facts of a simulated host.
#[must_use]
pub fn facts(name: &str, os: &str, labels: BTreeMap<String, String>) -> HostFacts {
    HostFacts {
        name: name.into(),
        os: os.into(),
        agent_version: concat!("fleetsim ", env!("CARGO_PKG_VERSION")).into(),
        boot_id: name.chars().take(64).collect::<String>().into(),
        time_zone: None,
        capabilities: [
            Capability::BoundSockets,
            Capability::AllOwners,
            Capability::Events,
        ]
        .map(|capability| CapabilityReport::new(capability, CapabilityState::Yes))
        .to_vec(),
        labels,
    }
}

impl Agent {
    pub(super) fn new(
        facts: HostFacts,
        vault: Vault,
        limits: MemoryLimits,
        meter: Arc<Meter>,
        orders: Option<Arc<OrderPlan>>,
    ) -> Self {
        let epoch = Epoch::from_random(Entropy::System.u64());
        Self {
            facts,
            orders,
            is_down: AtomicBool::new(false),
            vault: Arc::new(vault),
            outbox: OutboxHandle::new(MemoryOutbox::new(epoch, limits)),
            epoch,
            ledger: Arc::new(Ledger::new(meter)),
            clock: Clock::System,
        }
    }

    /// Its host id.
    #[must_use]
    pub fn host(&self) -> HostId {
        self.vault.identity().host_id()
    }

    /// Its host name.
    #[must_use]
    pub fn name(&self) -> &Arc<str> {
        &self.facts.name
    }

    /// Hands a record to the agent, as its sampler would.
    pub fn produce(&self, record: &Record) {
        if self.is_down.load(Ordering::Acquire) {
            return;
        }
        self.ledger
            .produce(&self.outbox, &encode_stored(record), self.clock.now());
    }

    /// Waits until fewer than `limit` of its records wait for their ack. For one waiter only.
    pub async fn room(&self, limit: usize) {
        self.ledger.room(limit).await;
    }

    /// What became of its records so far.
    #[must_use]
    pub fn counts(&self) -> SpoolCounts {
        self.outbox.counts()
    }

    /// Delivers until `stop`, and takes orders where its fleet does. A restart breaks the session off as a power cut would.
    pub(super) async fn deliver(
        self: Arc<Self>,
        dialer: Arc<Dialer>,
        settings: DeliverySettings,
        stop: CancellationToken,
    ) {
        let mut facts = self.facts.clone();
        let Some(plan) = &self.orders else {
            return self
                .session(&dialer, settings, (facts, ActionFeed::none()), stop)
                .await;
        };
        let (feed, mut desk) = Desk::new(Arc::clone(plan), self.host(), &facts);
        while !stop.is_cancelled() {
            let parts = (facts.clone(), feed.clone());
            tokio::select! {
                () = self.session(&dialer, settings, parts, stop.clone()) => return,
                () = desk.work_until_restart() => {}
            }
            self.is_down.store(true, Ordering::Release);
            tokio::select! {
                () = stop.cancelled() => {}
                boot = desk.boot() => facts.boot_id = boot,
            }
            self.is_down.store(false, Ordering::Release);
        }
    }

    async fn session(
        &self,
        dialer: &Arc<Dialer>,
        settings: DeliverySettings,
        (facts, actions): (HostFacts, ActionFeed),
        stop: CancellationToken,
    ) {
        let mut session_settings = SessionSettings::shipped(facts);
        let backoff = &mut session_settings.core.backoff;
        backoff.cap = backoff.cap.min(settings.reconnect_max);
        backoff.loss_spread = backoff.loss_spread.min(settings.reconnect_max);
        let ledger = Arc::clone(&self.ledger);
        let parts = SessionParts {
            settings: session_settings,
            dialer: Arc::clone(dialer),
            vault: Arc::clone(&self.vault),
            outbox: self.outbox.clone(),
            audits: AuditFeed::none(),
            actions,
            checkpoints: CheckpointBook::none(self.clock.clone()),
            incarnation: IncarnationBook::none(),
            upgrades: UpgradeFeed::none(),
            clock: self.clock.clone(),
            entropy: Entropy::System,
            events: Box::new(move |event| ledger.take(&event)),
        };
        Box::pin(session::run(parts, stop)).await;
    }

    /// What became of its records.
    #[must_use]
    pub fn outcome(&self) -> HostOutcome {
        let account = self.ledger.figures();
        let counts = self.outbox.counts();
        let mut dropped: BTreeMap<&'static str, u64> = account
            .given_up
            .iter()
            .map(|(reason, records)| (reason.as_str(), *records))
            .collect();
        let for_want_of_room = counts.dropped.saturating_sub(dropped.values().sum());
        if for_want_of_room > 0 {
            dropped.insert(GapReason::SpoolFull.as_str(), for_want_of_room);
        }
        HostOutcome {
            name: Arc::clone(&self.facts.name),
            host: self.host(),
            epoch: self.epoch,
            produced: account.produced,
            counts,
            dropped,
            sessions: account.sessions,
        }
    }
}
