//! A fleet of simulated agents: enrols them, keeps their sessions, and accounts for their records at the end.

use std::sync::Arc;
use std::time::Duration;

use tidemark_agent::link::{ControllerAddress, Dialer, SourcePorts};
use tidemark_model::{HostFacts, JoinToken};
use tidemark_runtime::{Entropy, Lifecycle};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::agent::{Agent, DeliverySettings, HostOutcome};
use super::enrolment::{Door, enrol_all};
use super::meter::Meter;
use super::orders::OrderPlan;
use super::progress::Progress;

/// How often a waiting fleet looks whether all is delivered.
const LOOK_EVERY: Duration = Duration::from_millis(50);
/// How long sessions may take to close.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(15);

/// Which controller, and how to behave towards it.
#[derive(Clone, Debug)]
pub struct FleetSettings {
    /// Where agents come in.
    pub controller: ControllerAddress,
    /// What they enrol with; it needs as many uses as there are hosts.
    pub token: JoinToken,
    /// Enrolments a second; a controller takes 150 of one address.
    pub enrol_per_second: u32,
    /// How records are held and delivered.
    pub delivery: DeliverySettings,
    /// How orders are carried out; `None` for agents that take none.
    pub orders: Option<Arc<OrderPlan>>,
}

/// Enrolled agents with their sessions.
#[derive(Debug)]
pub struct Fleet {
    agents: Vec<Arc<Agent>>,
    /// The one that enrolled them, and one of each agent: which of several controllers answered last is its own affair.
    dialers: Vec<Arc<Dialer>>,
    meter: Arc<Meter>,
    sessions: Lifecycle,
    /// Hosts that were refused or never reached the controller.
    pub refused: u64,
    /// Why, the first few.
    pub refusals: Vec<String>,
}

/// Why there is no fleet.
#[derive(Debug, thiserror::Error)]
pub enum FleetError {
    /// Nobody got in.
    #[error("none of {asked} hosts could enrol: {}", .reasons.join("; "))]
    NobodyEnrolled {
        /// How many tried.
        asked: usize,
        /// Why not, the first few reasons.
        reasons: Vec<String>,
    },
    /// Stopped before the first host was in.
    #[error("stopped before any host was enrolled")]
    Stopped,
}

impl Fleet {
    /// Enrols `hosts` and starts their sessions. A stop on the way leaves those that are in.
    ///
    /// # Errors
    /// [`FleetError`] when not one host got in.
    pub async fn enrol(
        settings: FleetSettings,
        hosts: Vec<HostFacts>,
        progress: &Progress,
        stop: &CancellationToken,
    ) -> Result<Self, FleetError> {
        let asked = hosts.len();
        let dialer = || {
            let (address, ports) = (settings.controller.clone(), SourcePorts::KernelChoice);
            Arc::new(Dialer::new(address, ports, Entropy::System))
        };
        let mut dialers = vec![dialer()];
        let door = Door {
            dialer: Arc::clone(&dialers[0]),
            token: settings.token,
            per_second: settings.enrol_per_second,
        };
        let enrolled = enrol_all(&door, hosts, progress, stop).await;
        if enrolled.hosts.is_empty() {
            return Err(if enrolled.reasons.is_empty() {
                FleetError::Stopped
            } else {
                FleetError::NobodyEnrolled {
                    asked,
                    reasons: enrolled.reasons,
                }
            });
        }
        let meter = Arc::new(Meter::default());
        let sessions = Lifecycle::new(CLOSE_TIMEOUT);
        let agents: Vec<_> = enrolled
            .hosts
            .into_iter()
            .map(|(facts, vault)| {
                let limits = settings.delivery.outbox;
                let (meter, orders) = (Arc::clone(&meter), settings.orders.clone());
                let agent = Arc::new(Agent::new(facts, vault, limits, meter, orders));
                let dialer = dialer();
                dialers.push(Arc::clone(&dialer));
                let delivering =
                    Arc::clone(&agent).deliver(dialer, settings.delivery, sessions.stop_token());
                sessions.spawn("agent", delivering);
                agent
            })
            .collect();
        Ok(Self {
            agents,
            dialers,
            meter,
            sessions,
            refused: enrolled.refused,
            refusals: enrolled.reasons,
        })
    }

    /// The agents, in the order their hosts were given; those that were refused are missing.
    #[must_use]
    pub fn agents(&self) -> &[Arc<Agent>] {
        &self.agents
    }

    /// Figures while it runs.
    #[must_use]
    pub const fn meter(&self) -> &Arc<Meter> {
        &self.meter
    }

    /// Bytes handed to TCP, enrolment and TLS included.
    #[must_use]
    pub fn sent_bytes(&self) -> u64 {
        self.dialers.iter().map(|dialer| dialer.sent_bytes()).sum()
    }

    /// Waits until every agent has its session, for at most `patience`.
    pub async fn connect(&self, patience: Duration, progress: &Progress) {
        let all = u64::try_from(self.agents.len()).unwrap_or(u64::MAX);
        let until = Instant::now() + patience;
        let mut look = tokio::time::interval(LOOK_EVERY);
        loop {
            look.tick().await;
            let connected = self.meter.connected.get();
            progress.reach(connected);
            if connected >= all || Instant::now() >= until {
                return;
            }
        }
    }

    /// Waits until every record is acked or dropped, for at most `patience`; says how many still wait.
    pub async fn settle(&self, patience: Duration, progress: &Progress) -> u64 {
        let until = Instant::now() + patience;
        let mut look = tokio::time::interval(LOOK_EVERY);
        loop {
            look.tick().await;
            let held: u64 = self.agents.iter().map(|agent| agent.counts().held).sum();
            progress.note(&self.meter);
            if held == 0 || Instant::now() >= until {
                return held;
            }
        }
    }

    /// Ends the sessions; says what became of each host's records.
    pub async fn close(&self) -> Vec<HostOutcome> {
        self.sessions.stop();
        self.sessions
            .run_until(std::future::ready(()), std::future::pending())
            .await;
        self.agents.iter().map(|agent| agent.outcome()).collect()
    }
}
