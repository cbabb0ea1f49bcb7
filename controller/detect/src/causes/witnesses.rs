//! Which hosts leak, or did within a fortnight: one that was put right last week is still a witness of its cause.
//!
//! Bounded by the number of hosts that the caller knows.

use std::collections::HashMap;
use std::hash::Hash;
use std::time::Duration;

use tidemark_model::Timestamp;

use super::LeakSeen;

/// A leak is remembered this long after it was last seen.
const REMEMBERED: Duration = Duration::from_secs(14 * 86_400);

/// Leaks by host.
#[derive(Clone, Debug)]
pub struct Witnesses<Id> {
    seen: HashMap<Id, (Timestamp, LeakSeen)>,
}

impl<Id> Default for Witnesses<Id> {
    fn default() -> Self {
        Self {
            seen: HashMap::new(),
        }
    }
}

impl<Id: Eq + Hash> Witnesses<Id> {
    /// A host leaks at `now`.
    pub fn note(&mut self, host: Id, now: Timestamp, leak: LeakSeen) {
        self.seen.insert(host, (now, leak));
    }

    /// Forgets what was last seen too long before `now`, and hosts that are no longer known.
    pub fn forget(&mut self, now: Timestamp, is_known: impl Fn(&Id) -> bool) {
        let since = now.saturating_sub(REMEMBERED);
        self.seen
            .retain(|host, (seen_at, _)| *seen_at >= since && is_known(host));
    }

    /// The host's leak, of now or of the last fortnight.
    #[must_use]
    pub fn leak_of(&self, host: &Id) -> Option<&LeakSeen> {
        self.seen.get(host).map(|(_, leak)| leak)
    }

    /// How many hosts leak or did.
    #[must_use]
    pub fn len(&self) -> usize {
        self.seen.len()
    }

    /// Whether no host leaks or did.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.seen.is_empty()
    }
}
