//! Signing a browser in with a code of the quick start, a name and a password, or an API token, and out again.

use std::sync::Arc;

use askama::Template;
use axum::Extension;
use axum::extract::State;
use axum::extract::rejection::FormRejection;
use axum::http::{HeaderMap, HeaderName, StatusCode, header};
use axum::response::{IntoResponse, Redirect, Response};
use tidemark_model::error_code::ApiError as _;
use tidemark_model::view::PasswordText;
use tidemark_model::{ErrorCode, Role};
use tidemark_store::{SessionOwner, StoreError};

use super::incident::{Fields, field};
use super::{for_person, page};
use crate::access::browser::{self, Arrival, SESSION_LIFE};
use crate::access::sign_in;
use crate::access::standing::MACHINE;
use crate::access::{ApiKey, Credential, SessionCookie};
use crate::api::connection::{Peer, Transport};
use crate::api::guard::Asking;
use crate::api::me::attempt;
use crate::api::params::Params;
use crate::api::problem::{Answer, ApiProblem};
use crate::app::App;
use crate::audit_log::{self, Record};

/// Name of the cookie; with TLS the prefix binds it to this host and to TLS (RFC 6265bis, section 4.1.3.2).
const fn cookie_name(transport: Transport) -> &'static str {
    match transport {
        Transport::Plain => "tidemark-session",
        Transport::Tls => "__Host-tidemark-session",
    }
}

/// The value of the session's cookie.
pub fn cookie_of(headers: &HeaderMap, transport: Transport) -> Option<&str> {
    cookie_named(headers, cookie_name(transport))
}

/// The value of the cookie of that name.
pub fn cookie_named<'h>(headers: &'h HeaderMap, wanted: &str) -> Option<&'h str> {
    headers
        .get_all(header::COOKIE)
        .iter()
        .filter_map(|cookies| cookies.to_str().ok())
        .flat_map(|cookies| cookies.split(';'))
        .filter_map(|cookie| cookie.trim().split_once('='))
        .find(|(name, _)| *name == wanted)
        .map(|(_, value)| value)
}

/// `GET /login`: with a code of the quick start it signs in; without one it asks.
pub async fn with_code(
    State(app): State<Arc<App>>,
    Extension(peer): Extension<Peer>,
    headers: HeaderMap,
    params: Params,
) -> Response {
    for_person(by_code(&app, peer, &headers, params).await)
}

async fn by_code(
    app: &Arc<App>,
    peer: Peer,
    headers: &HeaderMap,
    params: Params,
) -> Answer<Response> {
    let params = params.only(&["code"])?;
    let Some(code) = params.one("code")? else {
        return Ok(sign_in_page(None, provider(app)));
    };
    if !app.login_codes.is_valid(code) {
        return Ok(refused(
            app,
            "This link is not valid any more: it ends when the controller does. The running controller's terminal shows the valid one.",
        ));
    }
    tracing::info!(address = %peer.address, "a browser signed in with the link of the quick start");
    let arrival = arrival(app, headers, peer).await?;
    let record = app.record_sign_in((MACHINE, Role::Admin), "code", arrival.address);
    let cookie = open(app, (SessionOwner::Machine, record), &arrival).await?;
    Ok(signed_in(app, peer, &cookie).await)
}

/// `POST /login`: signs in with the name and password of the form, or with its API token.
pub async fn with_form(
    State(app): State<Arc<App>>,
    Extension(peer): Extension<Peer>,
    headers: HeaderMap,
    form: Result<Fields, FormRejection>,
) -> Response {
    let fields = form.map(|form| form.0).unwrap_or_default();
    for_person(by_form(&app, peer, &headers, &fields).await)
}

async fn by_form(
    app: &Arc<App>,
    peer: Peer,
    headers: &HeaderMap,
    fields: &[(String, String)],
) -> Answer<Response> {
    if !field(fields, "token").is_empty() {
        return with_token(app, peer, headers, field(fields, "token")).await;
    }
    let password = PasswordText::new(field(fields, "password").to_owned());
    let attempt = attempt(field(fields, "name"), &password, peer);
    let arrival = arrival(app, headers, peer).await?;
    match sign_in::by_browser(app, attempt, &arrival).await {
        Ok(cookie) => Ok(signed_in(app, peer, &cookie).await),
        Err(error) if matches!(error.code(), ErrorCode::Internal | ErrorCode::Unavailable) => {
            Ok(super::refusal(&error.into()))
        }
        Err(error) => {
            let text = error.to_string();
            let problem = ApiProblem::from(error);
            let mut response = problem.into_response();
            *response.body_mut() = sign_in_page(Some(&capital(&text)), provider(app)).into_body();
            let html = header::HeaderValue::from_static("text/html; charset=utf-8");
            response.headers_mut().insert(header::CONTENT_TYPE, html);
            response.headers_mut().remove(header::CONTENT_LENGTH);
            Ok(response)
        }
    }
}

