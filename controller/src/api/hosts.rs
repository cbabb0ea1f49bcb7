//! `/api/v1/hosts`: the fleet and each of its hosts.

use axum::Json;
use axum::extract::Path;
use axum::response::IntoResponse;
use tidemark_model::HostId;
use tidemark_model::view::{HostDetail, HostView, Page, Problem};

use super::expected::etag;
use super::fleet::{self, HostFilter, NamePlace};
use super::params::Params;
use super::problem::{Answer, ApiProblem};
use crate::access::Horizon;
use crate::live::HostLive;

/// Hosts by name.
#[utoipa::path(
    get,
    path = "/api/v1/hosts",
    tag = "hosts",
    params(
        ("text" = Option<String>, Query, description = "Part of the name, id, system, a label or a culprit, in any case."),
        ("state" = Option<Vec<String>>, Query, description = "online, stale, offline, quarantined or revoked; may be repeated."),
        ("label" = Option<Vec<String>>, Query, description = "KEY=VALUE; may be repeated, and all must match."),
        ("limit" = Option<usize>, Query, description = "Rows of a page, 1 to 1000; 100 without it.", minimum = 1, maximum = 1000),
        ("cursor" = Option<String>, Query, description = "The next_cursor of the page before."),
    ),
    responses(
        (status = 200, description = "A page of hosts.", body = Page<HostView>),
        (status = "default", description = "A problem.", body = Problem, content_type = "application/problem+json"),
    )
)]
pub async fn list(horizon: Horizon, params: Params) -> Answer<Json<Page<HostView>>> {
    let params = params.only(&["text", "state", "label", "limit", "cursor"])?;
    let filter = HostFilter::of(&params)?;
    let limit = params.limit()?;
    let after = params.parsed("cursor", fleet::cursor_limit, NamePlace::of_cursor)?;
    let name = |host: &HostLive| host.profile.name.to_lowercase();
    let mut places: Vec<NamePlace> = fleet::select(&horizon, &filter, name)
        .into_iter()
        .map(|(name, id)| NamePlace { name, id })
        .filter(|place| after.as_ref().is_none_or(|after| place > after))
        .collect();
    places.sort_unstable();
    let has_more = places.len() > limit;
    places.truncate(limit);
    let next_cursor = places.last().filter(|_| has_more).map(NamePlace::cursor);
    let items = fleet::views(&horizon, places.iter().map(|place| place.id));
    Ok(Json(Page { items, next_cursor }))
}

/// One host, with its newest sample. Its ETag is the version of the labels that the controller holds.
#[utoipa::path(
    get,
    path = "/api/v1/hosts/{host}",
    tag = "hosts",
    params(("host" = String, Path, description = "Id or name.")),
    responses(
        (status = 200, description = "The host.", body = HostDetail),
        (status = 404, description = "There is none.", body = Problem, content_type = "application/problem+json"),
        (status = 409, description = "More than one has that name; the title names their ids.", body = Problem, content_type = "application/problem+json"),
        (status = "default", description = "A problem.", body = Problem, content_type = "application/problem+json"),
    )
)]
pub async fn detail(
    horizon: Horizon,
    Path(host): Path<String>,
    params: Params,
) -> Answer<impl IntoResponse> {
    params.only(&[])?;
    let id = fleet::find_host(&horizon, &host)?;
    detail_of(&horizon, id, &host)
}

/// One host, and as its ETag the version of the labels that the controller holds, which is all that can be changed of it.
///
/// # Errors
/// When it is not there any more.
pub fn detail_of(horizon: &Horizon, id: HostId, asked: &str) -> Answer<impl IntoResponse + use<>> {
    let app = horizon.app();
    let now = app.clock.now();
    let detail = app.live.read(id, |host| host.detail(now));
    let detail = detail.ok_or_else(|| gone(asked))?;
    Ok((etag(detail.labels_version), Json(detail)))
}

/// Shuts a host out for good; its session ends at once.
#[utoipa::path(
    post,
    path = "/api/v1/hosts/{host}/revoke",
    tag = "hosts",
    params(("host" = String, Path, description = "Id or name.")),
    responses(
        (status = 200, description = "The host, revoked.", body = HostView),
        (status = 404, description = "There is none.", body = Problem, content_type = "application/problem+json"),
        (status = 409, description = "More than one has that name; the title names their ids.", body = Problem, content_type = "application/problem+json"),
        (status = "default", description = "A problem.", body = Problem, content_type = "application/problem+json"),
    )
)]
pub async fn revoke(
    horizon: Horizon,
    Path(host): Path<String>,
    params: Params,
) -> Answer<Json<HostView>> {
    params.only(&[])?;
    let id = fleet::find_host(&horizon, &host)?;
    horizon.app().revoke(id).await?;
    let view = fleet::views(&horizon, [id]).into_iter().next();
    Ok(Json(view.ok_or_else(|| gone(&host))?))
}

fn gone(host: &str) -> ApiProblem {
    fleet::HostLookupError::Unknown {
        name: host.chars().take(64).collect(),
    }
    .into()
}
