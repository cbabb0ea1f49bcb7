//! Orders as simulated hosts take them: accepted, run, reported, and each remembered, so that a test can say what hosts saw.
//! A restart ends the session and comes back with another boot. Nothing is done to the machine.

use std::collections::{BTreeMap, HashSet};
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tidemark_agent::actions::{ActionFeed, Message, PlayedDesk};
use tidemark_model::action::{
    ActionKind, ActionReport, ActionSpec, ActionState, HostPolicyView, Order, Profile, SignedOrder,
};
use tidemark_model::{ActionId, HostFacts, HostId};
use tidemark_runtime::{Clock, Entropy};
use tokio::time::Instant;

/// How long an order takes, and how long a host is down for a restart.
const TAKES: Duration = Duration::from_millis(300);
const DOWN_FOR: Duration = Duration::from_millis(1_500);

/// Which hosts fail.
#[derive(Clone, Debug)]
pub enum Fails {
    /// So many of all, 0 to 1, chosen by their names.
    Share(f64),
    /// Those of these names.
    Named(HashSet<String>),
}

/// How a fleet carries orders out, and what it saw.
#[derive(Debug)]
pub struct OrderPlan {
    fails: Fails,
    deeds: Mutex<Vec<Deed>>,
}

/// One order, as its host saw it.
#[derive(Clone, Debug)]
pub struct Deed {
    /// Name of the host.
    pub host: Arc<str>,
    /// Labels of the host.
    pub labels: BTreeMap<String, String>,
    /// Which order.
    pub id: ActionId,
    /// How often it was brought.
    pub brought: u32,
    /// When it was begun.
    pub begun: Instant,
    /// When the host was through with it.
    pub ended: Option<Instant>,
    /// How it ended.
    pub state: ActionState,
}

impl OrderPlan {
    /// Nothing was seen yet.
    #[must_use]
    pub const fn new(fails: Fails) -> Self {
        Self {
            fails,
            deeds: Mutex::new(Vec::new()),
        }
    }

