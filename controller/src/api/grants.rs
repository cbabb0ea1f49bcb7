//! `/api/v1/grants`: what operators signed beforehand, brought, listed, withdrawn.

use std::collections::HashMap;
use std::sync::Arc;

use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::{Extension, Json};
use tidemark_model::grant::{Grant, GrantId, SignedGrantEnd};
use tidemark_model::view::{GrantDetail, GrantEndRequest, GrantRequest, GrantView, Page, Problem};
use tidemark_model::{HostId, Timestamp};
use tidemark_store::{GrantRecord, StoreError, Tx};

use super::actions::signature_of;
use super::body::{self, Request};
use super::guard::Asking;
use super::params::Params;
use super::problem::Answer;
use crate::app::App;
use crate::grants::{GRANTS_MAX, bring, standing_of, uses, withdraw};
use crate::remediate::ActionError;

/// Hosts that one grant shows.
const HOSTS_MAX: usize = 200;

/// Grants, the newest first, those that are over among them for 90 d.
#[utoipa::path(
    get,
    path = "/api/v1/grants",
    tag = "grants",
    responses(
        (status = 200, description = "All grants, on one page.", body = Page<GrantView>),
        (status = "default", description = "A problem.", body = Problem, content_type = "application/problem+json"),
    )
)]
pub async fn list(State(app): State<Arc<App>>, params: Params) -> Answer<Json<Page<GrantView>>> {
    params.only(&["limit", "cursor"])?;
    let mut tx = app.store.read().await?;
    let listed = views(&mut tx, app.clock.now()).await?;
    Ok(Json(Page {
        items: listed.into_iter().map(|(_, view)| view).collect(),
        next_cursor: None,
    }))
}

/// One grant with what was signed, and the hosts that say that it holds.
#[utoipa::path(
    get,
    path = "/api/v1/grants/{grant}",
    tag = "grants",
    params(("grant" = String, Path, description = "Its id.")),
    responses(
        (status = 200, description = "The grant.", body = GrantDetail),
        (status = 404, description = "There is none.", body = Problem, content_type = "application/problem+json"),
        (status = "default", description = "A problem.", body = Problem, content_type = "application/problem+json"),
    )
)]
pub async fn detail(
    State(app): State<Arc<App>>,
    Path(id): Path<String>,
    params: Params,
) -> Answer<Json<GrantDetail>> {
    params.only(&[])?;
    let record = {
        let mut tx = app.store.read().await?;
        tx.grant_find(id_of(&id)?).await?
    };
    let record = record.ok_or(ActionError::UnknownGrant)?;
    Ok(Json(detail_of(&app, &record).await?))
}

/// Takes a grant that was signed elsewhere. The controller holds no key: whether the signatures suffice, each host decides.
#[utoipa::path(
    post,
    path = "/api/v1/grants",
    tag = "grants",
    request_body = GrantRequest,
    responses(
        (status = 201, description = "It is kept, and given to its hosts.", body = GrantDetail),
        (status = 400, description = "It is no grant, out of its limits, or of no policy's rung.", body = Problem, content_type = "application/problem+json"),
        (status = 409, description = "A grant of that id is kept already.", body = Problem, content_type = "application/problem+json"),
        (status = "default", description = "A problem.", body = Problem, content_type = "application/problem+json"),
    )
)]
pub async fn create(
    State(app): State<Arc<App>>,
    Extension(asking): Extension<Asking>,
    (params, headers, body): Request,
) -> Answer<(StatusCode, Json<GrantDetail>)> {
    params.only(&[])?;
    let wanted: GrantRequest = body::json(&headers, &body, "the body is no grant")?;
    let signatures = wanted
        .signatures
        .iter()
        .map(|one| signature_of(&one.key_id, &one.signature))
        .collect::<Result<Vec<_>, _>>()?;
    let record = bring(&app, &wanted.document, signatures, asking.name()).await?;
    Ok((StatusCode::CREATED, Json(detail_of(&app, &record).await?)))
}

