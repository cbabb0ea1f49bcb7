//! The one task that writes: it collects a batch, commits it, and only then lets acks out and live state see it.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use tidemark_history::{EntityInterner, EntityNumber};
use tidemark_model::delivery::GapReason;
use tidemark_model::notice::{Notice, NoticeKind};
use tidemark_model::{Entity, HostId, Seq, Timestamp};
use tidemark_runtime::telemetry::SPANS;
use tidemark_runtime::{Clock, Lifecycle};
use tidemark_store::{EntityRow, NewRecent, Store, StoreError};
use tokio::sync::mpsc;
use tokio::time::{Instant, timeout_at};

use super::batch::{Batch, HostWrite};
use super::lane::HostLane;
use super::staging::Staging;
use super::{Delivered, IngestError, IngestQueue, Item, Lane, LaneKey, OpenLane, Opened, apply};
use crate::gateway::outcome::chain;
use crate::live::Live;
use crate::metrics::Metrics;

/// A batch is committed when it is this old: the price of one fsync for many hosts.
pub(super) const COMMIT_INTERVAL: Duration = Duration::from_millis(250);

/// Or when its rows have about this size.
const COMMIT_BYTES: usize = 4 * 1024 * 1024;

/// Items taken from the queue at a time.
const TAKE_MAX: usize = 256;

/// Pauses between tries of a commit double from the first to the last of these.
const RETRY_FIRST: Duration = Duration::from_millis(200);
const RETRY_LAST: Duration = Duration::from_secs(15);

/// How long sessions may still hand over records after the stop.
const STOP_PATIENCE: Duration = Duration::from_secs(6);

/// A host's last-seen time is stored at most this often, in milliseconds.
const TOUCH_EVERY_MS: i64 = 60_000;

/// What the writer works with.
pub struct WriterParts {
    /// Where it writes.
    pub store: Store,
    /// What time it is.
    pub clock: Clock,
    /// What sees samples once they are durable.
    pub live: Live,
    /// Figures.
    pub metrics: Arc<Metrics>,
    /// Notices to store with the next commit.
    pub notices: mpsc::Receiver<Notice>,
    /// The way to say that something happened, for forecasts that change.
    pub notices_tx: mpsc::Sender<Notice>,
}

/// The writer's state.
pub struct Writer {
    parts: WriterParts,
    lanes: HashMap<HostId, HostLane>,
    touched: HashMap<HostId, Timestamp>,
    queue: mpsc::Receiver<Item>,
    /// For new lanes; weak, so that the queue closes when the last session is gone.
    queue_tx: mpsc::WeakSender<Item>,
}

impl Writer {
    /// A writer that has seen nothing yet.
    #[must_use]
    pub fn new(parts: WriterParts, queue: IngestQueue) -> Self {
        Self {
            parts,
            lanes: HashMap::new(),
            touched: HashMap::new(),
            queue_tx: queue.tx,
            queue: queue.rx,
        }
    }

    /// Writes until the stop, then until sessions have handed over what they had.
    ///
    /// # Errors
    /// A [`StoreError`] that no retry mends: the database is damaged.
    pub async fn run(mut self, life: Lifecycle) -> Result<(), StoreError> {
        let stop = life.stop_token();
        let mut items = Vec::with_capacity(TAKE_MAX);
        loop {
            let mut batch = Batch::default();
            let first = tokio::select! {
                biased;
                taken = self.queue.recv_many(&mut items, TAKE_MAX) => taken > 0,
                notice = self.parts.notices.recv() => {
                    batch.notices.extend(notice);
                    true
                }
                () = stop.cancelled() => false,
            };
            if !first {
                break;
            }
            let deadline = Instant::now() + COMMIT_INTERVAL;
            self.fill(&mut batch, &mut items, deadline).await;
            self.commit(batch, &life).await?;
        }
        self.finish(&life, items).await
    }

    async fn fill(&mut self, batch: &mut Batch, items: &mut Vec<Item>, deadline: Instant) {
        loop {
            for item in items.drain(..) {
                self.stage(batch, item).await;
            }
            while let Ok(notice) = self.parts.notices.try_recv() {
                batch.notices.push(notice);
            }
            if batch.bytes >= COMMIT_BYTES || Instant::now() >= deadline {
                return;
            }
            match timeout_at(deadline, self.queue.recv_many(items, TAKE_MAX)).await {
                Ok(0) | Err(_) => return,
                Ok(_) => {}
            }
        }
    }

