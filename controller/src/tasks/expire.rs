//! What is only kept for a while: notices, hosts' events and drift, incidents that are over with what was told of them,
//! actions, hourly rows, tokens and sessions that nobody can use, former versions of documents. History has its compactor.

use std::sync::Arc;
use std::time::Duration;

use tidemark_model::Timestamp;
use tidemark_store::{StoreError, Tx};

use crate::access::standing::SESSION_IDLE;
use crate::app::App;
use crate::gateway::outcome::chain;

/// Between two activations.
const PERIOD: Duration = Duration::from_secs(3_600);

/// Notices are kept this long.
const NOTICES_KEPT: Duration = Duration::from_secs(90 * 86_400);

/// Events of hosts are kept this long after they came.
pub const EVENTS_KEPT: Duration = Duration::from_secs(90 * 86_400);

/// Changes of hosts' configuration are kept this long.
pub const DRIFTS_KEPT: Duration = Duration::from_secs(90 * 86_400);

/// Incidents, silences and messages are kept this long after their end.
const INCIDENTS_KEPT: Duration = Duration::from_secs(90 * 86_400);

/// Former versions of documents are kept this long: who allowed what is asked a year later.
const DOCUMENTS_KEPT: Duration = Duration::from_secs(730 * 86_400);
/// Grants are kept this long after their time.
const GRANTS_KEPT: Duration = Duration::from_secs(90 * 86_400);
/// What policies did on hosts is kept this long.
const CASES_KEPT: Duration = Duration::from_secs(730 * 86_400);
/// Actions are kept this long after their end, with every step: who did what to a host is asked for years later.
const ACTIONS_KEPT: Duration = Duration::from_secs(730 * 86_400);

/// A join token is listed for this long after its end, so that one can see what it was.
const TOKENS_KEPT: Duration = Duration::from_secs(30 * 86_400);

/// Rows deleted in one transaction: ingest waits for it.
const ROWS_MAX: u32 = 5_000;

/// Incidents deleted in one transaction, each with its time line.
const INCIDENTS_MAX: u32 = 500;

/// Actions deleted in one transaction, each with its life.
const ACTIONS_MAX: u32 = 500;
/// Runs deleted in one step; each may have thousands of hosts.
const RUNS_MAX: u32 = 10;

/// What an activation deleted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ExpireStatus {
    /// Notices.
    pub notices: u64,
    /// Events of hosts.
    pub events: u64,
    /// Changes of hosts' configuration.
    pub drifts: u64,
    /// Rows of `host_hourly`.
    pub hours: u64,
    /// Join tokens, tokens of sign-ins, browsers' sessions, and sign-ins that were given up.
    pub tokens: u64,
    /// Incidents, silences and messages.
    pub incidents: u64,
    /// Versions of documents that do not hold any more.
    pub documents: u64,
    /// Cases of policies, and grants that are over.
    pub cases: u64,
    /// Actions.
    pub actions: u64,
}

/// Deletes what has had its time.
pub struct Expirer {
    app: Arc<App>,
    hours_kept: Duration,
}

impl Expirer {
    /// Keeps rows of `host_hourly` as long as history keeps hours.
    #[must_use]
    pub const fn new(app: Arc<App>, hours_kept: Duration) -> Self {
        Self { app, hours_kept }
    }

    /// Runs until the stop.
    pub async fn run(self) {
        let stop = self.app.life.stop_token();
        let mut last = None;
        loop {
            last = tokio::select! {
                () = stop.cancelled() => return,
                term = self.app.leader.turn(last.as_ref(), PERIOD) => Some(term),
            };
            match self.activate().await {
                Ok(status) => tracing::debug!(?status, "old rows deleted"),
                // Another controller leads, and goes on with it.
                Err(StoreError::Fenced { .. }) => {}
                Err(error) => tracing::error!(
                    error = chain(&error),
                    "old rows cannot be deleted; it is tried again in an hour"
                ),
            }
        }
    }

