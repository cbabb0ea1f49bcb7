//! `/api/v1/keys` and `/api/v1/key-statements`: whose signatures hosts take, and what operators signed about that.

use std::sync::Arc;

use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::{Extension, Json};
use tidemark_model::key_statement::StatementId;
use tidemark_model::signing::{SIGNATURES_MAX, Signature};
use tidemark_model::view::{
    FleetKeyView, KeyStatementRequest, KeyStatementView, Page, Problem, SignatureRequest,
};

use super::actions::signature_of;
use super::body::{self, Request};
use super::guard::Asking;
use super::params::Params;
use super::problem::Answer;
use crate::app::App;
use crate::keys::bring::{self, Brought};
use crate::keys::{KeyError, overview};
use crate::remediate::ActionError;

/// Every key that hosts list, with how they stand to it and who uses it.
#[utoipa::path(
    get,
    path = "/api/v1/keys",
    tag = "keys",
    responses(
        (status = 200, description = "All keys, by id, on one page.", body = Page<FleetKeyView>),
        (status = "default", description = "A problem.", body = Problem, content_type = "application/problem+json"),
    )
)]
pub async fn list(State(app): State<Arc<App>>, params: Params) -> Answer<Json<Page<FleetKeyView>>> {
    params.only(&[])?;
    let mut tx = app.store.read().await?;
    Ok(Json(Page {
        items: overview::keys(&app, &mut tx).await?,
        next_cursor: None,
    }))
}

/// Revocations and rotations that were brought, newest first, with what hosts made of them.
#[utoipa::path(
    get,
    path = "/api/v1/key-statements",
    tag = "keys",
    responses(
        (status = 200, description = "All statements on one page.", body = Page<KeyStatementView>),
        (status = "default", description = "A problem.", body = Problem, content_type = "application/problem+json"),
    )
)]
pub async fn statements(
    State(app): State<Arc<App>>,
    params: Params,
) -> Answer<Json<Page<KeyStatementView>>> {
    params.only(&[])?;
    let mut tx = app.store.read().await?;
    Ok(Json(Page {
        items: overview::statements(&app, &mut tx).await?,
        next_cursor: None,
    }))
}

/// One statement.
#[utoipa::path(
    get,
    path = "/api/v1/key-statements/{statement}",
    tag = "keys",
    params(("statement" = String, Path, description = "Its id.")),
    responses(
        (status = 200, description = "The statement.", body = KeyStatementView),
        (status = 404, description = "There is none.", body = Problem, content_type = "application/problem+json"),
        (status = "default", description = "A problem.", body = Problem, content_type = "application/problem+json"),
    )
)]
pub async fn detail(
    State(app): State<Arc<App>>,
    Path(statement): Path<String>,
    params: Params,
) -> Answer<Json<KeyStatementView>> {
    params.only(&[])?;
    Ok(Json(find(&app, id_of(&statement)?).await?))
}

/// Brings a revocation or a rotation that operators signed, to be carried to the hosts that list the key. Whether one follows
/// it, that host decides.
#[utoipa::path(
    post,
    path = "/api/v1/key-statements",
    tag = "keys",
    request_body = KeyStatementRequest,
    responses(
        (status = 201, description = "It is kept and on its way.", body = KeyStatementView),
        (status = 200, description = "The very same was brought before.", body = KeyStatementView),
        (status = 400, description = "It is no statement, or no listed key signed it.", body = Problem, content_type = "application/problem+json"),
        (status = 404, description = "No host lists the key.", body = Problem, content_type = "application/problem+json"),
        (status = 409, description = "A key signed it twice.", body = Problem, content_type = "application/problem+json"),
        (status = 429, description = "As many statements are kept as can be.", body = Problem, content_type = "application/problem+json"),
        (status = "default", description = "A problem.", body = Problem, content_type = "application/problem+json"),
    )
)]
pub async fn create(
    State(app): State<Arc<App>>,
    Extension(asking): Extension<Asking>,
    (params, headers, body): Request,
) -> Answer<(StatusCode, Json<KeyStatementView>)> {
    params.only(&[])?;
    body::check_json(&headers)?;
    let request: KeyStatementRequest = body::parsed(&body, "the body is no signed statement")?;
    let signatures = signatures_of(&request.signatures)?;
    let signed = (request.statement.as_bytes(), signatures.as_slice());
    let (stored, brought) = bring::bring(&app, signed, asking.name()).await?;
    let status = match brought {
        Brought::Now => StatusCode::CREATED,
        Brought::Before => StatusCode::OK,
    };
    Ok((status, Json(find(&app, stored.signed.id()).await?)))
}

/// Adds a signature to a statement: a rotation of a key of tier 3 takes one of another key.
#[utoipa::path(
    post,
    path = "/api/v1/key-statements/{statement}/signatures",
    tag = "keys",
    params(("statement" = String, Path, description = "Its id.")),
    request_body = SignatureRequest,
    responses(
        (status = 200, description = "The statement as it is then.", body = KeyStatementView),
        (status = 400, description = "It is no signature of it, or by no listed key.", body = Problem, content_type = "application/problem+json"),
        (status = 404, description = "There is no such statement.", body = Problem, content_type = "application/problem+json"),
        (status = 409, description = "That key has signed it.", body = Problem, content_type = "application/problem+json"),
        (status = "default", description = "A problem.", body = Problem, content_type = "application/problem+json"),
    )
)]
pub async fn sign(
    State(app): State<Arc<App>>,
    Extension(asking): Extension<Asking>,
    Path(statement): Path<String>,
    (params, headers, body): Request,
) -> Answer<Json<KeyStatementView>> {
    params.only(&[])?;
    body::check_json(&headers)?;
    let id = id_of(&statement)?;
    let request: SignatureRequest = body::parsed(&body, "the body is no signature")?;
    let signature = signature_of(&request.key_id, &request.signature)?;
    bring::sign(&app, id, signature, asking.name()).await?;
    Ok(Json(find(&app, id).await?))
}

async fn find(app: &App, id: StatementId) -> Answer<KeyStatementView> {
    let mut tx = app.store.read().await?;
    let found = overview::statement(app, &mut tx, id).await?;
    Ok(found.ok_or(KeyError::Unknown)?)
}

fn id_of(text: &str) -> Result<StatementId, KeyError> {
    text.parse().map_err(|_| KeyError::Unknown)
}

fn signatures_of(brought: &[SignatureRequest]) -> Result<Vec<Signature>, ActionError> {
    // What is beyond the limit is counted, not read.
    let first = brought.iter().take(SIGNATURES_MAX.saturating_add(1));
    first
        .map(|one| signature_of(&one.key_id, &one.signature))
        .collect()
}
