//! `/api/v1/windows` and `/windows.ics`: maintenance windows, when they come, and who applied them.

mod apply;
mod feed;

use std::sync::Arc;

use axum::Json;
use axum::extract::{Path, State};
use axum::response::IntoResponse;
use tidemark_calendar::{Window, Zone};
use tidemark_model::incident::Incident;
use tidemark_model::view::{
    OccurrenceView, Page, Problem, SilencedByWindow, WindowDetail, WindowStanding, WindowTimes,
    WindowVersionView, WindowView, ZoneTimes,
};
use tidemark_model::window::{Occurrence, Survival};
use tidemark_model::{ErrorCode, HostId, Timestamp};
use tidemark_store::DocumentKind;

pub use apply::{__path_apply, __path_delete, apply, delete};
pub use feed::{__path_calendar, calendar};

use super::documents;
use super::expected::etag;
use super::fleet;
use super::params::Params;
use super::problem::{Answer, ApiProblem};
use crate::access::Horizon;
use crate::app::App;
use crate::maintain::{self, Held, Survey};

/// Times of a window that are told without a count, and at most.
const TIMES: usize = 10;
/// See [`TIMES`].
const TIMES_MAX: usize = 100;
/// Time zones of a window that are told.
const ZONES_MAX: usize = 50;

/// All maintenance windows by name.
#[utoipa::path(
    get,
    path = "/api/v1/windows",
    tag = "maintenance",
    responses(
        (status = 200, description = "The windows, in one page.", body = Page<WindowView>),
        (status = "default", description = "A problem.", body = Problem, content_type = "application/problem+json"),
    )
)]
pub async fn list(State(app): State<Arc<App>>, params: Params) -> Answer<Json<Page<WindowView>>> {
    params.only(&["limit", "cursor"])?;
    let now = app.clock.now();
    let book = app.windows.load_full();
    Ok(Json(Page {
        items: views(&app, &book.windows, now),
        next_cursor: None,
    }))
}

/// One window with everything that was ever applied under its name.
#[utoipa::path(
    get,
    path = "/api/v1/windows/{window}",
    tag = "maintenance",
    params(("window" = String, Path, description = "Its name.")),
    responses(
        (status = 200, description = "The window.", body = WindowDetail),
        (status = 404, description = "There never was one.", body = Problem, content_type = "application/problem+json"),
        (status = "default", description = "A problem.", body = Problem, content_type = "application/problem+json"),
    )
)]
pub async fn detail(
    State(app): State<Arc<App>>,
    Path(window): Path<String>,
    params: Params,
) -> Answer<impl IntoResponse> {
    params.only(&[])?;
    let mut tx = app.store.read().await?;
    let versions = tx.document_versions(DocumentKind::Window, &window).await?;
    let newest = versions
        .first()
        .ok_or_else(|| documents::unknown::<Window>(&window))?
        .version;
    let now = app.clock.now();
    let versions = versions.into_iter().map(|version| WindowVersionView {
        spec: maintain::window_of(&version).map(|window| window.spec().clone()),
        version: version.version,
        applied_ms: version.at.unix_ms(),
        applied_by: version.author,
    });
    let book = app.windows.load_full();
    let detail = WindowDetail {
        window: book
            .find(&window)
            .and_then(|held| views(&app, std::slice::from_ref(held), now).pop()),
        versions: versions.collect(),
    };
    Ok((etag(newest), Json(detail)))
}

/// When a window comes, in each of its time zones or on one host.
#[utoipa::path(
    get,
    path = "/api/v1/windows/{window}/next",
    tag = "maintenance",
    params(
        ("window" = String, Path, description = "Its name."),
        ("host" = Option<String>, Query, description = "Only in this host's time zone: its id or name."),
        ("count" = Option<usize>, Query, description = "Times in each zone, 1 to 100; 10 without it.", minimum = 1, maximum = 100),
    ),
    responses(
        (status = 200, description = "Its times.", body = WindowTimes),
        (status = 404, description = "There is no such window or host.", body = Problem, content_type = "application/problem+json"),
        (status = 409, description = "The window is not for that host.", body = Problem, content_type = "application/problem+json"),
        (status = "default", description = "A problem.", body = Problem, content_type = "application/problem+json"),
    )
)]
pub async fn next(
    horizon: Horizon,
    Path(window): Path<String>,
    params: Params,
) -> Answer<Json<WindowTimes>> {
    let params = params.only(&["host", "count"])?;
    let count = params.number("count", 1..=TIMES_MAX)?.unwrap_or(TIMES);
    let app = horizon.app();
    let book = app.windows.load_full();
    let held = book
        .find(&window)
        .ok_or_else(|| documents::unknown::<Window>(&window))?;
    let now = app.clock.now();
    let times = match params.one("host")? {
        None => {
            let surveys = maintain::survey(app, &[&held.window], now);
            let survey = surveys.into_iter().next().unwrap_or_default();
            times_of(&held.window, &survey, (count, now))
        }
        Some(host) => {
            let id = fleet::find_host(&horizon, host)?;
            times_on(app, &held.window, id, (count, now))?
        }
    };
    Ok(Json(times))
}

