//! `/api/v1/runs`: maintenance runs, planned, approved, watched and stopped.

pub mod signing;

use std::collections::HashMap;

use axum::extract::Path;
use axum::http::StatusCode;
use axum::{Extension, Json};
use tidemark_model::Timestamp;
use tidemark_model::run::{Run, RunHost, RunSpec, RunState};
use tidemark_model::view::{
    ApprovalView, Page, Problem, RunDetail, RunHostView, RunLifeView, RunProgress, RunView, RunWord,
};
use tidemark_store::{RunOrderCount, RunQuery, Tx};

use super::actions::approval;
use super::body::{self, Request};
use super::fleet;
use super::guard::Asking;
use super::params::{Params, invalid};
use super::problem::Answer;
use super::seen::SeenPage;
use crate::access::Horizon;
use crate::maintain::run::{self, RunError, Word, approvals_needed};

/// Steps of a life that are shown.
const STEPS_MAX: u32 = 500;
/// Largest body: 5,000 hosts by name.
pub const BODY_BYTES_MAX: usize = 2 * 1_024 * 1_024;

/// Maintenance runs, newest first: those of the caller's scope.
#[utoipa::path(
    get,
    path = "/api/v1/runs",
    tag = "maintenance",
    params(
        ("state" = Option<String>, Query, description = "One state, or active for what has not ended."),
        ("limit" = Option<usize>, Query, description = "Rows of a page, 1 to 1000; 100 without it.", minimum = 1, maximum = 1000),
        ("cursor" = Option<String>, Query, description = "The next_cursor of the page before."),
    ),
    responses(
        (status = 200, description = "A page of runs.", body = Page<RunView>),
        (status = "default", description = "A problem.", body = Problem, content_type = "application/problem+json"),
    )
)]
pub async fn list(horizon: Horizon, params: Params) -> Answer<Json<Page<RunView>>> {
    let params = params.only(&["state", "limit", "cursor"])?;
    let limit = params.limit()?;
    let state = params.one("state")?;
    let known = state.and_then(RunState::from_name);
    let only_open = state == Some("active");
    if let Some(text) = state.filter(|_| known.is_none() && !only_open) {
        let names: Vec<_> = RunState::ALL.iter().map(|one| one.as_str()).collect();
        let names = names.join(", ");
        return Err(invalid("state", text, format!("active or one of {names}")).into());
    }
    let query = RunQuery {
        before: params.parsed("cursor", fleet::cursor_limit, |text| text.parse().ok())?,
        state: known,
        only_open,
        limit: u32::try_from(limit).unwrap_or(u32::MAX),
    };
    let (items, next) = views(&horizon, &query).await?;
    let next_cursor = next.map(|number| number.to_string());
    Ok(Json(Page { items, next_cursor }))
}

/// Plans a run in the caller's name, over the hosts of their scope. Nothing is done before others approved that plan.
#[utoipa::path(
    post,
    path = "/api/v1/runs",
    tag = "maintenance",
    params(("dry_run" = Option<bool>, Query, description = "Store nothing; only say how it would go.")),
    request_body = RunSpec,
    responses(
        (status = 201, description = "The planned run.", body = RunDetail),
        (status = 200, description = "The plan of a dry run.", body = RunDetail),
        (status = 400, description = "A value is out of limits, or no host is left; every problem is told.", body = Problem, content_type = "application/problem+json"),
        (status = 429, description = "Too many runs have not ended.", body = Problem, content_type = "application/problem+json"),
        (status = "default", description = "A problem.", body = Problem, content_type = "application/problem+json"),
    )
)]
pub async fn create(
    horizon: Horizon,
    Extension(asking): Extension<Asking>,
    (params, headers, body): Request,
) -> Answer<(StatusCode, Json<RunDetail>)> {
    let app = horizon.app();
    let params = params.only(&["dry_run"])?;
    let is_dry = params.flag("dry_run")?;
    let spec: RunSpec = body::json(&headers, &body, "the body is no run")?;
    if is_dry {
        let planned = run::preview(app, spec, &asking.by()).await?;
        let orders = run::count_planned(&planned);
        let detail = detail_of(&horizon, planned, orders, (Vec::new(), Vec::new()));
        return Ok((StatusCode::OK, Json(detail)));
    }
    let planned = run::create(app, spec, &asking.by()).await?;
    let detail = find(&horizon, planned.number).await?;
    Ok((StatusCode::CREATED, Json(detail)))
}

/// One run with its plan, its waves, its hosts and its life.
#[utoipa::path(
    get,
    path = "/api/v1/runs/{run}",
    tag = "maintenance",
    params(("run" = i64, Path, description = "Its number.")),
    responses(
        (status = 200, description = "The run.", body = RunDetail),
        (status = 404, description = "There is none.", body = Problem, content_type = "application/problem+json"),
        (status = "default", description = "A problem.", body = Problem, content_type = "application/problem+json"),
    )
)]
pub async fn detail(
    horizon: Horizon,
    Path(run): Path<String>,
    params: Params,
) -> Answer<Json<RunDetail>> {
    params.only(&[])?;
    Ok(Json(find(&horizon, number_of(&run)?).await?))
}

