//! `/api/v1/silences`: when nobody is told of what.

use std::sync::Arc;
use std::time::Duration;

use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::{Extension, Json};
use tidemark_model::audit_log::Deed;
use tidemark_model::silence::{Matcher, Silence};
use tidemark_model::view::{Page, Problem, SilenceRequest, SilenceView};
use tidemark_model::{ErrorCode, HostScope, Timestamp};

use super::body::{self, Invalid, Request};
use super::fleet;
use super::guard::Asking;
use super::params::Params;
use super::problem::{Answer, ApiProblem};
use super::seen::SeenPage;
use crate::access::users::By;
use crate::app::App;
use crate::incidents::labels::SILENCES_MAX;
use crate::incidents::text::clean;

/// Matchers of a silence, at most.
pub const MATCHERS_MAX: usize = 20;
/// Silences of whoever sees a part of the fleet that have not ended, at most.
const SILENCES_OF_SCOPE_MAX: usize = 100;
/// Longest reason, in characters.
pub const REASON_CHARS_MAX: usize = 500;
/// Shortest and longest silence, in seconds.
pub const DURATION_LIMITS: (u64, u64) = (60, 31_536_000);

/// Silences, newest first, with those that are over: those of the caller's scope.
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
pub async fn list(
    State(app): State<Arc<App>>,
    Extension(asking): Extension<Asking>,
    params: Params,
) -> Answer<Json<Page<SilenceView>>> {
    let params = params.only(&["limit", "cursor"])?;
    let limit = u32::try_from(params.limit()?).unwrap_or(u32::MAX);
    let before = params.parsed("cursor", fleet::cursor_limit, |text| text.parse().ok())?;
    let (items, next) = page(&app, &asking.scope(), (before, limit)).await?;
    let next_cursor = next.map(|id| id.to_string());
    Ok(Json(Page { items, next_cursor }))
}

/// A page of the silences within the scope `own`, and before which the next one begins.
///
/// # Errors
/// What the database says.
pub async fn page(
    app: &App,
    own: &HostScope,
    (before, limit): (Option<i64>, u32),
) -> Answer<(Vec<SilenceView>, Option<i64>)> {
    let mut found = SeenPage::new(own, limit, before);
    let mut tx = app.store.read().await?;
    while let Some((before, rows)) = found.next_read() {
        let page = tx.silences_page(before, rows).await?;
        found.take(page, |one| one.id, |one| one.scope.is_within(own));
    }
    let now = app.clock.now();
    let items = found.rows.iter().map(|one| view(one, now)).collect();
    Ok((items, found.next))
}

/// Makes a silence in the caller's name. It holds for the hosts of the caller's scope alone, whatever else it matches.
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
    let made = make(&app, asking.by(), &request).await?;
    Ok((StatusCode::CREATED, Json(view(&made, app.clock.now()))))
}

/// Makes a silence in the name of `by`, for their hosts.
///
/// # Errors
/// [`Invalid`], or what the database says.
pub async fn make(app: &App, by: By, request: &SilenceRequest) -> Answer<Silence> {
    let now = app.clock.now();
    let silence = checked(request, by, now)?;
    let mut tx = app.store.begin().await?;
    let standing = tx.silences_unexpired(now, SILENCES_MAX).await?;
    check_room(&standing, &silence.scope)?;
    let id = tx.silence_insert(&silence).await?;
    let matchers: Vec<String> = silence.matchers.iter().map(ToString::to_string).collect();
    let record = app.record(Deed::SilenceCreate, "silences", id);
    record
        .with("matchers", matchers.join(" "))
        .with("hosts", &silence.scope)
        .with("ends_ms", silence.ends_at.unix_ms())
        .with("reason", &silence.reason)
        .keep(&mut tx)
        .await?;
    tx.commit().await?;
    tell(app, &silence.scope);
    Ok(Silence { id, ..silence })
}

/// One team leaves room for the silences of others.
fn check_room(standing: &[Silence], scope: &HostScope) -> Result<(), ApiProblem> {
    let own = standing.iter().filter(|one| one.scope.is_within(scope));
    let (count, most) = match scope {
        HostScope::All => (standing.len(), SILENCES_MAX as usize),
        HostScope::Chosen(_) => (own.count(), SILENCES_OF_SCOPE_MAX),
    };
    if count < most && standing.len() < SILENCES_MAX as usize {
        return Ok(());
    }
    Err(ApiProblem::new(
        ErrorCode::Exhausted,
        format!(
            "{count} silences of {scope} have not ended; {most} at most may be, and {SILENCES_MAX} of everybody: end some, or write one that matches more"
        ),
    ))
}

/// Wakes what tells of incidents, and tells the lists of those whose hosts it is about. Lists of others are read again with the
/// next change of theirs.
fn tell(app: &App, scope: &HostScope) {
    app.incidents_changed.notify_one();
    if !scope.is_all() {
        app.live.announce_incidents(&app.live.ids_within(scope));
    }
}

fn checked(request: &SilenceRequest, by: By, now: Timestamp) -> Result<Silence, Invalid> {
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
        scope: by.scope,
        starts_at,
        ends_at: starts_at.saturating_add(Duration::from_secs(request.duration_s)),
        author: clean(&by.name),
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
    Extension(asking): Extension<Asking>,
    Path(silence): Path<String>,
    params: Params,
) -> Answer<StatusCode> {
    params.only(&[])?;
    end_one(&app, &asking.scope(), &silence).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Ends the silence of that number, which is within the scope `own`.
///
/// # Errors
/// When there is none, or the database fails.
pub async fn end_one(app: &App, own: &HostScope, silence: &str) -> Answer<()> {
    let unknown = || {
        ApiProblem::new(
            ErrorCode::NotFound,
            "there is no such silence; the list of silences has their numbers",
        )
    };
    let id: i64 = silence.parse().map_err(|_| unknown())?;
    let mut tx = app.store.begin().await?;
    let found = tx.silence_find(id).await?;
    let scope = found
        .map(|found| found.scope)
        .filter(|scope| scope.is_within(own));
    let scope = scope.ok_or_else(unknown)?;
    tx.silence_end(id, app.clock.now()).await?;
    let record = app.record(Deed::SilenceEnd, "silences", id);
    record.keep(&mut tx).await?;
    tx.commit().await?;
    tell(app, &scope);
    Ok(())
}

/// A silence as the API shows it.
#[must_use]
pub fn view(silence: &Silence, now: Timestamp) -> SilenceView {
    SilenceView {
        id: silence.id,
        matchers: silence.matchers.iter().map(ToString::to_string).collect(),
        scope: silence.scope.to_text(),
        state: silence.standing(now).to_owned(),
        starts_ms: silence.starts_at.unix_ms(),
        ends_ms: silence.ends_at.unix_ms(),
        author: silence.author.clone(),
        reason: silence.reason.clone(),
        created_ms: silence.created_at.unix_ms(),
    }
}
