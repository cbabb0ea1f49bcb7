//! `/incidents`: what operators are told about, newest first, as a page.

use askama::Template;
use axum::Extension;
use axum::response::Response;
use tidemark_model::Timestamp;
use tidemark_model::view::IncidentView;
use tidemark_store::{IncidentQuery, Standing};

use super::{Frame, for_person, page as respond, words};
use crate::access::Horizon;
use crate::api::fleet;
use crate::api::guard::Asking;
use crate::api::incidents as api;
use crate::api::params::Params;
use crate::api::problem::Answer;

/// Lines of a page.
const ROWS: u32 = 100;

/// What the list may be narrowed to: the filter's value, and its words.
const STATES: [(&str, &str); 5] = [
    ("active", "not over"),
    ("open", "open"),
    ("acknowledged", "acknowledged"),
    ("resolved", "resolved"),
    ("all", "all"),
];

/// `GET /incidents`.
pub async fn page(
    horizon: Horizon,
    Extension(asking): Extension<Asking>,
    params: Params,
) -> Response {
    for_person(incidents_page(&horizon, &asking, params).await)
}

async fn incidents_page(horizon: &Horizon, asking: &Asking, params: Params) -> Answer<Response> {
    let params = params.only(&["state", "cursor"])?;
    let asked = params.one("state")?.unwrap_or("active").to_owned();
    let (state, standing) = match asked.as_str() {
        "all" => (None, Standing::Any),
        "active" => (None, Standing::NotOver),
        _ => api::state_of(&params)?,
    };
    let before = params.parsed("cursor", fleet::cursor_limit, |text| text.parse().ok())?;
    let query = IncidentQuery {
        before,
        state,
        standing,
        severity: None,
        host: None,
        since: None,
        limit: ROWS,
    };
    let now = horizon.app().clock.now();
    let (found, older) = api::page(horizon, &query).await?;
    let mut rows: Vec<Row> = found.into_iter().map(|view| Row::new(view, now)).collect();
    // What needs somebody first; the newest of those that are alike.
    rows.sort_by_key(|row| row.rank);
    let suppressed = rows.iter().filter(|row| !row.silenced.is_empty()).count();
    Ok(respond(&IncidentsPage {
        suppressed,
        frame: Frame::new("incidents", asking),
        states: &STATES,
        state: asked,
        older,
        rows,
    }))
}

#[derive(Template)]
#[template(path = "incidents.html")]
struct IncidentsPage {
    frame: Frame,
    states: &'static [(&'static str, &'static str)],
    state: String,
    older: Option<i64>,
    suppressed: usize,
    rows: Vec<Row>,
}

/// One incident as a line.
#[derive(Clone, Debug)]
struct Row {
    view: IncidentView,
    urgency: &'static str,
    rank: u8,
    hosts: String,
    since: String,
    until: String,
    silenced: String,
}

impl Row {
    fn new(view: IncidentView, now: Timestamp) -> Self {
        let urgency = urgency(&view);
        Self {
            rank: match (urgency, view.state.as_str()) {
                (_, "resolved") => 4,
                ("urgent", "open") => 0,
                ("urgent", _) => 1,
                ("watch", _) => 2,
                (_, _) => 3,
            },
            urgency,
            hosts: hosts(&view),
            since: words::relative(Timestamp::from_unix_ms(view.since_ms), now),
            until: until(&view, now),
            silenced: silenced(&view, now),
            view,
        }
    }
}

/// How a line or a page is marked.
pub(super) fn urgency(view: &IncidentView) -> &'static str {
    match (view.state.as_str(), view.severity.as_str()) {
        ("resolved", _) => "calm",
        (_, "critical") => "urgent",
        (_, "warning") => "watch",
        (_, _) => "calm",
    }
}

/// Hosts in a few words.
fn hosts(view: &IncidentView) -> String {
    let first = view.hosts.first();
    let name = first.map(|host| host.name.clone().unwrap_or_else(|| host.id.clone()));
    let more = view.host_count.saturating_sub(1);
    match (name, more) {
        (None, _) => "no host".to_owned(),
        (Some(name), 0) => name,
        (Some(name), more) => format!("{name} and {more} more"),
    }
}

/// Which window keeps it from receivers, and until when; empty when none does.
pub(super) fn silenced(view: &IncidentView, now: Timestamp) -> String {
    view.silenced_by_window
        .as_ref()
        .map(|window| {
            let until = Timestamp::from_unix_ms(window.until_ms);
            format!(
                "silenced by the window {} until {}",
                window.name,
                words::instant(until, now)
            )
        })
        .unwrap_or_default()
}

/// Until when, in a few words.
pub(super) fn until(view: &IncidentView, now: Timestamp) -> String {
    if let Some(ended) = view.resolved_ms {
        let ended = Timestamp::from_unix_ms(ended);
        return format!("over since {}", words::relative(ended, now));
    }
    if view.kind == "saturated" {
        return "exhausted".to_owned();
    }
    match view.eta_ms.map(Timestamp::from_unix_ms) {
        Some(eta) if eta <= now => "due now".to_owned(),
        Some(eta) => format!("runs out {}", words::relative(eta, now)),
        None => "no date".to_owned(),
    }
}
