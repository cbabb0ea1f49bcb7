//! `/api/v1/causes`: what leaking hosts have in common.

use axum::Json;
use tidemark_detect::causes;
use tidemark_model::HostId;
use tidemark_model::view::{AttributeValue, CauseView, CausesView, HostName, Problem};

use super::params::Params;
use super::problem::Answer;
use crate::access::Horizon;
use crate::live::HostLive;
use crate::tasks::causes::{CausesSeen, HOSTS_MAX};

/// What leaking hosts have in common: the attribute value that others which run the same process lack. Callers with a scope are told
/// of causes that one of their hosts has, with the names of their own hosts; counts are of the fleet.
#[utoipa::path(
    get,
    path = "/api/v1/causes",
    tag = "forecast",
    responses(
        (status = 200, description = "The last look at the fleet.", body = CausesView),
        (status = "default", description = "A problem.", body = Problem, content_type = "application/problem+json"),
    )
)]
pub async fn list(horizon: Horizon, params: Params) -> Answer<Json<CausesView>> {
    params.only(&[])?;
    let seen = horizon.app().causes.load();
    Ok(Json(within(&horizon, &seen)))
}

/// What a caller sees of the causes.
fn within(horizon: &Horizon, all: &CausesSeen) -> CausesView {
    if horizon.scope().is_all() {
        return all.view.clone();
    }
    let of_each = all.view.items.iter().zip(&all.hosts);
    let items = of_each.filter_map(|(cause, hosts)| {
        let mut own: Vec<HostId> = hosts.iter().copied().collect();
        own.retain(|host| horizon.sees(*host));
        (!own.is_empty()).then(|| narrowed(horizon, cause, &own))
    });
    CausesView {
        items: items.collect(),
        ..all.view
    }
}

/// A cause with the hosts of it that the caller sees, and what those have.
fn narrowed(horizon: &Horizon, cause: &CauseView, own: &[HostId]) -> CauseView {
    let live = &horizon.app().live;
    let mut hosts: Vec<HostName> = own
        .iter()
        .filter_map(|id| {
            let (id, name) = (id.to_string(), live.name_of(*id)?);
            Some(HostName { id, name })
        })
        .collect();
    hosts.sort_by(|one, other| (&one.name, &one.id).cmp(&(&other.name, &other.id)));
    hosts.truncate(HOSTS_MAX);
    let attributes: Vec<_> = own
        .iter()
        .filter_map(|id| live.read(*id, HostLive::attributes))
        .collect();
    let is_theirs = |other: &&AttributeValue| {
        let mut each = attributes.iter();
        each.any(|attributes| attributes.get(&other.attribute) == Some(&other.value))
    };
    let alike: Vec<AttributeValue> = cause.alike.iter().filter(is_theirs).cloned().collect();
    let told = cause.explanation.strip_suffix(&alike_text(&cause.alike));
    CauseView {
        hosts,
        hosts_hidden: cause.hosts_total.saturating_sub(own.len() as u64),
        explanation: told.unwrap_or_default().to_owned() + &alike_text(&alike),
        alike,
        ..cause.clone()
    }
}

fn alike_text(alike: &[AttributeValue]) -> String {
    causes::alike_text(alike.iter().map(|one| (&*one.attribute, &*one.value)))
}
