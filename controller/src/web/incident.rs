//! `/incidents/{incident}`: one incident, its time line, and what an operator can do.

use askama::Template;
use axum::extract::Path;
use axum::response::{IntoResponse as _, Redirect, Response};
use axum::{Extension, Form};
use tidemark_model::view::{IncidentDetail, TimelineView};
use tidemark_model::{ErrorCode, Role, Timestamp};

use super::actions::{self, ActionRow, OfferRow};
use super::incidents::{silenced, until, urgency};
use super::window::WindowWords;
use super::{Frame, for_person, page as respond, words};
use crate::access::Horizon;
use crate::api::guard::Asking;
use crate::api::incidents as api;
use crate::api::params::Params;
use crate::api::problem::{Answer, ApiProblem};
use crate::incidents::operate::{Deed, operate};

/// Fields of a form, as browsers send them.
pub type Fields = Form<Vec<(String, String)>>;

/// `GET /incidents/{incident}`.
pub async fn page(
    horizon: Horizon,
    Extension(asking): Extension<Asking>,
    Path(incident): Path<String>,
    params: Params,
) -> Response {
    let shown = async {
        params.only(&[])?;
        incident_page(&horizon, &asking, &incident).await
    };
    for_person(shown.await)
}

/// `POST /incidents/{incident}`: what the buttons do.
pub async fn act(
    horizon: Horizon,
    Extension(asking): Extension<Asking>,
    Path(incident): Path<String>,
    Form(fields): Fields,
) -> Response {
    let done = async {
        let id = api::number(&incident)?;
        let deed = Deed::from_name(field(&fields, "do")).ok_or_else(|| {
            ApiProblem::new(
                ErrorCode::InvalidArgument,
                "do must be acknowledge, resolve or note",
            )
        })?;
        let text = Some(field(&fields, "text"));
        operate(&horizon, id, (deed, asking.name()), text).await?;
        Ok(Redirect::to(&format!("/incidents/{id}")).into_response())
    };
    for_person(done.await)
}

/// The value of a field; empty without it.
#[must_use]
pub fn field<'f>(fields: &'f [(String, String)], name: &str) -> &'f str {
    fields
        .iter()
        .find(|(key, _)| key == name)
        .map_or("", |(_, value)| value)
}

async fn incident_page(horizon: &Horizon, asking: &Asking, incident: &str) -> Answer<Response> {
    let detail = api::find(horizon, incident).await?;
    let now = horizon.app().clock.now();
    let view = &detail.incident;
    let is_over = view.state == "resolved";
    Ok(respond(&IncidentPage {
        frame: Frame::new("incidents", asking),
        urgency: urgency(view),
        until: until(view, now),
        window: view.window.as_ref().map(|one| WindowWords::of(one, now)),
        silenced: silenced(view, now),
        since: words::utc(Timestamp::from_unix_ms(view.since_ms)),
        opened: words::utc(Timestamp::from_unix_ms(view.opened_ms)),
        seen: words::relative(Timestamp::from_unix_ms(view.seen_ms), now),
        lines: detail
            .timeline
            .iter()
            .rev()
            .map(|line| Line::new(line, now))
            .collect(),
        actions: actions::of_incident(horizon, view.id).await?,
        offers: detail.proposals.iter().map(OfferRow::new).collect(),
        can_act: asking.may(Role::Operator) && view.hosts_hidden == 0,
        can_acknowledge: view.state == "open",
        is_over,
        detail,
    }))
}

#[derive(Template)]
#[template(path = "incident.html")]
struct IncidentPage {
    frame: Frame,
    detail: IncidentDetail,
    urgency: &'static str,
    until: String,
    window: Option<WindowWords>,
    silenced: String,
    since: String,
    opened: String,
    seen: String,
    lines: Vec<Line>,
    actions: Vec<ActionRow>,
    offers: Vec<OfferRow>,
    can_act: bool,
    can_acknowledge: bool,
    is_over: bool,
}

/// A line of the time line.
#[derive(Clone, Debug)]
struct Line {
    at_ms: i64,
    at: String,
    kind: String,
    tone: &'static str,
    who: String,
    text: String,
}

impl Line {
    fn new(line: &TimelineView, now: Timestamp) -> Self {
        let tone = match line.kind.as_str() {
            "escalated" | "notify_failed" | "host_revoked" => "urgent",
            "opened"
            | "reopened"
            | "host_event"
            | "host_rebooted"
            | "forecast_changed"
            | "configuration_changed" => "watch",
            _ => "calm",
        };
        Self {
            at_ms: line.at_ms,
            at: words::moment(Timestamp::from_unix_ms(line.at_ms), now),
            kind: line.kind.replace('_', " "),
            tone,
            who: line
                .by
                .clone()
                .or_else(|| line.host.clone())
                .unwrap_or_default(),
            text: line.text.clone(),
        }
    }
}
