//! `/events`: what happened.

/// `GET /events`.
pub async fn page() -> &'static str {
    ""
}
