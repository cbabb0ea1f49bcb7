//! The pages: rendered here, brought to life by `assets/app.js`, which shows nothing that was not rendered here first.

mod actions;
pub mod api;
pub mod assets;
pub mod audit_log;
pub mod docs;
pub mod events;
pub mod fleet;
mod grants;
pub mod history;
pub mod host;
pub mod incident;
pub mod incidents;
pub mod install;
pub mod keys;
pub mod live;
pub mod login;
pub mod maintenance;
pub mod measure;
pub mod notifications;
pub mod oidc;
pub mod picture;
pub mod plan;
pub mod policies;
pub mod row;
pub mod run;
pub mod runs;
pub mod settings;
pub mod standing;
pub mod upgrade;
pub mod upgrades;
pub mod window;
pub mod words;

use askama::Template;
use axum::http::{Method, StatusCode};
use axum::response::{Html, IntoResponse, Response};

use crate::api::guard::Asking;
use crate::api::problem::{Answer, ApiProblem};
use crate::api::reach;

/// What every page shows around its own content.
#[derive(Clone, Debug)]
pub(crate) struct Frame {
    /// Which entry of the navigation is this page's.
    pub(crate) here: &'static str,
    /// The navigation: pages that answer whoever is signed in.
    pub(crate) entries: Vec<&'static Entry>,
    /// Who is signed in.
    pub(crate) caller: String,
    /// Which hosts they see; `None` for all.
    pub(crate) part: Option<Part>,
    /// Version of the controller.
    pub(crate) version: &'static str,
}

/// A page of the navigation.
#[derive(Debug)]
pub(crate) struct Entry {
    /// The page, as pages say where they are.
    pub(crate) page: &'static str,
    /// Its path.
    pub(crate) path: &'static str,
    /// What it is called.
    pub(crate) name: &'static str,
    /// The key that leads there after `g`.
    pub(crate) key: &'static str,
    /// What the list of keys calls it.
    pub(crate) help: &'static str,
}

const fn entry([page, path]: [&'static str; 2], [name, key, help]: [&'static str; 3]) -> Entry {
    Entry {
        page,
        path,
        name,
        key,
        help,
    }
}

static ENTRIES: [Entry; 11] = [
    entry(["fleet", "/"], ["Fleet", "h", "fleet"]),
    entry(["incidents", "/incidents"], ["Incidents", "i", "incidents"]),
    entry(
        ["maintenance", "/maintenance"],
        ["Maintenance", "m", "maintenance"],
    ),
    entry(
        ["upgrades", "/upgrades"],
        ["Upgrades", "u", "upgrades of agents"],
    ),
    entry(["policies", "/policies"], ["Policies", "p", "policies"]),
    entry(["keys", "/keys"], ["Keys", "k", "keys and grants"]),
    entry(
        ["notifications", "/notifications"],
        ["Notifications", "n", "notifications"],
    ),
    entry(["history", "/history"], ["History", "x", "history"]),
    entry(["events", "/events"], ["Events", "e", "events"]),
    entry(["audit-log", "/audit-log"], ["Audit log", "a", "audit log"]),
    entry(["settings", "/settings"], ["Settings", "s", "settings"]),
];

/// The part of the fleet that somebody sees who does not see all of it.
#[derive(Clone, Debug)]
pub(crate) struct Part {
    /// Their scope.
    pub(crate) scope: String,
    /// Its hosts, counted.
    pub(crate) hosts: String,
}

impl Frame {
    fn new(here: &'static str, asking: &Asking) -> Self {
        let caller = asking.caller.as_ref().map(|caller| caller.name.clone());
        let scope = asking.scope();
        let answers = |entry: &&Entry| reach::answers(&scope, (&Method::GET, entry.path));
        let part = scope.to_text().zip(asking.horizon.as_ref());
        Self {
            here,
            entries: ENTRIES.iter().filter(answers).collect(),
            caller: caller.unwrap_or_default(),
            part: part.map(|(scope, horizon)| Part {
                scope,
                hosts: words::hosts(horizon.count() as u64),
            }),
            version: env!("CARGO_PKG_VERSION"),
        }
    }
}

/// A template as a text.
fn render(template: &impl Template) -> Answer<String> {
    template
        .render()
        .map_err(|error| ApiProblem::internal(&error.to_string()))
}

/// A template as a response.
fn page(template: &impl Template) -> Response {
    match render(template) {
        Ok(html) => Html(html).into_response(),
        Err(problem) => problem.into_response(),
    }
}

/// What a person sees instead of a page: the sign-in when nobody is signed in, the problem in words otherwise.
pub fn refusal(problem: &ApiProblem) -> Response {
    refusal_by(problem, None)
}

/// As [`refusal`], with the provider that one can sign in at, as it is called.
pub fn refusal_by(problem: &ApiProblem, provider: Option<&str>) -> Response {
    let status = problem.status();
    let mut response = if status == StatusCode::UNAUTHORIZED {
        login::sign_in_page(None, provider)
    } else {
        page(&ProblemPage {
            status: status.as_u16(),
            title: problem.title(),
        })
    };
    *response.status_mut() = status;
    problem.say_when_to_retry(response.headers_mut());
    response
}

/// A page's answer, its problems for a person.
fn for_person(answer: Answer<Response>) -> Response {
    answer.unwrap_or_else(|problem| refusal(&problem))
}

#[derive(Template)]
#[template(path = "problem.html")]
struct ProblemPage<'a> {
    status: u16,
    title: &'a str,
}
