//! What a session delivered, on its way into the batch: admitted once and in order, given times and numbers, counted.

use std::sync::Arc;

use tidemark_history::Row;
use tidemark_model::delivery::{GapReason, RecordGap};
use tidemark_model::sample::EventHit;
use tidemark_model::{Seq, Timestamp};
use tidemark_proto::convert::record::{DecodedBatch, Record};
use tidemark_store::EntityRow;

use super::LaneKey;
use super::batch::{HostBatch, StagedEvent};
use super::lane::{HostLane, Place};
use crate::metrics::Metrics;

/// Bytes of a point before it is encoded.
const ROW_BYTES_PER_POINT: usize = 6;

/// One delivery on its way into the batch.
pub(super) struct Staging<'a> {
    pub(super) lane: &'a mut HostLane,
    pub(super) host: &'a mut HostBatch,
    pub(super) key: LaneKey,
    pub(super) now: Timestamp,
    pub(super) metrics: &'a Metrics,
}

impl Staging<'_> {
    /// Counts what the agent can never deliver.
    pub(super) fn gap(&mut self, gap: RecordGap) {
        if let Some(counted) = self.lane.skip(gap)
            && counted > 0
        {
            self.metrics.records_dropped.add(counted);
            self.host.gaps.push((gap.reason, counted));
        }
    }

    /// Takes the records in order; says about how many bytes their rows will have.
    pub(super) fn records(&mut self, decoded: DecodedBatch) -> usize {
        let mut bytes = 0_usize;
        let mut refused = decoded.refused.into_iter().peekable();
        for (seq, record) in decoded.records {
            while let Some((bad, _)) = refused.next_if(|(bad, _)| *bad < seq) {
                self.gap(refused_one(bad));
            }
            match self.lane.admit(seq) {
                Place::Next => bytes = bytes.saturating_add(self.record(record)),
                Place::Duplicate => self.metrics.records_duplicate.add(1),
                // The session checks the order; a record from nowhere is not acked, and so comes again.
                Place::Ahead => {
                    tracing::error!(host = %self.key.host, seq = seq.get(), "a record came out of order")
                }
            }
        }
        for (bad, _) in refused {
            self.gap(refused_one(bad));
        }
        bytes
    }

    fn record(&mut self, record: Record) -> usize {
        match record {
            Record::Sample(sample) => {
                let at = self.lane.taken_at(sample.at, self.key.skew_ms, self.now);
                let flat = self.lane.interner.flatten(&sample);
                self.metrics.entities_refused.add(u64::from(flat.refused));
                self.host
                    .entities
                    .extend(
                        flat.new_entities
                            .into_iter()
                            .map(|(number, entity)| EntityRow {
                                host: self.key.host,
                                number: number.get(),
                                kind: entity.kind(),
                                text: entity.to_text(),
                            }),
                    );
                let points = flat.points.len();
                self.host.rows.push(Row {
                    at,
                    points: flat.points,
                });
                self.host.samples.push((at, Arc::new(sample)));
                points.saturating_mul(ROW_BYTES_PER_POINT)
            }
            Record::Event(event) => {
                let at = self.lane.happened_at(event.at, self.key.skew_ms, self.now);
                let bytes = event_bytes(&event);
                self.host.events.push(StagedEvent {
                    at,
                    hit: event,
                    is_new: false,
                });
                bytes
            }
        }
    }
}

/// Rough size of an event's row.
fn event_bytes(event: &EventHit) -> usize {
    let log = event.log.as_deref();
    let xml = log.and_then(|log| log.xml.as_deref()).map_or(0, str::len);
    let data: usize = log.map_or(0, |log| {
        log.data.iter().map(|datum| datum.value.len()).sum()
    });
    event.text.len() + xml + data
}

fn refused_one(seq: Seq) -> RecordGap {
    RecordGap {
        first: seq,
        last: seq,
        reason: GapReason::Refused,
    }
}