    /// After the stop: takes what sessions still hand over, and writes it.
    async fn finish(&mut self, life: &Lifecycle, mut items: Vec<Item>) -> Result<(), StoreError> {
        let until = Instant::now() + STOP_PATIENCE;
        while Instant::now() < until && self.parts.metrics.sessions.get() > 0 {
            let mut batch = Batch::default();
            let deadline = (Instant::now() + COMMIT_INTERVAL).min(until);
            self.fill(&mut batch, &mut items, deadline).await;
            if !batch.is_empty() {
                self.commit(batch, life).await?;
            }
        }
        self.queue.close();
        let mut batch = Batch::default();
        self.fill(&mut batch, &mut items, Instant::now()).await;
        self.commit(batch, life).await
    }

    pub(super) async fn stage(&mut self, batch: &mut Batch, item: Item) {
        match item {
            Item::Open(wish, answer) => match self.open(batch, wish).await {
                Ok(opened) => batch.opens.push((answer, opened)),
                // A dropped answer means that the session is gone.
                Err(error) => drop(answer.send(Err(IngestError::Store(error)))),
            },
            Item::Records(key, delivered) => self.stage_delivery(batch, key, delivered),
        }
    }

    async fn open(&mut self, batch: &mut Batch, wish: OpenLane) -> Result<Opened, StoreError> {
        let now = self.parts.clock.now();
        if !self.is_current(wish).await? {
            let lane = load(&self.parts.store, wish, now).await?;
            self.lanes.insert(wish.host, lane);
            // What another lane of this host left here is not acked, and comes again.
            batch.hosts.remove(&wish.host);
        }
        let lane = self
            .lanes
            .get_mut(&wish.host)
            .ok_or(StoreError::NotFound { what: "lane" })?;
        let (acked_tx, acked_rx) = tokio::sync::watch::channel(lane.cursor.through_seq);
        lane.acked = acked_tx;
        Ok(Opened {
            acked: lane.cursor.through_seq,
            lane: Lane {
                key: LaneKey {
                    host: wish.host,
                    epoch: wish.epoch,
                    skew_ms: wish.skew_ms,
                },
                queue: self
                    .queue_tx
                    .upgrade()
                    .ok_or(StoreError::NotFound { what: "queue" })?,
                acked: acked_rx,
            },
        })
    }

    /// Whether the host's lane is of that epoch and goes on from where the database stands: meanwhile the host may have been at
    /// another controller.
    async fn is_current(&self, wish: OpenLane) -> Result<bool, StoreError> {
        let lane = self.lanes.get(&wish.host);
        let Some(lane) = lane.filter(|lane| lane.cursor.epoch == wish.epoch) else {
            return Ok(false);
        };
        self.stands(lane).await
    }

    /// Whether the database stands where the lane's cursor was saved or read last.
    async fn stands(&self, lane: &HostLane) -> Result<bool, StoreError> {
        let mut tx = self.parts.store.read().await?;
        let stored = tx.cursor_find(lane.cursor.host, lane.cursor.epoch).await?;
        let stands_at = stored.map_or(Seq::ZERO, |cursor| cursor.through_seq);
        Ok(stands_at == lane.cursor.previous_seq)
    }

    fn stage_delivery(&mut self, batch: &mut Batch, key: LaneKey, delivered: Delivered) {
        let Some(lane) = self
            .lanes
            .get_mut(&key.host)
            .filter(|lane| lane.cursor.epoch == key.epoch)
        else {
            // A session that was taken over by one with a new epoch: what it sent is not acked, so nothing is lost.
            return;
        };
        let mut staging = Staging {
            lane,
            host: batch.hosts.entry(key.host).or_default(),
            key,
            now: self.parts.clock.now(),
            metrics: &self.parts.metrics,
        };
        let bytes = match delivered {
            Delivered::Gap(gap) => {
                staging.gap(gap);
                0
            }
            Delivered::Records(decoded) => staging.records(decoded),
        };
        batch.bytes = batch.bytes.saturating_add(bytes);
    }

    /// Commits the batch, however long the database takes to be able to.
    async fn commit(&mut self, mut batch: Batch, life: &Lifecycle) -> Result<(), StoreError> {
        if batch.is_empty() {
            return Ok(());
        }
        let mut pause = RETRY_FIRST;
        let stop = life.stop_token();
        self.seal(&mut batch);
        loop {
            let began = Instant::now();
            match self.try_commit(&mut batch).await {
                Ok(()) => {
                    self.committed(batch, began);
                    return Ok(());
                }
                Err(error) => {
                    if self.mend(&mut batch, error).await? == Mended::LeftOut {
                        continue;
                    }
                }
            }
            tokio::select! {
                () = tokio::time::sleep(pause) => pause = pause.saturating_mul(2).min(RETRY_LAST),
                // Nothing in the batch is acked: the agents still hold it.
                () = stop.cancelled(), if pause > RETRY_FIRST => return Ok(()),
            }
        }
    }