/// Approves the plan of a run. Nobody approves what they asked for; it takes as many people as its most disruptive action.
#[utoipa::path(
    post,
    path = "/api/v1/runs/{run}/approve",
    tag = "maintenance",
    params(("run" = i64, Path, description = "Its number.")),
    request_body = RunWord,
    responses(
        (status = 200, description = "The run as it is then.", body = RunDetail),
        (status = 403, description = "The caller asked for it.", body = Problem, content_type = "application/problem+json"),
        (status = 404, description = "There is none.", body = Problem, content_type = "application/problem+json"),
        (status = 409, description = "The plan is another one, or was made again; or the caller approved it before, or it stands elsewhere.", body = Problem, content_type = "application/problem+json"),
        (status = "default", description = "A problem.", body = Problem, content_type = "application/problem+json"),
    )
)]
pub async fn approve(
    horizon: Horizon,
    Extension(asking): Extension<Asking>,
    Path(run): Path<String>,
    request: Request,
) -> Answer<Json<RunDetail>> {
    let word = word_of(request)?;
    let yes = Word::Approve(word.plan_hash);
    say(&horizon, &asking, (&run, yes), &word.text).await
}

/// Says no to a planned run.
#[utoipa::path(
    post,
    path = "/api/v1/runs/{run}/reject",
    tag = "maintenance",
    params(("run" = i64, Path, description = "Its number.")),
    request_body = RunWord,
    responses(
        (status = 200, description = "The run as it is then.", body = RunDetail),
        (status = 400, description = "The text is missing or too long.", body = Problem, content_type = "application/problem+json"),
        (status = 404, description = "There is none.", body = Problem, content_type = "application/problem+json"),
        (status = 409, description = "It stands elsewhere.", body = Problem, content_type = "application/problem+json"),
        (status = "default", description = "A problem.", body = Problem, content_type = "application/problem+json"),
    )
)]
pub async fn reject(
    horizon: Horizon,
    Extension(asking): Extension<Asking>,
    Path(run): Path<String>,
    request: Request,
) -> Answer<Json<RunDetail>> {
    let word = word_of(request)?;
    say(&horizon, &asking, (&run, Word::Reject), &word.text).await
}

/// Stops a run: nothing new is begun, what was not sent is taken back, what runs finishes. One that has not begun is
/// cancelled.
#[utoipa::path(
    post,
    path = "/api/v1/runs/{run}/stop",
    tag = "maintenance",
    params(("run" = i64, Path, description = "Its number.")),
    request_body(content = RunWord, description = "May be left out."),
    responses(
        (status = 200, description = "The run as it is then.", body = RunDetail),
        (status = 404, description = "There is none.", body = Problem, content_type = "application/problem+json"),
        (status = 409, description = "It stops already, or has ended.", body = Problem, content_type = "application/problem+json"),
        (status = "default", description = "A problem.", body = Problem, content_type = "application/problem+json"),
    )
)]
pub async fn stop(
    horizon: Horizon,
    Extension(asking): Extension<Asking>,
    Path(run): Path<String>,
    request: Request,
) -> Answer<Json<RunDetail>> {
    let word = word_of(request)?;
    say(&horizon, &asking, (&run, Word::Stop), &word.text).await
}

fn word_of((params, headers, body): Request) -> Answer<RunWord> {
    params.only(&[])?;
    let what = "the body must be {\"text\": \"...\", \"plan_hash\": \"...\"}";
    body::json_or_default(&headers, &body, what)
}

async fn say(
    horizon: &Horizon,
    asking: &Asking,
    (run, word): (&str, Word),
    text: &str,
) -> Answer<Json<RunDetail>> {
    let number = number_of(run)?;
    check_seen(horizon, number).await?;
    run::decide(horizon.app(), number, (word, asking.name()), text).await?;
    Ok(Json(find(horizon, number).await?))
}

/// The number of a run.
///
/// # Errors
/// When it is none.
pub fn number_of(text: &str) -> Result<i64, RunError> {
    let number = text.parse().ok().filter(|number| *number > 0);
    number.ok_or(RunError::Unknown)
}

/// The run of that number, when it is within the caller's scope.
///
/// # Errors
/// When there is none, or the database fails.
pub async fn seen(horizon: &Horizon, tx: &mut Tx, number: i64) -> Result<Run, RunError> {
    let found = tx.run_find(number).await?;
    let own = found.filter(|run| run.is_within(horizon.scope()));
    own.ok_or(RunError::Unknown)
}

/// Whether the caller may say something about a run.
///
/// # Errors
/// When there is none within their scope, or the database fails.
pub async fn check_seen(horizon: &Horizon, number: i64) -> Result<(), RunError> {
    let mut tx = horizon.app().store.read().await?;
    seen(horizon, &mut tx, number).await.map(drop)
}

