//! `/windows.ics`: the windows of the coming months as a calendar that others subscribe to.

use std::sync::Arc;
use std::time::Duration;

use axum::extract::State;
use axum::http::header;
use axum::response::IntoResponse;
use tidemark_calendar::{FeedEvent, Window};
use tidemark_model::view::Problem;
use tidemark_model::window::WindowSpec;

use super::ZONES_MAX;
use crate::api::params::Params;
use crate::api::problem::Answer;
use crate::app::App;
use crate::maintain;

/// How far ahead the feed looks.
const AHEAD: Duration = Duration::from_secs(180 * 86_400);
/// Events of a window in one zone, and of the feed.
const EVENTS_OF_ZONE_MAX: usize = 200;
/// See [`EVENTS_OF_ZONE_MAX`].
const EVENTS_MAX: usize = 20_000;

/// Maintenance windows of the next 180 days as an iCalendar feed (RFC 5545), each time an event of its own, in UTC.
#[utoipa::path(
    get,
    path = "/windows.ics",
    tag = "maintenance",
    responses(
        (status = 200, description = "The calendar.", body = String, content_type = "text/calendar"),
        (status = "default", description = "A problem.", body = Problem, content_type = "application/problem+json"),
    )
)]
pub async fn calendar(State(app): State<Arc<App>>, params: Params) -> Answer<impl IntoResponse> {
    params.only(&[])?;
    let now = app.clock.now();
    let until = now.saturating_add(AHEAD);
    let book = app.windows.load_full();
    let windows: Vec<&Window> = book.windows.iter().map(|held| &*held.window).collect();
    let surveys = maintain::survey(&app, &windows, now);
    let mut events = Vec::new();
    for (held, survey) in book.windows.iter().zip(&surveys) {
        let window = &held.window;
        for (zone, hosts) in survey.zones.iter().take(ZONES_MAX) {
            let times = window
                .times(zone, now)
                .take_while(|at| at.start < until)
                .take(EVENTS_OF_ZONE_MAX);
            let about = describe(window.spec(), *hosts);
            events.extend(times.map(|at| FeedEvent {
                window: window.name().to_owned(),
                zone: zone.name().to_owned(),
                at,
                description: about.clone(),
                version: held.version,
                applied_at: held.applied_at,
            }));
        }
    }
    events.truncate(EVENTS_MAX);
    let headers = [
        (header::CONTENT_TYPE, "text/calendar; charset=utf-8"),
        (
            header::CONTENT_DISPOSITION,
            "inline; filename=\"windows.ics\"",
        ),
    ];
    Ok((headers, tidemark_calendar::feed(&events)))
}

fn describe(spec: &WindowSpec, hosts: u64) -> String {
    let mut lines = Vec::new();
    if !spec.description.is_empty() {
        lines.push(spec.description.clone());
    }
    lines.push(format!("{hosts} hosts: {}", spec.hosts.join(" ")));
    if spec.silences_incidents {
        lines.push("Nobody is told of incidents on them meanwhile.".to_owned());
    }
    lines.join("\n")
}
