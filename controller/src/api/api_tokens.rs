//! `/api/v1/api-tokens`: who may use this API, by name and role. A name stands for a person: whoever holds two tokens of one
//! name is one.

use std::sync::Arc;
use std::time::Duration;

use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::{Extension, Json};
use tidemark_model::audit_log::Deed;
use tidemark_model::notice::NoticeKind;
use tidemark_model::token::TokenId;
use tidemark_model::view::{ApiTokenCreated, ApiTokenRequest, ApiTokenView, Page, Problem};
use tidemark_model::{ErrorCode, HostScope, Role, Timestamp};
use tidemark_store::ApiToken;

use super::body::{self, Invalid, Request};
use super::fleet;
use super::guard::Asking;
use super::params::Params;
use super::problem::{Answer, ApiProblem};
use super::seen::SeenPage;
use crate::access::users::wider_problem;
use crate::access::{Holder, TTL_LIMITS, holder_problem};
use crate::app::App;

/// Makes an API token; its secret is shown this once.
#[utoipa::path(
    post,
    path = "/api/v1/api-tokens",
    tag = "tokens",
    request_body = ApiTokenRequest,
    responses(
        (status = 201, description = "The token.", body = ApiTokenCreated),
        (status = 400, description = "A value is out of limits.", body = Problem, content_type = "application/problem+json"),
        (status = "default", description = "A problem.", body = Problem, content_type = "application/problem+json"),
    )
)]
pub async fn create(
    State(app): State<Arc<App>>,
    Extension(asking): Extension<Asking>,
    (params, headers, body): Request,
) -> Answer<(StatusCode, Json<ApiTokenCreated>)> {
    params.only(&[])?;
    let request: ApiTokenRequest = body::json(&headers, &body, "the body is no API token request")?;
    let made = make(&app, &asking.scope(), &request).await?;
    Ok((StatusCode::CREATED, Json(made)))
}

/// Makes an API token for somebody whose own scope is `own`.
///
/// # Errors
/// When a value is out of limits, or the database fails.
pub async fn make(
    app: &App,
    own: &HostScope,
    request: &ApiTokenRequest,
) -> Answer<ApiTokenCreated> {
    let (holder, expires_at) = checked(request, own, app.clock.now())?;
    let key = app.make_api_key(holder.clone(), expires_at).await?;
    app.note(
        None,
        NoticeKind::TokenCreated,
        format!(
            "API token {} was made for {} as {}, for {}",
            key.id,
            holder.name,
            holder.role.as_str(),
            holder.scope
        ),
    );
    Ok(ApiTokenCreated {
        id: key.id.to_string(),
        token: key.expose_text(),
        name: holder.name.to_owned(),
        role: holder.role.as_str().to_owned(),
        expires_ms: expires_at.map(Timestamp::unix_ms),
        scope: holder.scope.to_text(),
    })
}

/// Says that there is no role of that name.
pub fn role_problem(name: &str) -> String {
    let names = Role::ALL.map(Role::as_str).join(", ");
    format!("role is {name:?}; it must be one of {names}")
}

/// Whose it is to be and until when. Whoever sees a part of the fleet gives away no more than that.
fn checked<'a>(
    request: &'a ApiTokenRequest,
    own: &HostScope,
    now: Timestamp,
) -> Result<(Holder<'a>, Option<Timestamp>), Invalid> {
    let mut problems = Vec::new();
    let scope = match &request.scope {
        None => own.clone(),
        Some(text) => HostScope::from_text(Some(text)).unwrap_or_else(|error| {
            problems.push(format!("scope: {error}"));
            own.clone()
        }),
    };
    problems.extend(wider_problem(&scope, own));
    problems.extend(holder_problem(&request.name));
    let role = Role::from_name(&request.role);
    if role.is_none() {
        problems.push(role_problem(&request.role));
    }
    let (least, most) = (TTL_LIMITS.0.as_secs(), TTL_LIMITS.1.as_secs());
    if request
        .ttl_s
        .is_some_and(|ttl_s| !(least..=most).contains(&ttl_s))
    {
        problems.push(format!(
            "ttl_s must be {least} to {most} (a year), or null for a token that does not expire"
        ));
    }
    let expires_at = request
        .ttl_s
        .map(|ttl_s| now.saturating_add(Duration::from_secs(ttl_s)));
    role.filter(|_| problems.is_empty())
        .map(|role| {
            let name = &*request.name;
            (Holder { name, role, scope }, expires_at)
        })
        .ok_or(Invalid(problems))
}

