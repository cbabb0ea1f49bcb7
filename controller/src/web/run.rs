//! `/runs/{run}`: the plan of one run, its hosts and its life, and what a person can say about it.

use askama::Template;
use axum::extract::Path;
use axum::response::{IntoResponse as _, Redirect, Response};
use axum::{Extension, Form};
use tidemark_model::run::{RunHostState, RunState};
use tidemark_model::view::{RunDetail, RunHostView, RunLifeView};
use tidemark_model::{ErrorCode, Role, Timestamp};

use super::incident::{Fields, field};
use super::runs::RunRow;
use super::{Frame, for_person, page as respond, words};
use crate::access::Horizon;
use crate::api::guard::Asking;
use crate::api::params::Params;
use crate::api::problem::{Answer, ApiProblem};
use crate::api::runs as api;
use crate::maintain::run::{self, Word};

/// Hosts that are listed; those that need a look come first.
const HOSTS_MAX: usize = 200;
/// Characters of a hash that people compare.
const SHORT_HASH: usize = 12;

/// `GET /runs/{run}`.
pub async fn page(
    horizon: Horizon,
    Extension(asking): Extension<Asking>,
    Path(number): Path<String>,
    params: Params,
) -> Response {
    let shown = async {
        params.only(&[])?;
        run_page(&horizon, &asking, &number).await
    };
    for_person(shown.await)
}

/// `POST /runs/{run}`, with `do` one of `approve`, `reject` and `stop`.
pub async fn act(
    horizon: Horizon,
    Extension(asking): Extension<Asking>,
    Path(number): Path<String>,
    Form(fields): Fields,
) -> Response {
    let done = async {
        let number = api::number_of(&number)?;
        let hash = field(&fields, "plan_hash").to_owned();
        let (word, needs) = match field(&fields, "do") {
            "approve" => (Word::Approve(hash), Role::Approver),
            "reject" => (Word::Reject, Role::Approver),
            "stop" => (Word::Stop, Role::Operator),
            _ => {
                let words = "do must be approve, reject or stop";
                return Err(ApiProblem::new(ErrorCode::InvalidArgument, words));
            }
        };
        if !asking.may(needs) {
            let words = format!("this takes the role {}", needs.as_str());
            return Err(ApiProblem::new(ErrorCode::Forbidden, words));
        }
        let text = field(&fields, "text");
        api::check_seen(&horizon, number).await?;
        run::decide(horizon.app(), number, (word, asking.name()), text).await?;
        Ok(Redirect::to(&format!("/runs/{number}")).into_response())
    };
    for_person(done.await)
}

async fn run_page(horizon: &Horizon, asking: &Asking, number: &str) -> Answer<Response> {
    let mut detail = api::find(horizon, api::number_of(number)?).await?;
    let now = horizon.app().clock.now();
    let mut hosts: Vec<HostRow> = std::mem::take(&mut detail.hosts)
        .into_iter()
        .map(|view| HostRow::new(view, now))
        .collect();
    hosts.sort_by_key(|host| host.rank);
    let left = hosts.len().saturating_sub(HOSTS_MAX);
    hosts.truncate(HOSTS_MAX);
    let at =
        |at: Option<Timestamp>| at.map_or_else(|| "?".to_owned(), |at| words::instant(at, now));
    let row = RunRow::new(detail.run.clone(), now);
    let is_planned = row.view.state == RunState::Planned;
    let life = std::mem::take(&mut detail.life);
    Ok(respond(&RunPage {
        frame: Frame::new("maintenance", asking),
        starts: at(detail.plan.starts_at_ms),
        finishes: at(detail.plan.finishes_at_ms),
        short_hash: detail.plan.hash.chars().take(SHORT_HASH).collect(),
        can_judge: is_planned && asking.may(Role::Approver) && row.view.requester != asking.name(),
        can_stop: row.can_stop && asking.may(Role::Operator),
        hosts,
        left,
        life: life
            .into_iter()
            .rev()
            .map(|view| StepRow::new(view, now))
            .collect(),
        row,
        detail,
    }))
}

#[derive(Template)]
#[template(path = "run.html")]
struct RunPage {
    frame: Frame,
    row: RunRow,
    detail: RunDetail,
    starts: String,
    finishes: String,
    short_hash: String,
    can_judge: bool,
    can_stop: bool,
    hosts: Vec<HostRow>,
    left: usize,
    life: Vec<StepRow>,
}

/// A host of the run as a line.
#[derive(Clone, Debug)]
struct HostRow {
    rank: u8,
    tone: &'static str,
    state: &'static str,
    since: String,
    expected: String,
    view: RunHostView,
}

impl HostRow {
    fn new(view: RunHostView, now: Timestamp) -> Self {
        let (rank, tone) = match view.state {
            RunHostState::Failed => (0, "urgent"),
            RunHostState::Sent
            | RunHostState::Down
            | RunHostState::Up
            | RunHostState::Verifying => (1, "watch"),
            RunHostState::Gated => (2, "watch"),
            RunHostState::Pending => (3, "calm"),
            RunHostState::Skipped => (4, "calm"),
            RunHostState::Verified => (5, "calm"),
        };
        let at = |ms: i64| words::relative(Timestamp::from_unix_ms(ms), now);
        Self {
            rank,
            tone,
            state: view.state.as_str(),
            since: if view.state == RunHostState::Pending {
                String::new()
            } else {
                at(view.state_ms)
            },
            expected: match view.expected_start_ms {
                _ if view.state.is_final() => String::new(),
                Some(ms) => at(ms),
                None => "does not fit".to_owned(),
            },
            view,
        }
    }
}

/// A step of the run's life as a line.
#[derive(Clone, Debug)]
struct StepRow {
    at: String,
    by: String,
    view: RunLifeView,
}

impl StepRow {
    fn new(view: RunLifeView, now: Timestamp) -> Self {
        Self {
            at: words::moment(Timestamp::from_unix_ms(view.at_ms), now),
            by: view.by.clone().unwrap_or_else(|| "controller".to_owned()),
            view,
        }
    }
}
