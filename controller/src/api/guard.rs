//! What every request passes before its handler: whose name it uses, how often it comes, who it is, what it may do.

use std::net::IpAddr;
use std::num::NonZeroU32;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;

use axum::extract::{MatchedPath, Request, State};
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse as _, Response};
use futures::FutureExt as _;
use tidemark_model::view::{SCOPE_HEADER, SCOPE_HOSTS_HEADER};
use tidemark_model::{ErrorCode, HostScope, Role};

use super::connection::{Peer, Via};
use super::problem::ApiProblem;
use super::reach::check_reach;
use super::routes::{self, Access, Reader};
use crate::access::users::By;
use crate::access::{ApiKey, Caller, Credential, Horizon, SessionCookie, Vouched};
use crate::app::App;
use crate::audit_log;
use crate::fair::rates::quota;
use crate::fair::{Rates, network_of};
use crate::web;

/// Longest that a handler may take; live views answer at once and go on.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(30);

/// Requests a second of one address, and at once: before anybody is asked who they are.
const PEER_RATE: (NonZeroU32, NonZeroU32) = quota(400, 1_600);

/// Requests a second of one token or browser, and at once.
const CALLER_RATE: (NonZeroU32, NonZeroU32) = quota(100, 400);

/// What the guard knows beside the application.
pub struct Guard {
    app: Arc<App>,
    names: HostNames,
    peers: Rates<IpAddr>,
    callers: Rates<Credential>,
}

/// Under which names the controller may be asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HostNames {
    /// Only as this machine: a page elsewhere must not reach a loopback listener through a name of its own (DNS
    /// rebinding).
    Loopback,
    /// Any: the listener is meant to be reached from outside.
    Any,
}

/// Who asks and with what, for handlers.
#[derive(Clone, Debug)]
pub struct Asking {
    /// Who; `None` where nobody needs to say.
    pub caller: Option<Caller>,
    /// With what.
    pub credential: Option<Credential>,
    /// What they see of the fleet; `None` where nobody needs to say who they are.
    pub horizon: Option<Horizon>,
}

impl Asking {
    /// Who asks, for what is written down.
    #[must_use]
    pub fn name(&self) -> &str {
        self.caller
            .as_ref()
            .map_or("unknown", |caller| &caller.name)
    }

    /// The hosts that who asks may see and act on; where nobody needs to say who they are, nothing is about hosts or they
    /// are on this machine.
    #[must_use]
    pub fn scope(&self) -> HostScope {
        let caller = self.caller.as_ref();
        caller.map_or(HostScope::All, |caller| caller.scope.clone())
    }

    /// Who asks, for what they do about users.
    #[must_use]
    pub fn by(&self) -> By {
        By {
            name: self.name().to_owned(),
            scope: self.scope(),
        }
    }

    /// Whether who asks has that role, or one above it.
    #[must_use]
    pub fn may(&self, needs: Role) -> bool {
        self.caller
            .as_ref()
            .is_some_and(|caller| caller.role >= needs)
    }
}

impl Guard {
    /// A guard that has seen nobody yet.
    pub fn new(app: Arc<App>, names: HostNames) -> Self {
        Self {
            app,
            names,
            peers: Rates::per_second(PEER_RATE),
            callers: Rates::per_second(CALLER_RATE),
        }
    }

    async fn admit(&self, request: &mut Request) -> Result<(), ApiProblem> {
        let peer = *request
            .extensions()
            .get::<Peer>()
            .ok_or_else(|| ApiProblem::internal("a request came without its peer"))?;
        // A proxy is there to be asked for under names of its own.
        if peer.via != Via::NamedProxy {
            check_host(self.names, request.headers())?;
        }
        pass(&self.peers, &network_of(peer.address.ip()))?;
        let route = request
            .extensions()
            .get::<MatchedPath>()
            .and_then(|path| routes::find(request.method(), path.as_str()));
        // No such path, or not by that method: the fallbacks say so, and nothing else.
        let Some(route) = route else {
            return Ok(());
        };
        let access = route.access;
        let is_unsafe = !matches!(*request.method(), Method::GET | Method::HEAD);
        let needs = match access {
            Access::Open => None,
            Access::LoopbackOr(_) if peer.is_loopback() => None,
            Access::LoopbackOr(role) | Access::Role(role) => Some(role),
        };
        let Some(needs) = needs else {
            if is_unsafe {
                check_open(route.reader, request.headers())?;
            }
            request.extensions_mut().insert(Asking {
                caller: None,
                credential: None,
                horizon: None,
            });
            return Ok(());
        };
        let (caller, credential) = self.identify(request.headers(), peer).await?;
        if is_unsafe && matches!(credential, Credential::Browser(_)) {
            check_origin(request.headers())?;
        }
        // Who is refused is on record, too.
        let horizon = Horizon::new(Arc::clone(&self.app), caller.scope.clone());
        request.extensions_mut().insert(Asking {
            caller: Some(caller.clone()),
            credential: Some(credential),
            horizon: Some(horizon),
        });
        pass(&self.callers, &credential)?;
        check_role(&caller, needs)?;
        check_reach(&caller, (&route.method, route.path))
    }

