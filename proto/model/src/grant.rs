//! Remediation grants: what operators sign beforehand, so that a standing policy can act on a host that wants signatures
//! without anybody at hand. Pure: what a grant says, its bounds, and whether it is about an order.
//!
//! A grant is the exact bytes of its JSON, as an order is. The controller carries it; only the host's agent decides by it.

mod id;
mod rule;
mod template;
mod trigger;

use std::time::Duration;

use serde::{Deserialize, Serialize};

pub use id::{GrantId, InvalidGrantId};
pub use rule::{RuleProblem, rule_hash, template_of, trigger_of};
pub use template::{ActionTemplate, Bound};
pub use trigger::{Culprit, Trigger};

use crate::action::Order;
use crate::budget::is_name;
use crate::pattern::is_like;
use crate::signing::Signature;
use crate::{HostId, Timestamp};

/// Longest a grant can be valid.
pub const VALID_MAX: Duration = Duration::from_secs(30 * 86_400);
/// Largest grant, in bytes: as many as a host keeps fit one frame of the session.
pub const GRANT_BYTES_MAX: usize = 3 * 1024;
/// Most grants that one host keeps.
pub const HOST_GRANTS_MAX: usize = 16;
/// Most ends of grants that one host is told at once.
pub const HOST_GRANT_ENDS_MAX: usize = 64;
/// Most signatures that a grant carries: tiers up to 2 take one, and another one in case its key goes.
pub const GRANT_SIGNATURES_MAX: usize = 3;
/// Most hosts, and most patterns of names, of one grant.
pub const SCOPE_MAX: usize = 20;
/// Most executions within an hour.
pub const PER_HOUR_MAX: u32 = 6;
/// Most executions within 24 h.
pub const PER_DAY_MAX: u32 = 24;
/// Longest issuer or reason, in characters.
const TEXT_CHARS_MAX: usize = 200;
/// Longest host name, in characters, as DNS has it.
const HOST_NAME_CHARS_MAX: usize = 253;
/// Length of the rule's hash, in hexadecimal digits.
const RULE_DIGITS: usize = 64;

/// What a host may do without a signature of its own, when, and how often.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Grant {
    /// Its id.
    pub id: GrantId,
    /// Name of the standing policy that it is for.
    pub policy: String,
    /// SHA-256 of that policy's condition, time and rung as they were signed, hexadecimal. A host cannot know the policy; the
    /// controller uses a grant only while the policy is the one that was signed for.
    pub rule: String,
    /// What may be done.
    pub action: ActionTemplate,
    /// Where.
    pub hosts: Scope,
    /// What the host itself must see.
    pub trigger: Trigger,
    /// Executions on each host within an hour, 1 to 6.
    pub per_hour: u32,
    /// Executions on each host within 24 h, 1 to 24.
    pub per_day: u32,
    /// When it was made.
    pub issued_at_ms: Timestamp,
    /// From when on it holds.
    pub not_before_ms: Timestamp,
    /// Until when, 30 d after it was made at most.
    pub expires_at_ms: Timestamp,
    /// Who made it.
    pub issuer: String,
    /// Why.
    pub reason: String,
}

/// Hosts by what a host knows of itself for certain: its id, and the name that its system gives it. Labels are not among
/// it: they come from the controller.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Scope {
    /// Ids.
    pub ids: Vec<HostId>,
    /// Names, with `*` for any text; case does not matter.
    pub names: Vec<String>,
}

impl Scope {
    /// Whether the host of that id and name is one of them.
    #[must_use]
    pub fn takes(&self, host: HostId, name: &str) -> bool {
        let name = name.to_lowercase();
        self.ids.contains(&host)
            || self
                .names
                .iter()
                .any(|pattern| is_like(&name, &pattern.to_lowercase()))
    }
}

/// Bytes with signatures, as they travel and are kept. Nothing is known about them before they are looked at.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SignedGrant {
    /// The grant's bytes.
    pub bytes: Vec<u8>,
    /// At most [`GRANT_SIGNATURES_MAX`].
    pub signatures: Vec<Signature>,
}

/// Ends a grant before its time, for good.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct GrantEnd {
    /// Which.
    pub grant: GrantId,
    /// When it was signed.
    pub issued_at_ms: Timestamp,
}

/// The signed end of a grant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SignedGrantEnd {
    /// What was signed.
    pub bytes: Vec<u8>,
    /// By whom; one listed key suffices, for it only narrows.
    pub signature: Signature,
}

/// Everything that the controller lists for one host. What it does not list, the host drops.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct GrantList {
    /// At most [`HOST_GRANTS_MAX`].
    pub grants: Vec<SignedGrant>,
    /// At most [`HOST_GRANT_ENDS_MAX`].
    pub ends: Vec<SignedGrantEnd>,
}

/// Why bytes are no grant.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidGrant {
    /// Longer than [`GRANT_BYTES_MAX`].
    #[error("a grant has at most {GRANT_BYTES_MAX} bytes; this has {0}")]
    TooLong(usize),
    /// No grant at all.
    #[error("this is no grant: {0}")]
    Unreadable(String),
    /// Readable, but not the one way to write it: two readers might differ.
    #[error(
        "a grant is written in one way only, and this is another; make it with `tidemark grant new`"
    )]
    NotCanonical,
    /// Something in it is out of its limits.
    #[error("{field}: {reason}")]
    Limit {
        /// Which.
        field: String,
        /// What its limit is.
        reason: String,
    },
}

impl InvalidGrant {
    pub(crate) fn limit(field: impl Into<String>, reason: impl Into<String>) -> Self {
        Self::Limit {
            field: field.into(),
            reason: reason.into(),
        }
    }
}

