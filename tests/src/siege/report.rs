//! What honest agents, newcomers and people had of the controller under each attack.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use serde::Serialize;

use super::attack::Attack;
use super::honest::Fared;
use crate::fleetsim::meter::Latency;

/// The least share of their records that honest agents must get through.
pub const GOODPUT_MIN: f64 = 0.95;
/// The longest that 99 in a hundred records may take to their ack, in milliseconds.
pub const ACK_P99_MAX_MS: f64 = 2_000.0;

/// A stretch of time, under an attack or none.
#[derive(Clone, Debug, Serialize)]
pub struct Stretch {
    /// What went on; `null` for the quiet before.
    pub attack: Option<Attack>,
    /// How long it lasted.
    pub seconds: f64,
    /// Records of honest agents that were acked, of those that they made meanwhile.
    pub goodput: f64,
    /// From a sample to its durable ack.
    pub latency: Latency,
    /// The fewest sessions of honest agents.
    pub sessions_fewest: u64,
    /// New hosts.
    pub newcomers: Fared,
    /// Questions to the API that were answered, those that were not, and the slowest answer in milliseconds.
    pub answered: u64,
    /// See `answered`.
    pub unanswered: u64,
    /// See `answered`.
    pub slowest_answer_ms: f64,
    /// Memory of the controller at the end, and CPU over the time.
    pub resident_mb: f64,
    /// See `resident_mb`.
    pub cpu_cores: f64,
    /// What the attackers got done: connections opened and still open, frames or requests sent.
    pub attackers: BTreeMap<&'static str, u64>,
}

/// All of it.
#[derive(Clone, Debug, Serialize)]
pub struct SiegeReport {
    /// Honest hosts.
    pub agents: u32,
    /// The quiet first, then the attacks.
    pub stretches: Vec<Stretch>,
}

impl Stretch {
    /// Whether honest agents keep what they must.
    #[must_use]
    pub fn is_held(&self) -> bool {
        self.goodput >= GOODPUT_MIN
            && self.latency.p99_ms.is_some_and(|ms| ms < ACK_P99_MAX_MS)
            && self.newcomers.came_in == self.newcomers.came
            && self.unanswered == 0
    }

    fn name(&self) -> String {
        self.attack
            .and_then(|attack| Some(serde_json::to_value(attack).ok()?.as_str()?.to_owned()))
            .unwrap_or_else(|| "(none)".to_owned())
    }
}

impl SiegeReport {
    /// Whether the controller held out.
    #[must_use]
    pub fn is_held(&self) -> bool {
        self.stretches.iter().all(Stretch::is_held)
    }

    /// The report as a table for people.
    #[must_use]
    pub fn to_table(&self) -> String {
        let mut table = format!(
            "{:<17} {:>8} {:>9} {:>9} {:>10} {:>9} {:>9} {:>10} {:>6} {:>7} {:>9} {:>8} {:>9}\n",
            "attack",
            "goodput",
            "ack p99",
            "sessions",
            "newcomers",
            "slowest",
            "answers",
            "slowest",
            "cores",
            "MB",
            "opened",
            "open",
            "sent"
        );
        for one in &self.stretches {
            let p99 = one
                .latency
                .p99_ms
                .map_or_else(|| "unknown".to_owned(), |ms| format!("{ms:.0} ms"));
            let attackers = |what| one.attackers.get(what).copied().unwrap_or(0);
            // Writing to a String cannot fail.
            writeln!(
                table,
                "{:<17} {:>7.1}% {:>9} {:>9} {:>10} {:>6.0} ms {:>9} {:>7.0} ms {:>6.2} {:>7.0} {:>9} {:>8} {:>9}{}",
                one.name(),
                one.goodput * 100.0,
                p99,
                one.sessions_fewest,
                format!("{}/{}", one.newcomers.came_in, one.newcomers.came),
                one.newcomers.slowest_ms,
                format!("{}/{}", one.answered, one.answered + one.unanswered),
                one.slowest_answer_ms,
                one.cpu_cores,
                one.resident_mb,
                attackers("opened"),
                attackers("open"),
                attackers("sent"),
                if one.is_held() { "" } else { "  NOT HELD" },
            )
            .ok();
            if let Some(by) = &one.newcomers.kept_out_by {
                writeln!(table, "    a newcomer was kept out: {by}").ok();
            }
        }
        table
    }
}
