//! `/api/v1/findings`: what the rules find on the hosts at this moment.

use axum::Json;
use axum::extract::Path;
use tidemark_model::HostId;
use tidemark_model::view::{HostFindings, Page, Problem};

use super::fleet::{self, HostLookupError, NamePlace};
use super::params::Params;
use super::problem::Answer;
use crate::access::Horizon;
use crate::diagnosis;

/// Hosts on which something is found, by name.
#[utoipa::path(
    get,
    path = "/api/v1/findings",
    tag = "findings",
    params(
        ("host" = Option<Vec<String>>, Query, description = "Id or name; may be repeated. All hosts without it."),
        ("limit" = Option<usize>, Query, description = "Hosts that a page looks at, 1 to 1000; 100 without it.", minimum = 1, maximum = 1000),
        ("cursor" = Option<String>, Query, description = "The next_cursor of the page before."),
    ),
    responses(
        (status = 200, description = "A page of hosts with their findings; a page may hold fewer than its limit.", body = Page<HostFindings>),
        (status = 404, description = "There is no such host.", body = Problem, content_type = "application/problem+json"),
        (status = "default", description = "A problem.", body = Problem, content_type = "application/problem+json"),
    )
)]
pub async fn list(horizon: Horizon, params: Params) -> Answer<Json<Page<HostFindings>>> {
    let params = params.only(&["host", "limit", "cursor"])?;
    let limit = params.limit()?;
    let after = params.parsed("cursor", fleet::cursor_limit, NamePlace::of_cursor)?;
    let wanted = fleet::named_hosts(&horizon, &params)?;
    let mut places: Vec<NamePlace> = diagnosis::suspects(horizon.app())
        .into_iter()
        .filter(|(_, id)| horizon.sees(*id))
        .filter(|(_, id)| wanted.as_ref().is_none_or(|ids| ids.contains(id)))
        .map(|(name, id)| NamePlace { name, id })
        .filter(|place| after.as_ref().is_none_or(|after| place > after))
        .collect();
    let has_more = places.len() > limit;
    places.truncate(limit);
    let next_cursor = places.last().filter(|_| has_more).map(NamePlace::cursor);
    let ids: Vec<HostId> = places.iter().map(|place| place.id).collect();
    let mut items = diagnosis::findings(horizon.app(), &ids, |peer| horizon.sees(peer)).await?;
    items.retain(|host| !host.findings.is_empty());
    Ok(Json(Page { items, next_cursor }))
}

/// What the rules find on one host.
#[utoipa::path(
    get,
    path = "/api/v1/hosts/{host}/findings",
    tag = "findings",
    params(("host" = String, Path, description = "Id or name.")),
    responses(
        (status = 200, description = "Its findings; none when nothing was found.", body = HostFindings),
        (status = 404, description = "There is no such host.", body = Problem, content_type = "application/problem+json"),
        (status = "default", description = "A problem.", body = Problem, content_type = "application/problem+json"),
    )
)]
pub async fn of_host(
    horizon: Horizon,
    Path(host): Path<String>,
    params: Params,
) -> Answer<Json<HostFindings>> {
    params.only(&[])?;
    let id = fleet::find_host(&horizon, &host)?;
    let found = diagnosis::findings(horizon.app(), &[id], |peer| horizon.sees(peer)).await?;
    let found = found.into_iter().next();
    Ok(Json(found.ok_or_else(|| HostLookupError::Unknown {
        name: host.chars().take(64).collect(),
    })?))
}