/// Which part of a grant an order does not fit.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Uncovered {
    /// It is another kind of action.
    #[error("it is about {granted}, and this is {asked}")]
    Action {
        /// What the grant names.
        granted: &'static str,
        /// What is asked for.
        asked: &'static str,
    },
    /// A parameter is not within its bounds.
    #[error("it bounds {name} to {bound}, and this has {value}")]
    Parameter {
        /// Which.
        name: String,
        /// What it may be.
        bound: String,
        /// What it is.
        value: String,
    },
    /// A dry run changes nothing and is not what was signed.
    #[error("it is for what is done in earnest, and this is a dry run")]
    DryRun,
}

impl Grant {
    /// The bytes that are signed, sent and kept.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        // Strings, integers and maps with text keys always serialise.
        serde_json::to_vec(self).unwrap_or_default()
    }

    /// Reads a grant; everything in it is within its limits.
    ///
    /// # Errors
    /// [`InvalidGrant`] says what is wrong.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, InvalidGrant> {
        if bytes.len() > GRANT_BYTES_MAX {
            return Err(InvalidGrant::TooLong(bytes.len()));
        }
        let grant: Self = serde_json::from_slice(bytes)
            .map_err(|error| InvalidGrant::Unreadable(error.to_string()))?;
        if grant.to_bytes() != bytes {
            return Err(InvalidGrant::NotCanonical);
        }
        grant.check()?;
        Ok(grant)
    }

    /// Whether everything is within its limits.
    ///
    /// # Errors
    /// The first thing that is not.
    pub fn check(&self) -> Result<(), InvalidGrant> {
        if !is_name(&self.policy) {
            return Err(InvalidGrant::limit(
                "policy",
                "is 1 to 64 characters of a-z 0-9 - _ . with a letter or digit first",
            ));
        }
        let is_digit = |byte: u8| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte);
        if self.rule.len() != RULE_DIGITS || !self.rule.bytes().all(is_digit) {
            return Err(InvalidGrant::limit(
                "rule",
                "is 64 lower-case hexadecimal digits",
            ));
        }
        self.action.check()?;
        self.hosts.check()?;
        self.trigger.check()?;
        self.trigger.check_with(&self.action)?;
        for (field, count, max) in [
            ("per_hour", self.per_hour, PER_HOUR_MAX),
            ("per_day", self.per_day, PER_DAY_MAX),
        ] {
            if !(1..=max).contains(&count) {
                return Err(InvalidGrant::limit(
                    field,
                    format!("is {count}; it must be 1 to {max}"),
                ));
            }
        }
        self.check_times()?;
        for (field, text) in [("issuer", &self.issuer), ("reason", &self.reason)] {
            check_text(field, text, TEXT_CHARS_MAX)?;
        }
        Ok(())
    }

    fn check_times(&self) -> Result<(), InvalidGrant> {
        if self.not_before_ms < self.issued_at_ms {
            return Err(InvalidGrant::limit(
                "not_before_ms",
                "lies before the grant was made",
            ));
        }
        if self.expires_at_ms <= self.not_before_ms {
            return Err(InvalidGrant::limit(
                "expires_at_ms",
                "lies before the grant begins to hold",
            ));
        }
        if self.expires_at_ms > self.issued_at_ms.saturating_add(VALID_MAX) {
            return Err(InvalidGrant::limit(
                "expires_at_ms",
                "is more than 30 d after the grant was made",
            ));
        }
        Ok(())
    }

    /// What it lets be done and when, in one line.
    #[must_use]
    pub fn summary(&self) -> String {
        format!("{} when {}", self.action, self.trigger)
    }

    /// Whether an order is one of those that it is about. Host, times, trigger and caps are not looked at.
    ///
    /// # Errors
    /// [`Uncovered`] says which clause does not fit.
    pub fn covers(&self, order: &Order) -> Result<(), Uncovered> {
        if order.dry_run {
            return Err(Uncovered::DryRun);
        }
        self.action.covers(&order.spec)
    }
}

impl Scope {
    fn check(&self) -> Result<(), InvalidGrant> {
        if self.ids.is_empty() && self.names.is_empty() {
            return Err(InvalidGrant::limit(
                "hosts",
                "names no host; give ids or names (`*` in a name stands for any text)",
            ));
        }
        if self.ids.len() > SCOPE_MAX || self.names.len() > SCOPE_MAX {
            return Err(InvalidGrant::limit(
                "hosts",
                format!("has at most {SCOPE_MAX} ids and {SCOPE_MAX} names; make another grant"),
            ));
        }
        for name in &self.names {
            check_text("hosts.names", name, HOST_NAME_CHARS_MAX)?;
        }
        Ok(())
    }
}

impl GrantEnd {
    /// The bytes that are signed.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        // A text and an integer always serialise.
        serde_json::to_vec(self).unwrap_or_default()
    }

    /// From the bytes that were signed.
    ///
    /// # Errors
    /// When they are none, in a sentence.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, String> {
        let end: Self = serde_json::from_slice(bytes)
            .map_err(|error| format!("this is no end of a grant: {error}"))?;
        if end.to_bytes() == bytes {
            Ok(end)
        } else {
            Err("the end of a grant is written in one way only, and this is another".to_owned())
        }
    }
}

fn check_text(field: &str, text: &str, chars_max: usize) -> Result<(), InvalidGrant> {
    let length = text.chars().count();
    if length == 0 || length > chars_max || text.chars().any(char::is_control) {
        return Err(InvalidGrant::limit(
            field,
            format!("has 1 to {chars_max} characters and no control characters"),
        ));
    }
    Ok(())
}

#[cfg(test)]
mod tests;
