//! `/api/v1/actions`: what was asked for, and what became of it.

use axum::extract::Path;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::{Extension, Json};
use tidemark_model::Timestamp;
use tidemark_model::action::{Action, ActionId, ActionState, Approval, LifeStep};
use tidemark_model::signing::{KeyId, Signature};
use tidemark_model::view::{
    ActionDetail, ActionRequest, ActionView, ActionWord, ApprovalView, LifeStepView, Page, Problem,
    SignatureRequest,
};
use tidemark_store::{ActionQuery, StoreError};

use super::body::{self, Request};
use super::fleet;
use super::guard::Asking;
use super::params::{Params, invalid};
use super::problem::Answer;
use super::seen::SeenPage;
use crate::access::Horizon;
use crate::app::App;
use crate::keys::signature_view;
use crate::remediate::ActionError;
use crate::remediate::decide::{self, Word, approvals_needed};
use crate::remediate::propose::{Asked, Made, propose};

/// Steps of a life that are shown; a host that tells much is cut here.
const STEPS_MAX: u32 = 500;

/// Actions, newest first.
#[utoipa::path(
    get,
    path = "/api/v1/actions",
    tag = "actions",
    params(
        ("host" = Option<String>, Query, description = "Id or name."),
        ("state" = Option<String>, Query, description = "One state, or active for what has not ended."),
        ("incident" = Option<i64>, Query, description = "Number of the incident that they are for."),
        ("run" = Option<i64>, Query, description = "Number of the maintenance run that they are of."),
        ("limit" = Option<usize>, Query, description = "Rows of a page, 1 to 1000; 100 without it.", minimum = 1, maximum = 1000),
        ("cursor" = Option<String>, Query, description = "The next_cursor of the page before."),
    ),
    responses(
        (status = 200, description = "A page of actions.", body = Page<ActionView>),
        (status = "default", description = "A problem.", body = Problem, content_type = "application/problem+json"),
    )
)]
pub async fn list(horizon: Horizon, params: Params) -> Answer<Json<Page<ActionView>>> {
    let params = params.only(&["host", "state", "incident", "run", "limit", "cursor"])?;
    let limit = params.limit()?;
    let state = params.one("state")?;
    let known = state.and_then(ActionState::from_name);
    let only_open = state == Some("active");
    if let Some(text) = state.filter(|_| known.is_none() && !only_open) {
        let names: Vec<_> = ActionState::ALL.iter().map(|one| one.as_str()).collect();
        let names = names.join(", ");
        return Err(invalid("state", text, format!("active or one of {names}")).into());
    }
    let query = ActionQuery {
        before: params.parsed("cursor", fleet::cursor_limit, |text| text.parse().ok())?,
        state: known,
        only_open,
        host: params
            .one("host")?
            .map(|name| fleet::find_host(&horizon, name))
            .transpose()?,
        incident: params.number("incident", 1..=i64::MAX)?,
        run: params.number("run", 1..=i64::MAX)?,
        limit: u32::try_from(limit).unwrap_or(u32::MAX),
    };
    let found = page(&horizon, &query).await?;
    let view = |action| view(horizon.app(), action);
    Ok(Json(Page {
        items: found.rows.iter().map(view).collect(),
        next_cursor: found.next.map(|number| number.to_string()),
    }))
}

/// A page of actions on hosts that the caller sees.
///
/// # Errors
/// What the database says.
pub async fn page(
    horizon: &Horizon,
    query: &ActionQuery,
) -> Result<SeenPage<Action, i64>, StoreError> {
    let mut found = SeenPage::new(horizon.scope(), query.limit, query.before);
    let mut tx = horizon.app().store.read().await?;
    while let Some((before, limit)) = found.next_read() {
        let query = ActionQuery {
            before,
            limit,
            ..*query
        };
        let sees = |action: &Action| horizon.sees(action.order.host);
        found.take(tx.actions_page(&query).await?, |one| one.number, sees);
    }
    Ok(found)
}

