//! `/policies`: what is done by itself when, how far each policy has come on which host, and what came of it.

use std::sync::Arc;

use askama::Template;
use axum::Extension;
use axum::extract::State;
use axum::response::Response;
use tidemark_model::Timestamp;
use tidemark_model::policy::{ActWhen, CaseState, PolicyApproval, RungOrder, RungSpec};
use tidemark_model::view::{CaseView, PolicyView, TriedView};

use super::{Frame, for_person, page as respond, words};
use crate::api::guard::Asking;
use crate::api::params::Params;
use crate::api::policies::{case_view, views};
use crate::api::problem::Answer;
use crate::app::App;

/// Cases that are listed, the newest.
const CASES_MAX: u32 = 100;

/// `GET /policies`.
pub async fn page(
    State(app): State<Arc<App>>,
    Extension(asking): Extension<Asking>,
    params: Params,
) -> Response {
    for_person(policies_page(&app, &asking, params).await)
}

async fn policies_page(app: &App, asking: &Asking, params: Params) -> Answer<Response> {
    params.only(&[])?;
    let now = app.clock.now();
    let policies = views(app).await?;
    let mut tx = app.store.read().await?;
    let cases = tx.policy_cases_newest(CASES_MAX).await?;
    drop(tx);
    let cases = cases.into_iter().map(|case| {
        let policy = case.policy.clone();
        CaseRow::new(policy, case_view(app, case), now)
    });
    Ok(respond(&PoliciesPage {
        frame: Frame::new("policies", asking),
        cases: cases.collect(),
        policies: policies
            .into_iter()
            .map(|view| PolicyRow::new(view, now))
            .collect(),
    }))
}

#[derive(Template)]
#[template(path = "policies.html")]
struct PoliciesPage {
    frame: Frame,
    policies: Vec<PolicyRow>,
    cases: Vec<CaseRow>,
}

/// One policy as a line.
#[derive(Clone, Debug)]
struct PolicyRow {
    tone: &'static str,
    state: String,
    ladder: String,
    terms: String,
    fired: String,
    last: String,
    applied: String,
    view: PolicyView,
}

impl PolicyRow {
    fn new(view: PolicyView, now: Timestamp) -> Self {
        let spec = &view.spec;
        let rungs: Vec<String> = spec.ladder.iter().map(rung_words).collect();
        let when = match spec.when {
            ActWhen::Now => "at once",
            ActWhen::Window => "in the host's window",
        };
        let approval = match spec.approval {
            PolicyApproval::Required => "people approve",
            PolicyApproval::ByPolicy => "approved in advance",
        };
        let order = match spec.order {
            RungOrder::AsWritten => "as written",
            RungOrder::ByRecovery => "what worked first",
        };
        let on = |hosts: u64, what: &str| match hosts {
            0 => String::new(),
            hosts => format!(", {what} on {}", words::count(hosts)),
        };
        Self {
            tone: match view.state.as_str() {
                "escalated" => "urgent",
                "acting" | "holding" => "watch",
                _ => "calm",
            },
            state: format!(
                "{}{}{}",
                view.state,
                on(view.acting, "acts"),
                on(view.escalated, "gave up")
            ),
            ladder: rungs.join(", then "),
            terms: format!("{when}, {order}, {approval}"),
            fired: match view.fired {
                0 => "0".to_owned(),
                fired => format!("{} ({} helped)", words::count(fired), view.verified),
            },
            last: view.fired_ms.map_or_else(String::new, |at| {
                words::relative(Timestamp::from_unix_ms(at), now)
            }),
            applied: words::relative(Timestamp::from_unix_ms(view.applied_ms), now),
            view,
        }
    }
}

fn rung_words(rung: &RungSpec) -> String {
    let mut words = vec![rung.action.clone()];
    words.extend(rung.with.iter().cloned());
    words.extend(rung.subject.clone());
    words.join(" ")
}

/// A policy on a host as a line.
#[derive(Clone, Debug)]
struct CaseRow {
    policy: String,
    tone: &'static str,
    state: &'static str,
    host: String,
    since: String,
    tried: Vec<String>,
    why: String,
    view: CaseView,
}

impl CaseRow {
    fn new(policy: String, view: CaseView, now: Timestamp) -> Self {
        let tone = match view.state {
            CaseState::Escalated if view.ended_ms.is_none() => "urgent",
            CaseState::Holding | CaseState::Acting | CaseState::Stopped => "watch",
            CaseState::Verified
            | CaseState::Done
            | CaseState::Escalated
            | CaseState::Cleared
            | CaseState::Withdrawn => "calm",
        };
        let why = view.why.clone().or_else(|| view.waits_for.clone());
        Self {
            policy,
            tone,
            state: view.state.as_str(),
            host: view.host_name.clone().unwrap_or_else(|| view.host.clone()),
            since: words::moment(Timestamp::from_unix_ms(view.since_ms), now),
            tried: view.tried.iter().map(tried_words).collect(),
            why: why.unwrap_or_default(),
            view,
        }
    }
}

fn tried_words(tried: &TriedView) -> String {
    let state = tried.state.map(|state| state.as_str().replace('_', " "));
    let state = state.unwrap_or_else(|| "not asked for".to_owned());
    let text = match tried.text.as_str() {
        "" => String::new(),
        text => format!(": {text}"),
    };
    format!("{}, {state}{text}", tried.summary)
}