    /// After a commit that failed: makes of the batch what the database may take.
    pub(super) async fn mend(
        &mut self,
        batch: &mut Batch,
        error: StoreError,
    ) -> Result<Mended, StoreError> {
        if let StoreError::Corrupt(_) = error {
            return Err(error);
        }
        self.parts.metrics.commits_failed.add(1);
        self.parts.metrics.database_ready.set(0);
        tracing::error!(
            error = chain(&error),
            "samples cannot be stored; trying again"
        );
        if is_transient(&error) {
            return Ok(Mended::Unchanged);
        }
        let suspects = if let StoreError::StaleCursors = error {
            match self.moved_hosts(batch).await {
                Ok(moved) if !moved.is_empty() => moved,
                // Nobody knows which, for now.
                Ok(_) | Err(_) => return Ok(Mended::Unchanged),
            }
        } else {
            self.refused_hosts(batch).await
        };
        self.leave_out(batch, &suspects, &error);
        Ok(Mended::LeftOut)
    }

    /// Encodes each host's rows, once for all tries.
    pub(super) fn seal(&mut self, batch: &mut Batch) {
        for (host, part) in &mut batch.hosts {
            let unencodable = part.encode(*host);
            if let Some(lane) = self.lanes.get_mut(host).filter(|_| unencodable > 0) {
                lane.refuse_admitted(unencodable);
                part.gaps.push((GapReason::Refused, unencodable));
                self.parts.metrics.records_dropped.add(unencodable);
            }
        }
    }

    #[tracing::instrument(target = SPANS, name = "group_commit", skip_all, err, fields(hosts = batch.hosts.len()))]
    pub(super) async fn try_commit(&mut self, batch: &mut Batch) -> Result<(), StoreError> {
        let writes: Vec<HostWrite<'_>> = batch
            .hosts
            .iter()
            .filter_map(|(host, part)| Some(part.write(self.lanes.get(host)?.cursor.clone())))
            .collect();
        let seen = self.due_touches(batch);
        let mut tx = self.parts.store.begin().await?;
        let entities: Vec<EntityRow> = writes
            .iter()
            .flat_map(|write| write.entities.iter().cloned())
            .collect();
        tx.entities_add(&entities).await?;
        let recent: Vec<_> = writes
            .iter()
            .flat_map(|write| write.recent.iter().map(borrowed))
            .collect();
        tx.recent_append(&recent).await?;
        let events: Vec<_> = writes
            .iter()
            .flat_map(|write| write.events.iter().copied())
            .collect();
        let are_new = tx.events_append(&events).await?;
        let cursors: Vec<_> = writes.into_iter().map(|write| write.cursor).collect();
        tx.cursors_save(&cursors).await?;
        tx.hosts_touch(&seen).await?;
        let ids = tx.notices_append(&batch.new_notices()).await?;
        tx.commit().await?;
        for (notice, id) in batch.notices.iter_mut().zip(ids) {
            notice.id = id;
        }
        // Hosts without a lane were not written.
        let written = batch
            .hosts
            .iter_mut()
            .filter(|(host, _)| self.lanes.contains_key(*host))
            .flat_map(|(_, part)| &mut part.events);
        for (event, is_new) in written.zip(are_new) {
            event.is_new = is_new;
        }
        self.touched.extend(seen);
        Ok(())
    }

    fn due_touches(&self, batch: &Batch) -> Vec<(HostId, Timestamp)> {
        let now = self.parts.clock.now();
        let is_due = |host: &HostId| {
            self.touched
                .get(host)
                .is_none_or(|at| now.ms_since(*at) >= TOUCH_EVERY_MS)
        };
        batch
            .hosts
            .keys()
            .filter(|host| is_due(host))
            .map(|host| (*host, now))
            .collect()
    }

    pub(super) fn committed(&mut self, batch: Batch, began: Instant) {
        let metrics = &self.parts.metrics;
        metrics.commits.add(1);
        metrics
            .commit_us
            .set(u64::try_from(began.elapsed().as_micros()).unwrap_or(u64::MAX));
        metrics.database_ready.set(1);
        for (host, part) in &batch.hosts {
            let Some(lane) = self.lanes.get_mut(host) else {
                continue;
            };
            lane.saved();
            metrics
                .records_stored
                .add(part.stored_rows.saturating_add(part.events.len() as u64));
            metrics.points_stored.add(part.points);
            let new = part.events.iter().filter(|event| event.is_new).count();
            let known = part.events.len().saturating_sub(new);
            metrics.events_stored.add(new as u64);
            metrics.events_duplicate.add(known as u64);
            lane.acked.send_if_modified(|acked| {
                let advanced = *acked < lane.cursor.through_seq;
                *acked = lane.cursor.through_seq;
                advanced
            });
        }
        for (answer, mut opened) in batch.opens {
            opened.acked = opened.acked.max(*opened.lane.acked.borrow());
            // A dropped answer means that the session is gone.
            drop(answer.send(Ok(opened)));
        }
        apply::to_live(&self.parts, batch.hosts, &self.lanes);
        for notice in batch.notices {
            self.parts.live.announce(Arc::new(notice));
        }
    }

