//! Signing a browser in with a code of the quick start or with an API token, and out again.

use std::sync::Arc;

use askama::Template;
use axum::Extension;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, HeaderName, StatusCode, header};
use axum::response::{IntoResponse, Redirect, Response};
use tidemark_model::{HostScope, Role};

use super::page;
use crate::access::browser::SESSION_LIFE;
use crate::access::{ApiKey, Caller, Credential, SignedInBy, Vouched};
use crate::api::connection::{Peer, Transport};
use crate::api::guard::Asking;
use crate::api::params::Params;
use crate::api::problem::{Answer, ApiProblem};
use crate::app::App;

/// Name of the cookie; with TLS the prefix binds it to this host and to TLS (RFC 6265bis, section 4.1.3.2).
const fn cookie_name(transport: Transport) -> &'static str {
    match transport {
        Transport::Plain => "tidemark-session",
        Transport::Tls => "__Host-tidemark-session",
    }
}

/// The value of the session's cookie.
pub fn cookie_of(headers: &HeaderMap, transport: Transport) -> Option<&str> {
    headers
        .get_all(header::COOKIE)
        .iter()
        .filter_map(|cookies| cookies.to_str().ok())
        .flat_map(|cookies| cookies.split(';'))
        .filter_map(|cookie| cookie.trim().split_once('='))
        .find(|(name, _)| *name == cookie_name(transport))
        .map(|(_, value)| value)
}

/// `GET /login`: with a code of the quick start it signs in; without one it asks.
pub async fn with_code(
    State(app): State<Arc<App>>,
    Extension(peer): Extension<Peer>,
    params: Params,
) -> Answer<Response> {
    let params = params.only(&["code"])?;
    let Some(code) = params.one("code")? else {
        return Ok(sign_in_page(None));
    };
    if !app.login_codes.is_valid(code) {
        return Ok(refused(
            "This link is not valid any more: it ends when the controller does. The running controller's terminal shows the valid one.",
        ));
    }
    let caller = Caller {
        name: "this machine".to_owned(),
        role: Role::Admin,
        scope: HostScope::All,
        vouched: Vouched::Now,
    };
    signed_in(&app, peer, caller, SignedInBy::Code)
}

/// `POST /login`: signs in with the API token of the form.
pub async fn with_token(
    State(app): State<Arc<App>>,
    Extension(peer): Extension<Peer>,
    body: Bytes,
) -> Answer<Response> {
    // A token is of letters, digits and dots alone, so the form's encoding leaves it as it is.
    let text = String::from_utf8_lossy(&body);
    let token = text
        .split('&')
        .find_map(|field| field.strip_prefix("token="))
        .map(|token| token.trim_matches(|c: char| c == '+' || c.is_whitespace()))
        .unwrap_or_default();
    let Ok(key) = token.parse::<ApiKey>() else {
        return Ok(refused(
            "That is no API token. It has the form tma1.<id>.<secret>.",
        ));
    };
    let Some(caller) = app.caller_of(&key).await? else {
        return Ok(refused(
            "This API token is unknown, expired or revoked. An admin can make a new one.",
        ));
    };
    signed_in(&app, peer, caller, SignedInBy::Token(key.id))
}

/// `POST /logout`: ends the browser's session.
pub async fn out(
    State(app): State<Arc<App>>,
    Extension(peer): Extension<Peer>,
    Extension(asking): Extension<Asking>,
) -> Response {
    if let Some(Credential::Browser(key)) = asking.credential {
        app.browser_sessions.close(key);
    }
    let cookie = set_cookie(peer.transport, "", 0);
    ([cookie], Redirect::to("/")).into_response()
}

fn signed_in(
    app: &App,
    peer: Peer,
    caller: Caller,
    by: SignedInBy,
) -> Result<Response, ApiProblem> {
    tracing::info!(caller = caller.name, role = caller.role.as_str(), address = %peer.address, "a browser signed in");
    let value = app.browser_sessions.open(caller, by, app.clock.now())?;
    let cookie = set_cookie(peer.transport, &value, SESSION_LIFE.as_secs());
    Ok(([cookie], Redirect::to("/")).into_response())
}

fn set_cookie(transport: Transport, value: &str, seconds: u64) -> (HeaderName, String) {
    let secure = match transport {
        Transport::Plain => "",
        Transport::Tls => "; Secure",
    };
    let name = cookie_name(transport);
    (
        header::SET_COOKIE,
        format!("{name}={value}; Path=/; HttpOnly; SameSite=Strict; Max-Age={seconds}{secure}"),
    )
}

fn refused(message: &str) -> Response {
    let mut response = sign_in_page(Some(message));
    *response.status_mut() = StatusCode::UNAUTHORIZED;
    response
}

/// The page that asks who somebody is.
pub fn sign_in_page(message: Option<&str>) -> Response {
    page(&SignIn { message })
}

#[derive(Template)]
#[template(path = "sign_in.html")]
struct SignIn<'a> {
    message: Option<&'a str>,
}
