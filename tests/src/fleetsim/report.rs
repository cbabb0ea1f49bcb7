//! What became of every record of a simulation, and whether the figures agree.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::Serialize;
use tidemark_model::view::DeliveryView;
use tidemark_model::{HostId, SpoolCounts};

use super::agent::HostOutcome;
use super::fleet::Fleet;
use super::meter::Latency;
use super::replay::ReplayReport;

mod table;

/// Disagreements that are named.
const DISAGREEMENTS_MAX: usize = 10;

/// The end of a simulation.
#[derive(Clone, Debug, Serialize)]
pub struct Report {
    /// Hosts that enrolled.
    pub agents: u64,
    /// Hosts that were refused or never reached the controller.
    pub refused_enrolments: u64,
    /// Why, the first few.
    pub refusals: Vec<String>,
    /// From the first sample to the last ack, in seconds.
    pub duration_s: f64,
    /// Records handed to the agents.
    pub produced: u64,
    /// Records that the controller acknowledged.
    pub acked: u64,
    /// Records that are durable by the controller's word; `null` when it was not asked.
    pub stored: Option<u64>,
    /// Records that the controller saw more than once, by its word.
    pub duplicates: Option<u64>,
    /// Records lost for good, by reason, by the agents' word.
    pub dropped: BTreeMap<&'static str, u64>,
    /// Records still to be acknowledged.
    pub in_spool: u64,
    /// From production to ack.
    pub latency: Latency,
    /// Sessions opened again after one was lost.
    pub reconnects: u64,
    /// Lost connections and failed attempts, by kind.
    pub disconnects: BTreeMap<&'static str, u64>,
    /// Samples not taken because this process was too slow.
    pub missed_samples: u64,
    /// Bytes handed to TCP, enrolment and TLS included.
    pub sent_bytes: u64,
    /// CPU time of this process, in seconds.
    pub cpu_s: f64,
    /// Whether every record is accounted for.
    pub conserved: bool,
    /// Where it is not, the first few.
    pub disagreements: Vec<String>,
    /// What was read; only of a replay.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub replay: Option<ReplayReport>,
}

impl Report {
    /// The report of a fleet whose sessions are closed. `delivered` is the controller's word on each host.
    #[must_use]
    pub fn of(
        fleet: &Fleet,
        outcomes: &[HostOutcome],
        delivered: Option<&BTreeMap<HostId, DeliveryView>>,
        spent: Spent,
    ) -> Self {
        let mut disagreements: Vec<String> = outcomes
            .iter()
            .flat_map(|outcome| disagreements_of(outcome, delivered))
            .collect();
        let conserved = disagreements.is_empty();
        disagreements.truncate(DISAGREEMENTS_MAX);
        let sum = |of: fn(&HostOutcome) -> u64| outcomes.iter().map(of).sum();
        let word = |of: fn(&DeliveryView) -> u64| delivered.map(|all| all.values().map(of).sum());
        let mut dropped = BTreeMap::new();
        for (reason, records) in outcomes.iter().flat_map(|outcome| &outcome.dropped) {
            *dropped.entry(*reason).or_default() += records;
        }
        let meter = fleet.meter();
        Self {
            agents: u64::try_from(outcomes.len()).unwrap_or(u64::MAX),
            refused_enrolments: fleet.refused,
            refusals: fleet.refusals.clone(),
            duration_s: spent.wall.as_secs_f64(),
            produced: sum(|outcome| outcome.produced),
            acked: sum(|outcome| outcome.counts.acked),
            stored: word(|delivery| delivery.stored),
            duplicates: word(|delivery| delivery.duplicates),
            dropped,
            in_spool: sum(|outcome| outcome.counts.held),
            latency: meter.latency(),
            reconnects: meter.reconnects.get(),
            disconnects: meter.disconnects(),
            missed_samples: meter.missed.get(),
            sent_bytes: fleet.sent_bytes(),
            cpu_s: spent.cpu.as_secs_f64(),
            conserved,
            disagreements,
            replay: None,
        }
    }

