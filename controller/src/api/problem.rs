//! From the error taxonomy to HTTP: RFC 9457 problem details. The gRPC side is `gateway::outcome`.

use axum::Json;
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use data_encoding::HEXLOWER;
use tidemark_model::error_code::ApiError;
use tidemark_model::view::Problem;
use tidemark_model::{ErrorCode, HostScope};
use tidemark_runtime::Entropy;

use crate::gateway::outcome::chain;

/// What a client waits before it tries again, in seconds.
const RETRY_AFTER_S: u64 = 1;

/// An answer other than the one that was asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ApiProblem {
    code: ErrorCode,
    status: StatusCode,
    title: String,
    correlation_id: Option<String>,
    retry_after_s: u64,
}

/// What handlers answer.
pub type Answer<T> = Result<T, ApiProblem>;

/// The HTTP side of the taxonomy.
const fn status_of(code: ErrorCode) -> StatusCode {
    match code {
        ErrorCode::InvalidArgument => StatusCode::BAD_REQUEST,
        ErrorCode::Unauthenticated => StatusCode::UNAUTHORIZED,
        ErrorCode::Forbidden => StatusCode::FORBIDDEN,
        ErrorCode::NotFound => StatusCode::NOT_FOUND,
        ErrorCode::Conflict | ErrorCode::Precondition => StatusCode::CONFLICT,
        ErrorCode::Exhausted => StatusCode::TOO_MANY_REQUESTS,
        ErrorCode::Unavailable => StatusCode::SERVICE_UNAVAILABLE,
        ErrorCode::Internal => StatusCode::INTERNAL_SERVER_ERROR,
    }
}

/// The stable name of a code in answers.
const fn name_of(code: ErrorCode) -> &'static str {
    match code {
        ErrorCode::InvalidArgument => "invalid_argument",
        ErrorCode::Unauthenticated => "unauthenticated",
        ErrorCode::Forbidden => "forbidden",
        ErrorCode::NotFound => "not_found",
        ErrorCode::Conflict => "conflict",
        ErrorCode::Precondition => "precondition",
        ErrorCode::Exhausted => "exhausted",
        ErrorCode::Unavailable => "unavailable",
        ErrorCode::Internal => "internal",
    }
}

impl ApiProblem {
    /// A problem that the adapter itself found.
    pub fn new(code: ErrorCode, title: impl Into<String>) -> Self {
        Self {
            code,
            status: status_of(code),
            title: title.into(),
            correlation_id: None,
            retry_after_s: RETRY_AFTER_S,
        }
    }

    /// The same with a status that says more than the taxonomy does.
    #[must_use]
    pub const fn with_status(mut self, status: StatusCode) -> Self {
        self.status = status;
        self
    }

    /// A bug: `details` go to the log under a correlation id, a fixed text to the caller.
    #[must_use]
    pub fn internal(details: &str) -> Self {
        let id = HEXLOWER.encode(&Entropy::System.bytes::<8>());
        tracing::error!(
            error = details,
            correlation.id = id,
            "internal error while serving an operator"
        );
        let title = format!("internal error; the controller's log has the details under {id}");
        Self {
            correlation_id: Some(id),
            ..Self::new(ErrorCode::Internal, title)
        }
    }

    /// Something about more hosts than the caller's scope.
    #[must_use]
    pub fn beyond_scope(scope: &HostScope) -> Self {
        Self::new(
            ErrorCode::Forbidden,
            format!(
                "this is about the whole fleet and your scope is {scope}; ask somebody whose scope is all hosts"
            ),
        )
    }

    /// Its HTTP status.
    #[must_use]
    pub const fn status(&self) -> StatusCode {
        self.status
    }

    /// What is wrong, in a sentence.
    #[must_use]
    pub fn title(&self) -> &str {
        &self.title
    }
}

impl<E: ApiError> From<E> for ApiProblem {
    fn from(error: E) -> Self {
        let code = error.code();
        if code == ErrorCode::Internal {
            return Self::internal(&chain(&error));
        }
        if code == ErrorCode::Unavailable {
            tracing::warn!(error = chain(&error), "an operator is put off");
        }
        let mut problem = Self::new(code, error.to_string());
        if let Some(seconds) = error.retry_after_s() {
            problem.retry_after_s = seconds;
        }
        problem
    }
}

impl ApiProblem {
    /// Says in the headers of an answer after how long it is worth asking again, where it is.
    pub fn say_when_to_retry(&self, headers: &mut HeaderMap) {
        if let Some(seconds) = self.retry_after() {
            headers.insert(header::RETRY_AFTER, seconds);
        }
    }

    fn retry_after(&self) -> Option<HeaderValue> {
        let passes = matches!(self.code, ErrorCode::Exhausted | ErrorCode::Unavailable);
        passes.then(|| HeaderValue::from(self.retry_after_s))
    }
}

impl IntoResponse for ApiProblem {
    fn into_response(self) -> Response {
        let retry_after = self.retry_after();
        let body = Problem {
            kind: name_of(self.code).to_owned(),
            status: self.status.as_u16(),
            title: self.title,
            correlation_id: self.correlation_id,
        };
        let mut response = (self.status, Json(body)).into_response();
        let headers = response.headers_mut();
        headers.insert(
            header::CONTENT_TYPE,
            HeaderValue::from_static("application/problem+json"),
        );
        if let Some(seconds) = retry_after {
            headers.insert(header::RETRY_AFTER, seconds);
        }
        if self.code == ErrorCode::Unauthenticated {
            headers.insert(
                header::WWW_AUTHENTICATE,
                HeaderValue::from_static("Bearer realm=\"tidemark\""),
            );
        }
        response
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_internal_error_tells_the_caller_nothing_but_where_to_look() {
        let problem = ApiProblem::internal("password of the database is hunter2");
        let id = problem.correlation_id.clone().unwrap();
        assert_eq!(problem.status(), StatusCode::INTERNAL_SERVER_ERROR);
        assert!(problem.title().contains(&id));
        assert!(!problem.title().contains("hunter2"));
    }
}
