//! `/api/v1/api-tokens`: who may use this API, by name and role. A name stands for a person: whoever holds two tokens of one
//! name is one.

use std::sync::Arc;
use std::time::Duration;

use axum::Json;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use tidemark_model::audit_log::Deed;
use tidemark_model::notice::NoticeKind;
use tidemark_model::token::TokenId;
use tidemark_model::view::{ApiTokenCreated, ApiTokenRequest, ApiTokenView, Page, Problem};
use tidemark_model::{ErrorCode, Role, Timestamp};
use tidemark_store::ApiToken;

use super::body::{self, Invalid, Request};
use super::fleet;
use super::params::Params;
use super::problem::{Answer, ApiProblem};
use crate::access::{TTL_LIMITS, holder_problem};
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
    (params, headers, body): Request,
) -> Answer<(StatusCode, Json<ApiTokenCreated>)> {
    params.only(&[])?;
    let request: ApiTokenRequest = body::json(&headers, &body, "the body is no API token request")?;
    Ok((StatusCode::CREATED, Json(make(&app, &request).await?)))
}

/// Makes an API token.
///
/// # Errors
/// When a value is out of limits, or the database fails.
pub async fn make(app: &App, request: &ApiTokenRequest) -> Answer<ApiTokenCreated> {
    let (role, expires_at) = checked(request, app.clock.now())?;
    let key = app.make_api_key(&request.name, role, expires_at).await?;
    app.note(
        None,
        NoticeKind::TokenCreated,
        format!(
            "API token {} was made for {} as {}",
            key.id,
            request.name,
            role.as_str()
        ),
    );
    Ok(ApiTokenCreated {
        id: key.id.to_string(),
        token: key.expose_text(),
        name: request.name.clone(),
        role: role.as_str().to_owned(),
        expires_ms: expires_at.map(Timestamp::unix_ms),
    })
}

/// Says that there is no role of that name.
pub fn role_problem(name: &str) -> String {
    let names = Role::ALL.map(Role::as_str).join(", ");
    format!("role is {name:?}; it must be one of {names}")
}

fn checked(
    request: &ApiTokenRequest,
    now: Timestamp,
) -> Result<(Role, Option<Timestamp>), Invalid> {
    let mut problems = Vec::new();
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
        .map(|role| (role, expires_at))
        .ok_or(Invalid(problems))
}

/// API tokens by id, without their secrets.
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
pub async fn list(State(app): State<Arc<App>>, params: Params) -> Answer<Json<Page<ApiTokenView>>> {
    let params = params.only(&["limit", "cursor"])?;
    let limit = params.limit()?;
    let after: Option<TokenId> =
        params.parsed("cursor", fleet::cursor_limit, |text| text.parse().ok())?;
    let rows = u32::try_from(limit).unwrap_or(u32::MAX);
    let tokens = app.store.read().await?.api_tokens_page(after, rows).await?;
    let next_cursor = fleet::cursor_after(&tokens, limit, |token| token.id.to_string());
    Ok(Json(Page {
        items: tokens.into_iter().map(view).collect(),
        next_cursor,
    }))
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
    Path(token): Path<String>,
    params: Params,
) -> Answer<StatusCode> {
    params.only(&[])?;
    revoke_one(&app, &token).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Revokes an API token.
///
/// # Errors
/// When there is none, or the database fails.
pub async fn revoke_one(app: &App, token: &str) -> Answer<()> {
    let id: TokenId = token.parse().map_err(|_| {
        ApiProblem::new(
            ErrorCode::NotFound,
            "there is no such API token; the list of API tokens has their ids",
        )
    })?;
    let mut tx = app.store.begin().await?;
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
        is_sign_in: owner.is_some(),
    }
}
