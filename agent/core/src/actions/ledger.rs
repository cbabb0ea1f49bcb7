//! What was begun on this host and what became of it: the memory that makes an action run at most once.
//!
//! Rebuilt from the journal, one [`JournalRecord`] after the other; bounded by time and number.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use tidemark_model::grant::GrantId;
use tidemark_model::signing::KeyId;
use tidemark_model::{ActionId, ActionKind, ActionReport, ActionState, Order, Timestamp};

/// How long an ended action is remembered beyond the end of its order; longer than any clock is wrong that still works.
pub const KEPT: Duration = Duration::from_secs(2 * 86_400);
/// Most actions that are remembered; no more are taken, rather than one be forgotten and run twice.
pub const ENTRIES_MAX: usize = 4_096;

/// One line of the journal.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "record")]
pub enum JournalRecord {
    /// An order was taken: written and made durable before anything is done.
    Began {
        /// The order.
        order: Order,
        /// When, by the host's clock.
        at_ms: Timestamp,
        /// The keys that signed it; none where the policy lists none.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        signers: Vec<KeyId>,
        /// The grant that stood for signatures of its own; `None`, too, in journals of agents that did not note it.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        grant: Option<GrantId>,
    },
    /// Where it stands: written and made durable before anybody is told.
    Reported {
        /// The report.
        report: ActionReport,
    },
    /// What it changed is put back: written and made durable before anything is.
    Undoing {
        /// Which action.
        id: ActionId,
        /// When, by the host's clock.
        at_ms: Timestamp,
    },
    /// The controller stored its end.
    Acked {
        /// Which action.
        id: ActionId,
    },
    /// What was begun before this time may have been forgotten: the journal was damaged or lost.
    Floor {
        /// Orders that were made up to then are refused.
        at_ms: Timestamp,
        /// Records that the journal ever had beside those that follow; a journal with fewer than before is an old one.
        #[serde(default)]
        written: u64,
    },
    /// Actions whose orders were valid until then or for less long may have been forgotten.
    Forgotten {
        /// Orders that expire up to then are refused.
        expired_at_ms: Timestamp,
    },
}

/// One action that was begun.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// The order.
    pub order: Order,
    /// SHA-256 of the order's bytes.
    pub digest: [u8; 32],
    /// When it was taken.
    pub began_at: Timestamp,
    /// Its place among those that were taken, which no clock changes.
    place: u64,
    /// The keys that signed it.
    pub signers: Vec<KeyId>,
    /// The grant that stood for signatures of its own.
    pub grant: Option<GrantId>,
    /// The newest report; `None` until there is one.
    pub report: Option<ActionReport>,
    /// Whether it was undone.
    pub undoing: Undoing,
    /// Whether the controller stored its end.
    pub is_acked: bool,
}

/// Whether an action was undone; at most once it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Undoing {
    /// Nobody asked.
    Never,
    /// It is being undone, or was when the agent stopped.
    Begun,
    /// What came of it is its last report.
    Over,
}

impl Entry {
    /// Whether the host has nothing more to do about it.
    #[must_use]
    pub fn has_ended(&self) -> bool {
        let is_done = self.report.as_ref().is_some_and(|report| {
            !matches!(report.state, ActionState::Accepted | ActionState::Running)
        });
        is_done && self.undoing != Undoing::Begun
    }

    /// Whether two actions set the same value: by what they told of it, or by their orders while one has told nothing.
    fn shares_setting(&self, other: &Self) -> bool {
        let changes = |entry: &Self| {
            let report = entry.report.as_ref();
            report.map_or(Vec::new(), |report| report.changes.clone())
        };
        let (own, others) = (changes(self), changes(other));
        if own.is_empty() || others.is_empty() {
            let (one, two) = (&self.order.spec, &other.order.spec);
            // Systems that have one range for all protocols have one value.
            let is_range = one.kind() == ActionKind::SetDynamicPortRange;
            return one.kind() == two.kind()
                && (is_range || one.subject().eq_ignore_ascii_case(two.subject()));
        }
        own.iter()
            .any(|one| others.iter().any(|two| one.what == two.what))
    }
}

/// Everything that was begun and is remembered.
#[derive(Clone, Debug, Default)]
pub struct Ledger {
    entries: BTreeMap<ActionId, Entry>,
    /// How many were ever taken, by the journal.
    taken: u64,
    floor: Option<Timestamp>,
    forgotten: Option<Timestamp>,
}

impl Ledger {
    /// Takes over what one line of the journal says. Lines about actions that are unknown change nothing.
    pub fn apply(&mut self, record: JournalRecord) {
        match record {
            JournalRecord::Began {
                order,
                at_ms,
                signers,
                grant,
            } => {
                self.taken = self.taken.saturating_add(1);
                let entry = Entry {
                    place: self.taken,
                    digest: digest(&order.to_bytes()),
                    began_at: at_ms,
                    signers,
                    grant,
                    report: None,
                    undoing: Undoing::Never,
                    is_acked: false,
                    order,
                };
                self.entries.entry(entry.order.id).or_insert(entry);
            }
            JournalRecord::Reported { report } => {
                if let Some(entry) = self.entries.get_mut(&report.id) {
                    entry.report = Some(report);
                    if entry.undoing == Undoing::Begun {
                        entry.undoing = Undoing::Over;
                    }
                }
            }
            JournalRecord::Undoing { id, .. } => {
                if let Some(entry) = self.entries.get_mut(&id) {
                    entry.undoing = Undoing::Begun;
                    // Another end follows the one that is stored.
                    entry.is_acked = false;
                }
            }
            JournalRecord::Acked { id } => {
                if let Some(entry) = self.entries.get_mut(&id) {
                    entry.is_acked = true;
                }
            }
            JournalRecord::Floor { at_ms, .. } => self.floor = self.floor.max(Some(at_ms)),
            JournalRecord::Forgotten { expired_at_ms } => {
                self.forgotten = self.forgotten.max(Some(expired_at_ms));
            }
        }
    }

