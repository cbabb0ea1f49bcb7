//! From the error taxonomy to gRPC statuses; the only place that makes a status.

use std::error::Error;

use tidemark_model::ErrorCode;
use tidemark_model::error_code::ApiError;
use tonic::{Code, Status};

/// The gRPC side of the taxonomy; its HTTP side is `api::problem`.
const fn grpc_code(code: ErrorCode) -> Code {
    match code {
        ErrorCode::InvalidArgument => Code::InvalidArgument,
        ErrorCode::Unauthenticated => Code::Unauthenticated,
        ErrorCode::Forbidden => Code::PermissionDenied,
        ErrorCode::NotFound => Code::NotFound,
        ErrorCode::Conflict => Code::AlreadyExists,
        ErrorCode::Precondition => Code::FailedPrecondition,
        ErrorCode::Exhausted => Code::ResourceExhausted,
        ErrorCode::Unavailable => Code::Unavailable,
        ErrorCode::Internal => Code::Internal,
    }
}

/// What an agent is told. The details of an internal error stay in the log.
pub fn status_of(error: &(impl ApiError + ?Sized)) -> Status {
    let code = error.code();
    if code == ErrorCode::Internal {
        tracing::error!(
            error = chain(error),
            "internal error while serving an agent"
        );
        return Status::internal("internal error; the controller's log has the details");
    }
    if code == ErrorCode::Unavailable {
        tracing::warn!(error = chain(error), "an agent is put off");
    }
    Status::new(grpc_code(code), error.to_string())
}

/// An error with everything that caused it, in one line.
pub fn chain(error: &(impl Error + ?Sized)) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        text.push_str(": ");
        text.push_str(&cause.to_string());
        source = cause.source();
    }
    text
}
