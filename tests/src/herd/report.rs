//! What the herd found: its steady phase, each restart, what became of every record, and how that stands to the goals.

use std::collections::BTreeMap;

use serde::Serialize;
use tidemark_model::SpoolCounts;
use tidemark_model::view::DeliveryView;

use super::asking::Answers;
use super::blow::Blow;
use crate::fleetsim::meter::Latency;

mod table;

/// Everything that was found.
#[derive(Clone, Debug, Serialize)]
pub struct HerdReport {
    /// Hosts.
    pub agents: u64,
    /// Time between two samples of a host.
    pub interval_s: f64,
    /// Controllers.
    pub controllers: u8,
    /// `sqlite` or `postgres`.
    pub database: &'static str,
    /// Before the first restart.
    pub steady: Steady,
    /// In their order.
    pub restarts: Vec<Restart>,
    /// What became of the records.
    pub account: Account,
    /// CPU of the agents and of what measures, in seconds.
    pub agents_cpu_s: f64,
    /// The goals, and how far they were met.
    pub goals: Vec<Goal>,
}

/// A fleet that nothing disturbs.
#[derive(Clone, Debug, Serialize)]
pub struct Steady {
    /// How long it was measured.
    pub seconds: f64,
    /// Samples that agents did not take because this machine was too slow.
    pub missed_samples: u64,
    /// Records acked a second, on the whole and in the busiest second.
    pub acked_per_s: f64,
    /// In the busiest second.
    pub acked_per_s_peak: f64,
    /// From production to ack.
    pub latency: Latency,
    /// CPU of the controllers in seconds, for a thousand agents and a minute.
    pub cpu_s_per_1000_agent_minutes: f64,
    /// Points that were stored.
    pub points: u64,
    /// CPU of the controllers, for a million points.
    pub cpu_s_per_million_points: f64,
    /// CPU of the controllers, in cores.
    pub cpu_cores: f64,
    /// CPU of the agents and of what measures, in cores.
    pub agents_cpu_cores: f64,
    /// CPU of the database server, in cores; `null` without one.
    pub database_cpu_cores: Option<f64>,
    /// Resident memory of each controller in MB.
    pub resident_mb: Vec<f64>,
    /// Sessions of each controller.
    pub sessions: Vec<u64>,
    /// Answers of the API.
    pub answers: BTreeMap<&'static str, Answers>,
    /// Hosts that leak, and of them those of which a date is known.
    pub leaking: u64,
    /// With a date.
    pub forecast: u64,
}

/// One time that the sessions ended.
#[derive(Clone, Debug, Serialize)]
pub struct Restart {
    /// Which, counted from 1.
    pub number: u32,
    /// How.
    pub kind: Blow,
    /// Which controller, counted from 1; `null` when the network was cut.
    pub victim: Option<usize>,
    /// Sessions that were lost.
    pub lost: u64,
    /// From the request to end until the controller had.
    pub exit_s: Option<f64>,
    /// Whether it said that it ended well.
    pub ended_well: Option<bool>,
    /// From its start until it listened.
    pub listens_s: Option<f64>,
    /// From its start until it answered everything.
    pub serves_s: Option<f64>,
    /// Until half of the lost sessions were back; from when agents could connect again, with several controllers from the blow.
    pub back_50_s: Option<f64>,
    /// Until 99 in a hundred were.
    pub back_99_s: Option<f64>,
    /// Until all were.
    pub back_100_s: Option<f64>,
    /// Sessions that did not come back.
    pub missing: u64,
    /// Most sessions that were opened within a second.
    pub sessions_per_s_peak: f64,
    /// TLS handshakes that controllers refused or gave up, and connections beyond their limit.
    pub refused: u64,
    /// Lost connections and failed attempts of agents, by kind.
    pub disconnects: BTreeMap<&'static str, u64>,
    /// Of everything that was acked within a minute of when agents could connect again (or the watch, where that is shorter), what
    /// had waited included.
    pub minute: Latency,
    /// Of what was produced after 99 in a hundred sessions were back.
    pub lag: Latency,
    /// Most sessions that were opened within a second one interval later.
    pub echo_sessions_per_s: f64,
    /// Records acked in the busiest second one interval later, as a multiple of a steady second.
    pub echo_acked: f64,
    /// CPU of the controllers in the busiest second one interval later, as a multiple of a steady second.
    pub echo_cpu: f64,
    /// CPU of the controllers from when agents could connect again until all were back.
    pub cpu_s: f64,
    /// Resident memory of each controller in MB at the end of the watch.
    pub resident_mb: Vec<f64>,
    /// Sessions of each controller at the end of the watch.
    pub sessions: Vec<u64>,
    /// Questions to the API that were not answered since the blow; while a controller is down they cannot be.
    pub unanswered: u64,
    /// Slowest answer of the API since the blow.
    pub slowest_answer_ms: f64,
}

