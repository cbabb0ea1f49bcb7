//! The operators' HTTP side: the API and the pages on one listener. Who may ask for what is `routes`, and `guard` sees to
//! it.

pub mod actions;
pub mod api_tokens;
pub mod audit_log;
pub mod audits;
pub mod body;
pub mod budgets;
pub mod causes;
pub mod certificate;
pub mod changes;
pub mod connection;
pub mod documents;
pub mod events;
pub mod expected;
pub mod findings;
pub mod fleet;
pub mod forecast;
pub mod grants;
pub mod guard;
pub mod history;
pub mod host_events;
pub mod host_metrics;
pub mod hosts;
pub mod incidents;
pub mod keys;
pub mod labels;
pub mod live;
pub mod me;
pub mod notifications;
pub mod openapi;
pub mod params;
pub mod policies;
pub mod problem;
pub mod proxies;
pub mod reach;
pub mod remediation;
pub mod routes;
pub mod runs;
pub mod seen;
pub mod sessions;
pub mod silences;
pub mod status;
pub mod tokens;
mod traced;
pub mod upgrades;
pub mod users;
pub mod windows;

use std::io;
use std::sync::Arc;

use axum::Router;
use axum::extract::DefaultBodyLimit;
use axum::http::StatusCode;
use axum::middleware;
use tidemark_model::ErrorCode;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use tower_http::compression::CompressionLayer;

use crate::app::App;
use certificate::Certificate;
use connection::Serving;
use guard::{Guard, HostNames, guard};
use problem::ApiProblem;
use proxies::Proxies;
use traced::traced;

/// Largest body of a request.
const BODY_BYTES_MAX: usize = 64 * 1_024;

/// How the API meets those who ask.
pub struct Front {
    /// With which certificate; plain HTTP without.
    pub certificate: Option<Certificate>,
    /// Whose word is taken of who asks.
    pub proxies: Proxies,
    /// Connections at once.
    pub connections_max: usize,
}

/// Serves until `stop`, then lets open requests end; live views end at once.
///
/// # Errors
/// When the listener fails.
pub async fn serve(
    app: Arc<App>,
    listener: TcpListener,
    Front {
        certificate,
        proxies,
        connections_max,
    }: Front,
    stop: CancellationToken,
) -> io::Result<()> {
    let address = listener.local_addr()?;
    let names = if address.ip().is_loopback() {
        HostNames::Loopback
    } else {
        HostNames::Any
    };
    if names == HostNames::Any && certificate.is_none() {
        tracing::warn!(%address, "the pages and the API are served without TLS beyond this machine: set web.certificate_file, or put a proxy with TLS before them");
    }
    let life = app.life.clone();
    let metrics = Arc::clone(&app.metrics);
    let serving = Serving {
        router: router(app, names),
        tls: certificate.as_ref().map(Certificate::current),
        proxies: Arc::new(proxies),
        metrics,
        connections_max,
    };
    if let Some(certificate) = certificate {
        life.spawn("certificate", certificate.follow(stop.clone()));
    }
    connection::accept_loop(serving, listener, &life, stop).await
}

/// Everything that is served, guarded.
fn router(app: Arc<App>, names: HostNames) -> Router {
    let state = Arc::new(Guard::new(Arc::clone(&app), names));
    routes::router()
        .fallback(not_found)
        .method_not_allowed_fallback(not_allowed)
        .layer(middleware::from_fn_with_state(state, guard))
        .layer(DefaultBodyLimit::max(BODY_BYTES_MAX))
        .layer(CompressionLayer::new())
        .layer(middleware::from_fn(traced))
        .with_state(app)
}

async fn not_found() -> ApiProblem {
    ApiProblem::new(
        ErrorCode::NotFound,
        "there is nothing at this address; /api/v1/openapi.json says what there is",
    )
}

async fn not_allowed() -> ApiProblem {
    ApiProblem::new(
        ErrorCode::InvalidArgument,
        "this address does not take that method; /api/v1/openapi.json says which it takes",
    )
    .with_status(StatusCode::METHOD_NOT_ALLOWED)
}