    /// The report as a table for people.
    #[must_use]
    pub fn to_table(&self) -> String {
        table::of(self)
    }
}

/// What a simulation took.
#[derive(Clone, Copy, Debug)]
pub struct Spent {
    /// By the wall clock.
    pub wall: Duration,
    /// Of this process's CPU.
    pub cpu: Duration,
}

/// Where the figures of one host do not agree: with themselves, and with the controller's.
#[must_use]
pub fn disagreements_of(
    outcome: &HostOutcome,
    delivered: Option<&BTreeMap<HostId, DeliveryView>>,
) -> Vec<String> {
    let HostOutcome {
        name,
        host,
        produced,
        counts,
        ..
    } = outcome;
    let mut found: Vec<String> = imbalance(name, *produced, *counts).into_iter().collect();
    let Some(delivered) = delivered else {
        return found;
    };
    match delivered.get(host) {
        Some(delivery) => found.extend(disagreements(name, *counts, delivery)),
        None => found.push(format!("{name}: the controller does not know it")),
    }
    found
}

/// Where what a host says of its records does not make up what it produced.
#[must_use]
pub fn imbalance(name: &str, produced: u64, counts: SpoolCounts) -> Option<String> {
    (counts.produced != produced || !counts.balances()).then(|| {
        format!(
            "{name}: produced {produced}, but acked {} + dropped {} + in spool {}",
            counts.acked, counts.dropped, counts.held
        )
    })
}

/// Where what a host says of its records is not what the controller says of them.
#[must_use]
pub fn disagreements(name: &str, counts: SpoolCounts, delivery: &DeliveryView) -> Vec<String> {
    let mut found = Vec::new();
    // What is stored and not yet acked is still in the spool.
    let stored_range = counts.acked..=counts.acked.saturating_add(counts.held);
    if !stored_range.contains(&delivery.stored) {
        found.push(format!(
            "{name}: acked {} and in spool {}, but the controller stored {}",
            counts.acked, counts.held, delivery.stored
        ));
    }
    let dropped: u64 = delivery.dropped.values().sum();
    if counts.held == 0 && dropped != counts.dropped {
        found.push(format!(
            "{name}: dropped {}, but the controller counts {dropped}",
            counts.dropped
        ));
    }
    found
}

#[cfg(test)]
mod tests {
    use tidemark_model::Epoch;

    use super::*;

    fn outcome(produced: u64, acked: u64, held: u64) -> HostOutcome {
        HostOutcome {
            name: "web-1".into(),
            host: HostId::of_identity_spki(b"web-1"),
            epoch: Epoch::new(1),
            produced,
            counts: SpoolCounts {
                produced,
                acked,
                dropped: 0,
                held,
                held_bytes: 0,
            },
            dropped: BTreeMap::new(),
            sessions: 1,
        }
    }

    fn word(outcome: &HostOutcome, stored: u64) -> BTreeMap<HostId, DeliveryView> {
        let delivery = DeliveryView {
            stored,
            ..DeliveryView::default()
        };
        BTreeMap::from([(outcome.host, delivery)])
    }

    #[test]
    fn a_lost_record_is_found_on_either_side() {
        let honest = outcome(10, 8, 2);
        for stored in [8, 9, 10] {
            let word = word(&honest, stored);
            assert_eq!(disagreements_of(&honest, Some(&word)), Vec::<String>::new());
        }
        for stored in [7, 11] {
            let word = word(&honest, stored);
            assert_eq!(disagreements_of(&honest, Some(&word)).len(), 1, "{stored}");
        }
        let lost = outcome(10, 7, 2);
        assert_eq!(disagreements_of(&lost, None).len(), 1);
        let unknown = BTreeMap::new();
        assert_eq!(disagreements_of(&honest, Some(&unknown)).len(), 1);
    }
}
