//! Linux has no event log of this kind: everything here says so.

use std::time::Duration;

use crate::event_source::{Begin, EventLogError, LogFacts};

const REASON: &str = "event logs are a part of Windows";

/// Whether there is an event log.
///
/// # Errors
/// Always.
pub const fn availability() -> Result<(), EventLogError> {
    Err(EventLogError::Unsupported(REASON))
}

/// What the log service says of a log.
///
/// # Errors
/// Always.
pub const fn facts(_channel: &str) -> Result<LogFacts, EventLogError> {
    Err(EventLogError::Unsupported(REASON))
}

/// How many events a query finds.
///
/// # Errors
/// Always.
pub const fn count(_query: &str, _max: u64) -> Result<u64, EventLogError> {
    Err(EventLogError::Unsupported(REASON))
}

/// Events as they are written. There is none here.
#[derive(Debug)]
pub enum Subscription {}

impl Subscription {
    /// Subscribes.
    ///
    /// # Errors
    /// Always.
    pub const fn open(_query: &str, _begin: Begin<'_>, _batch: u32) -> Result<Self, EventLogError> {
        Err(EventLogError::Unsupported(REASON))
    }

    /// The next events.
    ///
    /// # Errors
    /// Never: there is no subscription to ask.
    pub const fn next(
        &mut self,
        _wait: Duration,
        _events: &mut Vec<String>,
    ) -> Result<(), EventLogError> {
        match *self {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn linux_says_that_it_has_no_event_log() {
        let said = availability().unwrap_err().to_string();
        assert!(said.contains("a part of Windows"), "{said}");
        assert!(Subscription::open("*", Begin::Oldest, 1).is_err());
    }
}
