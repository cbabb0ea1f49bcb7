//! Follows the log entry by entry, signs a checkpoint when it grew, and looks after what hosts witness.
//!
//! The first look follows the whole log, and so does one each day: what was altered meanwhile is found.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use tidemark_model::audit_log::{Chain, ChainFault, Checkpoint, Deed, Entry};
use tidemark_model::notice::NoticeKind;
use tidemark_store::{StoreError, StoredCheckpoint, Witness};
use tokio::time::Instant;

use super::tree::GrownTree;
use super::{CHECKPOINT_PERIOD, Signed};
use crate::app::App;
use crate::gateway::outcome::chain as told;

/// Entries of one look at the store.
const PAGE: u32 = 1_000;
/// Signed checkpoints that are kept: the older ones are within the newer.
const CHECKPOINTS_MAX: u32 = 1_000;
/// How often the whole log is followed again.
const AGAIN: Duration = Duration::from_secs(86_400);

/// The task.
pub struct Keeper {
    app: Arc<App>,
    period: Duration,
    chain: Chain,
    tree: Arc<GrownTree>,
    /// Checkpoints that the log has still to meet, the smallest first.
    awaited: VecDeque<Checkpoint>,
    newest: Option<Arc<Signed>>,
    begun_at: Option<Instant>,
    /// The log is followed from its first entry on.
    is_anew: bool,
    is_broken: bool,
}

impl Keeper {
    /// A keeper that has seen nothing yet.
    #[must_use]
    pub fn new(app: Arc<App>) -> Self {
        Self {
            app,
            period: CHECKPOINT_PERIOD,
            chain: Chain::default(),
            tree: Arc::default(),
            awaited: VecDeque::new(),
            newest: None,
            begun_at: None,
            is_anew: true,
            is_broken: false,
        }
    }

    /// The same with another time between looks.
    #[must_use]
    pub const fn every(mut self, period: Duration) -> Self {
        self.period = period;
        self
    }

    /// Runs until the stop, and looks a last time then.
    pub async fn run(mut self) {
        let stop = self.app.life.stop_token();
        loop {
            if let Err(error) = self.activate().await {
                tracing::warn!(
                    error = told(&error),
                    "the audit log cannot be looked after; it is tried again"
                );
            }
            if stop.is_cancelled() {
                return;
            }
            tokio::select! {
                () = stop.cancelled() => {}
                () = tokio::time::sleep(self.period) => {}
            }
        }
    }

    /// One look.
    ///
    /// # Errors
    /// When the database fails; the next look goes on where this one ended.
    pub async fn activate(&mut self) -> Result<(), StoreError> {
        self.count_refusals().await?;
        if self.begun_at.is_none_or(|at| at.elapsed() >= AGAIN) {
            self.begin_anew().await?;
        }
        if !self.is_broken {
            self.follow().await?;
        }
        let is_broken = u64::from(self.is_broken);
        self.app.metrics.audit_log_broken.set(is_broken);
        if !self.is_broken {
            self.sign().await?;
        }
        self.keep_witnesses().await?;
        let (now, size) = (self.app.clock.now(), self.chain.size());
        self.app.audit_log.stand(|standing| {
            standing.looked_at = Some(now);
            standing.size = size;
        });
        self.app.metrics.audit_log_entries.set(size);
        Ok(())
    }

    async fn count_refusals(&self) -> Result<(), StoreError> {
        let counts = self.app.audit_log.refusals.take();
        if counts.is_empty() {
            return Ok(());
        }
        let mut record = self.app.record(Deed::RefusalsCount, "routes", "");
        for (kind, count) in &counts {
            record = record.with(kind, count);
        }
        let kept = async {
            let mut tx = self.app.store.begin().await?;
            record.keep(&mut tx).await?;
            tx.commit().await
        };
        let kept = kept.await;
        if kept.is_err() {
            self.app.audit_log.refusals.give_back(counts);
        }
        kept
    }

    /// Takes the checkpoints that were signed before, to be met again from the first entry on.
    async fn begin_anew(&mut self) -> Result<(), StoreError> {
        let mut tx = self.app.store.read().await?;
        let stored = tx.audit_checkpoints(CHECKPOINTS_MAX).await?;
        drop(tx);
        self.chain = Chain::default();
        self.tree = Arc::default();
        self.awaited.clear();
        self.is_anew = true;
        self.is_broken = false;
        self.app.audit_log.stand(|standing| standing.fault = None);
        if let Some(key) = self.app.audit_log.key().cloned() {
            for (place, one) in stored.into_iter().enumerate() {
                match Checkpoint::open(&one.note, &key) {
                    Ok(checkpoint) => {
                        if place == 0 {
                            self.newest = Some(Arc::new(Signed {
                                checkpoint: checkpoint.clone(),
                                note: one.note,
                            }));
                        }
                        self.awaited.push_front(checkpoint);
                    }
                    Err(error) => self.broken(
                        one.size,
                        &format!("its checkpoint is not to be believed: {error}"),
                    ),
                }
            }
        }
        self.begun_at = Some(Instant::now());
        Ok(())
    }

