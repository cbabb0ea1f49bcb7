//! The compactor: rows as they were committed become packs, windows, days and coarser tiers, and old ones go.
//!
//! Each activation reads what a host has, asks the history's plan what is due, does it on bytes, and replaces the sources
//! by the outcome in one transaction: it may be stopped anywhere and run twice.

mod host;

use std::collections::{BTreeSet, HashSet};
use std::sync::Arc;
use std::time::Duration;

use tidemark_history::Tier;
use tidemark_history::compact::{CompactPolicy, DayBytes, Retention};
use tidemark_model::{HostId, Timestamp};
use tidemark_store::StoreError;

use crate::app::App;
use crate::gateway::outcome::chain;

/// Rows wait this long for their first compaction. Each compaction of a host costs a dozen statements whatever it
/// holds, so shorter packs cost more than the bytes that they save for an hour.
const PACK: Duration = Duration::from_secs(3_600);

/// Between two activations.
const PERIOD: Duration = Duration::from_secs(60);

/// Every host is looked at this often, for merges, roll-ups and retention.
const SWEEP_EVERY: Duration = Duration::from_secs(3_600);

/// Hosts read at a time.
const PAGE: u32 = 500;

/// Jobs done in one transaction: one fsync for many hosts, and a short wait for ingest, which shares the writer.
const TASKS_MAX: usize = 128;

/// Sources held in memory for them, in bytes.
const TASKS_BYTES_MAX: usize = 16 * 1024 * 1024;

/// The compactor's state.
pub struct Compactor {
    app: Arc<App>,
    policy: CompactPolicy,
    swept_at: Option<Timestamp>,
    /// What each day of each tier took at the last sweep, where retention by bytes needs it.
    days: Vec<DayBytes>,
    /// Damaged rows and segments: said once, then left alone until retention takes them.
    damaged: HashSet<Damaged>,
}

/// What cannot be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Damaged {
    Recent(HostId, i64),
    Segment(HostId, i64),
}

/// What an activation did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct CompactStatus {
    /// Hosts that were looked at.
    pub hosts: u64,
    /// Jobs done.
    pub jobs: u64,
    /// Bytes given back to the file system, at the hourly sweep.
    pub bytes_freed: u64,
}

impl Compactor {
    /// A compactor that keeps history that long.
    #[must_use]
    pub fn new(app: Arc<App>, retention: Retention) -> Self {
        Self {
            app,
            policy: CompactPolicy {
                retention,
                pack: PACK,
                ..CompactPolicy::default()
            },
            days: Vec::new(),
            swept_at: None,
            damaged: HashSet::new(),
        }
    }

    /// Runs until the stop.
    pub async fn run(mut self) {
        let app = Arc::clone(&self.app);
        let stop = app.life.stop_token();
        // Whoever leads from the start begins with a pause.
        let mut last = app.leader.term();
        loop {
            last = tokio::select! {
                () = stop.cancelled() => return,
                term = app.leader.turn(last.as_ref(), PERIOD) => Some(term),
            };
            let outcome = tokio::select! {
                () = stop.cancelled() => return,
                outcome = self.activate() => outcome,
            };
            match outcome {
                Ok(status) => tracing::debug!(?status, "compacted"),
                // Another controller leads, and goes on with it.
                Err(StoreError::Fenced { .. }) => {}
                Err(error) => tracing::error!(
                    error = chain(&error),
                    "history cannot be compacted; it is tried again in a minute"
                ),
            }
        }
    }

    /// Does what is due, where this controller leads.
    ///
    /// # Errors
    /// What the database says; what was done stays done.
    pub async fn activate(&mut self) -> Result<CompactStatus, StoreError> {
        let now = self.app.clock.now();
        let mut status = CompactStatus::default();
        let Some(term) = self.app.leader.term() else {
            return Ok(status);
        };
        let mut tasks = Vec::new();
        let mut bytes = 0_usize;
        for host in self.due_hosts(now).await? {
            status.hosts += 1;
            for task in self.due_tasks(host, now).await? {
                bytes = bytes.saturating_add(task.bytes());
                tasks.push(task);
            }
            if bytes >= TASKS_BYTES_MAX || tasks.len() >= TASKS_MAX {
                status.jobs += self.run_tasks(std::mem::take(&mut tasks), &term).await?;
                bytes = 0;
            }
        }
        status.jobs += self.run_tasks(tasks, &term).await?;
        if self.swept_at == Some(now) {
            status.bytes_freed = self.app.store.shrink().await?;
        }
        Ok(status)
    }

    async fn due_hosts(&mut self, now: Timestamp) -> Result<BTreeSet<HostId>, StoreError> {
        let is_sweep = self
            .swept_at
            .is_none_or(|at| now.ms_since(at) >= tidemark_model::time::duration_ms(SWEEP_EVERY));
        if is_sweep {
            self.swept_at = Some(now);
            self.days = self.days_of_tiers().await?;
            return Ok(self.app.live.ids().into_iter().collect());
        }
        let cutoff = now.saturating_sub(self.policy.pack);
        let mut due = BTreeSet::new();
        let mut after = None;
        loop {
            let mut tx = self.app.store.read().await?;
            let page = tx.recent_hosts_older_than(cutoff, after, PAGE).await?;
            drop(tx);
            let is_last = page.len() < PAGE as usize;
            after = page.last().copied();
            due.extend(page);
            if is_last {
                return Ok(due);
            }
        }
    }

    async fn days_of_tiers(&self) -> Result<Vec<DayBytes>, StoreError> {
        if !self.policy.retention.is_by_bytes() {
            return Ok(Vec::new());
        }
        let days = self.app.store.read().await?.segment_days().await?;
        let day_of = |day: tidemark_store::SegmentDay| DayBytes {
            tier: history_tier(day.tier),
            until: day.until,
            bytes: day.size_bytes,
        };
        Ok(days.into_iter().map(day_of).collect())
    }
}

/// The store's name of a tier.
pub(super) const fn stored_tier(tier: Tier) -> tidemark_store::Tier {
    match tier {
        Tier::Raw => tidemark_store::Tier::Raw,
        Tier::FiveMinutes => tidemark_store::Tier::FiveMinutes,
        Tier::Hour => tidemark_store::Tier::Hour,
    }
}

/// The history's name of a tier.
pub(super) const fn history_tier(tier: tidemark_store::Tier) -> Tier {
    match tier {
        tidemark_store::Tier::Raw => Tier::Raw,
        tidemark_store::Tier::FiveMinutes => Tier::FiveMinutes,
        tidemark_store::Tier::Hour => Tier::Hour,
    }
}
