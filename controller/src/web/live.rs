//! `/live`: changes as rendered lines, so that what a page shows later is what it was first rendered with.

use std::convert::Infallible;
use std::time::Duration;

use askama::Template;
use axum::Extension;
use axum::response::Sse;
use axum::response::sse::Event;
use futures::{Stream, StreamExt as _};
use tidemark_model::HostId;
use tidemark_model::notice::{Notice, NoticeKind};
use tokio::time::Instant;

use super::events::EventRow;
use super::fleet::{ROWS_MAX, Tiles};
use super::row::Row;
use crate::access::Horizon;
use crate::api::changes::{self, Update, Viewer};
use crate::api::events;
use crate::api::fleet::{self, HostFilter};
use crate::api::guard::Asking;
use crate::api::live::sse;
use crate::api::params::Params;
use crate::api::problem::Answer;

/// Shortest time between two renderings of the tiles, which look at every host.
const TILES_EVERY: Duration = Duration::from_secs(2);

/// Fleets of more hosts than a page holds lines are told apart by this: shortest time between two looks at the lines shown.
const ROWS_EVERY: Duration = Duration::from_secs(2);

/// `GET /live`: events `row` (a line), `rows` (of a fleet with more hosts than a page holds: the lines shown are to be read again), `gone` (the id of a host that the filter does not let pass, or that left the scope), `tiles`, `event`
/// (a line of the list of events), `incidents` (their list changed) and `resync`. With `of=incidents`, `of=keys` and `of=upgrades` the last
/// two alone; `incidents` then stands for whatever else the page shows: keys, what was signed about them, and grants; or releases,
/// roll-outs, and what hosts say of them.
pub async fn stream(
    horizon: Horizon,
    Extension(asking): Extension<Asking>,
    params: Params,
) -> Answer<Sse<impl Stream<Item = Result<Event, Infallible>>>> {
    let params = params.only(&["of", "host", "text", "state", "label"])?;
    let only = params
        .one("host")?
        .map(|name| fleet::find_host(&horizon, name))
        .transpose()?;
    let page = params
        .parsed(
            "of",
            || "incidents, keys, upgrades".to_owned(),
            Shown::from_name,
        )?
        .unwrap_or(Shown::Hosts);
    let view = PageView {
        filter: HostFilter::of(&params)?,
        tiles_at: (only.is_none() && page == Shown::Hosts).then(Instant::now),
        rows_at: (only.is_none() && horizon.count() > ROWS_MAX).then(Instant::now),
        page,
        horizon: horizon.clone(),
    };
    let viewer = Viewer {
        horizon,
        credential: asking.credential,
        only,
    };
    let events = changes::updates(viewer).scan(view, |view, update| {
        let events = view.events_of(&update);
        std::future::ready(Some(futures::stream::iter(events)))
    });
    Ok(sse(events.flatten()))
}

/// What a page is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Shown {
    Hosts,
    Incidents,
    Keys,
    Upgrades,
}

impl Shown {
    fn from_name(name: &str) -> Option<Self> {
        match name {
            "incidents" => Some(Self::Incidents),
            "keys" => Some(Self::Keys),
            "upgrades" => Some(Self::Upgrades),
            _ => None,
        }
    }
}

/// Whether something happened that the page of keys shows.
fn is_about_keys(notice: &Notice) -> bool {
    matches!(
        notice.kind,
        NoticeKind::KeyStatement
            | NoticeKind::GrantMade
            | NoticeKind::GrantEnded
            | NoticeKind::PolicyApplied
            | NoticeKind::PolicyDeleted
    )
}

/// What one page shows.
struct PageView {
    horizon: Horizon,
    page: Shown,
    filter: HostFilter,
    /// When the tiles were last rendered; `None` where there are none.
    tiles_at: Option<Instant>,
    /// When the lines were last said to have changed; `None` where each is sent by itself.
    rows_at: Option<Instant>,
}

impl PageView {
    fn events_of(&mut self, update: &Update) -> Vec<Event> {
        let mut events = Vec::with_capacity(2);
        match update {
            Update::Incidents => events.push(Event::default().event("incidents").data("-")),
            Update::Notice(notice) if self.page == Shown::Keys && is_about_keys(notice) => {
                events.push(Event::default().event("incidents").data("-"));
            }
            Update::Notice(notice)
                if self.page == Shown::Upgrades && notice.kind == NoticeKind::Upgrade =>
            {
                events.push(Event::default().event("incidents").data("-"));
            }
            Update::Upgrades if self.page == Shown::Upgrades => {
                events.push(Event::default().event("incidents").data("-"));
            }
            Update::Upgrades => {}
            Update::Host(_) | Update::Gone(_) | Update::Notice(_) if self.page != Shown::Hosts => {}
            Update::Host(id) => events.extend(match self.rows_at {
                None => self.row(*id),
                Some(last) => self.rows(last),
            }),
            Update::Gone(id) => events.push(gone(*id)),
            Update::Notice(notice) => {
                let app = self.horizon.app();
                let event = events::view(app, notice);
                let row = EventRow::new(event, app.clock.now());
                events.extend(html("event", &row));
            }
            Update::Resync => events.push(Event::default().event("resync").data("-")),
        }
        let is_due = self
            .tiles_at
            .is_some_and(|last| last.elapsed() >= TILES_EVERY);
        if is_due {
            self.tiles_at = Some(Instant::now());
            let is_ready = self.horizon.app().metrics.database_ready.get() == 1;
            events.extend(html("tiles", &Tiles::of(&self.horizon, is_ready)));
        }
        events
    }

    fn rows(&mut self, last: Instant) -> Option<Event> {
        if last.elapsed() < ROWS_EVERY {
            return None;
        }
        self.rows_at = Some(Instant::now());
        Some(Event::default().event("rows").data("-"))
    }

    fn row(&self, id: HostId) -> Option<Event> {
        let app = self.horizon.app();
        let now = app.clock.now();
        let passes = app.live.read(id, |host| self.filter.takes(host, now))?;
        if !passes {
            return Some(gone(id));
        }
        html("row", &Row::of(&self.horizon, id)?)
    }
}

fn gone(id: HostId) -> Event {
    Event::default().event("gone").data(id.to_string())
}

fn html(name: &str, template: &impl Template) -> Option<Event> {
    let html = template.render().ok()?;
    // A carriage return would end a line of the stream; in the page it is white space.
    Some(Event::default().event(name).data(html.replace('\r', " ")))
}
