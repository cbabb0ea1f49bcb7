//! What a check tells as performance data.

use tidemark_model::Timestamp;
use tidemark_model::view::{BudgetStanding, HostView};

use super::perfdata::{Perfdata, Value};
use super::verdict::{Facts, Status, name, spaces};
use crate::args::{CheckArgs, Part};
use crate::render::standing;

/// How old the newest sample is.
pub(super) fn age(host: &HostView, now: Timestamp) -> Value {
    let age_ms = host
        .sampled_ms
        .map(|at| now.unix_ms().saturating_sub(at).max(0));
    Value {
        label: "sample_age".to_owned(),
        value: age_ms.map(|ms| format!("{:.1}", ms_to_s(ms))),
        unit: "s",
        min: "0".to_owned(),
        ..Value::default()
    }
}

#[expect(clippy::cast_precision_loss, reason = "a graph shows no more")]
fn ms_to_s(ms: i64) -> f64 {
    ms as f64 / 1_000.0
}

/// Levels, forecasts, counts, and what is used of budgets.
pub(super) fn push(facts: &Facts, args: &CheckArgs, now: Timestamp, perfdata: &mut Perfdata) {
    for space in spaces(&facts.host) {
        let name = name(space);
        let capacity = space.capacity;
        perfdata.push(&Value {
            label: format!("{name}_used"),
            value: standing::share(space).map(|share| format!("{:.2}", share * 100.0)),
            unit: "%",
            warn: args.warning.to_string(),
            crit: args.critical.to_string(),
            min: "0".to_owned(),
            max: "100".to_owned(),
        });
        perfdata.push(&Value {
            label: format!("{name}_in_use"),
            value: Some(space.in_use.to_string()),
            min: "0".to_owned(),
            max: if capacity > 0 {
                capacity.to_string()
            } else {
                String::new()
            },
            ..Value::default()
        });
        if let Some(eta_ms) = space.eta_ms {
            let ahead_ms = eta_ms.saturating_sub(now.unix_ms()).max(0);
            perfdata.push(&Value {
                label: format!("{name}_eta"),
                value: Some((ahead_ms / 1_000).to_string()),
                unit: "s",
                warn: format!("{}:", args.warning_eta.as_secs()),
                crit: format!("{}:", args.critical_eta.as_secs()),
                min: "0".to_owned(),
                ..Value::default()
            });
        }
    }
    let count = |label: &str, count: usize| Value {
        label: label.to_owned(),
        value: Some(count.to_string()),
        min: "0".to_owned(),
        ..Value::default()
    };
    // What was not asked for is not none.
    if !args.skip.contains(&Part::Incidents) {
        perfdata.push(&count("incidents", facts.incidents.len()));
    }
    if !args.skip.contains(&Part::Findings) {
        let found = facts.findings.iter().map(|host| host.findings.len()).sum();
        perfdata.push(&count("findings", found));
    }
    push_budgets(&facts.budgets, perfdata);
}

fn push_budgets(budgets: &[BudgetStanding], perfdata: &mut Perfdata) {
    for standing in budgets {
        let space = standing::space_name(&standing.protocol, &standing.namespace);
        for limit in &standing.limits {
            let allowed = limit
                .allowed
                .map(|allowed| allowed.to_string())
                .unwrap_or_default();
            let (warn, crit) = match Status::of_severity(&standing.severity) {
                Status::Critical => (String::new(), allowed),
                Status::Warning => (allowed, String::new()),
                Status::Ok | Status::Unknown => (String::new(), String::new()),
            };
            perfdata.push(&Value {
                label: format!("budget {} {space} {}", standing.budget, limit.what),
                value: limit.used.map(|used| used.to_string()),
                warn,
                crit,
                min: "0".to_owned(),
                ..Value::default()
            });
        }
    }
}
