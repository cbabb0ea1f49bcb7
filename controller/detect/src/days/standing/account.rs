//! Why a verdict over hours to weeks stands or not, try by try, for a person to check. Changes nothing.

use tidemark_model::Timestamp;

use super::{AGREEING, Asks, Candidate, Evidence, Standing, View};
use crate::days::refusal::Refusal;
use crate::days::series::{Series, quarter_start};
use crate::days::staircase::{self, Climb};
use crate::memory::{Memory, QUARTER_MS};
use crate::wording::{clock_time, count, duration, ports};

impl Standing {
    /// Why there is a verdict at `at` or none, try by try.
    pub(crate) fn account(
        &self,
        memory: &Memory,
        at: Timestamp,
        evidence: &Evidence<'_>,
    ) -> Vec<String> {
        let newest = memory.quarters.block_of(at) - 1;
        let Some(series) = Series::new(memory, newest, evidence.capacity) else {
            return vec!["no quarter hour is remembered yet".to_owned()];
        };
        let view = View {
            series: &series,
            evidence,
            is_full: true,
            asks: Asks::Account,
        };
        let mut lines = vec![format!(
            "the floor over hours to days, up to {}, from {} of history:",
            clock_time(quarter_start(newest + 1)),
            duration((series.newest() + 1) as f64 * QUARTER_MS as f64),
        )];
        for tried in staircase::tries(&series, 0) {
            let skipped = match tried.skipped_days {
                0 => String::new(),
                days => format!(", compared with what was {days} days before"),
            };
            let outcome = match tried.outcome {
                Err(refusal) => refusal.to_string(),
                Ok(climb) => told_of(&climb, self.judge(&view, climb.clone())),
            };
            lines.push(format!(
                "  {} blocks of {}{skipped}: {outcome}",
                tried.blocks,
                duration(tried.block_hours * 3_600_000.0)
            ));
        }
        match &self.raised {
            Some(leak) => lines.push(format!(
                "  a leak stands since {}: it began about {}, +{:.1} ports an hour",
                clock_time(quarter_start(leak.raised + 1)),
                clock_time(leak.since()),
                leak.slope
            )),
            None => lines.push(format!(
                "  no leak stands: {} of {AGREEING} checks in a row agree",
                self.pending
            )),
        }
        lines
    }
}

/// A climb that was found, and what became of it.
fn told_of(climb: &Climb, judged: Result<Candidate, Refusal>) -> String {
    let steps: Vec<String> = climb.steps.iter().map(|step| count(*step)).collect();
    let found = format!(
        "rose by {} (block floors, net of the usual day: {})",
        ports(climb.gain),
        steps.join(", ")
    );
    match judged {
        Err(refusal) => format!("{found}; {refusal}"),
        Ok(candidate) => format!(
            "{found}; yes: +{:.1} ports an hour since {:.0} h, ports last for {}",
            candidate.slope,
            candidate.climb.length as f64 / 4.0,
            duration(candidate.passage[1].min(1e6) * 3_600_000.0)
        ),
    }
}