    /// What is remembered about an action.
    #[must_use]
    pub fn get(&self, id: ActionId) -> Option<&Entry> {
        self.entries.get(&id)
    }

    /// Orders that were made up to this time are refused.
    #[must_use]
    pub const fn floor(&self) -> Option<Timestamp> {
        self.floor
    }

    /// Orders that expire up to this time may have been carried out and forgotten. By a right clock they have long expired;
    /// by one that was ahead and was set back they have not.
    #[must_use]
    pub const fn forgotten(&self) -> Option<Timestamp> {
        self.forgotten
    }

    /// Whether there is no room for another action.
    #[must_use]
    pub fn is_full(&self) -> bool {
        self.entries.len() >= ENTRIES_MAX
    }

    /// What was begun and has not ended, in the order in which it was begun.
    #[must_use]
    pub fn unfinished(&self) -> Vec<&Entry> {
        let mut unfinished: Vec<_> = self
            .entries
            .values()
            .filter(|entry| !entry.has_ended())
            .collect();
        unfinished.sort_by_key(|entry| entry.began_at);
        unfinished
    }

    /// The newest report of each action whose end the controller has not stored.
    pub fn untold(&self) -> impl Iterator<Item = &ActionReport> {
        self.entries
            .values()
            .filter(|entry| !entry.is_acked)
            .filter_map(|entry| entry.report.as_ref())
    }

    /// Forgets what ended, was stored by the controller, and can no longer be replayed at `now`; whether anything was.
    pub fn prune(&mut self, now: Timestamp) -> bool {
        let before = self.entries.len();
        let forgotten = &mut self.forgotten;
        self.entries.retain(|_, entry| {
            let over = entry.order.expires_at_ms.saturating_add(KEPT);
            let is_over = entry.has_ended() && over <= now;
            // A day is what the limits look back.
            let counts = entry.began_at.saturating_add(Duration::from_secs(86_400)) > now;
            let stays = !is_over || counts || !entry.is_acked;
            if !stays {
                *forgotten = (*forgotten).max(Some(entry.order.expires_at_ms));
            }
            stays
        });
        self.entries.len() != before
    }

    /// The journal's lines that make this ledger, for a journal that is written anew.
    pub fn records(&self) -> impl Iterator<Item = JournalRecord> {
        let floor = self
            .floor
            .map(|at_ms| JournalRecord::Floor { at_ms, written: 0 });
        let forgotten = self
            .forgotten
            .map(|expired_at_ms| JournalRecord::Forgotten { expired_at_ms });
        let mut entries: Vec<&Entry> = self.entries.values().collect();
        entries.sort_by_key(|entry| entry.place);
        let entries = entries.into_iter().flat_map(|entry| {
            let began = JournalRecord::Began {
                order: entry.order.clone(),
                at_ms: entry.began_at,
                signers: entry.signers.clone(),
                grant: entry.grant,
            };
            let reported = entry
                .report
                .clone()
                .map(|report| JournalRecord::Reported { report });
            let undoing = |state: Undoing| {
                (entry.undoing == state).then_some(JournalRecord::Undoing {
                    id: entry.order.id,
                    at_ms: entry.began_at,
                })
            };
            let acked = entry
                .is_acked
                .then_some(JournalRecord::Acked { id: entry.order.id });
            // The report behind it says what came of it.
            let (over, begun) = (undoing(Undoing::Over), undoing(Undoing::Begun));
            let records = [Some(began), over, reported, begun, acked];
            records.into_iter().flatten()
        });
        floor.into_iter().chain(forgotten).chain(entries)
    }

    /// An action that was taken after `entry` and set, or is about to set, a value that `entry` set.
    pub(super) fn set_later(&self, entry: &Entry) -> Option<&Entry> {
        let stands = |other: &&Entry| {
            let state = other.report.as_ref().map(|report| report.state);
            let left_nothing = matches!(
                state,
                Some(ActionState::Refused | ActionState::Answered | ActionState::RolledBack)
            );
            let is_later = other.place > entry.place || other.began_at > entry.began_at;
            other.order.id != entry.order.id && is_later && !other.order.dry_run && !left_nothing
        };
        let mut later = self.entries.values().filter(stands);
        later.find(|other| other.shares_setting(entry))
    }

    /// Actions of tier 1 and more that were begun in earnest since `since` and that `counts`.
    pub(super) fn begun_since(
        &self,
        since: Timestamp,
        counts: impl Fn(&Order) -> bool,
    ) -> impl Iterator<Item = &Entry> {
        self.entries.values().filter(move |entry| {
            entry.order.disturbs() && entry.began_at >= since && counts(&entry.order)
        })
    }

    /// When an action of that kind was last begun on that subject.
    pub(super) fn last_begun(&self, kind: ActionKind, subject: &str) -> Option<Timestamp> {
        let is_alike = |order: &Order| {
            order.spec.kind() == kind && order.spec.subject().eq_ignore_ascii_case(subject)
        };
        let ever = Timestamp::from_unix_ms(i64::MIN);
        self.begun_since(ever, is_alike)
            .map(|entry| entry.began_at)
            .max()
    }
}

/// SHA-256 of an order's bytes.
pub(super) fn digest(bytes: &[u8]) -> [u8; 32] {
    Sha256::digest(bytes).into()
}

#[cfg(test)]
mod tests;
