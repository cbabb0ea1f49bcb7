//! One entry of the audit log, its canonical form, and what it hashes to.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use super::{Deed, Digest, Outcome};
use crate::kinds::kinds;
use crate::{HostId, Role, Timestamp};

/// Keeps a hash of an entry from being one of anything else.
const PREFIX: &[u8] = b"tidemark.v1.audit_entry\0";
/// Longest name, id or address, in characters.
const NAME_CHARS_MAX: usize = 128;
/// Longest value of a detail, in characters.
const DETAIL_CHARS_MAX: usize = 512;
/// Most details of an entry.
const DETAILS_MAX: usize = 12;
/// Longest line of an export: what the limits above allow, each character escaped.
pub const LINE_BYTES_MAX: usize = 64 * 1024;

kinds! {
    /// Whose deed it is. Stored by name and hashed: never rename one.
    DoerKind

    /// Somebody who signed in or showed a token, or tried to.
    Operator = "operator",
    /// The controller, by itself or for a policy or a run.
    Controller = "controller",
    /// A host.
    Host = "host",
    /// Whoever may run programs on the controller's machine.
    Machine = "machine",
}

/// Who did it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Doer {
    /// Whose deed it is.
    pub kind: DoerKind,
    /// By name; empty for somebody who did not say.
    pub name: String,
    /// With which role, where roles matter.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub role: Option<Role>,
    /// With what it was proven: `token` and its public id, or how a browser was signed in. Never a secret.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub credential: Option<String>,
    /// From where.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub address: Option<String>,
}

/// What it was done to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Subject {
    /// Which kind of thing, as the API's lists are called.
    pub kind: String,
    /// Which of them.
    pub id: String,
    /// The host that it is about, where there is one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub host: Option<HostId>,
}

/// An entry before it has its place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewEntry {
    /// When, on the controller's clock.
    pub at: Timestamp,
    /// Who.
    pub who: Doer,
    /// What.
    pub what: Deed,
    /// On what.
    pub on: Subject,
    /// What came of it.
    pub outcome: Outcome,
    /// The fields that matter, never a secret.
    pub detail: BTreeMap<String, String>,
}

/// An entry in its place.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Entry {
    /// Its place: 1 for the first, without holes.
    pub seq: u64,
    /// When, on the controller's clock.
    pub at_ms: Timestamp,
    /// Who.
    pub who: Doer,
    /// What.
    pub what: Deed,
    /// On what.
    pub on: Subject,
    /// What came of it.
    pub outcome: Outcome,
    /// The fields that matter.
    pub detail: BTreeMap<String, String>,
    /// Hash of the entry before it; zeros for the first.
    pub prev: Digest,
    /// Hash of this one.
    pub hash: Digest,
}

/// The canonical form: what is hashed behind the prefix and the hash of the entry before.
#[derive(Serialize)]
struct Canonical<'a> {
    seq: u64,
    at_ms: Timestamp,
    who: &'a Doer,
    what: Deed,
    on: &'a Subject,
    outcome: Outcome,
    detail: &'a BTreeMap<String, String>,
}

/// A line that is no entry.
#[derive(Debug, thiserror::Error)]
pub enum LineFault {
    /// Longer than any entry.
    #[error("the line has {0} bytes; an entry has {LINE_BYTES_MAX} at most")]
    TooLong(usize),
    /// Not an entry at all.
    #[error("the line is no entry of an audit log")]
    Unreadable(#[source] serde_json::Error),
    /// The same entry written otherwise.
    #[error("entry {0} is not written as the controller writes it: the line was altered")]
    Rewritten(u64),
}

impl NewEntry {
    /// The entry with every text cut to its limit and without control characters, so that it can be stored as it is hashed.
    #[must_use]
    pub fn bounded(mut self) -> Self {
        let who = &mut self.who;
        bound(&mut who.name, NAME_CHARS_MAX);
        for text in [&mut who.credential, &mut who.address]
            .into_iter()
            .flatten()
        {
            bound(text, NAME_CHARS_MAX);
        }
        bound(&mut self.on.kind, NAME_CHARS_MAX);
        bound(&mut self.on.id, NAME_CHARS_MAX);
        let detail = std::mem::take(&mut self.detail);
        let bounded = |(mut name, mut value): (String, String)| {
            bound(&mut name, NAME_CHARS_MAX);
            bound(&mut value, DETAIL_CHARS_MAX);
            (name, value)
        };
        self.detail = detail.into_iter().take(DETAILS_MAX).map(bounded).collect();
        self
    }

    /// Gives it the place after the entry of hash `prev`.
    #[must_use]
    pub fn sealed(self, seq: u64, prev: Digest) -> Entry {
        let Self {
            at,
            who,
            what,
            on,
            outcome,
            detail,
        } = self.bounded();
        let mut entry = Entry {
            seq,
            at_ms: at,
            who,
            what,
            on,
            outcome,
            detail,
            prev,
            hash: Digest::ZERO,
        };
        entry.hash = entry.computed_hash();
        entry
    }
}

fn bound(text: &mut String, chars_max: usize) {
    let is_fine = |c: char| !c.is_control();
    if text.chars().count() > chars_max || !text.chars().all(is_fine) {
        *text = text
            .chars()
            .take(chars_max)
            .map(|c| if is_fine(c) { c } else { ' ' })
            .collect();
    }
}

impl Entry {
    /// What its content and the entry before hash to; [`Entry::hash`] unless it was altered.
    #[must_use]
    pub fn computed_hash(&self) -> Digest {
        let canonical = Canonical {
            seq: self.seq,
            at_ms: self.at_ms,
            who: &self.who,
            what: self.what,
            on: &self.on,
            outcome: self.outcome,
            detail: &self.detail,
        };
        // Numbers, names and texts always serialise.
        let text = serde_json::to_vec(&canonical).unwrap_or_default();
        let mut hasher = Sha256::new();
        hasher.update(PREFIX);
        hasher.update(self.prev.as_bytes());
        hasher.update(text);
        Digest(hasher.finalize().into())
    }

    /// The one line that it is in an export.
    #[must_use]
    pub fn to_line(&self) -> String {
        serde_json::to_string(self).unwrap_or_default()
    }

    /// The entry of a line. Only the one way of writing it is taken, so that no byte of an export can be another.
    ///
    /// # Errors
    /// [`LineFault`].
    pub fn from_line(line: &str) -> Result<Self, LineFault> {
        if line.len() > LINE_BYTES_MAX {
            return Err(LineFault::TooLong(line.len()));
        }
        let entry: Self = serde_json::from_str(line).map_err(LineFault::Unreadable)?;
        if entry.to_line() == line {
            Ok(entry)
        } else {
            Err(LineFault::Rewritten(entry.seq))
        }
    }
}
