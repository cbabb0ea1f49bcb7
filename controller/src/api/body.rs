//! Bodies of requests: said to be JSON, read, and refused with every problem at once.

use axum::body::Bytes;
use axum::http::{HeaderMap, StatusCode, header};
use serde::de::DeserializeOwned;
use tidemark_model::ErrorCode;
use tidemark_model::error_code::ApiError;

use super::params::Params;
use super::problem::ApiProblem;

/// What a handler that reads a body takes of its request.
pub type Request = (Params, HeaderMap, Bytes);

/// Why a request is not carried out: one sentence for each value that is not as it must be, naming it, its limit and the
/// remedy.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{}", .0.join("; "))]
pub struct Invalid(pub Vec<String>);

impl ApiError for Invalid {
    fn code(&self) -> ErrorCode {
        ErrorCode::InvalidArgument
    }
}

/// Reads a body; `what` begins the sentence that says why it cannot be read, as in `the body is no silence`.
///
/// # Errors
/// When it is not said to be JSON, or is not what is asked for.
pub fn json<T: DeserializeOwned>(
    headers: &HeaderMap,
    body: &[u8],
    what: &str,
) -> Result<T, ApiProblem> {
    check_json(headers)?;
    Ok(parsed(body, what)?)
}

/// As [`json`], with a default for a body that is not there.
///
/// # Errors
/// As [`json`].
pub fn json_or_default<T: DeserializeOwned + Default>(
    headers: &HeaderMap,
    body: &[u8],
    what: &str,
) -> Result<T, ApiProblem> {
    if body.is_empty() {
        return Ok(T::default());
    }
    json(headers, body, what)
}

/// As [`json`], of a body that was found to be said to be JSON.
///
/// # Errors
/// When it is not what is asked for.
pub fn parsed<T: DeserializeOwned>(body: &[u8], what: &str) -> Result<T, Invalid> {
    serde_json::from_slice(body).map_err(|error| Invalid(vec![format!("{what}: {error}")]))
}

/// A form on another page can post text, but not JSON.
///
/// # Errors
/// When a body is not said to be JSON.
pub fn check_json(headers: &HeaderMap) -> Result<(), ApiProblem> {
    let kind = headers
        .get(header::CONTENT_TYPE)
        .and_then(|kind| kind.to_str().ok())
        .unwrap_or_default();
    let essence = kind.split(';').next().unwrap_or_default().trim();
    if essence.eq_ignore_ascii_case("application/json") {
        return Ok(());
    }
    Err(ApiProblem::new(
        ErrorCode::InvalidArgument,
        "the body must be JSON; say so with Content-Type: application/json",
    )
    .with_status(StatusCode::UNSUPPORTED_MEDIA_TYPE))
}