/// When a window comes in each of its zones: so many times from then on.
fn times_of(window: &Window, survey: &Survey, (count, now): (usize, Timestamp)) -> WindowTimes {
    let left_out = survey.zones.len().saturating_sub(ZONES_MAX);
    let zones = survey.zones.iter().take(ZONES_MAX);
    WindowTimes {
        window: window.name().to_owned(),
        zones: zones
            .map(|(zone, hosts)| zone_times(window, zone, *hosts, (count, now)))
            .collect(),
        zones_left_out: left_out as u64,
        hosts_without_zone: survey.without_zone,
    }
}

fn times_on(
    app: &App,
    window: &Window,
    host: HostId,
    (count, now): (usize, Timestamp),
) -> Result<WindowTimes, ApiProblem> {
    let known = app
        .live
        .read(host, |live| (live.labels(), live.profile.time_zone.clone()));
    let (labels, zone) = known.unwrap_or_default();
    if !window.is_for(&labels) {
        let title = format!(
            "the window {} is not for this host: its matchers are {}",
            window.name(),
            window.spec().hosts.join(" ")
        );
        return Err(ApiProblem::new(ErrorCode::Precondition, title));
    }
    let own = zone.and_then(|name| Zone::named(&name));
    let zone = window.zone().on(own.as_ref());
    let zones = zone.map(|zone| zone_times(window, zone, 1, (count, now)));
    Ok(WindowTimes {
        window: window.name().to_owned(),
        hosts_without_zone: u64::from(zones.is_none()),
        zones: zones.into_iter().collect(),
        zones_left_out: 0,
    })
}

fn zone_times(
    window: &Window,
    zone: &Zone,
    hosts: u64,
    (count, now): (usize, Timestamp),
) -> ZoneTimes {
    let times = window.times(zone, now).take(count);
    ZoneTimes {
        time_zone: zone.name().to_owned(),
        hosts,
        occurrences: times.map(|at| occurrence_view(zone, at)).collect(),
    }
}

fn occurrence_view(zone: &Zone, at: Occurrence) -> OccurrenceView {
    OccurrenceView {
        starts_ms: at.start.unix_ms(),
        ends_ms: at.end.unix_ms(),
        starts_local: zone.wall_words(at.start),
        time_zone: zone.name().to_owned(),
    }
}

/// Windows as the API shows them, in their order.
#[must_use]
pub fn views(app: &App, held: &[Held], now: Timestamp) -> Vec<WindowView> {
    let windows: Vec<&Window> = held.iter().map(|held| &*held.window).collect();
    let surveys = maintain::survey(app, &windows, now);
    let both = held.iter().zip(&surveys);
    both.map(|(held, survey)| view(held, survey, now)).collect()
}

fn view(held: &Held, survey: &Survey, now: Timestamp) -> WindowView {
    let window = &held.window;
    let zones = survey.zones.iter();
    let soonest = zones
        .filter_map(|(zone, _)| Some((zone, window.times(zone, now).next()?)))
        .min_by_key(|(_, at)| *at);
    WindowView {
        spec: window.spec().clone(),
        version: held.version,
        applied_by: held.applied_by.clone(),
        applied_ms: held.applied_at.unix_ms(),
        hosts: survey.hosts(),
        hosts_without_zone: survey.without_zone,
        hosts_in_danger: survey.in_danger,
        next: soonest.map(|(zone, at)| occurrence_view(zone, at)),
    }
}

/// The window that counts for an incident, and whether the ports that it is about last until it.
#[must_use]
pub fn standing_view(app: &App, incident: &Incident, now: Timestamp) -> Option<WindowStanding> {
    let problem = &incident.problem;
    let (entry, at) = maintain::standing_of(app, &problem.hosts, now)?;
    let survives = if problem.is_exhausted {
        Some(Survival::WillNot)
    } else {
        let deadline = at.deadline(now);
        problem
            .eta
            .map(|eta| Survival::until(deadline, Some(eta.at), Some(eta.earliest)))
    };
    Some(entry.view(at, now, survives))
}

/// The window that keeps an incident from receivers, while it is not over.
#[must_use]
pub fn silence_view(app: &App, incident: &Incident, now: Timestamp) -> Option<SilencedByWindow> {
    if incident.state.resolved_at().is_some() {
        return None;
    }
    let (entry, until) = maintain::silence_on(app, &incident.problem.hosts, now)?;
    Some(SilencedByWindow {
        name: entry.window.to_string(),
        until_ms: until.unix_ms(),
    })
}
