//! `/settings`: who is signed in and where, and for admins who may sign in: users, API tokens
//! and join tokens, those of their own scope.

pub mod acts;

use std::sync::Arc;

use askama::Template;
use axum::Extension;
use axum::extract::State;
use axum::response::Response;
use tidemark_model::view::{
    ApiTokenView, ControllerView, JoinTokenView, LeaderView, MeView, SessionView, UserView,
};
use tidemark_model::{Role, Timestamp};

use super::{Frame, for_person, page as respond, words};
use crate::api::guard::Asking;
use crate::api::params::Params;
use crate::api::problem::Answer;
use crate::api::{api_tokens, me, sessions, tokens, users};
use crate::app::App;

/// Rows of each list; for more there is the command line.
const ROWS: u32 = 200;

/// `GET /settings`.
pub async fn page(
    State(app): State<Arc<App>>,
    Extension(asking): Extension<Asking>,
    params: Params,
) -> Response {
    let shown = async {
        params.only(&[])?;
        settings_page(&app, &asking, Told::default()).await
    };
    for_person(shown.await)
}

/// What a form did, above the lists.
#[derive(Clone, Debug, Default)]
struct Told {
    /// In a sentence.
    text: String,
    /// What is shown this once.
    secret: String,
    /// What to do with it.
    hint: String,
}

async fn settings_page(app: &Arc<App>, asking: &Asking, told: Told) -> Answer<Response> {
    let now = app.clock.now();
    let me = me::view(app, asking).await?;
    let limit = (None, ROWS as usize);
    let (sessions, _) = sessions::page(app, asking, None, limit).await?;
    let is_admin = asking.may(Role::Admin);
    let leader = app.leader.view();
    let mut lists = Lists::default();
    if is_admin {
        lists = Lists::read(app, asking, now).await?;
    }
    Ok(respond(&SettingsPage {
        frame: Frame::new("settings", asking),
        expires: me.expires_ms.map(|at| relative(at, now)),
        sessions: sessions
            .into_iter()
            .map(|view| SessionRow::new(view, now))
            .collect(),
        roles: Role::ALL.map(Role::as_str),
        me,
        is_admin,
        sees_all: asking.scope().is_all(),
        lists,
        controllers: ControllerRow::all(app, now),
        leads_for: leader.since_ms.map(|at| relative(at, now)),
        leader,
        told,
    }))
}

fn relative(at_ms: i64, now: Timestamp) -> String {
    words::relative(Timestamp::from_unix_ms(at_ms), now)
}

