//! `/hosts/{host}`: one host.

use axum::response::Html;

/// `GET /hosts/{host}`.
pub async fn page() -> Html<&'static str> {
    Html("")
}

/// `GET /hosts/{host}/now`.
pub async fn now() -> Html<&'static str> {
    Html("")
}
