//! Signing a browser in at an OpenID provider: the way there and the way back.

use std::sync::Arc;

use askama::Template;
use axum::Extension;
use axum::extract::{Query, State};
use axum::http::{HeaderMap, HeaderName, header};
use axum::response::{IntoResponse as _, Redirect, Response};

use super::{for_person, login, page as respond};
use crate::access::oidc::{self, Handle, Returned, SIGN_IN_LIFE};
use crate::api::connection::{Peer, Transport};
use crate::api::params::Params;
use crate::app::App;

/// Name of the cookie that binds what comes back to the browser that began.
const fn cookie_name(transport: Transport) -> &'static str {
    match transport {
        Transport::Plain => "tidemark-oidc",
        Transport::Tls => "__Host-tidemark-oidc",
    }
}

/// It comes along when the provider sends the browser back, which a strict one would not.
fn cookie(transport: Transport, value: &str, seconds: u64) -> (HeaderName, String) {
    let secure = match transport {
        Transport::Plain => "",
        Transport::Tls => "; Secure",
    };
    let name = cookie_name(transport);
    (
        header::SET_COOKIE,
        format!("{name}={value}; Path=/; HttpOnly; SameSite=Lax; Max-Age={seconds}{secure}"),
    )
}

/// `GET /login/oidc`: sends the browser to the provider.
pub async fn begin(
    State(app): State<Arc<App>>,
    Extension(peer): Extension<Peer>,
    params: Params,
) -> Response {
    let begun = async {
        params.only(&[])?;
        let (handle, url) = oidc::begin(&app, peer.address.ip()).await?;
        let kept = cookie(peer.transport, handle.expose_text(), SIGN_IN_LIFE.as_secs());
        Ok(([kept], Redirect::to(&url)).into_response())
    };
    for_person(begun.await)
}

/// `GET /login/oidc/callback`: the browser comes back, with whatever else the provider adds.
pub async fn callback(
    State(app): State<Arc<App>>,
    Extension(peer): Extension<Peer>,
    headers: HeaderMap,
    Query(params): Query<Vec<(String, String)>>,
) -> Response {
    let done = async {
        let param = |name: &str| {
            let found = params.iter().find(|(key, _)| key == name);
            found.map(|(_, value)| value.clone())
        };
        let handle = login::cookie_named(&headers, cookie_name(peer.transport));
        let handle = handle.map(Handle::of_cookie);
        let returned = Returned {
            code: param("code"),
            state: param("state"),
            issuer: param("iss"),
            error: param("error"),
        };
        let arrival = login::arrival(&app, &headers, peer).await?;
        let session = oidc::finish(&app, handle, returned, &arrival).await?;
        login::remember(&app, &session).await;
        let mut response = respond(&SignedIn);
        for (name, value) in [
            login::session_cookie(peer.transport, &session),
            cookie(peer.transport, "", 0),
        ] {
            let value = value.parse().map_err(|_| {
                crate::api::problem::ApiProblem::internal("a cookie is no header's value")
            })?;
            response.headers_mut().append(name, value);
        }
        Ok(response)
    };
    for_person(done.await)
}

/// Goes on by itself. A redirect would be part of the provider's navigation, with which a browser sends no strict cookie.
#[derive(Template)]
#[template(path = "signed_in.html")]
struct SignedIn;
