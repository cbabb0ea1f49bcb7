//! A stretch of time, as queries name it.

use tidemark_model::Timestamp;

/// From `from`, included, to `to`, excluded. Empty when they are the wrong way round.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Span {
    /// Its first instant.
    pub from: Timestamp,
    /// The first instant after it.
    pub to: Timestamp,
}