    /// Deletes what is due, in bounded steps, where this controller leads.
    ///
    /// # Errors
    /// What the database says; what was deleted stays deleted.
    pub async fn activate(&self) -> Result<ExpireStatus, StoreError> {
        let now = self.app.clock.now();
        let stop = self.app.life.stop_token();
        let mut status = ExpireStatus::default();
        let Some(term) = self.app.leader.term() else {
            return Ok(status);
        };
        loop {
            let mut tx = self.app.begin_in(&term).await?;
            let notices = tx
                .notices_delete_before(now.saturating_sub(NOTICES_KEPT), ROWS_MAX)
                .await?;
            let events = tx
                .events_delete_before(now.saturating_sub(EVENTS_KEPT), ROWS_MAX)
                .await?;
            let drifts = tx
                .drift_delete_before(now.saturating_sub(DRIFTS_KEPT), ROWS_MAX)
                .await?;
            let hours = tx
                .host_hourly_delete_before(now.saturating_sub(self.hours_kept), ROWS_MAX)
                .await?;
            let tokens = tx
                .join_tokens_delete_expired(now.saturating_sub(TOKENS_KEPT), ROWS_MAX)
                .await?;
            let sign_ins = delete_sign_ins(&mut tx, now).await?;
            let cutoff = now.saturating_sub(INCIDENTS_KEPT);
            let incidents = tx.incidents_delete_before(cutoff, INCIDENTS_MAX).await?;
            let silences = tx.silences_delete_before(cutoff, ROWS_MAX).await?;
            let messages = tx.notifications_delete_before(cutoff, ROWS_MAX).await?;
            let documents = tx
                .document_versions_delete_before(now.saturating_sub(DOCUMENTS_KEPT), ROWS_MAX)
                .await?;
            let cases = tx
                .policy_cases_delete_before(now.saturating_sub(CASES_KEPT), ROWS_MAX)
                .await?;
            let grants = tx
                .grants_delete_before(now.saturating_sub(GRANTS_KEPT), ROWS_MAX)
                .await?;
            let actions = tx
                .actions_delete_before(now.saturating_sub(ACTIONS_KEPT), ACTIONS_MAX)
                .await?;
            let runs = tx
                .runs_delete_before(now.saturating_sub(ACTIONS_KEPT), RUNS_MAX)
                .await?;
            tx.commit().await?;
            status.actions += actions + runs;
            status.incidents += incidents + silences + messages;
            status.documents += documents;
            status.cases += cases + grants;
            status.notices += notices;
            status.events += events;
            status.drifts += drifts;
            status.hours += hours;
            status.tokens += tokens + sign_ins;
            let is_done = [
                notices, events, drifts, hours, tokens, sign_ins, silences, messages, documents,
                cases, grants,
            ]
            .iter()
            .all(|deleted| *deleted < u64::from(ROWS_MAX))
                && incidents < u64::from(INCIDENTS_MAX)
                && actions < u64::from(ACTIONS_MAX)
                && runs < u64::from(RUNS_MAX);
            if is_done || stop.is_cancelled() {
                return Ok(status);
            }
        }
    }
}

/// Deletes what sign-ins left behind; each step as many as a transaction may.
async fn delete_sign_ins(tx: &mut Tx, now: Timestamp) -> Result<u64, StoreError> {
    let idle_since = now.saturating_sub(SESSION_IDLE);
    let sessions = tx.browser_sessions_delete_over(now, idle_since, ROWS_MAX);
    let sessions = sessions.await?;
    let cutoff = now.saturating_sub(TOKENS_KEPT);
    let tokens = tx.api_tokens_delete_expired(cutoff, ROWS_MAX).await?;
    let given_up = tx.oidc_sign_ins_delete_over(now, ROWS_MAX).await?;
    Ok(sessions + tokens + given_up)
}
