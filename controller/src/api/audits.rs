//! `/api/v1/hosts/{host}/audit` and `/drift`: how a host is configured, and what changed.

use axum::Json;
use axum::extract::Path;
use tidemark_model::audit::view::{DriftView, HostAuditView};
use tidemark_model::view::{Page, Problem};
use tidemark_model::{HostId, Timestamp};
use tidemark_store::{DriftQuery, StoreError, StoredDrift};

use super::fleet;
use super::params::Params;
use super::problem::Answer;
use super::seen::SeenPage;
use crate::access::Horizon;
use crate::app::App;

/// How a host is configured: each fact, since when it holds, and what could not be read.
#[utoipa::path(
    get,
    path = "/api/v1/hosts/{host}/audit",
    tag = "hosts",
    params(("host" = String, Path, description = "Id or name.")),
    responses(
        (status = 200, description = "The configuration; without facts before the first audit.", body = HostAuditView),
        (status = 404, description = "There is no such host.", body = Problem, content_type = "application/problem+json"),
        (status = "default", description = "A problem.", body = Problem, content_type = "application/problem+json"),
    )
)]
pub async fn audit(
    horizon: Horizon,
    Path(host): Path<String>,
    params: Params,
) -> Answer<Json<HostAuditView>> {
    params.only(&[])?;
    let id = fleet::find_host(&horizon, &host)?;
    Ok(Json(view_of(horizon.app(), id).await?))
}

/// What changed of a host's configuration, newest first.
#[utoipa::path(
    get,
    path = "/api/v1/hosts/{host}/drift",
    tag = "hosts",
    params(
        ("host" = String, Path, description = "Id or name."),
        ("since_ms" = Option<i64>, Query, description = "Only from this time on, in unix milliseconds."),
        ("limit" = Option<usize>, Query, description = "Rows of a page, 1 to 1000; 100 without it.", minimum = 1, maximum = 1000),
        ("cursor" = Option<String>, Query, description = "The next_cursor of the page before."),
    ),
    responses(
        (status = 200, description = "A page of changes.", body = Page<DriftView>),
        (status = 404, description = "There is no such host.", body = Problem, content_type = "application/problem+json"),
        (status = "default", description = "A problem.", body = Problem, content_type = "application/problem+json"),
    )
)]
pub async fn drift_of_host(
    horizon: Horizon,
    Path(host): Path<String>,
    params: Params,
) -> Answer<Json<Page<DriftView>>> {
    let id = fleet::find_host(&horizon, &host)?;
    page(&horizon, Some(id), params).await
}

/// What changed of the fleet's configuration, newest first.
#[utoipa::path(
    get,
    path = "/api/v1/drift",
    tag = "hosts",
    params(
        ("since_ms" = Option<i64>, Query, description = "Only from this time on, in unix milliseconds."),
        ("limit" = Option<usize>, Query, description = "Rows of a page, 1 to 1000; 100 without it.", minimum = 1, maximum = 1000),
        ("cursor" = Option<String>, Query, description = "The next_cursor of the page before."),
    ),
    responses(
        (status = 200, description = "A page of changes.", body = Page<DriftView>),
        (status = "default", description = "A problem.", body = Problem, content_type = "application/problem+json"),
    )
)]
pub async fn drift(horizon: Horizon, params: Params) -> Answer<Json<Page<DriftView>>> {
    page(&horizon, None, params).await
}

/// A host's configuration as the API shows it.
///
/// # Errors
/// What the database says.
pub async fn view_of(app: &App, id: HostId) -> Result<HostAuditView, StoreError> {
    let standing = app.store.read().await?.host_audit(id).await?;
    let name = app.live.name_of(id);
    Ok(HostAuditView::new(
        id.to_string(),
        name.unwrap_or_default(),
        standing.as_ref(),
    ))
}

async fn page(
    horizon: &Horizon,
    host: Option<HostId>,
    params: Params,
) -> Answer<Json<Page<DriftView>>> {
    let app = horizon.app();
    let params = params.only(&["since_ms", "limit", "cursor"])?;
    let limit = params.limit()?;
    let since = params
        .number("since_ms", i64::MIN..=i64::MAX)?
        .map(Timestamp::from_unix_ms);
    let after = params.parsed("cursor", fleet::cursor_limit, fleet::place_of_cursor)?;
    let rows = u32::try_from(limit).unwrap_or(u32::MAX);
    let mut found = SeenPage::new(horizon.scope(), rows, after);
    let mut tx = app.store.read().await?;
    while let Some((before, limit)) = found.next_read() {
        let query = DriftQuery {
            host,
            before,
            since,
            limit,
        };
        let place = |drift: &StoredDrift| (drift.at, drift.id);
        found.take(tx.drift_page(&query).await?, place, |drift| {
            horizon.sees(drift.host)
        });
    }
    let drifts = found.rows.into_iter();
    Ok(Json(Page {
        items: drifts.map(|drift| view(app, drift)).collect(),
        next_cursor: found.next.map(|(at, id)| format!("{}.{id}", at.unix_ms())),
    }))
}

fn view(app: &App, drift: StoredDrift) -> DriftView {
    let StoredDrift {
        id,
        host,
        at,
        fact,
        item,
        was,
        became,
    } = drift;
    DriftView {
        id,
        at_ms: at.unix_ms(),
        host: host.to_string(),
        host_name: app.live.name_of(host),
        fact,
        item,
        from: was,
        to: became,
    }
}
