//! The report for a terminal.

use std::fmt::Write as _;

use super::{Goal, HerdReport, Restart, Steady};
use crate::fleetsim::meter::Latency;

/// Width of the names' column.
const NAMES: usize = 34;

pub(super) fn of(report: &HerdReport) -> String {
    let mut text = String::new();
    let mut row = |name: &str, value: String| {
        // Writing to a String cannot fail.
        writeln!(text, "{name:NAMES$}{value}").ok();
    };
    let HerdReport {
        agents,
        interval_s,
        controllers,
        database,
        ..
    } = report;
    row(
        "fleet",
        format!("{agents} agents at {interval_s} s, {controllers} controllers on {database}"),
    );
    steady(&report.steady, &mut row);
    for restart in &report.restarts {
        self::restart(restart, &mut row);
    }
    let account = &report.account;
    row(
        "records",
        format!(
            "produced {} = stored {} + dropped {} + in spool {}: {} ({} came again)",
            account.records.produced,
            account.records.stored,
            account.records.dropped,
            account.records.in_spool,
            if account.conserved { "yes" } else { "NO" },
            account.records.duplicates
        ),
    );
    for disagreement in &account.disagreements {
        row("", disagreement.clone());
    }
    row(
        "CPU of agents and measuring",
        format!("{:.1} s", report.agents_cpu_s),
    );
    for goal in &report.goals {
        row("goal", self::goal(goal));
    }
    text
}

fn steady(steady: &Steady, row: &mut impl FnMut(&str, String)) {
    row("steady", format!("{:.0} s", steady.seconds));
    row(
        "  acked a second",
        format!(
            "{:.1}, peak {:.1}",
            steady.acked_per_s, steady.acked_per_s_peak
        ),
    );
    row("  sample to ack", latency(&steady.latency));
    row(
        "  CPU of controllers",
        format!(
            "{:.3} cores; {:.3} s for 1,000 agents and a minute; {:.2} s for a million points ({} stored)",
            steady.cpu_cores,
            steady.cpu_s_per_1000_agent_minutes,
            steady.cpu_s_per_million_points,
            steady.points
        ),
    );
    row(
        "  CPU of agents and measuring",
        format!("{:.3} cores", steady.agents_cpu_cores),
    );
    if let Some(cores) = steady.database_cpu_cores {
        row("  CPU of the database", format!("{cores:.3} cores"));
    }
    row("  resident memory, MB", numbers(&steady.resident_mb));
    row("  sessions", format!("{:?}", steady.sessions));
    row(
        "  samples missed by the agents",
        steady.missed_samples.to_string(),
    );
    row(
        "  leaks with a date",
        format!("{} of {}", steady.forecast, steady.leaking),
    );
    for (question, answers) in &steady.answers {
        row(
            &format!("  asked for {question}"),
            format!(
                "{} answers, p50 {:.1}, p99 {:.1}, max {:.1} ms; {} failed",
                answers.answered, answers.p50_ms, answers.p99_ms, answers.max_ms, answers.failed
            ),
        );
    }
}

fn restart(restart: &Restart, row: &mut impl FnMut(&str, String)) {
    let kind = format!("{:?}", restart.kind).to_lowercase();
    let victim = restart
        .victim
        .map_or_else(String::new, |one| format!(" of controller {one}"));
    row(
        &format!("restart {}: {kind}{victim}", restart.number),
        format!(
            "{} lost; exit {}, listens {}, serves {}; back 50 % {}, 99 % {}, 100 % {}; missing {}",
            restart.lost,
            seconds(restart.exit_s),
            seconds(restart.listens_s),
            seconds(restart.serves_s),
            seconds(restart.back_50_s),
            seconds(restart.back_99_s),
            seconds(restart.back_100_s),
            restart.missing
        ),
    );
    row(
        "  sessions a second",
        format!(
            "peak {:.0}, {:.0} an interval later; refused {}; agents: {:?}",
            restart.sessions_per_s_peak,
            restart.echo_sessions_per_s,
            restart.refused,
            restart.disconnects
        ),
    );
    row("  acked in the first minute", latency(&restart.minute));
    row("  sample to ack, once back", latency(&restart.lag));
    row(
        "  an interval later",
        format!(
            "samples {:.2} x steady, CPU {:.2} x steady",
            restart.echo_acked, restart.echo_cpu
        ),
    );
    row(
        "  controllers",
        format!(
            "{:.1} s CPU until all were back; resident {} MB; sessions {:?}; unanswered {}, slowest {:.0} ms",
            restart.cpu_s,
            numbers(&restart.resident_mb),
            restart.sessions,
            restart.unanswered,
            restart.slowest_answer_ms
        ),
    );
}

fn goal(goal: &Goal) -> String {
    let worst = goal
        .worst
        .map_or_else(|| "-".to_owned(), |worst| format!("{worst:.2}"));
    let verdict = if goal.met { "met" } else { "MISSED" };
    format!(
        "{}: at most {}, worst {worst}: {verdict}",
        goal.what, goal.limit
    )
}

fn latency(latency: &Latency) -> String {
    let ms = |value: Option<f64>| value.map_or_else(|| "-".to_owned(), |ms| format!("{ms:.0}"));
    format!(
        "p50 {}, p99 {}, max {} ms of {} records",
        ms(latency.p50_ms),
        ms(latency.p99_ms),
        ms(latency.max_ms),
        latency.records
    )
}

fn seconds(value: Option<f64>) -> String {
    value.map_or_else(|| "-".to_owned(), |seconds| format!("{seconds:.1} s"))
}

fn numbers(values: &[f64]) -> String {
    let values: Vec<_> = values.iter().map(|value| format!("{value:.0}")).collect();
    values.join(", ")
}
