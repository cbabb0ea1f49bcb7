//! Brings incidents up to what sources see, every few seconds. Has no memory but the store's, so that a restart, or a
//! second controller, opens nothing twice.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use serde::Serialize;
use tidemark_model::forecast::Road;
use tidemark_model::incident::{EntryKind, Incident, IncidentRules};
use tidemark_model::notice::NoticeKind;
use tidemark_model::problem::{Fingerprint, Severity};
use tidemark_model::{HostId, Timestamp};
use tidemark_runtime::telemetry::SPANS;
use tidemark_store::{StoreError, Tx};
use tokio::time::Instant;

use super::source::{Sight, Sights};
use super::text;
use super::weigh::{Change, Scales};
use crate::app::App;
use crate::gateway::outcome::chain;
use crate::maintain;

/// Between two activations.
const PERIOD: Duration = Duration::from_secs(2);

/// Incidents read at once.
const PAGE: u32 = 1_000;

/// Incidents that are looked after in one activation, and new ones that it opens; what is left waits for the next.
const WATCHED_MAX: usize = 20_000;
/// See [`WATCHED_MAX`].
const OPENED_MAX: usize = 500;

/// Changes stored in one transaction: ingest waits for it.
const CHANGES_MAX: usize = 100;

/// What an activation did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct ReconcileStatus {
    /// Incidents that are not over, by severity from the least.
    pub standing: [u64; 3],
    /// Of those, how many a maintenance window keeps from receivers.
    pub suppressed: u64,
    /// Opened.
    pub opened: u64,
    /// Opened again.
    pub reopened: u64,
    /// Ended.
    pub resolved: u64,
    /// Left to the next activation, because somebody else changed the incident meanwhile or there were too many.
    pub left: u64,
}

/// Brings incidents up to date.
pub struct Reconciler {
    app: Arc<App>,
    rules: IncidentRules,
}

impl Reconciler {
    /// Works by the rules of the application.
    #[must_use]
    pub fn new(app: Arc<App>) -> Self {
        let rules = app.incident_rules;
        Self { app, rules }
    }

    /// Runs until the stop.
    pub async fn run(self) {
        let stop = self.app.life.stop_token();
        loop {
            let began = Instant::now();
            match self.activate().await {
                Ok(status) => {
                    self.app.metrics.incidents_of(status.standing);
                    self.app.metrics.incidents_suppressed.set(status.suppressed);
                    tracing::debug!(?status, "incidents are up to date");
                }
                Err(error) => {
                    self.app.metrics.incident_sweeps_failed.add(1);
                    tracing::warn!(
                        error = chain(&error),
                        "incidents cannot be brought up to date; it is tried again"
                    );
                }
            }
            let took = u64::try_from(began.elapsed().as_micros()).unwrap_or(u64::MAX);
            self.app.metrics.incident_sweep_us.set(took);
            tokio::select! {
                () = stop.cancelled() => return,
                () = tokio::time::sleep(PERIOD) => {}
            }
        }
    }

    /// Looks at everything once.
    ///
    /// # Errors
    /// What the database says; what was stored stays stored.
    #[tracing::instrument(target = SPANS, name = "incidents", skip_all, err)]
    pub async fn activate(&self) -> Result<ReconcileStatus, StoreError> {
        let now = self.app.clock.now();
        let watched = self.watched().await?;
        if !self.app.decides() {
            return Ok(self.standing(&watched, now));
        }
        let mut sights = Sights::of(&self.app, &watched, now);
        let mut status = ReconcileStatus::default();
        let mut changes = Vec::new();
        let mut grouped = Vec::new();
        for incident in watched {
            let change = match sights.take(&self.app, &incident, now) {
                Sight::Grouped(cause) => {
                    grouped.push((incident, cause));
                    continue;
                }
                sight @ (Sight::Seen(_) | Sight::Clear | Sight::Unknown | Sight::HostGone) => self
                    .scales(&incident.problem.hosts, now)
                    .weigh(&incident, sight),
            };
            let standing = change.as_ref().map_or(&incident, |change| &change.incident);
            status.count(standing);
            status.suppressed += u64::from(self.is_suppressed(standing, now));
            changes.extend(change);
        }
        let mut news = sights.news();
        status.left = news.len().saturating_sub(OPENED_MAX) as u64;
        news.truncate(OPENED_MAX);
        for problem in news {
            let mut tx = self.app.store.read().await?;
            let last = tx.incident_newest_of(problem.key.fingerprint()).await?;
            let scales = self.scales(&problem.hosts, now);
            let change = scales.weigh_news(problem, last);
            status.count(&change.incident);
            status.suppressed += u64::from(self.is_suppressed(&change.incident, now));
            changes.push(change);
        }
        self.store(changes, &mut status).await?;
        self.group(grouped, now, &mut status).await?;
        Ok(status)
    }

    /// How they stand, where another controller looks after them.
    fn standing(&self, watched: &[Incident], now: Timestamp) -> ReconcileStatus {
        let mut status = ReconcileStatus::default();
        for incident in watched {
            status.count(incident);
            status.suppressed += u64::from(self.is_suppressed(incident, now));
        }
        status
    }

    fn scales(&self, hosts: &[HostId], now: Timestamp) -> Scales {
        let window = maintain::standing_of(&self.app, hosts, now);
        Scales {
            rules: self.rules,
            now,
            window: window.map(|(_, at)| at.deadline(now)),
        }
    }

    /// Whether a window keeps an incident that is not over from receivers.
    fn is_suppressed(&self, incident: &Incident, now: Timestamp) -> bool {
        incident.state.resolved_at().is_none()
            && maintain::silence_on(&self.app, &incident.problem.hosts, now).is_some()
    }

