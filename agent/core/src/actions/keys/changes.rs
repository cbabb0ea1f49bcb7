//! What a host accepted of operators' statements about its keys. Small: it is written whole after each change.

use serde::{Deserialize, Serialize};
use tidemark_model::Timestamp;
use tidemark_model::action::Tier;
use tidemark_model::signing::{KeyId, PublicKey};

use super::is_listed;
use crate::actions::policy::TrustedKey;

/// Most revocations, and most rotations, that are kept: more than the keys that a policy can list have successors.
pub const CHANGES_MAX: usize = 1_024;

/// A revocation that was accepted.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Revoked {
    /// Of which key.
    pub key: PublicKey,
    /// Since when others may have had it; ever since without it.
    pub since_ms: Option<Timestamp>,
    /// Who signed it.
    pub by: KeyId,
    /// Why.
    pub reason: String,
    /// When the host accepted it, by its clock.
    pub at_ms: Timestamp,
}

/// A rotation that was accepted.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Rotated {
    /// The key that stepped back.
    pub old: PublicKey,
    /// The one in its place.
    pub new: PublicKey,
    /// The most that it may order.
    pub tier_max: Tier,
    /// When the host accepted it, by its clock.
    pub at_ms: Timestamp,
}

/// Everything that was accepted.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct KeyChanges {
    revocations: Vec<Revoked>,
    rotations: Vec<Rotated>,
}

/// One line of the file that keeps them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "record")]
pub enum KeyRecord {
    /// The first line, with how many follow: a file that was cut is known as such.
    Head {
        /// Lines after this one.
        records: usize,
    },
    /// See [`Revoked`].
    Revoked(Revoked),
    /// See [`Rotated`].
    Rotated(Rotated),
}

impl Revoked {
    /// Whether it fells a key that took this one's place at that time, by the host's clock.
    #[must_use]
    pub fn fells(&self, successor_since: Timestamp) -> bool {
        self.since_ms.is_none_or(|since| successor_since >= since)
    }

    /// For people, behind the name of the key.
    #[must_use]
    pub fn why(&self) -> String {
        format!("was revoked by key {}: {}", self.by, self.reason)
    }

    /// Whether `other` says nothing that this does not.
    fn covers(&self, since: Option<Timestamp>) -> bool {
        match (self.since_ms, since) {
            (None, _) => true,
            (Some(_), None) => false,
            (Some(mine), Some(since)) => mine <= since,
        }
    }
}

impl KeyChanges {
    /// The revocation of a key.
    #[must_use]
    pub fn revocation_of(&self, key: &PublicKey) -> Option<&Revoked> {
        self.revocations.iter().find(|one| one.key == *key)
    }

    /// The rotation by which a key stepped back.
    #[must_use]
    pub fn rotation_from(&self, old: &PublicKey) -> Option<&Rotated> {
        self.rotations.iter().find(|one| one.old == *old)
    }

    /// The rotation by which a key came.
    #[must_use]
    pub fn rotation_to(&self, new: &PublicKey) -> Option<&Rotated> {
        self.rotations.iter().find(|one| one.new == *new)
    }

    /// Whether a revocation of `key` since then is accepted already.
    pub(super) fn is_revoked_since(&self, key: &PublicKey, since: Option<Timestamp>) -> bool {
        self.revocation_of(key).is_some_and(|one| one.covers(since))
    }

    /// Adds a revocation; of two of one key the one that fells more counts.
    pub fn revoke(&mut self, revoked: Revoked) {
        if !self.is_revoked_since(&revoked.key, revoked.since_ms) {
            self.revocations.retain(|one| one.key != revoked.key);
            self.revocations.push(revoked);
        }
    }

    /// Adds a rotation of a key that has not stepped back before.
    pub fn rotate(&mut self, rotated: Rotated) {
        if self.rotation_from(&rotated.old).is_none() {
            self.rotations.push(rotated);
        }
    }

    /// Makes room for one more of each: what concerns no listed key goes first, the oldest first. Whether there is room.
    pub(super) fn make_room(&mut self, listed: &[TrustedKey]) -> bool {
        while self.revocations.len() >= CHANGES_MAX {
            let idle = self.revocations.iter().position(|one| {
                !is_listed(listed, &one.key) && self.rotation_to(&one.key).is_none()
            });
            let Some(idle) = idle else {
                return false;
            };
            self.revocations.remove(idle);
        }
        while self.rotations.len() >= CHANGES_MAX {
            let idle = self.rotations.iter().position(|one| {
                !is_listed(listed, &one.old) && self.rotation_to(&one.old).is_none()
            });
            let Some(idle) = idle else {
                return false;
            };
            self.rotations.remove(idle);
        }
        true
    }

    /// The lines that keep it.
    pub fn records(&self) -> impl Iterator<Item = KeyRecord> {
        let head = KeyRecord::Head {
            records: self.revocations.len().saturating_add(self.rotations.len()),
        };
        let revoked = self.revocations.iter().cloned().map(KeyRecord::Revoked);
        let rotated = self.rotations.iter().cloned().map(KeyRecord::Rotated);
        std::iter::once(head).chain(rotated).chain(revoked)
    }

    /// From the lines that kept it; `None` when some are missing, or too many.
    #[must_use]
    pub fn from_records(records: Vec<KeyRecord>) -> Option<Self> {
        let mut changes = Self::default();
        let mut records = records.into_iter();
        let Some(KeyRecord::Head { records: promised }) = records.next() else {
            return None;
        };
        for record in records {
            match record {
                KeyRecord::Head { .. } => return None,
                KeyRecord::Revoked(revoked) => changes.revocations.push(revoked),
                KeyRecord::Rotated(rotated) => changes.rotations.push(rotated),
            }
        }
        let held = changes
            .revocations
            .len()
            .saturating_add(changes.rotations.len());
        let fits =
            changes.revocations.len() <= CHANGES_MAX && changes.rotations.len() <= CHANGES_MAX;
        (held == promised && fits).then_some(changes)
    }
}
