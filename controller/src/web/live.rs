//! `/live`: changes as rendered rows.

/// `GET /live`.
pub async fn stream() -> &'static str {
    ""
}
