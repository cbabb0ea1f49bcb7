//! `/`: the fleet.

use axum::response::Html;

/// `GET /`.
pub async fn page() -> Html<&'static str> {
    Html("")
}

/// `GET /fleet/rows`.
pub async fn rows() -> Html<&'static str> {
    Html("")
}
