//! `/api/v1/me` and `/api/v1/sign-in`: who asks, their own password, and a token for a name and a password.

use std::sync::Arc;

use axum::extract::State;
use axum::http::StatusCode;
use axum::{Extension, Json};
use tidemark_model::view::{
    ApiTokenCreated, MeView, OwnPasswordRequest, PasswordText, Problem, SignInRequest,
};
use tidemark_model::{ErrorCode, Timestamp};

use super::body::{self, Request};
use super::connection::Peer;
use super::guard::Asking;
use super::params::Params;
use super::problem::{Answer, ApiProblem};
use crate::access::sign_in::{self, Attempt};
use crate::access::users::{self, UserError};
use crate::access::{Caller, Credential, Horizon};
use crate::app::App;

/// Who asks, what they may do, and to which hosts.
#[utoipa::path(
    get,
    path = "/api/v1/me",
    tag = "users",
    responses(
        (status = 200, description = "Who asks.", body = MeView),
        (status = "default", description = "A problem.", body = Problem, content_type = "application/problem+json"),
    )
)]
pub async fn me(
    State(app): State<Arc<App>>,
    Extension(asking): Extension<Asking>,
    params: Params,
) -> Answer<Json<MeView>> {
    params.only(&[])?;
    Ok(Json(view(&app, &asking).await?))
}

/// Changes the password of whoever asks; whatever else is signed in as them ends.
#[utoipa::path(
    put,
    path = "/api/v1/me/password",
    tag = "users",
    request_body = OwnPasswordRequest,
    responses(
        (status = 204, description = "It is changed."),
        (status = 400, description = "The new one is not taken.", body = Problem, content_type = "application/problem+json"),
        (status = 403, description = "The current one is wrong.", body = Problem, content_type = "application/problem+json"),
        (status = 409, description = "Who asks is no user.", body = Problem, content_type = "application/problem+json"),
        (status = "default", description = "A problem.", body = Problem, content_type = "application/problem+json"),
    )
)]
pub async fn change_password(
    State(app): State<Arc<App>>,
    Extension(asking): Extension<Asking>,
    Extension(peer): Extension<Peer>,
    (params, headers, body): Request,
) -> Answer<StatusCode> {
    params.only(&[])?;
    let request: OwnPasswordRequest = body::json(&headers, &body, "the body is no password")?;
    change(&app, &asking, peer, &request).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Makes an API token for a user's name and password: of their role, for 12 h, ending with them.
#[utoipa::path(
    post,
    path = "/api/v1/sign-in",
    tag = "users",
    security(()),
    request_body = SignInRequest,
    responses(
        (status = 201, description = "The token; it is shown this once.", body = ApiTokenCreated),
        (status = 401, description = "They do not let anybody in.", body = Problem, content_type = "application/problem+json"),
        (status = 429, description = "Too many tries; Retry-After says when the next is taken.", body = Problem, content_type = "application/problem+json"),
        (status = "default", description = "A problem.", body = Problem, content_type = "application/problem+json"),
    )
)]
pub async fn sign_in(
    State(app): State<Arc<App>>,
    Extension(peer): Extension<Peer>,
    (params, headers, body): Request,
) -> Answer<(StatusCode, Json<ApiTokenCreated>)> {
    params.only(&[])?;
    let request: SignInRequest = body::json(&headers, &body, "the body is no sign-in")?;
    let attempt = attempt(&request.name, &request.password, peer);
    let (key, user, expires_at) = sign_in::for_token(&app, attempt).await?;
    let created = ApiTokenCreated {
        scope: user.scope.to_text(),
        id: key.id.to_string(),
        token: key.expose_text(),
        name: user.name,
        role: user.role.as_str().to_owned(),
        expires_ms: Some(expires_at.unix_ms()),
    };
    Ok((StatusCode::CREATED, Json(created)))
}

/// A try with that name and password.
pub fn attempt(name: &str, password: &PasswordText, peer: Peer) -> Attempt {
    Attempt {
        name: name.to_owned(),
        password: password.secret(),
        address: peer.address.ip(),
    }
}

/// Who asks.
///
/// # Errors
/// What the database says.
pub async fn view(app: &App, asking: &Asking) -> Answer<MeView> {
    let (credential, caller, horizon) = who(asking)?;
    let has_password = match &caller.user {
        None => false,
        Some(name) => {
            let found = app.store.read().await?.user_find(name).await?;
            found.is_some_and(|user| user.password_hash.is_some())
        }
    };
    let (by, id) = match credential {
        Credential::Token(id) => ("api_token", id),
        Credential::Browser(id) => ("session", id),
    };
    Ok(MeView {
        name: caller.name.clone(),
        role: caller.role.as_str().to_owned(),
        by: by.to_owned(),
        id: id.to_string(),
        is_user: caller.user.is_some(),
        has_password,
        expires_ms: caller.ends_at.map(Timestamp::unix_ms),
        scope: caller.scope.to_text(),
        hosts: Some(horizon.count() as u64),
    })
}

/// Changes the password of whoever asks.
///
/// # Errors
/// Why not.
pub async fn change(
    app: &Arc<App>,
    asking: &Asking,
    peer: Peer,
    request: &OwnPasswordRequest,
) -> Answer<()> {
    let (credential, caller, _) = who(asking)?;
    let name = caller
        .user
        .clone()
        .ok_or(UserError::NoUser(match credential {
            Credential::Token(_) => "an API token that stands for itself",
            Credential::Browser(_) => "a link or an API token",
        }))?;
    let current = attempt(&name, &request.current, peer);
    let new = request.new.secret();
    users::change_own_password(app, credential, current, new).await?;
    Ok(())
}

fn who(asking: &Asking) -> Answer<(Credential, &Caller, &Horizon)> {
    let parts = (asking.credential, &asking.caller, &asking.horizon);
    let (Some(credential), Some(caller), Some(horizon)) = parts else {
        return Err(ApiProblem::new(ErrorCode::Unauthenticated, "sign in first"));
    };
    Ok((credential, caller, horizon))
}
