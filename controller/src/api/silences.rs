//! `/api/v1/silences`: when nobody is told of what.

use std::sync::Arc;
use std::time::Duration;

use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::{Extension, Json};
use tidemark_model::audit_log::Deed;
use tidemark_model::silence::{Matcher, Silence};
use tidemark_model::view::{Page, Problem, SilenceRequest, SilenceView};
use tidemark_model::{ErrorCode, Timestamp};

use super::body::{self, Invalid, Request};
use super::fleet;
use super::guard::Asking;
use super::params::Params;
use super::problem::{Answer, ApiProblem};
use crate::app::App;
use crate::incidents::text::clean;

/// Matchers of a silence, at most.
pub const MATCHERS_MAX: usize = 20;
/// Longest reason, in characters.
pub const REASON_CHARS_MAX: usize = 500;
/// Shortest and longest silence, in seconds.
pub const DURATION_LIMITS: (u64, u64) = (60, 31_536_000);

/// Silences, newest first, with those that are over.
#[utoipa::path(
    get,
    path = "/api/v1/silences",
    tag = "incidents",
    params(
        ("limit" = Option<usize>, Query, description = "Rows of a page, 1 to 1000; 100 without it.", minimum = 1, maximum = 1000),
        ("cursor" = Option<String>, Query, description = "The next_cursor of the page before."),
    ),
    responses(
        (status = 200, description = "A page of silences.", body = Page<SilenceView>),
        (status = "default", description = "A problem.", body = Problem, content_type = "application/problem+json"),
    )
)]
pub async fn list(State(app): State<Arc<App>>, params: Params) -> Answer<Json<Page<SilenceView>>> {
    let params = params.only(&["limit", "cursor"])?;
    let limit = params.limit()?;
    let before = params.parsed("cursor", fleet::cursor_limit, |text| text.parse().ok())?;
    let rows = u32::try_from(limit).unwrap_or(u32::MAX);
    let mut tx = app.store.read().await?;
    let silences = tx.silences_page(before, rows).await?;
    let next_cursor = fleet::cursor_after(&silences, limit, |silence| silence.id.to_string());
    let now = app.clock.now();
    Ok(Json(Page {
        items: silences.iter().map(|one| view(one, now)).collect(),
        next_cursor,
    }))
}

/// Makes a silence in the caller's name.
#[utoipa::path(
    post,
    path = "/api/v1/silences",
    tag = "incidents",
    request_body = SilenceRequest,
    responses(
        (status = 201, description = "The silence.", body = SilenceView),
        (status = 400, description = "A value is out of limits.", body = Problem, content_type = "application/problem+json"),
        (status = "default", description = "A problem.", body = Problem, content_type = "application/problem+json"),
    )
)]
pub async fn create(
    State(app): State<Arc<App>>,
    Extension(asking): Extension<Asking>,
    (params, headers, body): Request,
) -> Answer<(StatusCode, Json<SilenceView>)> {
    params.only(&[])?;
    let request: SilenceRequest = body::json(&headers, &body, "the body is no silence")?;
    let made = make(&app, asking.name(), &request).await?;
    Ok((StatusCode::CREATED, Json(view(&made, app.clock.now()))))
}

/// Makes a silence in the name of `author`.
///
/// # Errors
/// [`Invalid`], or what the database says.
pub async fn make(app: &App, author: &str, request: &SilenceRequest) -> Answer<Silence> {
    let now = app.clock.now();
    let silence = checked(request, author, now)?;
    let mut tx = app.store.begin().await?;
    let id = tx.silence_insert(&silence).await?;
    let matchers: Vec<String> = silence.matchers.iter().map(ToString::to_string).collect();
    let record = app.record(Deed::SilenceCreate, "silences", id);
    record
        .with("matchers", matchers.join(" "))
        .with("ends_ms", silence.ends_at.unix_ms())
        .with("reason", &silence.reason)
        .keep(&mut tx)
        .await?;
    tx.commit().await?;
    app.incidents_changed.notify_one();
    Ok(Silence { id, ..silence })
}

