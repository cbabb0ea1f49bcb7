//! `/api/v1/recoveries`, `/api/v1/lockdown` and `/api/v1/hosts/{host}/policy`: what has worked, what may be done where, and
//! the switch that stops it all.

use std::sync::Arc;

use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::{Extension, Json};
use tidemark_model::Timestamp;
use tidemark_model::view::{
    HostPolicyAnswer, LockdownRequest, LockdownTurnView, LockdownView, Page, Problem, RecoveryView,
    UnlockRequest,
};
use tidemark_store::LockdownTurn;

use super::actions::signature_of;
use super::body::{self, Request};
use super::fleet;
use super::guard::Asking;
use super::params::Params;
use super::problem::Answer;
use crate::access::Horizon;
use crate::app::App;
use crate::remediate::lockdown::{self, Turn};
use crate::remediate::recovery;

/// Turns of the lockdown that are shown.
const TURNS_MAX: u32 = 20;

/// How well each kind of action has worked on each subject, over 180 d.
#[utoipa::path(
    get,
    path = "/api/v1/recoveries",
    tag = "actions",
    responses(
        (status = 200, description = "All rows, by kind and subject, on one page.", body = Page<RecoveryView>),
        (status = "default", description = "A problem.", body = Problem, content_type = "application/problem+json"),
    )
)]
pub async fn recoveries(
    State(app): State<Arc<App>>,
    params: Params,
) -> Answer<Json<Page<RecoveryView>>> {
    params.only(&[])?;
    Ok(Json(Page {
        items: recovery::recoveries(&app).await?,
        next_cursor: None,
    }))
}

/// What a host lets be done to it, as it told last. The host itself decides.
#[utoipa::path(
    get,
    path = "/api/v1/hosts/{host}/policy",
    tag = "actions",
    params(("host" = String, Path, description = "Id or name.")),
    responses(
        (status = 200, description = "Its policy.", body = HostPolicyAnswer),
        (status = 404, description = "There is no such host.", body = Problem, content_type = "application/problem+json"),
        (status = 409, description = "More than one has that name; the title names their ids.", body = Problem, content_type = "application/problem+json"),
        (status = "default", description = "A problem.", body = Problem, content_type = "application/problem+json"),
    )
)]
pub async fn policy(
    horizon: Horizon,
    Path(host): Path<String>,
    params: Params,
) -> Answer<Json<HostPolicyAnswer>> {
    params.only(&[])?;
    let id = fleet::find_host(&horizon, &host)?;
    let app = horizon.app();
    let told = app.store.read().await?.host_policy(id).await?;
    Ok(Json(HostPolicyAnswer {
        host: id.to_string(),
        host_name: app.live.name_of(id),
        takes_actions: app.remediation.lanes.takes_actions(id),
        told_ms: told.as_ref().map(|(at, _)| at.unix_ms()),
        policy: told.map(|(_, policy)| policy),
    }))
}

/// Whether every action is stopped, by whom and why.
#[utoipa::path(
    get,
    path = "/api/v1/lockdown",
    tag = "actions",
    responses(
        (status = 200, description = "How it stands, with its last turns.", body = LockdownView),
        (status = "default", description = "A problem.", body = Problem, content_type = "application/problem+json"),
    )
)]
pub async fn lockdown(horizon: Horizon, params: Params) -> Answer<Json<LockdownView>> {
    params.only(&[])?;
    let mut stands = stands(horizon.app()).await?;
    if !horizon.scope().is_all() {
        // People write names of hosts into reasons.
        stands.reason = None;
        stands.turns.clear();
    }
    Ok(Json(stands))
}

