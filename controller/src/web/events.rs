//! `/events`: what happened, newest first, as a page.

use askama::Template;
use axum::Extension;
use axum::response::Response;
use tidemark_model::notice::NoticeKind;
use tidemark_model::view::EventView;
use tidemark_model::{HostId, Timestamp};
use tidemark_store::{EventQuery, NoticeQuery, NoticeStart, RecordXml, StoredEvent};

use super::{Frame, for_person, page as respond, words};
use crate::access::Horizon;
use crate::api::events as api;
use crate::api::fleet;
use crate::api::guard::Asking;
use crate::api::host_events::event_sentence;
use crate::api::params::Params;
use crate::api::problem::Answer;

/// Lines of a page.
const ROWS: u32 = 100;

/// `GET /events`.
pub async fn page(
    horizon: Horizon,
    Extension(asking): Extension<Asking>,
    params: Params,
) -> Response {
    for_person(events_page(&horizon, &asking, params).await)
}

async fn events_page(horizon: &Horizon, asking: &Asking, params: Params) -> Answer<Response> {
    let params = params.only(&["kind", "cursor"])?;
    let kind = params.one("kind")?.and_then(NoticeKind::from_name);
    let before = params.parsed("cursor", fleet::cursor_limit, |text| text.parse().ok())?;
    let query = NoticeQuery {
        start: before.map_or(NoticeStart::Newest, NoticeStart::Before),
        host: None,
        kind,
        since: None,
        limit: ROWS,
    };
    let (rows, older) = rows_of(horizon, &query).await?;
    Ok(respond(&EventsPage {
        frame: Frame::new("events", asking),
        kinds: NoticeKind::ALL.iter().map(|kind| kind.as_str()).collect(),
        kind: kind.map_or("", NoticeKind::as_str),
        is_newest: before.is_none(),
        older,
        rows,
    }))
}

/// A page of events as lines, and the number that the next page begins before.
async fn rows_of(horizon: &Horizon, query: &NoticeQuery) -> Answer<(Vec<EventRow>, Option<i64>)> {
    let now = horizon.app().clock.now();
    let (events, older) = api::page(horizon, query).await?;
    let rows = events.into_iter().map(|event| EventRow::new(event, now));
    Ok((rows.collect(), older))
}

/// One event as a line.
#[derive(Clone, Debug, Template)]
#[template(path = "event.html")]
pub struct EventRow {
    event: EventView,
    at: String,
    kind: String,
    tone: &'static str,
}

impl EventRow {
    /// The line of an event as seen at `now`.
    #[must_use]
    pub fn new(event: EventView, now: Timestamp) -> Self {
        let tone = match NoticeKind::from_name(&event.kind) {
            Some(
                NoticeKind::ForecastChanged
                | NoticeKind::HostQuarantined
                | NoticeKind::SamplesDropped
                | NoticeKind::ConfigurationChanged
                | NoticeKind::CauseFound
                | NoticeKind::IncidentOpened
                | NoticeKind::ActionChanged
                | NoticeKind::PolicyFired
                | NoticeKind::RunChanged
                | NoticeKind::HostEvent,
            ) => "watch",
            Some(
                NoticeKind::HostRevoked
                | NoticeKind::EnrolmentRefused
                | NoticeKind::FrameRefused
                | NoticeKind::IncidentEscalated
                | NoticeKind::ActionEscalated
                | NoticeKind::LockdownTurned
                | NoticeKind::KeyStatement
                | NoticeKind::AuditLogContradicted
                | NoticeKind::UserLocked
                | NoticeKind::NotificationFailed,
            ) => "urgent",
            Some(
                NoticeKind::HostEnrolled
                | NoticeKind::HostConnected
                | NoticeKind::HostDisconnected
                | NoticeKind::HostRebooted
                | NoticeKind::TokenCreated
                | NoticeKind::UserChanged
                | NoticeKind::IncidentResolved
                | NoticeKind::BudgetApplied
                | NoticeKind::BudgetDeleted
                | NoticeKind::WindowApplied
                | NoticeKind::WindowDeleted
                | NoticeKind::PolicyApplied
                | NoticeKind::PolicyDeleted
                | NoticeKind::Upgrade
                | NoticeKind::GrantMade
                | NoticeKind::GrantEnded
                | NoticeKind::Controller,
            )
            | None => "calm",
        };
        Self {
            at: words::moment(Timestamp::from_unix_ms(event.at_ms), now),
            kind: event.kind.replace('_', " "),
            tone,
            event,
        }
    }

    /// The line of what a host reported, as seen at `now`.
    fn of_hit(event: &StoredEvent, (host, name): (HostId, Option<String>), now: Timestamp) -> Self {
        let view = EventView {
            id: event.id,
            at_ms: event.at.unix_ms(),
            host: Some(host.to_string()),
            host_name: name,
            kind: NoticeKind::HostEvent.as_str().to_owned(),
            text: event_sentence(&event.hit),
        };
        let mut line = Self::new(view, now);
        let level = event.hit.log.as_ref().and_then(|log| log.level);
        line.tone = match level {
            _ if event.hit.exhausted_protocol().is_some() => "urgent",
            // Information and whatever is less.
            Some(4..) => "calm",
            Some(_) | None => line.tone,
        };
        line
    }
}

/// What happened to a host, newest first: what the controller noticed, and what the host's log and agent reported.
pub(super) async fn rows_of_host(
    horizon: &Horizon,
    host: HostId,
    rows: usize,
) -> Answer<Vec<EventRow>> {
    let app = horizon.app();
    let now = app.clock.now();
    let limit = u32::try_from(rows).unwrap_or(u32::MAX);
    let notices = NoticeQuery {
        start: NoticeStart::Newest,
        host: Some(host),
        kind: None,
        since: None,
        // Those of events are left out below.
        limit: limit.saturating_mul(8),
    };
    let (mut found, _) = api::page(horizon, &notices).await?;
    found.retain(|event| event.kind != NoticeKind::HostEvent.as_str());
    let mut lines: Vec<EventRow> = found
        .into_iter()
        .map(|event| EventRow::new(event, now))
        .collect();
    let query = EventQuery {
        host,
        before: None,
        since: None,
        source: None,
        code: None,
        xml: RecordXml::Without,
        limit,
    };
    let mut tx = app.store.read().await?;
    let hits = tx.events_page(&query).await?;
    let name = app.live.name_of(host);
    lines.extend(
        hits.iter()
            .map(|hit| EventRow::of_hit(hit, (host, name.clone()), now)),
    );
    lines.sort_by_key(|line| std::cmp::Reverse(line.event.at_ms));
    lines.truncate(rows);
    Ok(lines)
}

#[derive(Template)]
#[template(path = "events.html")]
struct EventsPage {
    frame: Frame,
    kinds: Vec<&'static str>,
    kind: &'static str,
    is_newest: bool,
    older: Option<i64>,
    rows: Vec<EventRow>,
}