/// What became of records.
#[derive(Clone, Copy, Debug, Default, Serialize)]
pub struct Records {
    /// Records that agents produced.
    pub produced: u64,
    /// Records that are durable.
    pub stored: u64,
    /// Records that came again.
    pub duplicates: u64,
    /// Lost for good.
    pub dropped: u64,
    /// Still held by agents.
    pub in_spool: u64,
}

impl Records {
    /// Adds those of one host: what it says, and what a controller does.
    pub fn add(&mut self, produced: u64, counts: &SpoolCounts, delivery: &DeliveryView) {
        self.produced += produced;
        self.stored += delivery.stored;
        self.duplicates += delivery.duplicates;
        self.dropped += delivery.dropped.values().sum::<u64>();
        self.in_spool += counts.held;
    }
}

/// What became of the records, by the word of a controller that was started anew.
#[derive(Clone, Debug, Serialize)]
pub struct Account {
    /// All of them.
    #[serde(flatten)]
    pub records: Records,
    /// Whether that adds up for every host.
    pub conserved: bool,
    /// Where it does not, the first few.
    pub disagreements: Vec<String>,
    /// Bytes of the SQLite file.
    pub database_bytes: Option<u64>,
}

/// A goal with the worst that was seen.
#[derive(Clone, Debug, Serialize)]
pub struct Goal {
    /// What is to be small.
    pub what: &'static str,
    /// At most this.
    pub limit: f64,
    /// The worst; `null` when nothing was seen of it.
    pub worst: Option<f64>,
    /// Whether it holds.
    pub met: bool,
}

impl HerdReport {
    /// Whether every record is accounted for and every session came back.
    #[must_use]
    pub fn is_whole(&self) -> bool {
        self.account.conserved && self.restarts.iter().all(|restart| restart.missing == 0)
    }

    /// The report as tables for people.
    #[must_use]
    pub fn to_table(&self) -> String {
        table::of(self)
    }
}

/// How restarts stand to the goals.
#[must_use]
pub fn goals_of(restarts: &[Restart]) -> Vec<Goal> {
    let goal = |what, limit, values: &dyn Fn(&Restart) -> Option<f64>| {
        let worst = restarts.iter().filter_map(values).max_by(f64::total_cmp);
        Goal {
            what,
            limit,
            worst,
            met: worst.is_none_or(|worst| worst <= limit),
        }
    };
    vec![
        goal("a controller listens, s", 2.0, &|one| one.listens_s),
        goal("99 % of the sessions are back, s", 120.0, &|one| {
            one.back_99_s
        }),
        goal("p99 from sample to ack after that, s", 10.0, &|one| {
            one.lag.p99_ms.map(|ms| ms / 1_000.0)
        }),
        goal(
            "peak of samples one interval later, times steady",
            2.0,
            &|one| Some(one.echo_acked),
        ),
        goal("exit on SIGTERM, s", 15.0, &|one| one.exit_s),
        goal("sessions that did not come back", 0.0, &|one| {
            Some(f64::from(u32::try_from(one.missing).unwrap_or(u32::MAX)))
        }),
    ]
}