    async fn identify(
        &self,
        headers: &HeaderMap,
        peer: Peer,
    ) -> Result<(Caller, Credential), ApiProblem> {
        let refused = |title: &str| ApiProblem::new(ErrorCode::Unauthenticated, title);
        if let Some(shown) = headers.get(header::AUTHORIZATION) {
            let key: ApiKey = shown
                .to_str()
                .ok()
                .and_then(|text| text.split_once(' '))
                .filter(|(scheme, _)| scheme.eq_ignore_ascii_case("bearer"))
                .ok_or_else(|| refused("the Authorization header must be: Bearer TOKEN"))?
                .1
                .parse()
                .map_err(|error: crate::access::InvalidApiKey| refused(&error.to_string()))?;
            let credential = Credential::Token(key.id);
            let caller = self.app.caller_of(credential, &key.secret).await?;
            let caller = caller.ok_or_else(|| {
                refused("this API token is unknown, wrong, expired or revoked; ask an admin for a new one")
            })?;
            return Ok((caller, credential));
        }
        let Some(cookie) = web::login::cookie_of(headers, peer.transport) else {
            return Err(refused(
                "sign in first: send an API token as `Authorization: Bearer TOKEN`",
            ));
        };
        let over = || refused("this browser is not signed in any more; sign in again");
        let cookie: SessionCookie = cookie.parse().map_err(|_| over())?;
        let credential = Credential::Browser(cookie.id);
        let caller = self.app.caller_of(credential, &cookie.secret).await?;
        let caller = caller.ok_or_else(over)?;
        Ok((caller, credential))
    }
}

/// The guard as a layer around every route.
pub async fn guard(State(guard): State<Arc<Guard>>, mut request: Request, next: Next) -> Response {
    let reader = request
        .extensions()
        .get::<MatchedPath>()
        .and_then(|path| routes::find(request.method(), path.as_str()))
        .map_or(Reader::Program, |route| route.reader);
    let admitted = guard.admit(&mut request).await;
    let recorded = audit_log::Request::of(&request);
    let horizon = request
        .extensions()
        .get::<Asking>()
        .and_then(|asking| asking.horizon.clone());
    let mut response = match admitted {
        Ok(()) => recorded.serve(run(next, request)).await,
        Err(problem) => match reader {
            Reader::Program => problem.into_response(),
            Reader::Person => web::refusal_by(&problem, web::login::provider(&guard.app)),
        },
    };
    recorded.settle(&guard.app, &mut response).await;
    if let Some(horizon) = horizon.filter(|_| reader == Reader::Program) {
        say_scope(response.headers_mut(), &horizon);
    }
    harden(response.headers_mut());
    response
}

/// Tells a program that it sees a part of the fleet, so that nobody takes a short list for all hosts.
fn say_scope(headers: &mut HeaderMap, horizon: &Horizon) {
    let Some(scope) = horizon.scope().to_text() else {
        return;
    };
    // A matcher has no control characters, so that it can stand there.
    if let Ok(scope) = HeaderValue::from_bytes(scope.as_bytes()) {
        headers.insert(HeaderName::from_static(SCOPE_HEADER), scope);
        let hosts = HeaderName::from_static(SCOPE_HOSTS_HEADER);
        headers.insert(hosts, horizon.count().into());
    }
}

/// Runs the handler within its time; a panic in it is one bad answer, not a dead connection.
async fn run(next: Next, request: Request) -> Response {
    let handled = AssertUnwindSafe(next.run(request)).catch_unwind();
    match tokio::time::timeout(REQUEST_TIMEOUT, handled).await {
        Ok(Ok(response)) => response,
        Ok(Err(_)) => ApiProblem::internal("a handler panicked").into_response(),
        Err(_) => ApiProblem::new(
            ErrorCode::Unavailable,
            format!(
                "the answer took longer than {} s; ask for less: a shorter range, a longer step or fewer hosts",
                REQUEST_TIMEOUT.as_secs()
            ),
        )
        .into_response(),
    }
}

fn pass<K: Clone + Eq + std::hash::Hash>(rates: &Rates<K>, key: &K) -> Result<(), ApiProblem> {
    rates.pass(key).map_err(|_| {
        ApiProblem::new(
            ErrorCode::Exhausted,
            "too many requests; wait a second and ask less often",
        )
    })
}

