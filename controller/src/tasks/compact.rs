//! The compactor: rows as they were committed become windows, days and coarser tiers, and old ones go.
//!
//! Each activation reads what a host has, asks the history's plan what is due, does it on bytes, and replaces the sources
//! by the outcome in one transaction: it may be stopped anywhere and run twice.

mod page;

use std::collections::{BTreeSet, HashSet};
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::sync::Arc;
use std::time::Duration;

use tidemark_history::Tier;
use tidemark_history::compact::{CompactPolicy, DayBytes, Retention};
use tidemark_model::time::duration_ms;
use tidemark_model::{HostId, Timestamp};
use tidemark_store::StoreError;

use crate::app::App;
use crate::gateway::outcome::chain;

/// Between two activations.
const PERIOD: Duration = Duration::from_secs(60);

/// Every host is looked at this often, each at its own minute: a fleet's work is spread over the hour, and its batches wait
/// an hour longer than their window at most.
const TURN: Duration = Duration::from_secs(3_600);

/// Hosts looked at together.
const PAGE: usize = 128;

/// Hosts whose batches have waited for longer than their turn are asked for in pages of this many.
const OVERDUE_PAGE: u32 = 500;

/// The compactor's state.
pub struct Compactor {
    app: Arc<App>,
    policy: CompactPolicy,
    /// Up to when hosts had their turn.
    turned_at: Option<Timestamp>,
    /// When room was last given back, and the days' bytes were last summed.
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
                ..CompactPolicy::default()
            },
            days: Vec::new(),
            turned_at: None,
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
        let is_sweep = self
            .swept_at
            .is_none_or(|at| now.ms_since(at) >= duration_ms(TURN));
        if is_sweep {
            self.days = self.days_of_tiers().await?;
        }
        let mut waiting = self.due_hosts(now).await?;
        while !waiting.is_empty() {
            let page: Vec<HostId> = waiting.iter().copied().take(PAGE).collect();
            let (looked_at, jobs) = self.due_jobs(&page, now).await?;
            status.hosts += looked_at.len() as u64;
            for host in looked_at {
                waiting.remove(&host);
            }
            for part in page::parts(jobs) {
                status.jobs += self.run_jobs(part, &term).await?;
            }
        }
        self.turned_at = Some(now);
        if is_sweep {
            self.swept_at = Some(now);
            status.bytes_freed = self.app.store.shrink().await?;
        }
        Ok(status)
    }

    /// Hosts whose turn has come since the last activation, and those whose batches have waited for longer than that.
    async fn due_hosts(&self, now: Timestamp) -> Result<BTreeSet<HostId>, StoreError> {
        let mut due: BTreeSet<HostId> = self.app.live.ids().into_iter().collect();
        if let Some(last) = self.turned_at {
            due.retain(|host| comes_between(*host, last, now));
        }
        let window = self.policy.window;
        let cutoff = now
            .saturating_sub(self.policy.grace + TURN + PERIOD)
            .floor_to(duration_ms(window));
        let mut after = None;
        loop {
            let mut tx = self.app.store.read().await?;
            let page = tx
                .recent_hosts_older_than(cutoff, after, OVERDUE_PAGE)
                .await?;
            drop(tx);
            let is_last = page.len() < OVERDUE_PAGE as usize;
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

/// Whether a host's turn is after `last` and at `now` or before.
fn comes_between(host: HostId, last: Timestamp, now: Timestamp) -> bool {
    let turn_ms = duration_ms(TURN);
    if now.ms_since(last) >= turn_ms || now < last {
        return true;
    }
    let mut hasher = DefaultHasher::new();
    host.hash(&mut hasher);
    let place_ms = i64::try_from(hasher.finish() % turn_ms.unsigned_abs()).unwrap_or(0);
    let turns = |at: Timestamp| at.unix_ms().saturating_sub(place_ms).div_euclid(turn_ms);
    turns(last) < turns(now)
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_host_has_one_turn_an_hour_and_the_hour_is_filled_evenly() {
        let minute = |number: i64| Timestamp::from_unix_ms(1_780_000_000_000 + number * 60_000);
        let hosts: Vec<HostId> = (0..600_u32)
            .map(|number| HostId::of_identity_spki(&number.to_be_bytes()))
            .collect();
        let turns = |host: HostId| {
            let of_minute = |number: &i64| comes_between(host, minute(number - 1), minute(*number));
            (1..=120).filter(of_minute).collect::<Vec<i64>>()
        };
        let mut of_minutes = [0_u32; 60];
        for host in &hosts {
            let turns = turns(*host);
            assert_eq!(turns.len(), 2, "{turns:?}");
            assert_eq!(turns[1] - turns[0], 60);
            of_minutes[usize::try_from(turns[0] - 1).unwrap()] += 1;
        }
        assert!(
            of_minutes.iter().all(|hosts| (1..=30).contains(hosts)),
            "{of_minutes:?}"
        );
    }

    #[test]
    fn a_turn_that_was_missed_or_a_clock_that_was_set_back_makes_every_host_due() {
        let host = HostId::of_identity_spki(b"x");
        let at = |ms| Timestamp::from_unix_ms(ms);
        assert!(comes_between(host, at(0), at(3_600_000)));
        assert!(comes_between(host, at(5_000), at(0)));
        assert!(!comes_between(host, at(5_000), at(5_000)));
    }
}
