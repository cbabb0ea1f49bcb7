//! From a durable batch to live state: newest samples, forecasts, and what became of each host's records.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use tidemark_model::forecast::Forecast;
use tidemark_model::notice::{Notice, NoticeKind};
use tidemark_model::{HostId, PortSpaceKey, Sample, Timestamp};

use super::batch::{HostBatch, StagedEvent};
use super::lane::HostLane;
use super::writer::WriterParts;
use crate::api::host_events::event_sentence;
use crate::live::{Delivery, HostLive};

/// Events are told one by one, and matter to the forecast, when they happened at most this long before the newest sample:
/// the others come from a backfill or a long outage.
const TOLD_MS: i64 = 3_600_000;
/// See [`TOLD_MS`]: a port that was refused longer ago says nothing about the samples that come.
const REFUSED_MS: i64 = 900_000;

pub(super) fn to_live(
    parts: &WriterParts,
    hosts: BTreeMap<HostId, HostBatch>,
    lanes: &HashMap<HostId, HostLane>,
) {
    let now = parts.clock.now();
    for (id, part) in hosts {
        let delivery = lanes.get(&id).map(|lane| &lane.cursor);
        let said = parts.live.update(id, |host| {
            host.last_seen = Some(now);
            if let Some(cursor) = delivery {
                let spool = host.delivery.spool;
                host.delivery = Delivery {
                    spool,
                    ..Delivery::of_cursor(cursor)
                };
            }
            take(host, part, now)
        });
        for said in said.into_iter().flatten() {
            let notice = Notice {
                id: 0,
                at: said.at.unwrap_or(now),
                host: Some(id),
                kind: said.kind,
                text: said.text.into(),
            };
            if parts.notices_tx.try_send(notice).is_err() {
                parts.metrics.notices_dropped.add(1);
            }
        }
    }
}

/// What is worth a notice.
struct Said {
    /// When it happened; `None` for this moment.
    at: Option<Timestamp>,
    kind: NoticeKind,
    text: String,
}

impl Said {
    const fn now(kind: NoticeKind, text: String) -> Self {
        Self {
            at: None,
            kind,
            text,
        }
    }
}

/// Takes a host's part in; says what is worth a notice.
fn take(host: &mut HostLive, part: HostBatch, now: Timestamp) -> Vec<Said> {
    let mut said = Vec::new();
    for (reason, records) in part.gaps {
        let text = format!("{records} record(s) are lost: {}", reason.as_str());
        said.push(Said::now(NoticeKind::SamplesDropped, text));
    }
    let sampled_at = part
        .samples
        .last()
        .map(|(at, _)| *at)
        .or_else(|| host.newest.as_ref().map(|(at, _)| *at));
    take_events(
        host,
        &part.events,
        sampled_at.map_or(now, |at| at.min(now)),
        &mut said,
    );
    for (at, sample) in part.samples {
        let changed = host.take_sample(at, sample);
        said.extend(changed.into_iter().map(|(key, forecast)| {
            Said::now(NoticeKind::ForecastChanged, describe(&key, &forecast))
        }));
    }
    said
}

/// Takes new events in, as seen at `sampled_at`.
fn take_events(
    host: &mut HostLive,
    events: &[StagedEvent],
    sampled_at: Timestamp,
    said: &mut Vec<Said>,
) {
    let mut older = 0_u64;
    for StagedEvent { at, hit, .. } in events.iter().filter(|event| event.is_new) {
        let age_ms = sampled_at.ms_since(*at);
        if let Some(protocol) = hit.exhausted_protocol().filter(|_| age_ms <= REFUSED_MS) {
            host.refusals.add(protocol, hit.count);
            host.refused.add(protocol, hit.count);
        }
        if age_ms > TOLD_MS {
            older += 1;
            continue;
        }
        said.push(Said {
            at: Some(*at),
            kind: NoticeKind::HostEvent,
            text: event_sentence(hit),
        });
    }
    if older > 0 {
        let text = format!("{older} older event(s) of its log were taken in: see its page");
        said.push(Said::now(NoticeKind::HostEvent, text));
    }
}

fn describe(key: &PortSpaceKey, forecast: &Forecast) -> String {
    match forecast.road {
        Some(road) => format!("{key}: {}: {}", road.as_str(), forecast.explanation),
        None => format!(
            "{key}: no exhaustion in sight any more: {}",
            forecast.explanation
        ),
    }
}

impl HostLive {
    /// Takes a sample in; says which port spaces' forecasts took another road.
    pub(crate) fn take_sample(
        &mut self,
        at: Timestamp,
        sample: Arc<Sample>,
    ) -> Vec<(PortSpaceKey, Forecast)> {
        let refusals = std::mem::take(&mut self.refusals);
        let changed = self.observe(at, &sample, refusals);
        if self.newest.as_ref().is_none_or(|(newest, _)| *newest <= at) {
            self.spaces
                .retain(|key, _| sample.port_spaces.iter().any(|space| space.key == *key));
            self.lately.take(&sample);
            self.newest = Some((at, sample));
        }
        changed
    }
}