fn check_role(caller: &Caller, needs: Role) -> Result<(), ApiProblem> {
    if caller.vouched == Vouched::Before && needs > Role::Viewer {
        return Err(ApiProblem::new(
            ErrorCode::Unavailable,
            "the database does not answer; until it does, you can look, and nothing can be changed",
        ));
    }
    if caller.role >= needs {
        return Ok(());
    }
    Err(ApiProblem::new(
        ErrorCode::Forbidden,
        format!(
            "this needs the role {}; yours is {}",
            needs.as_str(),
            caller.role.as_str()
        ),
    ))
}

fn check_host(names: HostNames, headers: &HeaderMap) -> Result<(), ApiProblem> {
    if names == HostNames::Any {
        return Ok(());
    }
    let host = headers
        .get(header::HOST)
        .and_then(|host| host.to_str().ok())
        .unwrap_or_default();
    if is_loopback_name(host) {
        return Ok(());
    }
    Err(ApiProblem::new(
        ErrorCode::Forbidden,
        "this controller listens for this machine alone; ask for it as localhost, 127.0.0.1 or [::1]",
    )
    .with_status(StatusCode::MISDIRECTED_REQUEST))
}

fn is_loopback_name(host: &str) -> bool {
    let Ok(authority) = host.parse::<http::uri::Authority>() else {
        return false;
    };
    let name = authority.host();
    let literal = name.trim_start_matches('[').trim_end_matches(']');
    name.eq_ignore_ascii_case("localhost")
        || literal.parse().is_ok_and(|ip: IpAddr| ip.is_loopback())
}

/// Nobody need sign in to send this: a page of another site must not make a browser do it. A program names no origin.
fn check_open(reader: Reader, headers: &HeaderMap) -> Result<(), ApiProblem> {
    match reader {
        Reader::Program if !headers.contains_key(header::ORIGIN) => Ok(()),
        Reader::Program | Reader::Person => check_origin(headers),
    }
}

/// A browser says where a request comes from; another site's page must not act with this one's cookie.
fn check_origin(headers: &HeaderMap) -> Result<(), ApiProblem> {
    let host = headers
        .get(header::HOST)
        .and_then(|host| host.to_str().ok());
    let origin = headers
        .get(header::ORIGIN)
        .and_then(|origin| origin.to_str().ok())
        .and_then(|origin| origin.split_once("://"));
    match (origin, host) {
        (Some((_, origin)), Some(host)) if origin.eq_ignore_ascii_case(host) => Ok(()),
        _ => Err(ApiProblem::new(
            ErrorCode::Forbidden,
            "this request does not come from this controller's own pages (its Origin header is missing or another's)",
        )),
    }
}

/// Nothing from elsewhere, nothing inline, in no frame, in no cache.
fn harden(headers: &mut HeaderMap) {
    const HEADERS: [(HeaderName, &str); 6] = [
        (
            header::CONTENT_SECURITY_POLICY,
            "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; \
             form-action 'self'; base-uri 'none'; frame-ancestors 'none'",
        ),
        (header::X_FRAME_OPTIONS, "DENY"),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        // Nothing for other sites. With `no-referrer` a browser would not name the own origin either, and its forms would
        // be refused.
        (header::REFERRER_POLICY, "same-origin"),
        (
            HeaderName::from_static("cross-origin-opener-policy"),
            "same-origin",
        ),
        (
            HeaderName::from_static("cross-origin-resource-policy"),
            "same-origin",
        ),
    ];
    for (name, value) in HEADERS {
        headers.insert(name, HeaderValue::from_static(value));
    }
    headers
        .entry(header::CACHE_CONTROL)
        .or_insert(HeaderValue::from_static("no-store"));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_names_of_this_machine_reach_a_loopback_listener() {
        for host in [
            "localhost",
            "LOCALHOST:7080",
            "127.0.0.1:7080",
            "127.1.2.3",
            "[::1]:7080",
        ] {
            assert!(is_loopback_name(host), "{host}");
        }
        for host in [
            "",
            "evil.example",
            "evil.example:7080",
            "localhost.evil.example",
            "10.0.0.1",
            "[fe80::1]",
            "127.0.0.1.evil.example",
        ] {
            assert!(!is_loopback_name(host), "{host}");
        }
    }

    #[test]
    fn an_unsafe_request_of_a_browser_must_come_from_the_own_origin() {
        let headers = |pairs: &[(HeaderName, &'static str)]| -> HeaderMap {
            pairs
                .iter()
                .map(|(name, value)| (name.clone(), HeaderValue::from_static(value)))
                .collect()
        };
        let host = (header::HOST, "localhost:7080");
        assert!(
            check_origin(&headers(&[
                host.clone(),
                (header::ORIGIN, "http://localhost:7080")
            ]))
            .is_ok()
        );
        for origin in [
            "null",
            "http://evil.example",
            "http://localhost:7081",
            "http://localhost:7080.evil.example",
        ] {
            assert!(
                check_origin(&headers(&[host.clone(), (header::ORIGIN, origin)])).is_err(),
                "{origin}"
            );
        }
        assert!(check_origin(&headers(&[host])).is_err());
    }
}
