//! `/api/v1/causes`: what leaking hosts have in common.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use tidemark_model::view::{CausesView, Problem};

use super::params::Params;
use super::problem::Answer;
use crate::app::App;

/// What leaking hosts have in common: the attribute value that others which run the same process lack.
#[utoipa::path(
    get,
    path = "/api/v1/causes",
    tag = "forecast",
    responses(
        (status = 200, description = "The last look at the fleet.", body = CausesView),
        (status = "default", description = "A problem.", body = Problem, content_type = "application/problem+json"),
    )
)]
pub async fn list(State(app): State<Arc<App>>, params: Params) -> Answer<Json<CausesView>> {
    params.only(&[])?;
    Ok(Json(app.causes.load().view.clone()))
}
