//! The keys that hold at the moment on a host: those that its policy lists, as operators' statements changed them.
//!
//! Orders, unlocks and everything else that is signed take their keys from [`HeldKeys`] and from nowhere else. What becomes
//! of a statement is in [`accept`], what was accepted in [`KeyChanges`].

mod accept;
mod changes;

use tidemark_model::action::host_policy::{KEY_NAME_CHARS_MAX, SUCCESSORS_MAX};
use tidemark_model::action::{HostKey, KeyStanding};
use tidemark_model::signing::{KeyId, PublicKey};

use super::policy::TrustedKey;
pub use accept::{Accepted, Statement, accept};
pub use changes::{KeyChanges, KeyRecord, Revoked, Rotated};

/// The keys of one host at one moment.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct HeldKeys {
    /// Every listed key, each followed by those that took its place.
    all: Vec<KnownKey>,
}

/// A key that the policy lists, or that took the place of one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct KnownKey {
    pub(super) key: TrustedKey,
    pub(super) standing: KeyStanding,
    /// In whose place it came.
    rotated_from: Option<KeyId>,
    /// Why it is not believed; empty when it is.
    why: String,
    /// How many keys its place had before it.
    pub(super) depth: usize,
}

impl HeldKeys {
    /// The keys that a policy lists, after what operators have signed about them since.
    #[must_use]
    pub fn of(listed: &[TrustedKey], changes: &KeyChanges) -> Self {
        let mut all = Vec::new();
        for key in listed {
            follow(key, (listed, changes), &mut all);
        }
        Self { all }
    }

    /// Whether the policy lists keys, so that only what is signed is done. It does also when none of them is left.
    #[must_use]
    pub const fn are_wanted(&self) -> bool {
        !self.all.is_empty()
    }

    /// The key of that id, if it is believed.
    #[must_use]
    pub fn get(&self, id: KeyId) -> Option<&TrustedKey> {
        self.holding().find(|key| key.public.id() == id)
    }

    /// Every key that is believed.
    pub fn holding(&self) -> impl Iterator<Item = &TrustedKey> {
        let holds = |known: &&KnownKey| known.standing == KeyStanding::Holds;
        self.all.iter().filter(holds).map(|known| &known.key)
    }

    /// Why the key of that id is not believed, in a sentence.
    #[must_use]
    pub fn why_not(&self, id: KeyId) -> String {
        match self.known(id) {
            Some(known) => format!("key {id} of {} {}", known.key.name, known.why),
            None => format!("key {id} is not listed in the host's policy"),
        }
    }

    /// Why what this key signed, and the host accepted, is not begun any more; `None` while it may be. It was revoked, or the
    /// administrators took it off the list. A key that was replaced was believed when it signed.
    #[must_use]
    pub fn taken_back(&self, id: KeyId) -> Option<String> {
        let is_believed = self
            .known(id)
            .is_some_and(|known| known.standing != KeyStanding::Revoked);
        (self.are_wanted() && !is_believed).then(|| self.why_not(id))
    }

    /// What others are told.
    #[must_use]
    pub fn view(&self) -> Vec<HostKey> {
        let tell = |known: &KnownKey| HostKey {
            name: known.key.name.chars().take(KEY_NAME_CHARS_MAX).collect(),
            public: known.key.public,
            tier_max: known.key.tier_max,
            standing: known.standing,
            rotated_from: known.rotated_from,
            why: known.why.clone(),
        };
        self.all.iter().map(tell).collect()
    }

    pub(super) fn known(&self, id: KeyId) -> Option<&KnownKey> {
        self.all.iter().find(|known| known.key.public.id() == id)
    }

    pub(super) fn known_public(&self, public: &PublicKey) -> Option<&KnownKey> {
        self.all.iter().find(|known| known.key.public == *public)
    }
}

/// Adds a listed key and those that took its place, one after the other.
fn follow(
    listed: &TrustedKey,
    (all_listed, changes): (&[TrustedKey], &KeyChanges),
    all: &mut Vec<KnownKey>,
) {
    let mut key = listed.clone();
    let mut rotated_from = None;
    // Why everything that comes in this place from here on is not believed.
    let mut fallen: Option<String> = None;
    for depth in 0..=SUCCESSORS_MAX {
        let id = key.public.id();
        let revoked = changes.revocation_of(&key.public);
        let next = changes.rotation_from(&key.public);
        let (standing, why) = match (revoked.map(Revoked::why), &fallen, next) {
            (Some(why), ..) => (KeyStanding::Revoked, why),
            (None, Some(why), _) => (KeyStanding::Revoked, why.clone()),
            (None, None, Some(next)) => {
                let text = format!("was replaced by key {}; sign with that", next.new.id());
                (KeyStanding::Replaced, text)
            }
            (None, None, None) => (KeyStanding::Holds, String::new()),
        };
        all.push(KnownKey {
            key: key.clone(),
            standing,
            rotated_from,
            why,
            depth,
        });
        // A successor that the policy lists itself stands there on its own.
        let Some(next) = next.filter(|next| !is_listed(all_listed, &next.new)) else {
            return;
        };
        if fallen.is_none() && revoked.is_some_and(|revoked| revoked.fells(next.at_ms)) {
            fallen = Some(format!("came in the place of key {id}, which was revoked"));
        }
        rotated_from = Some(id);
        key = TrustedKey {
            name: key.name,
            public: next.new,
            tier_max: key.tier_max.min(next.tier_max),
            // Who may replace the agent itself is the administrators' word alone.
            releases: false,
        };
    }
}

fn is_listed(listed: &[TrustedKey], public: &PublicKey) -> bool {
    listed.iter().any(|key| key.public == *public)
}

#[cfg(test)]
mod tests;