/// Everything about one run.
///
/// # Errors
/// When there is none within the caller's scope, or the database fails.
pub async fn find(horizon: &Horizon, number: i64) -> Answer<RunDetail> {
    let mut tx = horizon.app().store.read().await?;
    let run = seen(horizon, &mut tx, number).await?;
    let approvals = run::approvals(&mut tx, &run).await?;
    let approvals = approvals.into_iter().map(approval).collect();
    let life = tx.run_steps(number, STEPS_MAX).await?;
    let life = life.into_iter().map(|step| RunLifeView {
        at_ms: step.at.unix_ms(),
        to: step.to,
        by: step.by,
        text: step.text,
    });
    let counts = run::counts(&mut tx, std::slice::from_ref(&run)).await?;
    let orders = counts.get(&number).copied().unwrap_or_default();
    Ok(detail_of(horizon, run, orders, (approvals, life.collect())))
}

/// Runs of the caller's scope as lists show them, newest first, and before which the next page begins.
///
/// # Errors
/// When the database fails.
pub async fn views(horizon: &Horizon, query: &RunQuery) -> Answer<(Vec<RunView>, Option<i64>)> {
    let own = horizon.scope();
    let mut found = SeenPage::new(own, query.limit, query.before);
    let mut tx = horizon.app().store.read().await?;
    while let Some((before, limit)) = found.next_read() {
        let part = RunQuery {
            before,
            limit,
            ..*query
        };
        let page = tx.runs_page(&part).await?;
        found.take(page, |run| run.number, |run| run.is_within(own));
    }
    let (runs, next) = (found.rows, found.next);
    let (Some(first), Some(last)) = (runs.last(), runs.first()) else {
        return Ok((Vec::new(), next));
    };
    let mut progress: HashMap<i64, RunProgress> = HashMap::new();
    for (run, state, count) in tx.run_host_counts(first.number..=last.number).await? {
        progress.entry(run).or_default().add(state, count);
    }
    let orders = run::counts(&mut tx, &runs).await?;
    let views = runs.iter().map(|run| {
        let of_run = progress.remove(&run.number);
        let orders = orders.get(&run.number).copied();
        view(run, of_run.unwrap_or_default(), orders.unwrap_or_default())
    });
    Ok((views.collect(), next))
}

fn detail_of(
    horizon: &Horizon,
    run: Run,
    orders: RunOrderCount,
    (approvals, life): (Vec<ApprovalView>, Vec<RunLifeView>),
) -> RunDetail {
    let mut progress = RunProgress::default();
    let mut waves: Vec<RunProgress> = Vec::new();
    for host in &run.hosts {
        progress.add(host.state, 1);
        let wave = host.body.wave as usize;
        if waves.len() <= wave {
            waves.resize(wave.saturating_add(1), RunProgress::default());
        }
        if let Some(wave) = waves.get_mut(wave) {
            wave.add(host.state, 1);
        }
    }
    RunDetail {
        run: view(&run, progress, orders),
        // One that left the scope since is in the counts alone.
        hosts: run
            .hosts
            .iter()
            .filter(|host| horizon.sees_what_is_of(Some(host.host)))
            .map(host_view)
            .collect(),
        spec: run.spec,
        plan: run.body.plan,
        approvals,
        waves,
        life,
    }
}

fn view(run: &Run, progress: RunProgress, orders: RunOrderCount) -> RunView {
    let Run { spec, body, .. } = run;
    RunView {
        number: run.number,
        name: spec.name.clone(),
        state: run.state,
        state_ms: body.state_at_ms.unix_ms(),
        why: body.why.clone(),
        summary: spec.summary(),
        tier: spec.tier().number(),
        window: spec.window.clone(),
        requester: body.requester.clone(),
        scope: body.scope.clone(),
        reason: spec.reason.clone(),
        approvals_needed: approvals_needed(spec) as u64,
        created_ms: run.created_at.unix_ms(),
        started_ms: body.started_at_ms.map(Timestamp::unix_ms),
        ended_ms: run.ended_at.map(Timestamp::unix_ms),
        deadline_ms: run.deadline.map(Timestamp::unix_ms),
        finishes_ms: body.plan.finishes_at_ms.map(Timestamp::unix_ms),
        progress,
        orders: orders.orders,
        orders_signed: orders.signed,
    }
}

fn host_view(host: &RunHost) -> RunHostView {
    let body = &host.body;
    let ms = |at: Option<Timestamp>| at.map(Timestamp::unix_ms);
    RunHostView {
        host: host.host.to_string(),
        name: body.name.to_string(),
        wave: body.wave.saturating_add(1),
        spread: body.spread.clone(),
        state: host.state,
        state_ms: body.state_at_ms.unix_ms(),
        why: body.why.clone(),
        step: body.step.saturating_add(u32::from(body.asked > 0)),
        action: body.action.map(|id| id.to_string()),
        expected_start_ms: ms(body.expected_start_ms),
        expected_end_ms: ms(body.expected_end_ms),
        eta_ms: ms(body.eta_ms),
        begun_ms: ms(body.begun_at_ms),
        ended_ms: ms(body.ended_at_ms),
    }
}