    /// Every order that hosts saw, in the order in which they began them.
    #[must_use]
    pub fn deeds(&self) -> Vec<Deed> {
        self.lock().clone()
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Vec<Deed>> {
        self.deeds.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn change(&self, id: ActionId, change: impl FnOnce(&mut Deed)) {
        let mut deeds = self.lock();
        if let Some(deed) = deeds.iter_mut().find(|deed| deed.id == id) {
            change(deed);
        }
    }

    fn fails_on(&self, host: &str) -> bool {
        match &self.fails {
            Fails::Named(names) => names.contains(host),
            Fails::Share(share) => {
                let mut hasher = DefaultHasher::new();
                host.hash(&mut hasher);
                (hasher.finish() % 10_000) as f64 / 10_000.0 < *share
            }
        }
    }
}

/// The desk of one simulated host.
#[derive(Debug)]
pub struct Desk {
    plan: Arc<OrderPlan>,
    host: HostId,
    name: Arc<str>,
    labels: BTreeMap<String, String>,
    boot: Arc<str>,
    end: PlayedDesk,
    /// The newest report of each order, and whether the controller stored its end.
    reports: BTreeMap<ActionId, (ActionReport, bool)>,
    /// The order that is being carried out, and until when.
    at_work: Option<(Order, Instant)>,
}

impl Desk {
    /// A desk with the feed for the host's sessions.
    #[must_use]
    pub fn new(plan: Arc<OrderPlan>, host: HostId, facts: &HostFacts) -> (ActionFeed, Self) {
        let (feed, end) = ActionFeed::played();
        let desk = Self {
            plan,
            host,
            name: Arc::clone(&facts.name),
            labels: facts.labels.clone(),
            boot: Arc::clone(&facts.boot_id),
            end,
            reports: BTreeMap::new(),
            at_work: None,
        };
        (feed, desk)
    }

    /// Takes orders and carries them out until the host goes down.
    pub async fn work_until_restart(&mut self) {
        loop {
            let done_at = self.at_work.as_ref().map(|(_, at)| *at);
            tokio::select! {
                message = self.end.next() => match message {
                    Some(message) => self.hear(message),
                    None => return std::future::pending().await,
                },
                () = sleep_until(done_at) => {
                    if self.is_restart() {
                        return;
                    }
                    self.finish();
                }
            }
        }
    }

    /// Waits while the host is down; answers its new boot.
    pub async fn boot(&mut self) -> Arc<str> {
        tokio::time::sleep(DOWN_FOR).await;
        self.boot = format!("boot-{:016x}", Entropy::System.u64()).into();
        self.finish();
        Arc::clone(&self.boot)
    }

    fn is_restart(&self) -> bool {
        let order = self.at_work.as_ref().map(|(order, _)| order);
        let is_reboot = |order: &Order| matches!(order.spec, ActionSpec::Reboot { .. });
        order.is_some_and(is_reboot) && !self.plan.fails_on(&self.name)
    }

    fn hear(&mut self, message: Message) {
        match message {
            Message::Opened => {
                self.end.tell_policy(HostPolicyView {
                    profile: Some(Profile::Full),
                    allowed: ActionKind::ALL.to_vec(),
                    ..HostPolicyView::default()
                });
                for (report, is_stored) in self.reports.values() {
                    if !is_stored {
                        self.end.tell(report.clone());
                    }
                }
            }
            Message::Order(signed) | Message::Granted(signed, _) => self.take(&signed),
            Message::Acked(stored) => {
                if let Some((report, is_stored)) = self.reports.get_mut(&stored.action) {
                    *is_stored |= report.state == stored.state;
                }
            }
            Message::Confirmed(_)
            | Message::Grants(_)
            | Message::Stop
            | Message::Undo(_)
            | Message::GoOn { .. }
            | Message::KeyStatement(_) => {}
        }
    }

    /// An id runs once, however often it is brought.
    fn take(&mut self, signed: &SignedOrder) {
        self.plan.change(signed.id, |deed| deed.brought += 1);
        if let Some((report, _)) = self.reports.get(&signed.id) {
            return self.end.tell(report.clone());
        }
        let order = match Order::from_bytes(&signed.bytes) {
            Ok(order) if order.host == self.host && self.at_work.is_none() => order,
            Ok(_) | Err(_) => {
                let refusal = tidemark_model::action::Refusal::Busy;
                let text = "it is about something else, or it is for somebody else";
                let now = Clock::System.now();
                let report = ActionReport::refused(signed.id, refusal, now, text);
                return self.report(report);
            }
        };
        let begun = Instant::now();
        self.plan.lock().push(Deed {
            host: Arc::clone(&self.name),
            labels: self.labels.clone(),
            id: order.id,
            brought: 1,
            begun,
            ended: None,
            state: ActionState::Running,
        });
        for state in [ActionState::Accepted, ActionState::Running] {
            self.report(ActionReport::new(
                order.id,
                state,
                Clock::System.now(),
                "in play",
            ));
        }
        self.at_work = Some((order, begun + TAKES));
    }

    fn finish(&mut self) {
        let Some((order, _)) = self.at_work.take() else {
            return;
        };
        let (state, text) = if order.dry_run {
            (ActionState::Answered, "it would be played")
        } else if self.plan.fails_on(&self.name) {
            (ActionState::Failed, "this host was chosen to fail")
        } else {
            (ActionState::Verifying, "it was played")
        };
        let now = Instant::now();
        self.plan.change(order.id, |deed| {
            deed.ended = Some(now);
            deed.state = state;
        });
        self.report(ActionReport {
            boot_id: Some(self.boot.to_string()),
            ..ActionReport::new(order.id, state, Clock::System.now(), text)
        });
    }

    fn report(&mut self, report: ActionReport) {
        self.end.tell(report.clone());
        self.reports.insert(report.id, (report, false));
    }
}

async fn sleep_until(at: Option<Instant>) {
    match at {
        Some(at) => tokio::time::sleep_until(at).await,
        None => std::future::pending().await,
    }
}