    /// Takes every entry that came since.
    async fn follow(&mut self) -> Result<(), StoreError> {
        loop {
            let mut tx = self.app.store.read().await?;
            let page = tx.audit_after(self.chain.size(), PAGE).await?;
            drop(tx);
            if page.is_empty() {
                break;
            }
            for (seq, entry) in page {
                let taken = match entry {
                    Ok(entry) => self
                        .take(&entry)
                        .map_err(|fault| (fault.seq(), fault.to_string())),
                    Err(error) => Err((seq, error.to_string())),
                };
                if let Err((seq, why)) = taken {
                    self.broken(seq, &why);
                    return Ok(());
                }
            }
        }
        if let Some(checkpoint) = self.awaited.back()
            && let Err(fault) = self.chain.meets(checkpoint)
        {
            self.broken(fault.seq(), &fault.to_string());
            return Ok(());
        }
        self.app.audit_log.tree.store(Arc::clone(&self.tree));
        if std::mem::take(&mut self.is_anew) {
            let now = self.app.clock.now();
            let stand = |standing: &mut super::Standing| standing.followed_at = Some(now);
            self.app.audit_log.stand(stand);
        }
        Ok(())
    }

    fn take(&mut self, entry: &Entry) -> Result<(), ChainFault> {
        self.chain.take(entry)?;
        Arc::make_mut(&mut self.tree).push(entry.hash);
        self.meet()
    }

    /// Holds the log against the checkpoint of the size that it has just reached, if there is one.
    fn meet(&mut self) -> Result<(), ChainFault> {
        let size = self.chain.size();
        match self.awaited.front() {
            Some(next) if next.size == size => {
                let met = self.chain.meets(next);
                self.awaited.pop_front();
                met
            }
            Some(_) | None => Ok(()),
        }
    }

    /// The log is not as it was written: nothing more of it is signed, and everybody hears of it.
    fn broken(&mut self, seq: u64, why: &str) {
        self.is_broken = true;
        let (app, fault) = (&self.app, (seq, why.to_owned()));
        app.audit_log
            .stand(|standing| standing.fault = Some(fault.clone()));
        tracing::error!(seq, why, "the audit log is not as it was written");
        let text = format!("the audit log is not as it was written: {why}");
        app.note(None, NoticeKind::AuditLogContradicted, text);
    }

    async fn sign(&mut self) -> Result<(), StoreError> {
        let app = &self.app;
        let Some(signer) = app.audit_log.signer.get() else {
            return Ok(());
        };
        let size = self.chain.size();
        let is_news = size > 0
            && self
                .newest
                .as_ref()
                .is_none_or(|newest| newest.checkpoint.size < size);
        if is_news {
            let checkpoint = Checkpoint {
                origin: signer.key().name().to_owned(),
                size,
                root: self.chain.root(),
                at: app.clock.now(),
            };
            let note = checkpoint.sign(signer);
            let stored = StoredCheckpoint {
                size,
                at: checkpoint.at,
                note: note.clone(),
            };
            let mut tx = app.store.begin().await?;
            tx.audit_checkpoint_put(&stored, CHECKPOINTS_MAX).await?;
            tx.commit().await?;
            self.newest = Some(Arc::new(Signed { checkpoint, note }));
        }
        app.audit_log.newest.send_if_modified(|shown| {
            let is_other = *shown != self.newest;
            shown.clone_from(&self.newest);
            is_other
        });
        Ok(())
    }

    /// Stores what hosts told since the last look, and counts.
    async fn keep_witnesses(&self) -> Result<(), StoreError> {
        let log = &self.app.audit_log;
        let told: Vec<Witness> = log.take_told();
        let stored = async {
            if !told.is_empty() {
                let mut tx = self.app.store.begin().await?;
                for witness in &told {
                    tx.audit_witness_put(witness).await?;
                }
                tx.commit().await?;
            }
            self.app.store.read().await?.audit_witness_count().await
        };
        match stored.await {
            Ok(count) => {
                log.stand(|standing| {
                    standing.hosts = count.hosts;
                    standing.contradicting = count.contradicting;
                });
                let metrics = &self.app.metrics;
                metrics.audit_log_witnesses.set(count.hosts);
                metrics.audit_log_contradictions.set(count.contradicting);
                Ok(())
            }
            Err(error) => {
                log.put_back(told);
                Err(error)
            }
        }
    }
}
