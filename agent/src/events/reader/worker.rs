//! The reader's thread.

use std::sync::Arc;
use std::time::Duration;

use tidemark_model::sample::EventHit;
use tidemark_model::{Seq, Timestamp};
use tidemark_proto::convert::record::{Record, encode_stored};
use tidemark_runtime::Clock;

use super::{EventReaderParts, EventSource, Shared, SourceError, lock};
use crate::actions::Witness;
use crate::events::bookmark::{Bookmark, BookmarkFile, Kept, LogPlace};
use crate::events::intake::{Continuity, LogFacts, LogReport, Start, resume};
use crate::events::selection::{BACKFILL_AGE, BACKFILL_HITS_MAX, LogSelection, Volume};
use crate::events::volume::VolumeLimit;
use crate::events::xml::{self, Reading};
use crate::outbox::OutboxHandle;
use crate::sampler::report::EVENT_SOURCE;
use crate::session::chain;

/// How long one call may wait for events: a stop takes no longer, and acks wait no longer to be kept.
const WAIT: Duration = Duration::from_secs(1);
/// Pauses between tries of a log that fails double from the first to the last of these.
const RETRY_FIRST: Duration = Duration::from_secs(1);
const RETRY_LAST: Duration = Duration::from_secs(60);
/// Ports that were refused longer ago than this are history: an extra sample would not show them.
const RECENT_MS: i64 = 120_000;

pub(super) struct Worker<S> {
    source: S,
    log: &'static LogSelection,
    outbox: OutboxHandle,
    file: BookmarkFile,
    clock: Clock,
    ask_for_sample: Box<dyn Fn() + Send>,
    witness: Witness,
    shared: Arc<Shared>,
    /// The last hit that was read, or the place that was kept: where a log that failed is opened again.
    last: Option<LogPlace>,
    continuity: Continuity,
    log_epoch: i64,
    /// Events before this are passed over.
    since: Option<Timestamp>,
    /// So many events after `since` are passed over, too.
    skip: u64,
    /// Events before this are the past of the first start, of which not everything is told.
    first_start: Option<Timestamp>,
    volume: VolumeLimit,
    failing: bool,
}

impl<S: EventSource> Worker<S> {
    pub(super) fn new(parts: EventReaderParts<S>, shared: Arc<Shared>) -> Self {
        Self {
            source: parts.source,
            log: parts.log,
            outbox: parts.outbox,
            file: parts.bookmark,
            clock: parts.clock,
            ask_for_sample: parts.ask_for_sample,
            witness: parts.witness,
            shared,
            last: None,
            continuity: Continuity::default(),
            log_epoch: 0,
            since: None,
            skip: 0,
            first_start: None,
            volume: VolumeLimit::default(),
            failing: false,
        }
    }

    pub(super) fn run(mut self) {
        match self.file.read() {
            Kept::Bookmark(bookmark) => self.last = Some(bookmark.place),
            Kept::Nothing => {}
            Kept::Lost => self.report(LogReport::BookmarkLost),
        }
        let mut pause = RETRY_FIRST;
        while !self.shared.is_stopped() {
            let read_before = lock(&self.shared.status).hits;
            let Err(error) = self.follow() else { break };
            if lock(&self.shared.status).hits > read_before {
                pause = RETRY_FIRST;
            }
            self.failed(&error);
            if self.wait(pause) {
                break;
            }
            pause = pause.saturating_mul(2).min(RETRY_LAST);
        }
        self.keep_place();
    }

    /// Waits while places go on being kept; says whether the stop came.
    fn wait(&self, time: Duration) -> bool {
        let stopped = self.shared.wait(time);
        self.keep_place();
        stopped
    }

    fn failed(&mut self, error: &SourceError) {
        let text = chain(error);
        tracing::warn!(error = %text, "the event log cannot be read; trying again");
        lock(&self.shared.status).last_error = Some(text);
        if !self.failing {
            self.failing = true;
            self.report(LogReport::Failing);
        }
    }

    /// Opens the log and reads until the stop.
    fn follow(&mut self) -> Result<(), SourceError> {
        self.open()?;
        let mut events = Vec::new();
        while !self.shared.is_stopped() {
            self.source.next(WAIT, &mut events)?;
            if self.failing {
                self.failing = false;
                lock(&self.shared.status).last_error = None;
                self.report(LogReport::Recovered);
            }
            self.take(&mut events);
            self.keep_place();
        }
        Ok(())
    }

    fn open(&mut self) -> Result<(), SourceError> {
        // A service that does not tell about its log may still hand out its events.
        let log = self.source.facts().unwrap_or_else(|error| {
            tracing::warn!(error = %chain(&error), "nothing is known of the event log");
            LogFacts::default()
        });
        let known_epoch = self.last.as_ref().map_or(0, |last| last.log_epoch);
        self.log_epoch = if log.epoch == 0 {
            known_epoch
        } else {
            log.epoch
        };
        let (start, report) = resume(self.last.as_ref(), &log, self.clock.now());
        match start {
            Start::After(_) => match self.open_behind_last() {
                Err(SourceError::Stale) => {
                    self.report(LogReport::Overwritten { records: None });
                    self.open_since(self.last.as_ref().map(|last| last.at))
                }
                opened => opened,
            },
            Start::OldestSince(since) => {
                if self.last.is_none() {
                    self.bound_backfill();
                }
                self.open_since(Some(since))?;
                // Only when it worked: each try would tell it again.
                if let Some(report) = report {
                    self.report(report);
                }
                Ok(())
            }
        }
    }

