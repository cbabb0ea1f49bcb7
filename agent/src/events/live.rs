//! The live log of this system as a source of events.

use std::time::Duration;

use tidemark_platform::event_log::{self, Subscription};
use tidemark_platform::event_source::{BATCH, Begin, EventLogError};

use super::bookmark::Bookmark;
use super::intake::LogFacts;
use super::reader::{EventSource, SourceError};
use super::selection::LogSelection;

/// Events counted at most before the first start: beyond it nobody cares how many more there are.
const COUNTED_MAX: u64 = 1_000_000;

/// A live log.
#[derive(Debug)]
pub struct LiveLog {
    log: &'static LogSelection,
    subscription: Option<Subscription>,
    /// Events taken at a time; less once they were too large for that.
    batch: u32,
}

impl LiveLog {
    /// One that is not open yet.
    #[must_use]
    pub const fn of(log: &'static LogSelection) -> Self {
        Self {
            log,
            subscription: None,
            batch: BATCH,
        }
    }
}

/// Whether this system has an event log that can be read.
///
/// # Errors
/// [`EventLogError::Unsupported`] with the reason.
pub fn availability() -> Result<(), EventLogError> {
    event_log::availability()
}

impl From<EventLogError> for SourceError {
    fn from(error: EventLogError) -> Self {
        match error {
            EventLogError::Stale => Self::Stale,
            error @ (EventLogError::Unsupported(_)
            | EventLogError::TooLarge
            | EventLogError::System { .. }) => Self::Failed(Box::new(error)),
        }
    }
}

impl EventSource for LiveLog {
    fn facts(&mut self) -> Result<LogFacts, SourceError> {
        let facts = event_log::facts(self.log.channel)?;
        Ok(LogFacts {
            oldest_record: facts.oldest_record,
            records: facts.records,
            epoch: facts.created_ms.unwrap_or(0),
        })
    }

    fn count_within(&mut self, age: Duration) -> Result<u64, SourceError> {
        Ok(event_log::count(&self.log.query_within(age), COUNTED_MAX)?)
    }

    fn open(&mut self, after: Option<&Bookmark>) -> Result<(), SourceError> {
        // The one before is closed first.
        self.subscription = None;
        let bookmark = after.map(Bookmark::to_xml);
        let begin = bookmark
            .as_deref()
            .map_or(Begin::Oldest, Begin::AfterBookmark);
        let subscription = Subscription::open(&self.log.query(), begin, self.batch)?;
        self.subscription = Some(subscription);
        Ok(())
    }

    fn next(&mut self, wait: Duration, events: &mut Vec<String>) -> Result<(), SourceError> {
        let Some(subscription) = &mut self.subscription else {
            return Err(SourceError::Stale);
        };
        let read = subscription.next(wait, events);
        if matches!(read, Err(EventLogError::TooLarge)) {
            self.batch = (self.batch / 2).max(1);
        }
        Ok(read?)
    }
}
