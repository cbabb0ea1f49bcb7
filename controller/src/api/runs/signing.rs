//! `/api/v1/runs/{run}/orders` and `.../signatures`: orders that were made with a run's plan, signed before the hosts' turns.

use std::collections::HashMap;

use axum::extract::Path;
use axum::{Extension, Json};
use tidemark_model::HostId;
use tidemark_model::action::{HostPolicyView, Order};
use tidemark_model::signing::{KeyId, PublicKey, Signature};
use tidemark_model::view::{Page, Problem, RunDetail, RunOrderView, RunSignatures};
use tidemark_store::RunOrder;

use super::{check_seen, find, number_of, seen};
use crate::access::Horizon;
use crate::api::body::{self, Request};
use crate::api::fleet;
use crate::api::guard::Asking;
use crate::api::params::Params;
use crate::api::problem::Answer;
use crate::maintain::run::{self, Brought, RunError};

/// Largest body: 1,000 signatures.
pub const BODY_BYTES_MAX: usize = 512 * 1_024;

/// Orders that were made with the plan of a run, for hosts that want signatures: those that can be signed before their
/// turns. Ordered by id.
#[utoipa::path(
    get,
    path = "/api/v1/runs/{run}/orders",
    tag = "maintenance",
    params(
        ("run" = i64, Path, description = "Its number."),
        ("limit" = Option<usize>, Query, description = "Rows of a page, 1 to 1000; 100 without it.", minimum = 1, maximum = 1000),
        ("cursor" = Option<String>, Query, description = "The next_cursor of the page before."),
    ),
    responses(
        (status = 200, description = "A page of orders.", body = Page<RunOrderView>),
        (status = 404, description = "There is no such run.", body = Problem, content_type = "application/problem+json"),
        (status = "default", description = "A problem.", body = Problem, content_type = "application/problem+json"),
    )
)]
pub async fn orders(
    horizon: Horizon,
    Path(run): Path<String>,
    params: Params,
) -> Answer<Json<Page<RunOrderView>>> {
    let params = params.only(&["limit", "cursor"])?;
    let limit = params.limit()?;
    let after = params.parsed("cursor", fleet::cursor_limit, |text| text.parse().ok())?;
    let number = number_of(&run)?;
    let mut tx = horizon.app().store.read().await?;
    let run = seen(&horizon, &mut tx, number).await?;
    let rows = u32::try_from(limit).unwrap_or(u32::MAX);
    let page = tx.run_orders_page(number, after, rows).await?;
    let names: HashMap<HostId, &str> = run
        .hosts
        .iter()
        .map(|host| (host.host, &*host.body.name))
        .collect();
    let read = page.into_iter().filter_map(|stored| {
        let order = Order::from_bytes(&stored.bytes).ok()?;
        Some((stored, order.host))
    });
    let read: Vec<(RunOrder, HostId)> = read.collect();
    let hosts: Vec<HostId> = read.iter().map(|(_, host)| *host).collect();
    let policies = tx.host_policies_of(&hosts).await?;
    let ids = read.iter().map(|(stored, _)| stored.id);
    let mut signers = run::signers_of(&mut tx, number, ids).await?;
    let views = read.into_iter().map(|(stored, host)| {
        let signed_by = signers.remove(&stored.id).unwrap_or_default();
        let name = names.get(&host).copied().unwrap_or_default();
        view(stored, (name, policies.get(&host)), signed_by)
    });
    let items: Vec<RunOrderView> = views.collect();
    let next_cursor = fleet::cursor_after(&items, limit, |order| order.action.clone());
    Ok(Json(Page { items, next_cursor }))
}

fn view(
    stored: RunOrder,
    (host_name, policy): (&str, Option<&HostPolicyView>),
    signed_by: Vec<KeyId>,
) -> RunOrderView {
    RunOrderView {
        action: stored.id.to_string(),
        host_name: host_name.to_owned(),
        // An order that was read is JSON, and so UTF-8.
        order: String::from_utf8_lossy(&stored.bytes).into_owned(),
        wanted: stored.wanted,
        keys: policy.map_or_else(Vec::new, |policy| policy.keys.clone()),
        signed_by,
    }
}

/// Brings signatures of one key of orders of a run, until they are sent. Each must hold and be of a key that its host's
/// policy lists; all of them are kept, or none. What that key has signed before is passed over.
#[utoipa::path(
    post,
    path = "/api/v1/runs/{run}/signatures",
    tag = "maintenance",
    params(("run" = i64, Path, description = "Its number.")),
    request_body = RunSignatures,
    responses(
        (status = 200, description = "The run as it is then.", body = RunDetail),
        (status = 400, description = "A signature does not hold, is of no order of this run, or is not wanted; every problem is told.", body = Problem, content_type = "application/problem+json"),
        (status = 404, description = "There is no such run.", body = Problem, content_type = "application/problem+json"),
        (status = 409, description = "The plan is another one, or the run has ended.", body = Problem, content_type = "application/problem+json"),
        (status = "default", description = "A problem.", body = Problem, content_type = "application/problem+json"),
    )
)]
pub async fn sign(
    horizon: Horizon,
    Extension(asking): Extension<Asking>,
    Path(run): Path<String>,
    (params, headers, body): Request,
) -> Answer<Json<RunDetail>> {
    params.only(&[])?;
    body::check_json(&headers)?;
    let number = number_of(&run)?;
    let request: RunSignatures = body::parsed(&body, "the body is no set of signatures")?;
    let brought = brought(request)?;
    check_seen(&horizon, number).await?;
    run::sign(horizon.app(), number, &brought, asking.name()).await?;
    Ok(Json(find(&horizon, number).await?))
}

fn brought(request: RunSignatures) -> Result<Brought, RunError> {
    let key: PublicKey = request
        .public_key
        .parse()
        .map_err(|error| RunError::Limits(vec![format!("public_key: {error}")]))?;
    let mut signatures = Vec::with_capacity(request.signatures.len());
    for (place, one) in request.signatures.iter().enumerate() {
        let at = |field: &str, error: &dyn std::fmt::Display| {
            RunError::Limits(vec![format!("signatures[{place}].{field}: {error}")])
        };
        let id = one.action.parse().map_err(|error| at("action", &error))?;
        let signature = Signature::from_base64(key.id(), &one.signature)
            .map_err(|error| at("signature", &error))?;
        signatures.push((id, signature));
    }
    Ok(Brought {
        plan_hash: request.plan_hash,
        key,
        signatures,
    })
}