/// Asks for an action in the caller's name. One that disturbs nobody is approved at once.
#[utoipa::path(
    post,
    path = "/api/v1/actions",
    tag = "actions",
    params(("Idempotency-Key" = Option<String>, Header, description = "The caller's own name for the request, 1 to 64 visible ASCII characters: asking again with it makes no second action.")),
    request_body = ActionRequest,
    responses(
        (status = 201, description = "The action.", body = ActionView),
        (status = 200, description = "The action that the same request made before.", body = ActionView),
        (status = 400, description = "A value is out of limits.", body = Problem, content_type = "application/problem+json"),
        (status = 403, description = "This controller runs on that host.", body = Problem, content_type = "application/problem+json"),
        (status = 404, description = "There is no such host.", body = Problem, content_type = "application/problem+json"),
        (status = 409, description = "The host is shut out, or the key belongs to another request.", body = Problem, content_type = "application/problem+json"),
        (status = 429, description = "Too many actions of that host have not ended.", body = Problem, content_type = "application/problem+json"),
        (status = "default", description = "A problem.", body = Problem, content_type = "application/problem+json"),
    )
)]
pub async fn create(
    horizon: Horizon,
    Extension(asking): Extension<Asking>,
    (params, headers, body): Request,
) -> Answer<(StatusCode, Json<ActionView>)> {
    params.only(&[])?;
    let request: ActionRequest = body::json(&headers, &body, "the body is no action")?;
    let key = headers
        .get("idempotency-key")
        .map(|key| key.to_str().unwrap_or_default());
    let asked = Asked {
        requester: asking.name(),
        horizon: Some(&horizon),
        host: fleet::find_host(&horizon, &request.host)?,
        request: &request,
        key,
    };
    let (action, made) = propose(horizon.app(), asked).await?;
    let status = match made {
        Made::Now => StatusCode::CREATED,
        Made::Before => StatusCode::OK,
    };
    Ok((status, Json(view(horizon.app(), &action))))
}

/// One action with its life, approvals, signatures and its host's last report.
#[utoipa::path(
    get,
    path = "/api/v1/actions/{action}",
    tag = "actions",
    params(("action" = String, Path, description = "Its id.")),
    responses(
        (status = 200, description = "The action.", body = ActionDetail),
        (status = 404, description = "There is none.", body = Problem, content_type = "application/problem+json"),
        (status = "default", description = "A problem.", body = Problem, content_type = "application/problem+json"),
    )
)]
pub async fn detail(
    horizon: Horizon,
    Path(action): Path<String>,
    params: Params,
) -> Answer<Json<ActionDetail>> {
    params.only(&[])?;
    let action = seen(&horizon, &action).await?;
    Ok(Json(find(horizon.app(), action.order.id).await?))
}

/// The exact bytes of an action's order, to be looked at and signed.
#[utoipa::path(
    get,
    path = "/api/v1/actions/{action}/order",
    tag = "actions",
    params(("action" = String, Path, description = "Its id.")),
    responses(
        (status = 200, description = "The order in its one form; sign these bytes and no others.", body = Object),
        (status = 404, description = "There is none.", body = Problem, content_type = "application/problem+json"),
        (status = "default", description = "A problem.", body = Problem, content_type = "application/problem+json"),
    )
)]
pub async fn order(
    horizon: Horizon,
    Path(action): Path<String>,
    params: Params,
) -> Answer<Response> {
    params.only(&[])?;
    let found = seen(&horizon, &action).await?;
    let kind = HeaderValue::from_static("application/json");
    Ok(([(header::CONTENT_TYPE, kind)], found.bytes).into_response())
}

/// Approves an action. Nobody approves what they asked for; tier 3 takes two people.
#[utoipa::path(
    post,
    path = "/api/v1/actions/{action}/approve",
    tag = "actions",
    params(("action" = String, Path, description = "Its id.")),
    request_body(content = ActionWord, description = "May be left out."),
    responses(
        (status = 200, description = "The action as it is then.", body = ActionDetail),
        (status = 403, description = "The caller asked for it.", body = Problem, content_type = "application/problem+json"),
        (status = 404, description = "There is none.", body = Problem, content_type = "application/problem+json"),
        (status = 409, description = "The caller approved it before, or it stands elsewhere.", body = Problem, content_type = "application/problem+json"),
        (status = "default", description = "A problem.", body = Problem, content_type = "application/problem+json"),
    )
)]
pub async fn approve(
    horizon: Horizon,
    Extension(asking): Extension<Asking>,
    Path(action): Path<String>,
    request: Request,
) -> Answer<Json<ActionDetail>> {
    say(&horizon, &asking, (&action, Word::Approve), request).await
}