#[derive(Template)]
#[template(path = "settings.html")]
struct SettingsPage {
    frame: Frame,
    me: MeView,
    expires: Option<String>,
    sessions: Vec<SessionRow>,
    roles: [&'static str; 4],
    is_admin: bool,
    /// Whether what is there is about everybody, and not about those of a scope alone.
    sees_all: bool,
    lists: Lists,
    /// The controllers of this database.
    controllers: Vec<ControllerRow>,
    /// Which controller leads.
    leader: LeaderView,
    leads_for: Option<String>,
    told: Told,
}

/// One of the controllers of this database.
struct ControllerRow {
    view: ControllerView,
    started: String,
}

impl ControllerRow {
    fn all(app: &App, now: Timestamp) -> Vec<Self> {
        let views = app.company.views(app).into_iter();
        let row = |view: ControllerView| Self {
            started: relative(view.started_ms, now),
            view,
        };
        views.map(row).collect()
    }
}

/// What admins alone see.
#[derive(Clone, Debug, Default)]
struct Lists {
    users: Vec<UserRow>,
    api_tokens: Vec<ApiTokenRow>,
    join_tokens: Vec<JoinTokenRow>,
}

impl Lists {
    async fn read(app: &App, asking: &Asking, now: Timestamp) -> Answer<Self> {
        let (users, _) = users::page(app, &asking.by(), (None, ROWS as usize)).await?;
        let own = asking.scope();
        let (api_tokens, _) = api_tokens::page(app, &own, (None, ROWS as usize)).await?;
        let mut join_tokens = vec![];
        if own.is_all() {
            let mut tx = app.store.read().await?;
            join_tokens = tx.join_tokens_page(None, ROWS).await?;
        }
        let users = users.into_iter().map(|view| UserRow::new(view, now));
        let api_tokens = api_tokens.into_iter();
        Ok(Self {
            users: users.collect(),
            api_tokens: api_tokens.map(|view| ApiTokenRow::new(view, now)).collect(),
            join_tokens: join_tokens
                .into_iter()
                .map(|token| JoinTokenRow::new(tokens::view(token), now))
                .collect(),
        })
    }
}

#[derive(Clone, Debug)]
struct SessionRow {
    whose: String,
    used: String,
    ends: String,
    view: SessionView,
}

impl SessionRow {
    fn new(view: SessionView, now: Timestamp) -> Self {
        let whose = match (view.by.as_str(), &view.of) {
            ("user", Some(name)) => name.clone(),
            ("api_token", Some(id)) => format!("API token {id}"),
            (_, _) => "the controller's machine".to_owned(),
        };
        Self {
            whose,
            used: relative(view.used_ms, now),
            ends: relative(view.expires_ms, now),
            view,
        }
    }
}

#[derive(Clone, Debug)]
struct UserRow {
    tone: &'static str,
    by: String,
    last: String,
    until: String,
    view: UserView,
}

impl UserRow {
    fn new(view: UserView, now: Timestamp) -> Self {
        let tone = match view.state.as_str() {
            "locked" => "watch",
            "disabled" => "unknown",
            _ => "calm",
        };
        let by = match (view.has_password, &view.provider) {
            (true, None) => "password".to_owned(),
            (false, Some(issuer)) => issuer.clone(),
            (true, Some(issuer)) => format!("password, {issuer}"),
            (false, None) => "nothing".to_owned(),
        };
        let last = view.signed_in_ms.map(|at| relative(at, now));
        let until = view.locked_until_ms.map(|at| relative(at, now));
        Self {
            tone,
            by,
            last: last.unwrap_or_else(|| "never".to_owned()),
            until: until.unwrap_or_default(),
            view,
        }
    }

    fn is_disabled(&self) -> bool {
        self.view.state == "disabled"
    }

    fn is_locked(&self) -> bool {
        self.view.state == "locked"
    }

    fn scope(&self) -> &str {
        self.view.scope.as_deref().unwrap_or_default()
    }
}

/// Where a token stands, its tone, and whether it lets anybody in.
fn token_state(
    is_revoked: bool,
    expires_ms: Option<i64>,
    now: Timestamp,
) -> (&'static str, &'static str, bool) {
    if is_revoked {
        ("revoked", "unknown", false)
    } else if expires_ms.is_some_and(|at| at <= now.unix_ms()) {
        ("expired", "unknown", false)
    } else {
        ("good", "calm", true)
    }
}

#[derive(Clone, Debug)]
struct ApiTokenRow {
    state: &'static str,
    tone: &'static str,
    is_good: bool,
    ends: String,
    made: String,
    view: ApiTokenView,
}

impl ApiTokenRow {
    fn new(view: ApiTokenView, now: Timestamp) -> Self {
        let (state, tone, is_good) = token_state(view.revoked_ms.is_some(), view.expires_ms, now);
        let ends = view.expires_ms.map(|at| relative(at, now));
        Self {
            state,
            tone,
            is_good,
            ends: ends.unwrap_or_else(|| "never".to_owned()),
            made: relative(view.created_ms, now),
            view,
        }
    }
}

#[derive(Clone, Debug)]
struct JoinTokenRow {
    state: &'static str,
    tone: &'static str,
    is_good: bool,
    ends: String,
    labels: String,
    view: JoinTokenView,
}

impl JoinTokenRow {
    fn new(view: JoinTokenView, now: Timestamp) -> Self {
        let (mut state, mut tone, mut is_good) =
            token_state(view.revoked, Some(view.expires_ms), now);
        if is_good && view.used >= view.uses_max {
            (state, tone, is_good) = ("used up", "unknown", false);
        }
        let labels: Vec<String> = view
            .labels
            .iter()
            .map(|(key, value)| format!("{key}={value}"))
            .collect();
        Self {
            state,
            tone,
            is_good,
            ends: relative(view.expires_ms, now),
            labels: labels.join(" "),
            view,
        }
    }
}