/// API tokens by id, without their secrets: those of the caller's scope.
#[utoipa::path(
    get,
    path = "/api/v1/api-tokens",
    tag = "tokens",
    params(
        ("limit" = Option<usize>, Query, description = "Rows of a page, 1 to 1000; 100 without it.", minimum = 1, maximum = 1000),
        ("cursor" = Option<String>, Query, description = "The next_cursor of the page before."),
    ),
    responses(
        (status = 200, description = "A page of API tokens.", body = Page<ApiTokenView>),
        (status = "default", description = "A problem.", body = Problem, content_type = "application/problem+json"),
    )
)]
pub async fn list(
    State(app): State<Arc<App>>,
    Extension(asking): Extension<Asking>,
    params: Params,
) -> Answer<Json<Page<ApiTokenView>>> {
    let params = params.only(&["limit", "cursor"])?;
    let limit = params.limit()?;
    let after: Option<TokenId> =
        params.parsed("cursor", fleet::cursor_limit, |text| text.parse().ok())?;
    let (items, next) = page(&app, &asking.scope(), (after, limit)).await?;
    let next_cursor = next.map(|id| id.to_string());
    Ok(Json(Page { items, next_cursor }))
}

/// A page of the tokens within the scope `own`, and after which the next one begins.
///
/// # Errors
/// What the database says.
pub async fn page(
    app: &App,
    own: &HostScope,
    (after, limit): (Option<TokenId>, usize),
) -> Answer<(Vec<ApiTokenView>, Option<TokenId>)> {
    let rows = u32::try_from(limit).unwrap_or(u32::MAX);
    let mut found = SeenPage::new(own, rows, after);
    let mut tx = app.store.read().await?;
    while let Some((after, rows)) = found.next_read() {
        let page = tx.api_tokens_page(after, rows).await?;
        found.take(page, |token| token.id, |token| token.scope.is_within(own));
    }
    let items = found.rows.into_iter().map(view).collect();
    Ok((items, found.next))
}

/// Revokes an API token; it is out with its next request.
#[utoipa::path(
    delete,
    path = "/api/v1/api-tokens/{id}",
    tag = "tokens",
    params(("id" = String, Path, description = "The token's public id.")),
    responses(
        (status = 204, description = "It is revoked."),
        (status = 404, description = "There is none.", body = Problem, content_type = "application/problem+json"),
        (status = "default", description = "A problem.", body = Problem, content_type = "application/problem+json"),
    )
)]
pub async fn revoke(
    State(app): State<Arc<App>>,
    Extension(asking): Extension<Asking>,
    Path(token): Path<String>,
    params: Params,
) -> Answer<StatusCode> {
    params.only(&[])?;
    revoke_one(&app, &asking.scope(), &token).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Revokes an API token within the scope `own`.
///
/// # Errors
/// When there is none, or the database fails.
pub async fn revoke_one(app: &App, own: &HostScope, token: &str) -> Answer<()> {
    let unknown = || {
        ApiProblem::new(
            ErrorCode::NotFound,
            "there is no such API token; the list of API tokens has their ids",
        )
    };
    let id: TokenId = token.parse().map_err(|_| unknown())?;
    let mut tx = app.store.begin().await?;
    let found = tx.api_token_find(id).await?.ok_or_else(unknown)?;
    if !found.scope.is_within(own) {
        return Err(unknown());
    }
    tx.api_token_revoke(id, app.clock.now()).await?;
    let record = app.record(Deed::ApiTokenRevoke, "api-tokens", id);
    record.keep(&mut tx).await?;
    Ok(tx.commit().await?)
}

/// An API token as listed.
#[must_use]
pub fn view(token: ApiToken) -> ApiTokenView {
    let ApiToken {
        id,
        secret_hash: _,
        name,
        role,
        scope,
        created_at,
        expires_at,
        revoked_at,
        last_used_at: _,
        owner,
    } = token;
    ApiTokenView {
        id: id.to_string(),
        name,
        role: role.as_str().to_owned(),
        created_ms: created_at.unix_ms(),
        expires_ms: expires_at.map(Timestamp::unix_ms),
        revoked_ms: revoked_at.map(Timestamp::unix_ms),
        scope: scope.to_text(),
        is_sign_in: owner.is_some(),
    }
}
