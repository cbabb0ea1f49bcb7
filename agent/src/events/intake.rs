//! Where reading goes on, what lies between two records, and up to where the controller has everything. Pure.

use std::collections::VecDeque;

use tidemark_model::{Epoch, Seq, Timestamp};

use super::bookmark::LogPlace;
use super::selection::BACKFILL_AGE;

/// Places that wait for their ack and are kept apart; beyond that the newest ones are joined, so that a bookmark advances in
/// larger steps. Hours of the log service's worst, at 64 bytes each.
const PENDING_MAX: usize = 4_096;

/// What the log service says of a log.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LogFacts {
    /// Number of the oldest record that is still there; `None` when unknown or the log is empty.
    pub oldest_record: Option<u64>,
    /// How many records there are.
    pub records: Option<u64>,
    /// When it was created, in unix milliseconds; 0 when unknown.
    pub epoch: i64,
}

impl LogFacts {
    fn newest_record(&self) -> Option<u64> {
        let records = self.records.filter(|records| *records > 0)?;
        self.oldest_record?.checked_add(records - 1)
    }
}

/// Where reading begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Start {
    /// Behind this record.
    After(u64),
    /// With the oldest record; events before this time are passed over.
    OldestSince(Timestamp),
}

/// Something that the controller is to know about the log itself. The numbers are events' ids of the agent and never change
/// their meaning.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogReport {
    /// 20: records were overwritten before they were read.
    Overwritten {
        /// How many, at most: not every record would have been asked for. `None` when that is unknown.
        records: Option<u64>,
    },
    /// 21: the log was cleared, or restored; what was not read by then is gone.
    Cleared,
    /// 22: the place was lost, so that events may be told twice; the controller knows them again.
    BookmarkLost,
    /// 23: more events were found at the first start than are told.
    BackfillCut {
        /// How many were left out.
        events: u64,
    },
    /// 24: events that could not be understood were left out.
    Unreadable {
        /// How many.
        events: u64,
    },
    /// 25: the log cannot be read.
    Failing,
    /// 26: the log is read again.
    Recovered,
}

impl LogReport {
    /// Its number.
    #[must_use]
    pub const fn code(self) -> u32 {
        match self {
            Self::Overwritten { .. } => 20,
            Self::Cleared => 21,
            Self::BookmarkLost => 22,
            Self::BackfillCut { .. } => 23,
            Self::Unreadable { .. } => 24,
            Self::Failing => 25,
            Self::Recovered => 26,
        }
    }

    /// How many times it happened, at least 1.
    #[must_use]
    pub fn count(self) -> u32 {
        let count = match self {
            Self::Overwritten { records } => records.unwrap_or(1),
            Self::BackfillCut { events: count } | Self::Unreadable { events: count } => count,
            Self::Cleared | Self::BookmarkLost | Self::Failing | Self::Recovered => 1,
        };
        u32::try_from(count).unwrap_or(u32::MAX).max(1)
    }

    /// What it says.
    #[must_use]
    pub fn text(self) -> String {
        match self {
            Self::Overwritten { records } => {
                let records =
                    records.map_or_else(String::new, |records| format!("up to {records} "));
                format!(
                    "{records}records of the event log were overwritten before they were read: make the log larger"
                )
            }
            Self::Cleared => {
                "the event log was cleared: events that were not read by then are gone".to_owned()
            }
            Self::BookmarkLost => {
                "the place in the event log was lost: events may be told again".to_owned()
            }
            Self::BackfillCut { events } => {
                format!("{events} older events of the event log were left out at the first start")
            }
            Self::Unreadable { events } => {
                format!(
                    "{events} events of the event log could not be understood and were left out"
                )
            }
            Self::Failing => "the event log cannot be read".to_owned(),
            Self::Recovered => "the event log is read again".to_owned(),
        }
    }
}

/// Where to begin with a log, given what is kept of it; and what the controller is to know of that.
#[must_use]
pub fn resume(
    kept: Option<&LogPlace>,
    log: &LogFacts,
    now: Timestamp,
) -> (Start, Option<LogReport>) {
    let Some(kept) = kept else {
        return (Start::OldestSince(now.saturating_sub(BACKFILL_AGE)), None);
    };
    let is_recreated = log.epoch != 0 && kept.log_epoch != 0 && log.epoch != kept.log_epoch;
    let is_behind = log
        .newest_record()
        .is_some_and(|newest| newest < kept.record_id);
    if is_recreated || is_behind {
        // What was written since the last hit is all new.
        return (Start::OldestSince(kept.at), Some(LogReport::Cleared));
    }
    let lost = log
        .oldest_record
        .and_then(|oldest| oldest.checked_sub(kept.record_id.saturating_add(1)))
        .filter(|lost| *lost > 0);
    match lost {
        Some(records) => (
            Start::OldestSince(kept.at),
            Some(LogReport::Overwritten {
                records: Some(records),
            }),
        ),
        None => (Start::After(kept.record_id), None),
    }
}

/// Watches the records of a log go by.
#[derive(Clone, Debug, Default)]
pub struct Continuity {
    last: Option<LogPlace>,
}

impl Continuity {
    /// Looks at the next record; says when the log began anew under way.
    pub fn next(&mut self, place: &LogPlace) -> Option<LogReport> {
        let before = self.last.replace(place.clone())?;
        (place.record_id <= before.record_id).then_some(LogReport::Cleared)
    }
}

/// Hits that are on their way, and the place that may be kept.
#[derive(Debug)]
pub struct Pending {
    epoch: Epoch,
    /// Ascending in seq.
    waiting: VecDeque<(Seq, LogPlace)>,
    acked: Option<LogPlace>,
}

impl Pending {
    /// Nothing is on its way yet in the outbox of that epoch.
    #[must_use]
    pub const fn new(epoch: Epoch) -> Self {
        Self {
            epoch,
            waiting: VecDeque::new(),
            acked: None,
        }
    }

    /// The hit at `place` went out as `seq` of `epoch`, or was dropped and counted under that seq.
    pub fn appended(&mut self, epoch: Epoch, seq: Seq, place: LogPlace) {
        self.follow(epoch, seq);
        if self.waiting.len() >= PENDING_MAX {
            self.waiting.pop_back();
        }
        self.waiting.push_back((seq, place));
    }

    /// Everything up to `through` of `epoch` is durable at the controller; `newest` is the last seq given out there.
    pub fn acked(&mut self, epoch: Epoch, newest: Seq, through: Seq) {
        self.follow(epoch, newest);
        while let Some((_, place)) = self.waiting.pop_front_if(|(seq, _)| *seq <= through) {
            self.acked = Some(place);
        }
    }

    /// The place that may be kept, once.
    pub fn take_acked(&mut self) -> Option<LogPlace> {
        self.acked.take()
    }

    /// A new epoch renumbers what is held: the places count as delivered once everything is that was held by then.
    fn follow(&mut self, epoch: Epoch, newest: Seq) {
        if self.epoch != epoch {
            self.epoch = epoch;
            let last = self.waiting.pop_back();
            self.waiting.clear();
            self.waiting.extend(last.map(|(_, place)| (newest, place)));
        }
    }
}

#[cfg(test)]
mod tests;