fn checked(request: &SilenceRequest, author: &str, now: Timestamp) -> Result<Silence, Invalid> {
    let mut problems = Vec::new();
    if !(1..=MATCHERS_MAX).contains(&request.matchers.len()) {
        problems.push(format!(
            "matchers has {} entries; it must have 1 to {MATCHERS_MAX}",
            request.matchers.len()
        ));
    }
    let mut matchers: Vec<Matcher> = Vec::new();
    for text in &request.matchers {
        match text.parse() {
            Ok(matcher) => matchers.push(matcher),
            Err(error) => problems.push(format!("matchers: {error}")),
        }
    }
    let (least, most) = DURATION_LIMITS;
    if !(least..=most).contains(&request.duration_s) {
        problems.push(format!(
            "duration_s is {}; it must be {least} to {most} (a year)",
            request.duration_s
        ));
    }
    let reason = request.reason.trim();
    if !(1..=REASON_CHARS_MAX).contains(&reason.chars().count()) {
        problems.push(format!(
            "reason must be 1 to {REASON_CHARS_MAX} characters: say why, for whoever finds it"
        ));
    }
    let starts_at = request.starts_ms.map_or(now, Timestamp::from_unix_ms);
    let year_ms = i64::try_from(most)
        .unwrap_or(i64::MAX)
        .saturating_mul(1_000);
    if starts_at.ms_since(now).unsigned_abs() > year_ms.unsigned_abs() {
        problems.push("starts_ms must be within a year".to_owned());
    }
    if !problems.is_empty() {
        return Err(Invalid(problems));
    }
    Ok(Silence {
        id: 0,
        matchers,
        starts_at,
        ends_at: starts_at.saturating_add(Duration::from_secs(request.duration_s)),
        author: clean(author),
        reason: clean(reason),
        created_at: now,
    })
}

/// Ends a silence at once; it stays in the list.
#[utoipa::path(
    delete,
    path = "/api/v1/silences/{silence}",
    tag = "incidents",
    params(("silence" = i64, Path, description = "Its number.")),
    responses(
        (status = 204, description = "It is ended."),
        (status = 404, description = "There is none.", body = Problem, content_type = "application/problem+json"),
        (status = "default", description = "A problem.", body = Problem, content_type = "application/problem+json"),
    )
)]
pub async fn end(
    State(app): State<Arc<App>>,
    Path(silence): Path<String>,
    params: Params,
) -> Answer<StatusCode> {
    params.only(&[])?;
    end_one(&app, &silence).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Ends the silence of that number.
///
/// # Errors
/// When there is none, or the database fails.
pub async fn end_one(app: &App, silence: &str) -> Answer<()> {
    let id: i64 = silence.parse().map_err(|_| {
        ApiProblem::new(
            ErrorCode::NotFound,
            "there is no such silence; the list of silences has their numbers",
        )
    })?;
    let mut tx = app.store.begin().await?;
    tx.silence_end(id, app.clock.now()).await?;
    let record = app.record(Deed::SilenceEnd, "silences", id);
    record.keep(&mut tx).await?;
    tx.commit().await?;
    app.incidents_changed.notify_one();
    Ok(())
}

/// A silence as the API shows it.
#[must_use]
pub fn view(silence: &Silence, now: Timestamp) -> SilenceView {
    SilenceView {
        id: silence.id,
        matchers: silence.matchers.iter().map(ToString::to_string).collect(),
        state: silence.standing(now).to_owned(),
        starts_ms: silence.starts_at.unix_ms(),
        ends_ms: silence.ends_at.unix_ms(),
        author: silence.author.clone(),
        reason: silence.reason.clone(),
        created_ms: silence.created_at.unix_ms(),
    }
}