/// Says no to an action that was not queued yet.
#[utoipa::path(
    post,
    path = "/api/v1/actions/{action}/reject",
    tag = "actions",
    params(("action" = String, Path, description = "Its id.")),
    request_body = ActionWord,
    responses(
        (status = 200, description = "The action as it is then.", body = ActionDetail),
        (status = 400, description = "The text is missing or too long.", body = Problem, content_type = "application/problem+json"),
        (status = 404, description = "There is none.", body = Problem, content_type = "application/problem+json"),
        (status = 409, description = "It stands elsewhere.", body = Problem, content_type = "application/problem+json"),
        (status = "default", description = "A problem.", body = Problem, content_type = "application/problem+json"),
    )
)]
pub async fn reject(
    horizon: Horizon,
    Extension(asking): Extension<Asking>,
    Path(action): Path<String>,
    request: Request,
) -> Answer<Json<ActionDetail>> {
    say(&horizon, &asking, (&action, Word::Reject), request).await
}

/// Takes back an action that was not sent yet.
#[utoipa::path(
    post,
    path = "/api/v1/actions/{action}/cancel",
    tag = "actions",
    params(("action" = String, Path, description = "Its id.")),
    request_body(content = ActionWord, description = "May be left out."),
    responses(
        (status = 200, description = "The action as it is then.", body = ActionDetail),
        (status = 404, description = "There is none.", body = Problem, content_type = "application/problem+json"),
        (status = 409, description = "Its host may have it, or it has ended.", body = Problem, content_type = "application/problem+json"),
        (status = "default", description = "A problem.", body = Problem, content_type = "application/problem+json"),
    )
)]
pub async fn cancel(
    horizon: Horizon,
    Extension(asking): Extension<Asking>,
    Path(action): Path<String>,
    request: Request,
) -> Answer<Json<ActionDetail>> {
    say(&horizon, &asking, (&action, Word::Cancel), request).await
}

/// Brings a signature of an action's order. Whether it holds, its host decides.
#[utoipa::path(
    post,
    path = "/api/v1/actions/{action}/signatures",
    tag = "actions",
    params(("action" = String, Path, description = "Its id.")),
    request_body = SignatureRequest,
    responses(
        (status = 200, description = "The action as it is then.", body = ActionDetail),
        (status = 400, description = "It is no signature.", body = Problem, content_type = "application/problem+json"),
        (status = 404, description = "There is no such action.", body = Problem, content_type = "application/problem+json"),
        (status = 409, description = "That key has signed it, or it takes no more signatures.", body = Problem, content_type = "application/problem+json"),
        (status = "default", description = "A problem.", body = Problem, content_type = "application/problem+json"),
    )
)]
pub async fn sign(
    horizon: Horizon,
    Extension(asking): Extension<Asking>,
    Path(action): Path<String>,
    (params, headers, body): Request,
) -> Answer<Json<ActionDetail>> {
    params.only(&[])?;
    body::check_json(&headers)?;
    let id = seen(&horizon, &action).await?.order.id;
    let request: SignatureRequest = body::parsed(&body, "the body is no signature")?;
    let signature = signature_of(&request.key_id, &request.signature)?;
    let app = horizon.app();
    decide::sign(app, id, signature, asking.name()).await?;
    Ok(Json(find(app, id).await?))
}