/// Stops every action everywhere, at once and through restarts, until it is lifted.
#[utoipa::path(
    post,
    path = "/api/v1/lockdown",
    tag = "actions",
    request_body = LockdownRequest,
    responses(
        (status = 200, description = "How it stands.", body = LockdownView),
        (status = 400, description = "The reason is missing or too long.", body = Problem, content_type = "application/problem+json"),
        (status = "default", description = "A problem.", body = Problem, content_type = "application/problem+json"),
    )
)]
pub async fn lock(
    State(app): State<Arc<App>>,
    Extension(asking): Extension<Asking>,
    request: Request,
) -> Answer<Json<LockdownView>> {
    turn(&app, &asking, Turn::Stop, request).await
}

/// Lets actions go on. A host whose policy lists keys goes on only with a signature of one of them.
#[utoipa::path(
    post,
    path = "/api/v1/lockdown/lift",
    tag = "actions",
    request_body = LockdownRequest,
    responses(
        (status = 200, description = "How it stands.", body = LockdownView),
        (status = 400, description = "The reason is missing or too long.", body = Problem, content_type = "application/problem+json"),
        (status = "default", description = "A problem.", body = Problem, content_type = "application/problem+json"),
    )
)]
pub async fn lift(
    State(app): State<Arc<App>>,
    Extension(asking): Extension<Asking>,
    request: Request,
) -> Answer<Json<LockdownView>> {
    turn(&app, &asking, Turn::GoOn, request).await
}

/// Brings the signed end of one host's lockdown to it. Whether it holds, the host decides.
#[utoipa::path(
    post,
    path = "/api/v1/hosts/{host}/unlock",
    tag = "actions",
    params(("host" = String, Path, description = "Id or name.")),
    request_body = UnlockRequest,
    responses(
        (status = 204, description = "It is on its way."),
        (status = 400, description = "It is no signature.", body = Problem, content_type = "application/problem+json"),
        (status = 404, description = "There is no such host.", body = Problem, content_type = "application/problem+json"),
        (status = 409, description = "Every action is stopped, or the host is not here.", body = Problem, content_type = "application/problem+json"),
        (status = "default", description = "A problem.", body = Problem, content_type = "application/problem+json"),
    )
)]
pub async fn unlock(
    horizon: Horizon,
    Extension(asking): Extension<Asking>,
    Path(host): Path<String>,
    (params, headers, body): Request,
) -> Answer<StatusCode> {
    params.only(&[])?;
    body::check_json(&headers)?;
    let id = fleet::find_host(&horizon, &host)?;
    let request: UnlockRequest = body::parsed(&body, "the body is no end of a lockdown")?;
    let signature = signature_of(&request.key_id, &request.signature)?;
    let issued_at = Timestamp::from_unix_ms(request.issued_at_ms);
    lockdown::unlock(horizon.app(), id, (issued_at, signature), asking.name()).await?;
    Ok(StatusCode::NO_CONTENT)
}

async fn turn(
    app: &App,
    asking: &Asking,
    to: Turn,
    (params, headers, body): Request,
) -> Answer<Json<LockdownView>> {
    params.only(&[])?;
    let what = "the body must be {\"reason\": \"...\"}";
    let request: LockdownRequest = body::json(&headers, &body, what)?;
    lockdown::turn(app, to, asking.name(), &request.reason).await?;
    Ok(Json(stands(app).await?))
}

async fn stands(app: &App) -> Answer<LockdownView> {
    let turns = lockdown::turns(app, TURNS_MAX).await?;
    let last = turns.first();
    Ok(LockdownView {
        on: last.is_some_and(|turn| turn.is_stop),
        since_ms: last.map(|turn| turn.at).map(Timestamp::unix_ms),
        by: last.map(|turn| turn.author.clone()),
        reason: last.map(|turn| turn.reason.clone()),
        turns: turns.iter().map(turn_view).collect(),
    })
}

fn turn_view(turn: &LockdownTurn) -> LockdownTurnView {
    LockdownTurnView {
        at_ms: turn.at.unix_ms(),
        on: turn.is_stop,
        by: turn.author.clone(),
        reason: turn.reason.clone(),
    }
}
