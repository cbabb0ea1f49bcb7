//! `/api/v1/sessions`: browsers that are signed in. Everybody sees and ends their own, admins of all hosts everybody's.

use std::sync::Arc;

use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::{Extension, Json};
use tidemark_model::audit_log::Deed;
use tidemark_model::token::TokenId;
use tidemark_model::view::{Page, Problem, SessionView};
use tidemark_model::{ErrorCode, Role};
use tidemark_store::{BrowserSession, SessionOwner};

use super::fleet;
use super::guard::Asking;
use super::params::Params;
use super::problem::{Answer, ApiProblem};
use crate::access::Credential;
use crate::app::App;

/// Whose sessions somebody may see and end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reach {
    /// Everybody's.
    All,
    /// A user's.
    User(String),
    /// The one alone that asks.
    Own(Option<TokenId>),
}

impl Reach {
    /// How far whoever asks reaches: an admin of all hosts to everybody.
    #[must_use]
    pub fn of(asking: &Asking) -> Self {
        if asking.may(Role::Admin) && asking.scope().is_all() {
            return Self::All;
        }
        let caller = asking.caller.as_ref();
        let user = caller.and_then(|caller| caller.user.clone());
        user.map_or_else(|| Self::Own(current(asking)), Self::User)
    }

    fn has(&self, session: &BrowserSession) -> bool {
        match self {
            Self::All => true,
            Self::User(name) => session.owner == SessionOwner::User(name.clone()),
            Self::Own(id) => *id == Some(session.id),
        }
    }
}

/// Browsers that are signed in, by id: those of whoever asks, and everybody's for admins of all hosts.
#[utoipa::path(
    get,
    path = "/api/v1/sessions",
    tag = "users",
    params(
        ("user" = Option<String>, Query, description = "Only of this user, by name."),
        ("limit" = Option<usize>, Query, description = "Rows of a page, 1 to 1000; 100 without it.", minimum = 1, maximum = 1000),
        ("cursor" = Option<String>, Query, description = "The next_cursor of the page before."),
    ),
    responses(
        (status = 200, description = "A page of sessions.", body = Page<SessionView>),
        (status = "default", description = "A problem.", body = Problem, content_type = "application/problem+json"),
    )
)]
pub async fn list(
    State(app): State<Arc<App>>,
    Extension(asking): Extension<Asking>,
    params: Params,
) -> Answer<Json<Page<SessionView>>> {
    let params = params.only(&["user", "limit", "cursor"])?;
    let limit = params.limit()?;
    let after: Option<TokenId> =
        params.parsed("cursor", fleet::cursor_limit, |text| text.parse().ok())?;
    let wanted = params.one("user")?;
    let (items, next_cursor) = page(&app, &asking, wanted, (after, limit)).await?;
    Ok(Json(Page { items, next_cursor }))
}

/// Signs a browser out; its next request is refused, and a live view ends within 5 s.
#[utoipa::path(
    delete,
    path = "/api/v1/sessions/{session}",
    tag = "users",
    params(("session" = String, Path, description = "The session's public id.")),
    responses(
        (status = 204, description = "It is signed out."),
        (status = 404, description = "There is none, or it is somebody else's.", body = Problem, content_type = "application/problem+json"),
        (status = "default", description = "A problem.", body = Problem, content_type = "application/problem+json"),
    )
)]
pub async fn end(
    State(app): State<Arc<App>>,
    Extension(asking): Extension<Asking>,
    Path(session): Path<String>,
    params: Params,
) -> Answer<StatusCode> {
    params.only(&[])?;
    end_one(&app, &asking, &session).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// A page of sessions that whoever asks may see, and the cursor to the next one.
///
/// # Errors
/// What the database says.
pub async fn page(
    app: &App,
    asking: &Asking,
    user: Option<&str>,
    (after, limit): (Option<TokenId>, usize),
) -> Answer<(Vec<SessionView>, Option<String>)> {
    let reach = Reach::of(asking);
    let now = app.clock.now();
    let rows = u32::try_from(limit).unwrap_or(u32::MAX);
    let mut tx = app.store.read().await?;
    let found = match &reach {
        Reach::All => tx.browser_sessions_page(user, after, rows).await?,
        Reach::User(name) => {
            let is_theirs = user.is_none_or(|user| user == name);
            let page = tx.browser_sessions_page(Some(name), after, rows).await?;
            if is_theirs { page } else { vec![] }
        }
        Reach::Own(None) => vec![],
        Reach::Own(Some(id)) => {
            let own = tx.browser_session_find(*id).await?;
            own.into_iter()
                .filter(|_| user.is_none() && after.is_none())
                .collect()
        }
    };
    let next_cursor = fleet::cursor_after(&found, limit, |session| session.id.to_string());
    let current = current(asking);
    let is_live = |session: &BrowserSession| {
        let idle_end = session
            .used_at
            .saturating_add(crate::access::standing::SESSION_IDLE);
        session.expires_at.min(idle_end) > now
    };
    let items = found
        .into_iter()
        .filter(is_live)
        .map(|session| view(session, current))
        .collect();
    Ok((items, next_cursor))
}

/// Signs a browser out that whoever asks may sign out.
///
/// # Errors
/// When there is none, or it is somebody else's: who else is signed in is not said.
pub async fn end_one(app: &App, asking: &Asking, session: &str) -> Answer<()> {
    let missing = || {
        ApiProblem::new(
            ErrorCode::NotFound,
            "there is no such session; the list of sessions has their ids",
        )
    };
    let id: TokenId = session.parse().map_err(|_| missing())?;
    let reach = Reach::of(asking);
    let mut tx = app.store.begin().await?;
    let found = tx.browser_session_find(id).await?.ok_or_else(missing)?;
    if !reach.has(&found) {
        return Err(missing());
    }
    tx.browser_session_delete(id).await?;
    app.record(Deed::SessionEnd, "sessions", id)
        .keep(&mut tx)
        .await?;
    tx.commit().await?;
    tracing::info!(caller = asking.name(), session.id = %id, "a browser was signed out");
    Ok(())
}

const fn current(asking: &Asking) -> Option<TokenId> {
    match asking.credential {
        Some(Credential::Browser(id)) => Some(id),
        Some(Credential::Token(_)) | None => None,
    }
}

fn view(session: BrowserSession, current: Option<TokenId>) -> SessionView {
    let BrowserSession {
        id,
        secret_hash: _,
        owner,
        created_at,
        used_at,
        expires_at,
        address,
        user_agent,
    } = session;
    let (by, of) = match owner {
        SessionOwner::User(name) => ("user", Some(name)),
        SessionOwner::Token(id) => ("api_token", Some(id.to_string())),
        SessionOwner::Machine => ("machine", None),
    };
    SessionView {
        id: id.to_string(),
        by: by.to_owned(),
        of,
        address,
        user_agent,
        created_ms: created_at.unix_ms(),
        used_ms: used_at.unix_ms(),
        expires_ms: expires_at.unix_ms(),
        is_current: current == Some(id),
    }
}
