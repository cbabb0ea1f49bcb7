//! The controller about itself: `/api/v1/status`, `/healthz`, `/readyz`, `/metrics`.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use axum::Json;
use axum::extract::State;
use axum::http::header;
use axum::response::IntoResponse;
use tidemark_model::ErrorCode;
use tidemark_model::view::{Problem, StatusView};

use super::params::Params;
use super::problem::{Answer, ApiProblem};
use crate::access::Horizon;
use crate::app::App;
use crate::live::Delivery;

/// How long the database may take to answer a ping.
const PING_TIMEOUT: Duration = Duration::from_secs(2);

/// The controller about itself.
#[utoipa::path(
    get,
    path = "/api/v1/status",
    tag = "status",
    responses(
        (status = 200, description = "How it is.", body = StatusView),
        (status = "default", description = "A problem.", body = Problem, content_type = "application/problem+json"),
    )
)]
pub async fn status(horizon: Horizon, params: Params) -> Answer<Json<StatusView>> {
    params.only(&[])?;
    let database_ready = database_answers(horizon.app()).await;
    Ok(Json(view(&horizon, database_ready)))
}

/// The same for those who know whether the database answers. Hosts, sessions and delivery are those that the caller sees.
#[must_use]
pub fn view(horizon: &Horizon, database_ready: bool) -> StatusView {
    let app = horizon.app();
    let now = app.clock.now();
    let mut hosts: BTreeMap<String, u64> = BTreeMap::new();
    let mut delivery = Delivery::default();
    let mut sessions: u64 = 0;
    for id in horizon.hosts() {
        app.live.read(id, |host| {
            let count = hosts.entry(host.state(now).to_owned()).or_default();
            *count = count.saturating_add(1);
            delivery.add(&host.delivery);
            sessions = sessions.saturating_add(u64::from(host.session.is_some()));
        });
    }
    let metrics = &app.metrics;
    StatusView {
        version: env!("CARGO_PKG_VERSION").to_owned(),
        started_ms: app.started_at.unix_ms(),
        clock_ms: now.unix_ms(),
        database: app.store.backend().as_str().to_owned(),
        database_ready,
        incarnation: app.incarnation,
        leader: app.leader.view(),
        controllers: app.company.views(app),
        hosts,
        scope: horizon.scope().to_text(),
        sessions: if horizon.scope().is_all() {
            app.sessions_open.count()
        } else {
            sessions
        },
        delivery: delivery.view(),
        points_stored: metrics.points_stored.get(),
        commits: metrics.commits.get(),
        commit_us: Some(metrics.commit_us.get()).filter(|us| *us > 0),
    }
}

/// The process lives.
#[utoipa::path(
    get,
    path = "/healthz",
    tag = "status",
    security(()),
    responses((status = 200, description = "It lives.", body = String, content_type = "text/plain"))
)]
pub async fn healthz() -> &'static str {
    "ok\n"
}

/// The controller can do its work: its database answers.
#[utoipa::path(
    get,
    path = "/readyz",
    tag = "status",
    security(()),
    responses(
        (status = 200, description = "It is ready.", body = String, content_type = "text/plain"),
        (status = 503, description = "The database does not answer.", body = Problem, content_type = "application/problem+json"),
    )
)]
pub async fn readyz(State(app): State<Arc<App>>) -> Answer<&'static str> {
    if database_answers(&app).await {
        return Ok("ready\n");
    }
    Err(ApiProblem::new(
        ErrorCode::Unavailable,
        "the database does not answer, or its disk is full; agents keep their samples until it takes them",
    ))
}

/// Figures about the controller in Prometheus' text format. Open to this machine; a token is needed from elsewhere.
#[utoipa::path(
    get,
    path = "/metrics",
    tag = "status",
    security((), ("api_token" = [])),
    responses(
        (status = 200, description = "The exposition.", body = String, content_type = "text/plain"),
        (status = "default", description = "A problem.", body = Problem, content_type = "application/problem+json"),
    )
)]
pub async fn metrics(State(app): State<Arc<App>>) -> impl IntoResponse {
    const TEXT: &str = "text/plain; version=0.0.4; charset=utf-8";
    // A controller that was stopped does not lead any more, also before its tasks have come to say so.
    app.leader.show();
    ([(header::CONTENT_TYPE, TEXT)], app.metrics.exposition())
}

/// Whether the database answers at this moment and took the last commit: a full disk still answers.
pub async fn database_answers(app: &App) -> bool {
    let took_last = app.metrics.database_ready.get() == 1;
    took_last
        && matches!(
            tokio::time::timeout(PING_TIMEOUT, app.store.ping()).await,
            Ok(Ok(()))
        )
}
