//! `/api/v1/live`: changes as server-sent events.

use std::convert::Infallible;
use std::time::Duration;

use axum::Extension;
use axum::response::Sse;
use axum::response::sse::{Event, KeepAlive};
use futures::{Stream, StreamExt as _};
use serde::Serialize;
use tidemark_model::view::Problem;

use super::changes::{self, Update, Viewer};
use super::guard::Asking;
use super::params::Params;
use super::problem::Answer;
use super::{events, fleet};
use crate::access::Horizon;

/// Time between two comments that keep proxies from closing a quiet stream.
const KEEP_ALIVE: Duration = Duration::from_secs(15);

/// Changes as server-sent events: `host` with a HostView, at most one a host and second; `notice` with an EventView;
/// `incidents` when the list of incidents changed, `upgrades` when releases or roll-outs did; `gone` with the id of a host that left the caller's scope; `resync` when changes were missed and everything should be read again.
#[utoipa::path(
    get,
    path = "/api/v1/live",
    tag = "live",
    params(("host" = Option<String>, Query, description = "Id or name; the whole fleet without it.")),
    responses(
        (status = 200, description = "A stream of events `host`, `notice`, `incidents`, `upgrades`, `gone` and `resync`.", body = String, content_type = "text/event-stream"),
        (status = "default", description = "A problem.", body = Problem, content_type = "application/problem+json"),
    )
)]
pub async fn stream(
    horizon: Horizon,
    Extension(asking): Extension<Asking>,
    params: Params,
) -> Answer<Sse<impl Stream<Item = Result<Event, Infallible>>>> {
    let params = params.only(&["host"])?;
    let only = params
        .one("host")?
        .map(|name| fleet::find_host(&horizon, name))
        .transpose()?;
    let viewer = Viewer {
        horizon: horizon.clone(),
        credential: asking.credential,
        only,
    };
    Ok(sse(changes::updates(viewer).filter_map(move |update| {
        let event = event_of(&horizon, &update);
        async move { event }
    })))
}

/// A stream of events as a response, kept alive.
pub fn sse<S>(events: S) -> Sse<impl Stream<Item = Result<Event, Infallible>>>
where
    S: Stream<Item = Event> + Send + 'static,
{
    Sse::new(events.map(Ok)).keep_alive(KeepAlive::new().interval(KEEP_ALIVE))
}

fn event_of(horizon: &Horizon, update: &Update) -> Option<Event> {
    match update {
        Update::Gone(id) => json("gone", &serde_json::json!({"id": id.to_string()})),
        Update::Host(id) => {
            let host = fleet::views(horizon, [*id]).into_iter().next()?;
            json("host", &host)
        }
        Update::Notice(notice) => json("notice", &events::view(horizon.app(), notice)),
        Update::Incidents => Some(Event::default().event("incidents").data("{}")),
        Update::Upgrades => Some(Event::default().event("upgrades").data("{}")),
        Update::Resync => Some(Event::default().event("resync").data("{}")),
    }
}

fn json(name: &str, data: &impl Serialize) -> Option<Event> {
    Event::default().event(name).json_data(data).ok()
}
