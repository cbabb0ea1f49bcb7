//! `/api/v1/tokens`: join tokens.

use std::sync::Arc;
use std::time::Duration;

use axum::Json;
use axum::body::Bytes;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, StatusCode};
use tidemark_model::ErrorCode;
use tidemark_model::audit_log::Deed;
use tidemark_model::token::TokenId;
use tidemark_model::view::{JoinTokenCreated, JoinTokenRequest, JoinTokenView, Page, Problem};
use tidemark_store::JoinTokenRecord;

use super::body::{self, Invalid};
use super::fleet;
use super::labels;
use super::params::Params;
use super::problem::{Answer, ApiProblem};
use crate::app::App;
use crate::tokens::{TTL_MAX, TTL_MIN};

/// Hosts that may enrol with one token, at most.
pub const USES_MAX: u32 = 100_000;

/// Makes a join token; its secret is shown this once.
#[utoipa::path(
    post,
    path = "/api/v1/tokens",
    tag = "tokens",
    request_body = JoinTokenRequest,
    responses(
        (status = 201, description = "The token.", body = JoinTokenCreated),
        (status = 400, description = "A value is out of limits.", body = Problem, content_type = "application/problem+json"),
        (status = "default", description = "A problem.", body = Problem, content_type = "application/problem+json"),
    )
)]
pub async fn create(
    State(app): State<Arc<App>>,
    params: Params,
    headers: HeaderMap,
    body: Bytes,
) -> Answer<(StatusCode, Json<JoinTokenCreated>)> {
    params.only(&[])?;
    let request: JoinTokenRequest =
        body::json(&headers, &body, "the body is no join token request")?;
    Ok((StatusCode::CREATED, Json(make(&app, request).await?)))
}

/// Makes a join token.
///
/// # Errors
/// When a value is out of limits, or the database fails.
pub async fn make(app: &App, request: JoinTokenRequest) -> Answer<JoinTokenCreated> {
    check(&request)?;
    let made = app
        .make_join_token(
            Duration::from_secs(request.ttl_s),
            request.uses,
            request.labels,
        )
        .await?;
    Ok(JoinTokenCreated {
        id: made.token.id.to_string(),
        token: made.token.expose_text(),
        expires_ms: made.expires_at.unix_ms(),
        uses: request.uses,
        controller: app.agents_address.clone(),
    })
}

/// Join tokens by id, without their secrets.
#[utoipa::path(
    get,
    path = "/api/v1/tokens",
    tag = "tokens",
    params(
        ("limit" = Option<usize>, Query, description = "Rows of a page, 1 to 1000; 100 without it.", minimum = 1, maximum = 1000),
        ("cursor" = Option<String>, Query, description = "The next_cursor of the page before."),
    ),
    responses(
        (status = 200, description = "A page of join tokens.", body = Page<JoinTokenView>),
        (status = "default", description = "A problem.", body = Problem, content_type = "application/problem+json"),
    )
)]
pub async fn list(
    State(app): State<Arc<App>>,
    params: Params,
) -> Answer<Json<Page<JoinTokenView>>> {
    let params = params.only(&["limit", "cursor"])?;
    let limit = params.limit()?;
    let after: Option<TokenId> =
        params.parsed("cursor", fleet::cursor_limit, |text| text.parse().ok())?;
    let mut tx = app.store.read().await?;
    let records = tx
        .join_tokens_page(after, u32::try_from(limit).unwrap_or(u32::MAX))
        .await?;
    let next_cursor = fleet::cursor_after(&records, limit, |record| record.id.to_string());
    Ok(Json(Page {
        items: records.into_iter().map(view).collect(),
        next_cursor,
    }))
}

/// Ends a join token; hosts that enrolled with it stay.
#[utoipa::path(
    delete,
    path = "/api/v1/tokens/{id}",
    tag = "tokens",
    params(("id" = String, Path, description = "The token's public id.")),
    responses(
        (status = 204, description = "It is ended."),
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

/// Ends a join token.
///
/// # Errors
/// When there is none, or the database fails.
pub async fn revoke_one(app: &App, token: &str) -> Answer<()> {
    let id: TokenId = token.parse().map_err(|_| {
        ApiProblem::new(
            ErrorCode::NotFound,
            "there is no such join token; the list of tokens has their ids",
        )
    })?;
    let mut tx = app.store.begin().await?;
    tx.join_token_revoke(id, app.clock.now()).await?;
    let record = app.record(Deed::JoinTokenRevoke, "tokens", id);
    record.keep(&mut tx).await?;
    Ok(tx.commit().await?)
}

fn check(request: &JoinTokenRequest) -> Result<(), Invalid> {
    let mut problems = Vec::new();
    if !(TTL_MIN.as_secs()..=TTL_MAX.as_secs()).contains(&request.ttl_s) {
        problems.push(format!(
            "ttl_s is {}; it must be {} to {} (30 days)",
            request.ttl_s,
            TTL_MIN.as_secs(),
            TTL_MAX.as_secs()
        ));
    }
    if !(1..=USES_MAX).contains(&request.uses) {
        problems.push(format!(
            "uses is {}; it must be 1 to {USES_MAX}; make a second token for more hosts",
            request.uses
        ));
    }
    problems.extend(labels::problems(&request.labels));
    if problems.is_empty() {
        Ok(())
    } else {
        Err(Invalid(problems))
    }
}

/// A join token as listed.
#[must_use]
pub fn view(record: JoinTokenRecord) -> JoinTokenView {
    let JoinTokenRecord {
        id,
        secret_hash: _,
        created_at,
        expires_at,
        uses_max,
        uses,
        revoked_at,
        labels,
    } = record;
    JoinTokenView {
        id: id.to_string(),
        created_ms: created_at.unix_ms(),
        expires_ms: expires_at.unix_ms(),
        uses_max,
        used: uses,
        revoked: revoked_at.is_some(),
        labels,
    }
}
