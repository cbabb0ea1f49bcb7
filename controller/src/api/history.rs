//! `/api/v1/history` and `/api/v1/compare`.

use axum::http::StatusCode;
use tidemark_model::ErrorCode;
use tidemark_model::view::{HistoryView, Problem};

use super::problem::ApiProblem;

/// A metric over time.
#[utoipa::path(get, path = "/api/v1/history", tag = "history",
    responses((status = 200, description = "The series.", body = HistoryView),
        (status = "default", description = "A problem.", body = Problem, content_type = "application/problem+json")))]
pub async fn history() -> ApiProblem {
    ApiProblem::new(ErrorCode::Unavailable, "history is not served yet")
        .with_status(StatusCode::NOT_IMPLEMENTED)
}

/// A metric beside the same time before.
#[utoipa::path(get, path = "/api/v1/compare", tag = "history",
    responses((status = 200, description = "The series.", body = HistoryView),
        (status = "default", description = "A problem.", body = Problem, content_type = "application/problem+json")))]
pub async fn compare() -> ApiProblem {
    history().await
}