/// Withdraws a grant: its hosts drop it. A stolen controller could give it to them again; a signed end is for good.
#[utoipa::path(
    delete,
    path = "/api/v1/grants/{grant}",
    tag = "grants",
    params(("grant" = String, Path, description = "Its id.")),
    responses(
        (status = 204, description = "It is withdrawn."),
        (status = 404, description = "There is none.", body = Problem, content_type = "application/problem+json"),
        (status = "default", description = "A problem.", body = Problem, content_type = "application/problem+json"),
    )
)]
pub async fn delete(
    State(app): State<Arc<App>>,
    Extension(asking): Extension<Asking>,
    Path(id): Path<String>,
    params: Params,
) -> Answer<StatusCode> {
    params.only(&[])?;
    withdraw(&app, id_of(&id)?, None, asking.name()).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Withdraws a grant with its signed end: hosts that are told take it no more, whoever brings it.
#[utoipa::path(
    post,
    path = "/api/v1/grants/{grant}/end",
    tag = "grants",
    params(("grant" = String, Path, description = "Its id.")),
    request_body = GrantEndRequest,
    responses(
        (status = 200, description = "It is withdrawn.", body = GrantDetail),
        (status = 400, description = "It is no end of that grant.", body = Problem, content_type = "application/problem+json"),
        (status = 404, description = "There is none.", body = Problem, content_type = "application/problem+json"),
        (status = "default", description = "A problem.", body = Problem, content_type = "application/problem+json"),
    )
)]
pub async fn end(
    State(app): State<Arc<App>>,
    Extension(asking): Extension<Asking>,
    Path(id): Path<String>,
    (params, headers, body): Request,
) -> Answer<Json<GrantDetail>> {
    params.only(&[])?;
    let wanted: GrantEndRequest = body::json(&headers, &body, "the body is no end of a grant")?;
    let end = SignedGrantEnd {
        signature: signature_of(&wanted.signature.key_id, &wanted.signature.signature)?,
        bytes: wanted.document.into_bytes(),
    };
    let record = withdraw(&app, id_of(&id)?, Some(end), asking.name()).await?;
    Ok(Json(detail_of(&app, &record).await?))
}

fn id_of(text: &str) -> Result<GrantId, ActionError> {
    text.parse().map_err(|_| ActionError::UnknownGrant)
}

async fn detail_of(app: &App, record: &GrantRecord) -> Result<GrantDetail, StoreError> {
    let mut tx = app.store.read().await?;
    let uses = uses(&mut tx, record.created_at).await?;
    let grant = view(&mut tx, record, &uses, app.clock.now()).await?;
    let (mut holds_on, mut not_on) = (Vec::new(), Vec::new());
    if let Ok(signed) = Grant::from_bytes(record.document.as_bytes()) {
        let named = app.live.ids().into_iter().map(|host| {
            let name = app.live.name_of(host);
            (host, name.unwrap_or_default())
        });
        let concerned: Vec<(HostId, String)> = named
            .filter(|(host, name)| signed.hosts.takes(*host, name))
            .take(HOSTS_MAX)
            .collect();
        let hosts: Vec<HostId> = concerned.iter().map(|(host, _)| *host).collect();
        let told = tx.host_policies_of(&hosts).await?;
        for (host, name) in concerned {
            let policy = told.get(&host);
            let holds = policy.is_some_and(|policy| policy.grants.contains(&record.id));
            let names = if holds { &mut holds_on } else { &mut not_on };
            names.push(name);
        }
    }
    Ok(GrantDetail {
        grant,
        document: record.document.clone(),
        holds_on,
        not_on,
    })
}

/// Every grant as it is kept and as it is shown, the newest first.
///
/// # Errors
/// When the database fails.
pub(crate) async fn views(
    tx: &mut Tx,
    now: Timestamp,
) -> Result<Vec<(GrantRecord, GrantView)>, StoreError> {
    let records = tx.grants_page(GRANTS_MAX).await?;
    let first = records.iter().map(|record| record.created_at).min();
    let uses = match first {
        Some(since) => uses(tx, since).await?,
        None => HashMap::new(),
    };
    let mut views = Vec::with_capacity(records.len());
    for record in records {
        let view = view(tx, &record, &uses, now).await?;
        views.push((record, view));
    }
    Ok(views)
}

async fn view(
    tx: &mut Tx,
    record: &GrantRecord,
    uses: &HashMap<GrantId, (u64, Timestamp)>,
    now: Timestamp,
) -> Result<GrantView, StoreError> {
    let grant = Grant::from_bytes(record.document.as_bytes());
    let (state, rung) = standing_of(tx, record, now).await?;
    let used = uses.get(&record.id);
    Ok(GrantView {
        id: record.id.to_string(),
        policy: record.policy.clone(),
        summary: grant.map_or_else(|error| error.to_string(), |grant| grant.summary()),
        rung,
        used: used.map_or(0, |(count, _)| *count),
        last_used_ms: used.map(|(_, at)| at.unix_ms()),
        state,
        expires_ms: record.expires_at.unix_ms(),
        keys: record
            .signatures
            .iter()
            .map(|one| one.key.to_string())
            .collect(),
        created_ms: record.created_at.unix_ms(),
        created_by: record.created_by.clone(),
        withdrawn_ms: record.withdrawn.as_ref().map(|(at, _)| at.unix_ms()),
        withdrawn_by: record.withdrawn.as_ref().map(|(_, by)| by.clone()),
        has_signed_end: record.end.is_some(),
    })
}
