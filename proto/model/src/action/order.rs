//! An order: one action for one host, as the bytes that operators sign. The bytes are canonical JSON, so that who signs
//! reads what is signed, and two readers cannot take one text for two things.

use std::ops::RangeInclusive;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::{ActionSpec, SpecProblem, Tier};
use crate::by_text::hex_id;
use crate::signing::Signature;
use crate::{HostId, Timestamp};

/// Longest an order can be valid: a run is signed when it is approved, and its window may be two weeks away.
pub const VALID_MAX: Duration = Duration::from_secs(14 * 86_400);
/// How long after it was done an order may let itself be undone: shorter than any hold, and longer than a day.
pub const UNDO_WITHIN_S: RangeInclusive<u32> = 30..=86_400;
/// Largest order, in bytes.
pub const ORDER_BYTES_MAX: usize = 32 * 1024;
/// Longest reason, requester or name in an order, in characters.
pub const REASON_CHARS_MAX: usize = 500;

/// Names an action for good: 128 random bits. Text form: 32 lower-case hexadecimal digits.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ActionId([u8; 16]);

/// A text that is no action id.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("an action id is 32 lower-case hexadecimal digits")]
pub struct InvalidActionId;

impl ActionId {
    /// The id made of 128 random bits.
    #[must_use]
    pub const fn from_random(bits: u128) -> Self {
        Self(bits.to_be_bytes())
    }
}

hex_id!(ActionId, 16, InvalidActionId);

/// One action for one host.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Order {
    /// Its id; a host runs it at most once.
    pub id: ActionId,
    /// For whom; every other host refuses it.
    pub host: HostId,
    /// What to do.
    pub spec: ActionSpec,
    /// Whether the host only says what it would do.
    pub dry_run: bool,
    /// When it was made.
    pub issued_at_ms: Timestamp,
    /// From when on it may be begun.
    pub not_before_ms: Timestamp,
    /// Until when it may be begun.
    pub expires_at_ms: Timestamp,
    /// Who asked for it.
    pub requester: String,
    /// Why.
    pub reason: String,
    /// For how many seconds after it was done whoever carries it may have it undone without another order: the host then
    /// puts back what it changed. It is among what is signed, so that the undo needs no signature of its own. `None` lets
    /// nobody; it is left out of the bytes then, which are those of agents that know no undo.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub undo_within_s: Option<u32>,
}

/// An order as it travels: the bytes, and who signed them. Nothing is known about them before they are judged.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SignedOrder {
    /// Under which id its carrier sends it: what cannot be read is refused under it, and an order with another id as well.
    pub id: ActionId,
    /// The order's bytes.
    pub bytes: Vec<u8>,
    /// At most [`SIGNATURES_MAX`](crate::signing::SIGNATURES_MAX).
    pub signatures: Vec<Signature>,
}

/// Why bytes are no order.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidOrder {
    /// Longer than [`ORDER_BYTES_MAX`].
    #[error("an order has at most {ORDER_BYTES_MAX} bytes; this has {0}")]
    TooLong(usize),
    /// No order at all.
    #[error("this is no order: {0}")]
    Unreadable(String),
    /// Readable, but not the one way to write it: two readers might differ.
    #[error("an order is written in one way only, and this is another; make it with `tidemark`")]
    NotCanonical,
    /// A parameter is out of its limits.
    #[error(transparent)]
    Spec(#[from] SpecProblem),
    /// Its times do not fit.
    #[error("{field}: {reason}")]
    Times {
        /// Which.
        field: &'static str,
        /// What its limit is.
        reason: &'static str,
    },
    /// Its undo.
    #[error("undo_within_s: {0}")]
    Undo(&'static str),
    /// Requester or reason.
    #[error("{field} has 1 to {REASON_CHARS_MAX} characters and no control characters")]
    Text {
        /// Which.
        field: &'static str,
    },
}

impl Order {
    /// Whether it changes something on its host.
    #[must_use]
    pub fn disturbs(&self) -> bool {
        !self.dry_run && self.spec.tier() > Tier::ReadOnly
    }

    /// The bytes that are signed, sent and kept.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        // Strings, integers and maps with text keys always serialise.
        serde_json::to_vec(self).unwrap_or_default()
    }

    /// Reads an order; everything in it is within its limits.
    ///
    /// # Errors
    /// [`InvalidOrder`] says what is wrong.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, InvalidOrder> {
        if bytes.len() > ORDER_BYTES_MAX {
            return Err(InvalidOrder::TooLong(bytes.len()));
        }
        let order: Self = serde_json::from_slice(bytes)
            .map_err(|error| InvalidOrder::Unreadable(error.to_string()))?;
        if order.to_bytes() != bytes {
            return Err(InvalidOrder::NotCanonical);
        }
        order.check()?;
        Ok(order)
    }

    /// Whether everything is within its limits.
    ///
    /// # Errors
    /// The first thing that is not.
    pub fn check(&self) -> Result<(), InvalidOrder> {
        if let Some(problem) = self.spec.problems().into_iter().next() {
            return Err(problem.into());
        }
        if self.not_before_ms < self.issued_at_ms {
            return Err(InvalidOrder::Times {
                field: "not_before_ms",
                reason: "lies before the order was made",
            });
        }
        if self.expires_at_ms <= self.not_before_ms {
            return Err(InvalidOrder::Times {
                field: "expires_at_ms",
                reason: "lies before the order may begin",
            });
        }
        if self.expires_at_ms > self.issued_at_ms.saturating_add(VALID_MAX) {
            return Err(InvalidOrder::Times {
                field: "expires_at_ms",
                reason: "is more than 14 d after the order was made",
            });
        }
        if let Some(seconds) = self.undo_within_s {
            if !UNDO_WITHIN_S.contains(&seconds) {
                return Err(InvalidOrder::Undo("must be 30 to 86400"));
            }
            if self.dry_run || !self.spec.can_be_undone() {
                return Err(InvalidOrder::Undo("there is nothing that could be undone"));
            }
        }
        for (field, text) in [("requester", &self.requester), ("reason", &self.reason)] {
            let length = text.chars().count();
            if length == 0 || length > REASON_CHARS_MAX || text.chars().any(char::is_control) {
                return Err(InvalidOrder::Text { field });
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
