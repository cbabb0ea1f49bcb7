//! `/api/v1/hosts/{host}/events`: what a host's event log and agent reported, newest first.

use std::sync::Arc;

use axum::Json;
use axum::extract::Path;
use tidemark_model::Timestamp;
use tidemark_model::event::LogRecord;
use tidemark_model::sample::EventHit;
use tidemark_model::view::{HostEventDatum, HostEventView, Page, Problem};
use tidemark_store::{EventQuery, RecordXml, StoredEvent};

use super::fleet;
use super::params::Params;
use super::problem::Answer;
use crate::access::Horizon;

/// Events of a host's log, newest first.
#[utoipa::path(
    get,
    path = "/api/v1/hosts/{host}/events",
    tag = "events",
    params(
        ("host" = String, Path, description = "Id or name."),
        ("source" = Option<String>, Query, description = "Only of this source, as in Tcpip."),
        ("code" = Option<u32>, Query, description = "Only of this id in its source, as in 4231."),
        ("since_ms" = Option<i64>, Query, description = "Only from this time on, in unix milliseconds."),
        ("with" = Option<String>, Query, description = "`xml`: each record as the host's system rendered it, too."),
        ("limit" = Option<usize>, Query, description = "Rows of a page, 1 to 1000; 100 without it.", minimum = 1, maximum = 1000),
        ("cursor" = Option<String>, Query, description = "The next_cursor of the page before."),
    ),
    responses(
        (status = 200, description = "A page of events.", body = Page<HostEventView>),
        (status = 404, description = "There is no such host.", body = Problem, content_type = "application/problem+json"),
        (status = "default", description = "A problem.", body = Problem, content_type = "application/problem+json"),
    )
)]
pub async fn list(
    horizon: Horizon,
    Path(host): Path<String>,
    params: Params,
) -> Answer<Json<Page<HostEventView>>> {
    let params = params.only(&["source", "code", "since_ms", "with", "limit", "cursor"])?;
    let limit = params.limit()?;
    let is_xml = |text: &str| (text == "xml").then_some(RecordXml::With);
    let xml = params.parsed("with", || "xml".to_owned(), is_xml)?;
    let query = EventQuery {
        host: fleet::find_host(&horizon, &host)?,
        before: params.parsed("cursor", fleet::cursor_limit, fleet::place_of_cursor)?,
        since: params
            .number("since_ms", i64::MIN..=i64::MAX)?
            .map(Timestamp::from_unix_ms),
        source: params.one("source")?,
        code: params.number("code", 0..=u32::MAX)?,
        xml: xml.unwrap_or(RecordXml::Without),
        limit: u32::try_from(limit).unwrap_or(u32::MAX),
    };
    let mut tx = horizon.app().store.read().await?;
    let events = tx.events_page(&query).await?;
    let next_cursor = fleet::cursor_after(&events, limit, |event| {
        format!("{}.{}", event.at.unix_ms(), event.id)
    });
    let items = events.into_iter().map(view).collect();
    Ok(Json(Page { items, next_cursor }))
}

/// An event in one line: its source and id, how many times, and what it says.
#[must_use]
pub fn event_sentence(hit: &EventHit) -> String {
    let times = if hit.count > 1 {
        format!(" ({} times)", hit.count)
    } else {
        String::new()
    };
    let colon = if hit.text.is_empty() { "" } else { ": " };
    format!("{} {}{times}{colon}{}", hit.source, hit.code, hit.text)
}

fn view(event: StoredEvent) -> HostEventView {
    let StoredEvent { id, at, hit } = event;
    let log = hit.log.map_or_else(LogRecord::default, |log| *log);
    let text = |text: Arc<str>| text.to_string();
    HostEventView {
        id,
        at_ms: at.unix_ms(),
        host_at_ms: hit.at.unix_ms(),
        source: hit.source.to_string(),
        code: hit.code,
        count: hit.count,
        text: hit.text.to_string(),
        channel: log.channel.map(text),
        record_id: log.record_id,
        computer: log.computer.map(text),
        level: log.level,
        qualifiers: log.qualifiers,
        process_id: log.process_id,
        thread_id: log.thread_id,
        data: log
            .data
            .into_iter()
            .map(|datum| HostEventDatum {
                name: datum.name.map(text),
                value: datum.value.to_string(),
            })
            .collect(),
        binary: log
            .binary
            .map(|bytes| data_encoding::HEXLOWER.encode(&bytes)),
        error_code: log.error_code,
        final_status: log.final_status,
        xml: log.xml.map(text),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sentence_counts_only_what_happened_more_than_once() {
        let mut hit = EventHit {
            at: Timestamp::EPOCH,
            source: "Tcpip".into(),
            code: 4231,
            count: 1,
            text: "no port".into(),
            log: None,
        };
        assert_eq!(event_sentence(&hit), "Tcpip 4231: no port");
        hit.count = 3;
        assert_eq!(event_sentence(&hit), "Tcpip 4231 (3 times): no port");
        hit.text = "".into();
        assert_eq!(event_sentence(&hit), "Tcpip 4231 (3 times)");
    }
}