/// A signature from its two texts; both are told at once when both are wrong.
///
/// # Errors
/// When one of them is none.
pub(super) fn signature_of(key_id: &str, signature: &str) -> Result<Signature, ActionError> {
    let mut problems = Vec::new();
    let key = key_id.parse::<KeyId>();
    if let Err(error) = &key {
        problems.push(format!("key_id: {error}"));
    }
    let any = key.unwrap_or(KeyId::from_bytes([0; 8]));
    let read = Signature::from_base64(any, signature);
    if let Err(error) = &read {
        problems.push(format!("signature: {error}"));
    }
    read.ok()
        .filter(|_| problems.is_empty())
        .ok_or(ActionError::Limits(problems))
}

async fn say(
    horizon: &Horizon,
    asking: &Asking,
    (action, word): (&str, Word),
    (params, headers, body): Request,
) -> Answer<Json<ActionDetail>> {
    params.only(&[])?;
    let (app, id) = (horizon.app(), seen(horizon, action).await?.order.id);
    let what = "the body must be {\"text\": \"...\"}";
    let request: ActionWord = body::json_or_default(&headers, &body, what)?;
    decide::decide(app, id, (word, asking.name()), &request.text).await?;
    Ok(Json(find(app, id).await?))
}

/// The action of that id, when the caller sees its host; an action never moves to another one.
async fn seen(horizon: &Horizon, id: &str) -> Answer<Action> {
    let id: ActionId = id.parse().map_err(|_| ActionError::Unknown)?;
    let found = horizon.app().store.read().await?.action_find(id).await?;
    let found = found.filter(|action| horizon.sees(action.order.host));
    Ok(found.ok_or(ActionError::Unknown)?)
}

/// Everything about one action.
///
/// # Errors
/// When there is none, or the database fails.
pub async fn find(app: &App, id: ActionId) -> Answer<ActionDetail> {
    let mut tx = app.store.read().await?;
    let action = tx.action_find(id).await?.ok_or(ActionError::Unknown)?;
    let approvals = tx.action_approvals(id).await?;
    let signatures = tx.action_signatures(id).await?;
    let life = tx.action_steps(id, STEPS_MAX).await?;
    Ok(ActionDetail {
        action: view(app, &action),
        approvals: approvals.into_iter().map(approval).collect(),
        signatures: signatures.iter().map(signature_view).collect(),
        report: action.body.report,
        life: life.into_iter().map(life_step).collect(),
    })
}

/// An action as lists show it.
#[must_use]
pub fn view(app: &App, action: &Action) -> ActionView {
    let Action {
        order, body, state, ..
    } = action;
    let waits = matches!(state, ActionState::Approved | ActionState::Queued);
    let waits_for = if waits && app.remediation.is_locked() {
        Some("every action is stopped by the lockdown".to_owned())
    } else {
        body.waits_for.clone()
    };
    ActionView {
        id: order.id.to_string(),
        host: order.host.to_string(),
        host_name: app.live.name_of(order.host),
        summary: order.spec.summary(),
        spec: order.spec.clone(),
        tier: order.spec.tier(),
        dry_run: order.dry_run,
        state: *state,
        state_ms: body.state_at_ms.unix_ms(),
        requester: order.requester.clone(),
        reason: order.reason.clone(),
        incident: action.incident,
        run: action.run,
        approvals_needed: approvals_needed(action),
        issued_ms: order.issued_at_ms.unix_ms(),
        not_before_ms: order.not_before_ms.unix_ms(),
        expires_ms: order.expires_at_ms.unix_ms(),
        deadline_ms: action.deadline.map(Timestamp::unix_ms),
        sent_ms: action.sent_at.map(Timestamp::unix_ms),
        begun_ms: body.begun_at_ms.map(Timestamp::unix_ms),
        done_ms: body.done_at_ms.map(Timestamp::unix_ms),
        ended_ms: action.ended_at.map(Timestamp::unix_ms),
        waits_for,
        effect: body.effect.clone(),
    }
}

/// An approval as the API shows it.
pub(super) fn approval(approval: Approval) -> ApprovalView {
    ApprovalView {
        approver: approval.approver,
        at_ms: approval.at.unix_ms(),
        text: approval.text,
    }
}

fn life_step(step: LifeStep) -> LifeStepView {
    LifeStepView {
        at_ms: step.at.unix_ms(),
        from: step.from,
        to: step.to,
        by: step.by,
        text: step.text,
    }
}