async fn with_token(app: &App, peer: Peer, headers: &HeaderMap, token: &str) -> Answer<Response> {
    app.sign_in_limits.pass_address(peer.address.ip())?;
    let Ok(key) = token.parse::<ApiKey>() else {
        return Ok(refused(
            app,
            "That is no API token. It has the form tma1.<id>.<secret>.",
        ));
    };
    let credential = Credential::Token(key.id);
    let Some(caller) = app.caller_of(credential, &key.secret).await? else {
        return Ok(refused(
            app,
            "This API token is unknown, expired or revoked. An admin can make a new one.",
        ));
    };
    tracing::info!(caller = caller.name, role = caller.role.as_str(), address = %peer.address, "a browser signed in");
    let arrival = arrival(app, headers, peer).await?;
    let who = (&*caller.name, caller.role);
    let record = app.record_sign_in(who, &audit_log::token(key.id), arrival.address);
    let cookie = open(app, (SessionOwner::Token(key.id), record), &arrival).await?;
    Ok(signed_in(app, peer, &cookie).await)
}

/// `POST /logout`: ends the browser's session.
pub async fn out(
    State(app): State<Arc<App>>,
    Extension(peer): Extension<Peer>,
    Extension(asking): Extension<Asking>,
) -> Answer<Response> {
    if let Some(Credential::Browser(id)) = asking.credential {
        let mut tx = app.store.begin().await?;
        match tx.browser_session_delete(id).await {
            Ok(()) | Err(StoreError::NotFound { .. }) => tx.commit().await?,
            Err(error) => return Err(error.into()),
        }
    }
    let cookie = set_cookie(peer.transport, "", 0);
    Ok(([cookie], Redirect::to("/")).into_response())
}

/// Where a browser comes from, and which session it has.
///
/// # Errors
/// What the database says.
pub async fn arrival(app: &App, headers: &HeaderMap, peer: Peer) -> Answer<Arrival> {
    let shown: Option<SessionCookie> =
        cookie_of(headers, peer.transport).and_then(|cookie| cookie.parse().ok());
    let replaces = match shown {
        None => None,
        Some(cookie) => {
            let credential = Credential::Browser(cookie.id);
            let is_theirs = app.caller_of(credential, &cookie.secret).await?.is_some();
            is_theirs.then_some(cookie.id)
        }
    };
    let user_agent = headers.get(header::USER_AGENT);
    let user_agent = user_agent.and_then(|agent| agent.to_str().ok());
    Ok(Arrival {
        address: peer.address.ip(),
        user_agent: user_agent.unwrap_or_default().to_owned(),
        replaces,
    })
}

async fn open(
    app: &App,
    (owner, record): (SessionOwner, Record),
    arrival: &Arrival,
) -> Answer<SessionCookie> {
    let mut tx = app.store.begin().await?;
    let now = app.clock.now();
    let cookie = browser::open_session(&mut tx, &app.entropy, owner, arrival, now).await?;
    record.keep(&mut tx).await?;
    tx.commit().await?;
    Ok(cookie)
}

async fn signed_in(app: &App, peer: Peer, cookie: &SessionCookie) -> Response {
    remember(app, cookie).await;
    let cookie = session_cookie(peer.transport, cookie);
    ([cookie], Redirect::to("/")).into_response()
}

/// Has the store vouch for a new session at once, so that it may look while the database is away from here on.
pub async fn remember(app: &App, cookie: &SessionCookie) {
    let asked = app.standing_of(Credential::Browser(cookie.id)).await;
    if let Err(error) = asked {
        tracing::warn!(%error, "a browser that has just signed in is not known yet");
    }
}

/// The header that gives a browser its session.
pub fn session_cookie(transport: Transport, cookie: &SessionCookie) -> (HeaderName, String) {
    set_cookie(transport, &cookie.expose_text(), SESSION_LIFE.as_secs())
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

/// A sentence as it begins a paragraph.
fn capital(text: &str) -> String {
    let mut chars = text.chars();
    let first = chars.next().map(|c| c.to_ascii_uppercase());
    first.into_iter().chain(chars).collect()
}

fn refused(app: &App, message: &str) -> Response {
    let mut response = sign_in_page(Some(message), provider(app));
    *response.status_mut() = StatusCode::UNAUTHORIZED;
    response
}

/// The page that asks who somebody is.
pub fn sign_in_page(message: Option<&str>, provider: Option<&str>) -> Response {
    page(&SignIn { message, provider })
}

/// What the provider is called that one can sign in at.
pub fn provider(app: &App) -> Option<&str> {
    app.oidc.as_ref().map(|oidc| &*oidc.settings.label)
}

#[derive(Template)]
#[template(path = "sign_in.html")]
struct SignIn<'a> {
    message: Option<&'a str>,
    provider: Option<&'a str>,
}