    /// Leaves out the hosts whose part the database refuses: the others must not wait for them. Nothing of theirs is acked,
    /// and their sessions are cut, so that they start from what is durable.
    fn leave_out(&mut self, batch: &mut Batch, suspects: &[HostId], error: &StoreError) {
        for host in suspects {
            batch.hosts.remove(host);
            batch
                .opens
                .retain(|(_, opened)| opened.lane.key.host != *host);
            self.lanes.remove(host);
            self.parts.live.cut_session(*host);
            let text = format!("its samples could not be stored and are asked for again: {error}");
            tracing::error!(%host, error = chain(error), "a host's samples cannot be stored");
            batch.notices.push(Notice {
                id: 0,
                at: self.parts.clock.now(),
                host: Some(*host),
                kind: NoticeKind::FrameRefused,
                text: text.into(),
            });
        }
        if suspects.is_empty() {
            // Not a host's fault: a notice is all that is left to be wrong.
            let lost = std::mem::take(&mut batch.notices);
            self.parts.metrics.notices_dropped.add(lost.len() as u64);
        }
    }

    /// The hosts of the batch whose lanes do not go on from where the database stands.
    async fn moved_hosts(&self, batch: &Batch) -> Result<Vec<HostId>, StoreError> {
        let mut moved = Vec::new();
        for host in batch.hosts.keys() {
            let Some(lane) = self.lanes.get(host) else {
                continue;
            };
            if !self.stands(lane).await? {
                moved.push(*host);
            }
        }
        Ok(moved)
    }

    async fn refused_hosts(&self, batch: &Batch) -> Vec<HostId> {
        let mut refused = Vec::new();
        for (host, part) in &batch.hosts {
            let Some(lane) = self.lanes.get(host) else {
                continue;
            };
            let write = part.write(lane.cursor.clone());
            if let Err(error) = rehearse(&self.parts.store, &write).await
                && !is_transient(&error)
            {
                refused.push(*host);
            }
        }
        refused
    }
}

/// What was done about a commit that failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Mended {
    /// Nothing: it may succeed later as it is.
    Unchanged,
    /// What the database refuses was left out: the rest may succeed at once.
    LeftOut,
}

/// Whether the same commit may succeed later.
const fn is_transient(error: &StoreError) -> bool {
    match error {
        StoreError::Unavailable(_) | StoreError::Contended(_) | StoreError::DiskFull(_) => true,
        StoreError::Corrupt(_)
        | StoreError::Unreadable { .. }
        | StoreError::InvalidValue { .. }
        | StoreError::AlreadyExists { .. }
        | StoreError::NotFound { .. }
        | StoreError::Stale { .. }
        | StoreError::StaleCursors
        | StoreError::Fenced { .. }
        | StoreError::MissingOwner(_)
        | StoreError::Query(_) => false,
    }
}

fn borrowed(recent: &NewRecent) -> NewRecent<&[u8]> {
    NewRecent {
        host: recent.host,
        first_at: recent.first_at,
        last_at: recent.last_at,
        points: recent.points,
        body: &recent.body,
    }
}

/// Writes one host's part and takes it back.
async fn rehearse(store: &Store, write: &HostWrite<'_>) -> Result<(), StoreError> {
    let mut tx = store.begin().await?;
    tx.entities_add(write.entities).await?;
    tx.recent_append(write.recent).await?;
    tx.events_append(&write.events).await?;
    tx.cursors_save(std::slice::from_ref(&write.cursor)).await?;
    tx.rollback().await
}

async fn load(store: &Store, wish: OpenLane, now: Timestamp) -> Result<HostLane, StoreError> {
    let mut tx = store.read().await?;
    let cursor = tx.cursor_find(wish.host, wish.epoch).await?;
    let rows = tx.entities_of(wish.host).await?;
    let known = rows
        .into_iter()
        .filter_map(|row| Some((EntityNumber::new(row.number), Entity::from_text(&row.text)?)));
    let cursor = cursor.unwrap_or_else(|| HostLane::fresh_cursor(wish.host, wish.epoch, now));
    let interner = EntityInterner::restore(known, now);
    let newest_at = tx.recent_newest_of(wish.host).await?;
    Ok(HostLane::new(
        cursor,
        interner,
        newest_at.unwrap_or(Timestamp::EPOCH),
    ))
}
