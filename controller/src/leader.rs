//! Which of several controllers leads: the one that has the lease. A task that only one is to work on asks here for its term, and
//! writes by [`App::begin_in`], which refuses a controller that was stopped, was replaced meanwhile, and goes on.

pub mod elect;

#[cfg(test)]
mod tests;

use std::future::pending;
use std::sync::Arc;
use std::time::Duration;

use tidemark_model::Timestamp;
use tidemark_model::view::LeaderView;
use tidemark_runtime::Entropy;
use tidemark_store::{Lease, StoreError, Term, Tx};
use tokio::sync::{Notify, watch};
use tokio::time::Instant;

use crate::app::App;
use crate::metrics::Metrics;

/// Who leads, as far as this controller knows.
pub struct Leader {
    holder: String,
    standing: watch::Sender<Standing>,
    /// Wakes the task that looks after the lease.
    asked: Notify,
    metrics: Arc<Metrics>,
}

/// How the lease stands.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Standing {
    /// The database has not said it yet, or not for too long.
    #[default]
    Unknown,
    /// This controller does not lead; as of the last look.
    Elsewhere(Lease),
    /// This controller leads.
    Here(Lead),
}

/// Leading.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Lead {
    /// In which term.
    pub term: Term,
    /// Since when, by the database's clock.
    pub since: Timestamp,
    /// From when on it must not be believed any more, whatever happened: this controller may have been stopped, and the lease have
    /// run out. `None` where nobody else could take it.
    fence_at: Option<Instant>,
}

impl Lead {
    fn holds(&self) -> bool {
        self.fence_at.is_none_or(|at| Instant::now() < at)
    }
}

impl Leader {
    /// One that knows nothing yet.
    #[must_use]
    pub fn new(entropy: &Entropy, metrics: Arc<Metrics>) -> Self {
        let name = own_name().unwrap_or_else(|| "controller".to_owned());
        Self {
            // A controller that starts again is another holder: what the one before had begun is not its own.
            holder: format!("{name}/{:016x}", entropy.u64()),
            standing: watch::Sender::default(),
            asked: Notify::new(),
            metrics,
        }
    }

    /// The name under which this controller may lead: of its machine, and a number that no other start has.
    #[must_use]
    pub fn holder(&self) -> &str {
        &self.holder
    }

    /// The term in which this controller leads at this moment.
    #[must_use]
    pub fn term(&self) -> Option<Term> {
        match self.standing() {
            Standing::Here(lead) => Some(lead.term),
            Standing::Elsewhere(_) | Standing::Unknown => None,
        }
    }

    /// How the lease stands at this moment.
    #[must_use]
    pub fn standing(&self) -> Standing {
        let standing = self.standing.borrow().clone();
        match standing {
            // What looks after it was stopped as well, and has not come to say so.
            Standing::Here(lead) if !lead.holds() => Standing::Unknown,
            standing @ (Standing::Here(_) | Standing::Elsewhere(_) | Standing::Unknown) => standing,
        }
    }

    /// Brings its figure up to date.
    pub fn show(&self) {
        self.metrics.leads.set(u64::from(self.term().is_some()));
    }

    /// How it stands, as it is told.
    #[must_use]
    pub fn view(&self) -> LeaderView {
        match self.standing() {
            Standing::Unknown => LeaderView::default(),
            Standing::Elsewhere(lease) => {
                let is_held = lease.holder.is_some() && lease.until > lease.now;
                LeaderView {
                    is_this: false,
                    since_ms: is_held.then(|| lease.since.unix_ms()),
                    holder: lease.holder.filter(|_| is_held),
                    epoch: Some(lease.epoch),
                }
            }
            Standing::Here(Lead { term, since, .. }) => LeaderView {
                is_this: true,
                holder: Some(term.holder),
                epoch: Some(term.epoch),
                since_ms: Some(since.unix_ms()),
            },
        }
    }

    /// Waits until this controller leads; completes at once while it does.
    pub async fn lead(&self) -> Term {
        let mut standing = self.standing.subscribe();
        loop {
            if let Some(term) = self.term() {
                return term;
            }
            if standing.changed().await.is_err() {
                pending::<()>().await;
            }
        }
    }

    /// Waits until this controller leads in another term than `last`.
    pub async fn next_term(&self, last: Option<&Term>) -> Term {
        loop {
            let term = self.lead().await;
            if last != Some(&term) {
                return term;
            }
            self.over(&term).await;
        }
    }

    /// Waits for the next turn of a task that only the leader works on, whose last one was in the term `last`: for `period`, or until
    /// this controller leads anew. What nobody does by now is not to wait for an hour.
    pub async fn turn(&self, last: Option<&Term>, period: Duration) -> Term {
        let due = async {
            tokio::time::sleep(period).await;
            self.lead().await
        };
        tokio::select! {
            term = self.next_term(last) => term,
            term = due => term,
        }
    }

    /// Looks at the lease soon: somebody gave it back.
    pub fn look(&self) {
        self.asked.notify_one();
    }

    /// Waits until that term is over, as far as is known here.
    async fn over(&self, term: &Term) {
        let mut standing = self.standing.subscribe();
        while self.term().as_ref() == Some(term) {
            if standing.changed().await.is_err() {
                pending::<()>().await;
            }
        }
    }

    /// A write of that term was refused.
    fn refused(&self, term: &Term) {
        self.metrics.led_writes_refused.add(1);
        let is_of =
            |standing: &Standing| matches!(standing, Standing::Here(lead) if lead.term == *term);
        let had = self.standing.send_if_modified(|standing| {
            let had = is_of(standing);
            if had {
                *standing = Standing::Unknown;
            }
            had
        });
        if had {
            self.metrics.leads.set(0);
            tracing::warn!(
                epoch = term.epoch,
                "another controller leads: a write of this one was refused"
            );
            self.asked.notify_one();
        }
    }

    fn stand(&self, standing: Standing) {
        let (leads, epoch) = match &standing {
            Standing::Unknown => (0, None),
            Standing::Elsewhere(lease) => (0, Some(lease.epoch)),
            Standing::Here(lead) => (1, Some(lead.term.epoch)),
        };
        self.metrics.leads.set(leads);
        if let Some(epoch) = epoch {
            self.metrics.lease_epoch.set(epoch);
        }
        self.standing.send_replace(standing);
    }
}

impl App {
    /// Begins a transaction that writes within that term, and keeps it from ending until the transaction does.
    ///
    /// # Errors
    /// [`StoreError::Fenced`] when another controller leads by now, and what else the database says.
    pub async fn begin_in(&self, term: &Term) -> Result<Tx, StoreError> {
        let mut tx = self.store.begin().await?;
        let fenced = tx.fenced(term).await;
        if matches!(fenced, Err(StoreError::Fenced { .. })) {
            self.leader.refused(term);
        }
        fenced.map(|()| tx)
    }
}

/// What the machine calls itself, so that people know which controller it is.
fn own_name() -> Option<String> {
    let text = std::fs::read_to_string("/proc/sys/kernel/hostname").ok()?;
    let name: String = text.trim().chars().filter(|c| !c.is_control()).collect();
    Some(name).filter(|name| !name.is_empty())
}