    async fn watched(&self) -> Result<Vec<Incident>, StoreError> {
        let mut watched: Vec<Incident> = Vec::new();
        while watched.len() < WATCHED_MAX {
            let after = watched.last().map_or(0, |last| last.id);
            let mut tx = self.app.store.read().await?;
            let page = tx.incidents_watched(after, PAGE).await?;
            let is_last = page.len() < PAGE as usize;
            watched.extend(page);
            if is_last {
                break;
            }
        }
        Ok(watched)
    }

    /// Ends incidents that are part of another one, once that is stored.
    async fn group(
        &self,
        grouped: Vec<(Incident, Fingerprint)>,
        now: Timestamp,
        status: &mut ReconcileStatus,
    ) -> Result<(), StoreError> {
        let mut changes = Vec::new();
        for (incident, teller) in grouped {
            let mut tx = self.app.store.read().await?;
            let into = tx.incident_newest_of(teller).await?;
            let into = into.filter(|into| into.state.resolved_at().is_none());
            let scales = self.scales(&incident.problem.hosts, now);
            changes.extend(into.and_then(|into| scales.group(&incident, &into)));
        }
        self.store(changes, status).await
    }

    async fn store(
        &self,
        changes: Vec<Change>,
        status: &mut ReconcileStatus,
    ) -> Result<(), StoreError> {
        let mut news: BTreeSet<HostId> = BTreeSet::new();
        let mut changes = changes.into_iter().peekable();
        while changes.peek().is_some() {
            let part: Vec<Change> = changes.by_ref().take(CHANGES_MAX).collect();
            let stored = match self.store_together(&part).await {
                Err(StoreError::Stale { .. } | StoreError::AlreadyExists { .. }) => {
                    self.store_apart(&part).await?
                }
                stored => stored?,
            };
            for (change, is_stored) in part.iter().zip(stored) {
                if is_stored {
                    if !change.entries.is_empty() {
                        news.extend(&change.incident.problem.hosts);
                    }
                    self.tell(change, status);
                } else {
                    status.left = status.left.saturating_add(1);
                }
            }
        }
        if !news.is_empty() {
            self.app.incidents_changed.notify_one();
            let hosts: Vec<HostId> = news.into_iter().collect();
            self.app.live.announce_incidents(&hosts);
        }
        Ok(())
    }

    async fn store_together(&self, changes: &[Change]) -> Result<Vec<bool>, StoreError> {
        let mut tx = self.app.store.begin().await?;
        let mut stored = Vec::with_capacity(changes.len());
        for change in changes {
            stored.push(store_one(&mut tx, change).await?);
        }
        tx.commit().await?;
        Ok(stored)
    }

    /// Each in a transaction of its own: one that somebody else changed meanwhile does not hold up the others.
    async fn store_apart(&self, changes: &[Change]) -> Result<Vec<bool>, StoreError> {
        let mut stored = Vec::with_capacity(changes.len());
        for change in changes {
            let mut tx = self.app.store.begin().await?;
            stored.push(match store_one(&mut tx, change).await {
                Ok(is_stored) => {
                    tx.commit().await?;
                    is_stored
                }
                Err(StoreError::Stale { .. } | StoreError::AlreadyExists { .. }) => false,
                Err(error) => return Err(error),
            });
        }
        Ok(stored)
    }

    /// Counts a change, and tells operators' lists of it.
    fn tell(&self, change: &Change, status: &mut ReconcileStatus) {
        let metrics = &self.app.metrics;
        let incident = &change.incident;
        for entry in &change.entries {
            let kind = match entry.kind {
                EntryKind::Opened => {
                    status.opened = status.opened.saturating_add(1);
                    metrics.incidents_opened.add(1);
                    NoticeKind::IncidentOpened
                }
                EntryKind::Reopened => {
                    status.reopened = status.reopened.saturating_add(1);
                    metrics.incidents_reopened.add(1);
                    NoticeKind::IncidentOpened
                }
                EntryKind::Escalated => NoticeKind::IncidentEscalated,
                EntryKind::Resolved => {
                    status.resolved = status.resolved.saturating_add(1);
                    metrics.incidents_resolved.add(1);
                    NoticeKind::IncidentResolved
                }
                EntryKind::Changed
                | EntryKind::Acknowledged
                | EntryKind::Note
                | EntryKind::Notified
                | EntryKind::NotifyFailed => continue,
            };
            if kind == NoticeKind::IncidentOpened && incident.problem.kind == Road::Leak.as_str() {
                self.app.causes_wanted.notify_one();
            }
            let hosts = text::hosts(&self.app, &incident.problem);
            let title = text::title(&hosts, incident);
            let text = format!("{} {title}", incident.severity.as_str());
            self.app.note(incident.problem.key.host(), kind, text);
        }
    }
}

impl ReconcileStatus {
    fn count(&mut self, incident: &Incident) {
        if incident.state.resolved_at().is_some() {
            return;
        }
        let place = Severity::ALL
            .iter()
            .position(|one| *one == incident.severity);
        if let Some(count) = place.and_then(|place| self.standing.get_mut(place)) {
            *count = count.saturating_add(1);
        }
    }
}

/// Whether it was stored: a problem that has an incident by now gets no second one.
async fn store_one(tx: &mut Tx, change: &Change) -> Result<bool, StoreError> {
    let id = if change.incident.id == 0 {
        match tx.incident_insert(&change.incident).await? {
            Some(id) => id,
            None => return Ok(false),
        }
    } else {
        tx.incident_update(&change.incident).await?;
        change.incident.id
    };
    tx.incident_entries_append(id, &change.entries).await?;
    Ok(true)
}
