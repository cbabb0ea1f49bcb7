//! The report as aligned lines for a terminal.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use super::Report;

/// Width of the names' column.
const NAMES: usize = 20;

/// The report, a line for each figure.
pub(super) fn of(report: &Report) -> String {
    let mut table = Table::default();
    table.row("agents", &report.agents.to_string());
    if report.refused_enrolments > 0 {
        let reasons = report.refusals.join("; ");
        let text = format!("{} ({reasons})", report.refused_enrolments);
        table.row("refused enrolments", &text);
    }
    table.row("duration", &format!("{:.1} s", report.duration_s));
    if let Some(replay) = &report.replay {
        replay.rows(&mut |name, text| table.row(name, text));
    }
    table.row("produced", &report.produced.to_string());
    table.row("acked", &report.acked.to_string());
    table.row("stored", &known(report.stored));
    table.row("duplicates", &known(report.duplicates));
    table.row("dropped", &counted(&report.dropped));
    table.row("in spool", &report.in_spool.to_string());
    let latency = &report.latency;
    let ms = |value: Option<f64>| value.map_or_else(|| "-".to_owned(), |ms| format!("{ms:.0}"));
    let text = format!(
        "p50 {}, p90 {}, p99 {}, max {} ms",
        ms(latency.p50_ms),
        ms(latency.p90_ms),
        ms(latency.p99_ms),
        ms(latency.max_ms)
    );
    table.row("produced to acked", &text);
    table.row("reconnects", &report.reconnects.to_string());
    table.row("disconnects", &counted(&report.disconnects));
    if report.missed_samples > 0 {
        let text = format!(
            "{} (this machine is too slow for so many agents)",
            report.missed_samples
        );
        table.row("missed samples", &text);
    }
    table.row("sent", &format!("{} bytes", report.sent_bytes));
    table.row("CPU of fleetsim", &format!("{:.1} s", report.cpu_s));
    let verdict = if report.conserved {
        "produced = acked + dropped + in spool"
    } else {
        "NO: records are unaccounted for"
    };
    table.row("accounted for", verdict);
    for disagreement in &report.disagreements {
        table.row("", disagreement);
    }
    table.text
}

#[derive(Default)]
struct Table {
    text: String,
}

impl Table {
    fn row(&mut self, name: &str, text: &str) {
        // Writing to a String does not fail.
        writeln!(self.text, "{name:NAMES$}{text}").ok();
    }
}

fn known(figure: Option<u64>) -> String {
    figure.map_or_else(
        || "unknown (ask with --api and --api-token-file)".to_owned(),
        |figure| figure.to_string(),
    )
}

fn counted(by_name: &BTreeMap<&'static str, u64>) -> String {
    let sum: u64 = by_name.values().sum();
    if by_name.is_empty() {
        return sum.to_string();
    }
    let parts: Vec<String> = by_name
        .iter()
        .map(|(name, count)| format!("{count} {name}"))
        .collect();
    format!("{sum} ({})", parts.join(", "))
}
