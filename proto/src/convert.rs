//! Wire <-> model, once, at the edge.

pub mod facts;
pub mod names;
pub mod record;
pub mod sample;

/// Why a wire message is not a legal model value. The text names the field and the limit.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ConvertError {
    /// A required field is absent.
    #[error("{field} is missing")]
    Missing {
        /// Path of the field.
        field: &'static str,
    },
    /// A value lies outside its limits.
    #[error("{field} is {value}; the limit is {limit}")]
    OutOfRange {
        /// Path of the field.
        field: &'static str,
        /// What was sent.
        value: u64,
        /// What is allowed.
        limit: u64,
    },
    /// A value is malformed.
    #[error("{field} is malformed: {reason}")]
    Malformed {
        /// Path of the field.
        field: &'static str,
        /// What is wrong with it.
        reason: &'static str,
    },
}