    fn open_behind_last(&mut self) -> Result<(), SourceError> {
        let bookmark = self.last.clone().map(|place| Bookmark {
            channel: self.log.channel.into(),
            place,
        });
        self.source.open(bookmark.as_ref())
    }

    fn open_since(&mut self, since: Option<Timestamp>) -> Result<(), SourceError> {
        self.source.open(None)?;
        self.since = since;
        self.continuity = Continuity::default();
        Ok(())
    }

    fn bound_backfill(&mut self) {
        self.first_start = Some(self.clock.now());
        let found = self.source.count_within(BACKFILL_AGE).unwrap_or_else(|error| {
            tracing::warn!(error = %chain(&error), "older events cannot be counted; all are told");
            0
        });
        self.skip = found.saturating_sub(BACKFILL_HITS_MAX as u64);
        if self.skip > 0 {
            self.report(LogReport::BackfillCut { events: self.skip });
        }
    }

    /// Takes events in; empties the list.
    fn take(&mut self, events: &mut Vec<String>) {
        let mut unreadable = 0_u64;
        let mut ports_refused = false;
        for event in events.drain(..) {
            let now = self.clock.now();
            let reading = Reading {
                read_at: now,
                log_epoch: self.log_epoch,
            };
            match xml::parse(&event, reading) {
                Ok(hit) => {
                    let is_recent = now.ms_since(hit.at) <= RECENT_MS;
                    ports_refused |= is_recent && hit.says_port_refused();
                    self.take_hit(hit, now);
                }
                Err(error) => {
                    tracing::warn!(error = %chain(&error), "an event cannot be understood");
                    unreadable += 1;
                }
            }
        }
        if unreadable > 0 {
            lock(&self.shared.status).unreadable += unreadable;
            self.report(LogReport::Unreadable { events: unreadable });
        }
        if ports_refused {
            (self.ask_for_sample)();
        }
    }

    fn take_hit(&mut self, mut hit: EventHit, now: Timestamp) {
        let mut place = LogPlace::of(&hit);
        let began_anew = place.as_ref().and_then(|place| self.continuity.next(place));
        if let Some(report) = began_anew {
            self.report(report);
            self.log_epoch = self.source.facts().map_or(self.log_epoch, |log| log.epoch);
            if let (Some(log), Some(place)) = (&mut hit.log, &mut place) {
                log.log_epoch = self.log_epoch;
                place.log_epoch = self.log_epoch;
            }
            self.since = None;
        }
        if self.since.is_some_and(|since| hit.at < since) {
            return;
        }
        let Some(volume) = self.log.volume(&hit) else {
            return;
        };
        let is_past = self.first_start.is_some_and(|start| hit.at < start);
        if volume == Volume::Some && is_past {
            return;
        }
        if self.skip > 0 {
            self.skip -= 1;
            return;
        }
        let at = hit.at;
        if volume == Volume::Some {
            let Some(admitted) = self.volume.admit(hit) else {
                return;
            };
            hit = admitted;
        }
        self.append(hit, place, now);
        let mut status = lock(&self.shared.status);
        status.hits += 1;
        status.last_hit_at = Some(at);
    }

    /// Puts a hit into the outbox. What that cannot keep it counts as dropped, so that its place is passed like any other.
    fn append(&mut self, hit: EventHit, place: Option<LogPlace>, now: Timestamp) {
        self.witness.event(&hit, now);
        let stored = encode_stored(&Record::Event(hit));
        let mut pending = lock(&self.shared.pending);
        if let Err(error) = self.outbox.append_lasting(&stored, now) {
            tracing::warn!(error = %chain(&error), "an event could not be kept");
        }
        let (epoch, produced) = {
            let outbox = self.outbox.lock();
            (outbox.epoch(), outbox.counts().produced)
        };
        if let Some(place) = place {
            // Others append as well: the newest seq is the hit's own or a later one, and a later one is merely kept later.
            pending.appended(epoch, Seq::new(produced), place.clone());
            drop(pending);
            self.last = Some(place);
        }
    }

    /// Keeps the place that acks allow.
    fn keep_place(&self) {
        let acked = lock(&self.shared.pending).take_acked();
        if let Some(place) = acked
            && let Err(error) = self.file.write(&place)
        {
            tracing::warn!(%error, "the place in the event log cannot be kept; events may be told again");
        }
    }

    /// Logs something about the log itself, and tells the controller.
    fn report(&self, report: LogReport) {
        let now = self.clock.now();
        let text = format!("{} ({} log)", report.text(), self.log.channel);
        tracing::warn!(code = report.code(), text, "event log");
        let hit = EventHit {
            at: now,
            source: EVENT_SOURCE.into(),
            code: report.code(),
            count: report.count(),
            text: text.into(),
            log: None,
        };
        let stored = encode_stored(&Record::Event(hit));
        if let Err(error) = self.outbox.append_lasting(&stored, now) {
            tracing::warn!(error = %chain(&error), "a report on the event log could not be kept");
        }
    }
}
