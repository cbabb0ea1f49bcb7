//! From a durable batch to live state: newest samples, forecasts, and what became of each host's records.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use tidemark_model::forecast::Forecast;
use tidemark_model::notice::{Notice, NoticeKind};
use tidemark_model::{HostId, PortSpaceKey, Sample, Timestamp};

use super::batch::HostBatch;
use super::lane::HostLane;
use super::writer::WriterParts;
use crate::live::{Delivery, HostLive};

/// Event codes that say that a port was refused: Tcpip 4227 (TIME_WAIT reuse failed), 4231 (no TCP port), 4266 (no UDP port).
const EXHAUSTION_EVENTS: [u32; 3] = [4227, 4231, 4266];

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
            take(host, part)
        });
        for (kind, text) in said.into_iter().flatten() {
            let notice = Notice {
                id: 0,
                at: now,
                host: Some(id),
                kind,
                text: text.into(),
            };
            if parts.notices_tx.try_send(notice).is_err() {
                parts.metrics.notices_dropped.add(1);
            }
        }
    }
}

/// Takes a host's part in; says what is worth a notice.
fn take(host: &mut HostLive, part: HostBatch) -> Vec<(NoticeKind, String)> {
    let mut said = Vec::new();
    for (reason, records) in part.gaps {
        said.push((
            NoticeKind::SamplesDropped,
            format!("{records} record(s) are lost: {}", reason.as_str()),
        ));
    }
    let mut exhausted = 0_u32;
    for (_, event) in &part.events {
        if EXHAUSTION_EVENTS.contains(&event.code) {
            exhausted = exhausted.saturating_add(event.count);
        }
        said.push((
            NoticeKind::HostEvent,
            format!(
                "{} {} ({} times): {}",
                event.source, event.code, event.count, event.text
            ),
        ));
    }
    for (at, sample) in part.samples {
        let changed = host.take_sample(at, sample, std::mem::take(&mut exhausted));
        said.extend(
            changed
                .into_iter()
                .map(|(key, forecast)| (NoticeKind::ForecastChanged, describe(&key, &forecast))),
        );
    }
    said
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
    pub(super) fn take_sample(
        &mut self,
        at: Timestamp,
        sample: Arc<Sample>,
        exhaustion_events: u32,
    ) -> Vec<(PortSpaceKey, Forecast)> {
        let changed = self.observe(at, &sample, exhaustion_events);
        if self.newest.as_ref().is_none_or(|(newest, _)| *newest <= at) {
            self.spaces
                .retain(|key, _| sample.port_spaces.iter().any(|space| space.key == *key));
            self.newest = Some((at, sample));
        }
        changed
    }
}
