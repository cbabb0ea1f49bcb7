//! `/api/v1/forecast`: hosts by when their ports run out.

use axum::Json;
use tidemark_model::view::{HostView, Page, Problem};

use super::fleet::{self, HostFilter};
use super::params::Params;
use super::problem::Answer;
use crate::access::Horizon;
use crate::live::HostLive;

/// Hosts, those first whose ports run out soonest; then by how full they are.
#[utoipa::path(
    get,
    path = "/api/v1/forecast",
    tag = "forecast",
    params(
        ("host" = Option<Vec<String>>, Query, description = "Id or name; may be repeated. All hosts without it."),
        ("limit" = Option<usize>, Query, description = "Rows of a page, 1 to 1000; 100 without it.", minimum = 1, maximum = 1000),
        ("cursor" = Option<String>, Query, description = "The next_cursor of the page before."),
    ),
    responses(
        (status = 200, description = "A page of hosts.", body = Page<HostView>),
        (status = 404, description = "There is no such host.", body = Problem, content_type = "application/problem+json"),
        (status = 409, description = "More than one has that name; the title names their ids.", body = Problem, content_type = "application/problem+json"),
        (status = "default", description = "A problem.", body = Problem, content_type = "application/problem+json"),
    )
)]
pub async fn list(horizon: Horizon, params: Params) -> Answer<Json<Page<HostView>>> {
    let params = params.only(&["host", "limit", "cursor"])?;
    let limit = params.limit()?;
    // Places move with every sample, so a page goes on by count; a host may then show twice or not, never wrongly.
    let skip: usize = params
        .parsed("cursor", fleet::cursor_limit, |text| text.parse().ok())?
        .unwrap_or(0);
    let wanted = fleet::named_hosts(&horizon, &params)?;
    let mut hosts = fleet::select(&horizon, &HostFilter::default(), urgency);
    if let Some(wanted) = wanted {
        hosts.retain(|(_, id)| wanted.binary_search(id).is_ok());
    }
    hosts.sort_unstable();
    let has_more = hosts.len() > skip.saturating_add(limit);
    let page = hosts.into_iter().skip(skip).take(limit);
    Ok(Json(Page {
        items: fleet::views(&horizon, page.map(|(_, id)| id)),
        next_cursor: has_more.then(|| skip.saturating_add(limit).to_string()),
    }))
}

/// Orders hosts: soonest exhaustion, then fullest (in thousandths, negative so that it sorts first), then name.
fn urgency(host: &HostLive) -> (i64, i64, String) {
    let soonest = host
        .spaces
        .values()
        .filter_map(|space| space.forecast.eta)
        .map(|eta| eta.at.unix_ms())
        .min();
    let fullest = host
        .spaces
        .values()
        .map(|space| {
            let in_use = i64::from(space.level.in_use()).saturating_mul(1_000);
            in_use
                .checked_div(i64::from(space.level.capacity))
                .unwrap_or(0)
        })
        .max();
    (
        soonest.unwrap_or(i64::MAX),
        fullest.unwrap_or(0).saturating_neg(),
        host.profile.name.to_lowercase(),
    )
}
