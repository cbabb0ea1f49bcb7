//! The one error taxonomy, projected to gRPC and HTTP by the adapters.

/// What a caller can do about an error. Adapters map it to a status; nothing else in it is for machines.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ErrorCode {
    /// The request is malformed or out of limits: never retry it unchanged.
    InvalidArgument,
    /// No or wrong credentials: enrol or log in again.
    Unauthenticated,
    /// Known, but not allowed.
    Forbidden,
    /// Does not exist, or the caller may not know that it does.
    NotFound,
    /// Already exists.
    Conflict,
    /// Stale generation or wrong state: read again, then decide.
    Precondition,
    /// A rate or size limit: retry with backoff.
    Exhausted,
    /// Shutting down or the database is away: retry with backoff.
    Unavailable,
    /// A bug; the details are in the log under the correlation id.
    Internal,
}

/// An error that knows its place in the taxonomy.
pub trait ApiError: std::error::Error {
    /// Where this error stands.
    fn code(&self) -> ErrorCode;

    /// Seconds to wait before the next try, where it is known.
    fn retry_after_s(&self) -> Option<u64> {
        None
    }
}
