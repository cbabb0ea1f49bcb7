//! What every part of the controller shares: the store, the clock, live state, the authority, and the way to say that
//! something happened.

pub mod audits;
pub mod identities;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use arc_swap::ArcSwap;
use tidemark_model::incident::IncidentRules;
use tidemark_model::notice::{Notice, NoticeKind};
use tidemark_model::{HostId, Timestamp};
use tidemark_runtime::{Clock, Entropy, Lifecycle};
use tidemark_store::Store;
use tokio::sync::{Notify, Semaphore, mpsc, watch};

use crate::access::oidc::Oidc;
use crate::access::password::PasswordHasher;
use crate::access::sign_in::SignInLimits;
use crate::access::{LoginCodes, RememberedStandings};
use crate::audit_log::AuditLog;
use crate::budgets::Budgets;
use crate::company::Company;
use crate::diagnosis::seen::FindingsSeen;
use crate::gateway::session::GREETINGS;
use crate::gateway::session::drain::DrainSpread;
use crate::gateway::session::pace::Pace;
use crate::ingest::IngestHandle;
use crate::keys::Keys;
use crate::leader::Leader;
use crate::live::Live;
use crate::maintain::Book;
use crate::metrics::Metrics;
use crate::notify::NotifySettings;
use crate::pki::Authority;
use crate::query;
use crate::remediate::Remediation;
use crate::tasks::causes::CausesSeen;
use crate::upgrades::Upgrades;

/// The controller's shared parts.
pub struct App {
    /// Everything durable.
    pub store: Store,
    /// What time it is.
    pub clock: Clock,
    /// Randomness.
    pub entropy: Entropy,
    /// Who owns the tasks.
    pub life: Lifecycle,
    /// Each host at this moment.
    pub live: Live,
    /// Maintenance windows, as of the last look at the store.
    pub windows: ArcSwap<Book>,
    /// What leaking hosts have in common, as of the last look at the fleet.
    pub causes: ArcSwap<CausesSeen>,
    /// Wakes the look for common causes: hosts began to leak.
    pub causes_wanted: Notify,
    /// What the rules found on the hosts that deserve a look.
    pub findings: ArcSwap<FindingsSeen>,
    /// What processes, services and watch groups may hold of hosts' ports, and how they stand to it.
    pub budgets: Budgets,
    /// Who signs certificates.
    pub authority: Authority,
    /// Which incarnation of the fleet the database is of.
    pub incarnation: u64,
    /// The way into history.
    pub ingest: IngestHandle,
    /// Who did what.
    pub audit_log: AuditLog,
    /// Figures about the controller.
    pub metrics: Arc<Metrics>,
    /// Codes that sign a browser in.
    pub login_codes: LoginCodes,
    /// Credentials that were valid a short while ago.
    pub remembered_standings: RememberedStandings,
    /// Which of several controllers leads.
    pub leader: Leader,
    /// Which controllers are there, and what wakes their exchange.
    pub company: Company,
    /// Where passwords are hashed.
    pub passwords: PasswordHasher,
    /// Where people sign in who have no password here.
    pub oidc: Option<Oidc>,
    /// How often somebody may try to sign in.
    pub sign_in_limits: SignInLimits,
    /// Places for what would keep the database from everybody else.
    pub places: Places,
    /// Sessions that are open.
    pub sessions_open: OpenCount,
    /// Over how long agents come back once this controller ends.
    pub drain_spread: DrainSpread,
    /// When this controller started.
    pub started_at: Timestamp,
    /// Address that agents are told to connect to, `host:port`.
    pub agents_address: String,
    /// Notices on their way to the next commit.
    pub notices: mpsc::Sender<Notice>,
    /// When an incident opens, rises and ends.
    pub incident_rules: IncidentRules,
    /// Who is told of incidents.
    pub notify: NotifySettings,
    /// Actions: their limits, and the ways to their hosts.
    pub remediation: Remediation,
    /// Operators' keys: what wakes whatever carries statements about them.
    pub keys: Keys,
    /// Upgrades of agents: what hosts said, and what wakes their roll-out.
    pub upgrades: Upgrades,
    /// Wakes what works on maintenance runs.
    pub runs_changed: Notify,
    /// Wakes what tells of incidents.
    pub incidents_changed: Notify,
    /// Wakes what takes messages to receivers.
    pub notifications_queued: watch::Sender<u64>,
}

/// How much of a kind may ask the database at once, or over time; the rest waits.
#[derive(Debug)]
pub struct Places {
    /// Queries of history.
    pub queries: Semaphore,
    /// Greetings of agents.
    pub greetings: Semaphore,
    /// Records of each host.
    pub pace: Pace,
}

impl Default for Places {
    fn default() -> Self {
        Self {
            queries: Semaphore::new(query::PLACES),
            greetings: Semaphore::new(GREETINGS),
            pace: Pace::default(),
        }
    }
}

impl App {
    /// Says that something happened: stored with the next group commit, shown to live views then.
    pub fn note(&self, host: Option<HostId>, kind: NoticeKind, text: String) {
        let notice = Notice {
            id: 0,
            at: self.clock.now(),
            host,
            kind,
            text: text.into(),
        };
        if self.notices.try_send(notice).is_err() {
            self.metrics.notices_dropped.add(1);
        }
    }
}

/// How many of something are open.
#[derive(Debug, Default)]
pub struct OpenCount(AtomicU64);

impl OpenCount {
    /// One more; the count with it.
    pub fn add(&self) -> u64 {
        self.0.fetch_add(1, Ordering::AcqRel).saturating_add(1)
    }

    /// One less; the count without it.
    pub fn remove(&self) -> u64 {
        self.0.fetch_sub(1, Ordering::AcqRel).saturating_sub(1)
    }

    /// The count.
    #[must_use]
    pub fn count(&self) -> u64 {
        self.0.load(Ordering::Acquire)
    }
}
