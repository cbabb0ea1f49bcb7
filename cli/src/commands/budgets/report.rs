//! How budgets look.

use std::fmt::Write as _;

use serde::{Serialize, Serializer};
use tidemark_model::view::{
    Allowed, BudgetDetail, BudgetSpec, BudgetStanding, BudgetUse, BudgetView, BudgetsApplied,
};

use crate::render::paint::Tone;
use crate::render::sheet::{Sheet, Value};
use crate::render::table::{Align, Cell, Table};
use crate::render::text::visible;
use crate::render::versions::{Version, versions};
use crate::render::{Report, Screen, standing, words};

const NONE: &str = "No budgets. Apply some from a file: tidemark apply -f FILE --dry-run\n";

/// What applying did.
#[derive(Debug, Serialize)]
#[serde(transparent)]
pub struct Applied(pub BudgetsApplied);

impl Report for Applied {
    fn table(&self, screen: &Screen) -> String {
        let mut text = String::new();
        for change in &self.0.budgets {
            let would = match (self.0.dry_run, change.outcome.as_str()) {
                (false, _) | (true, "unchanged") => String::new(),
                (true, _) => "would be ".to_owned(),
            };
            // Writing to a String cannot fail.
            writeln!(
                text,
                "budget {} {would}{} (version {})",
                visible(&change.name),
                visible(&change.outcome),
                change.version
            )
            .ok();
            for line in &change.differences {
                let tone = if line.starts_with('-') {
                    Tone::Bad
                } else {
                    Tone::Good
                };
                let line = visible(line);
                writeln!(text, "  {}", screen.paint.apply(tone, &line)).ok();
            }
            let counts = change.counts;
            writeln!(
                text,
                "  at this moment: {} within, {} over, {} unknown",
                counts.within,
                counts.over.saturating_add(counts.exceeded),
                counts.unknown
            )
            .ok();
            for row in &change.over {
                writeln!(text, "  over: {} {}", visible(&row.host_name), uses(row)).ok();
            }
        }
        if self.0.dry_run {
            text.push_str("Nothing was stored: apply it without --dry-run.\n");
        }
        text
    }

    fn sheet(&self, _screen: &Screen) -> Sheet {
        let rows = self.0.budgets.iter().map(|change| {
            vec![
                Value::text(&change.name),
                Value::text(&change.outcome),
                Value::number(change.version),
                Value::number(change.counts.within),
                Value::number(change.counts.over.saturating_add(change.counts.exceeded)),
                Value::number(change.counts.unknown),
            ]
        });
        Sheet {
            header: vec!["name", "outcome", "version", "within", "over", "unknown"],
            rows: rows.collect(),
        }
    }
}

fn uses(row: &BudgetStanding) -> String {
    let uses: Vec<String> = row
        .limits
        .iter()
        .map(|limit| format!("{} of {} {}", used(limit), allowed(limit), limit.what))
        .collect();
    let space = standing::space_name(&row.protocol, &row.namespace);
    visible(&format!("{space}: {}", uses.join(", ")))
}

/// `120`, `120-150` where some holders are not known, `120+` where nothing bounds it, `?`.
fn used(limit: &BudgetUse) -> String {
    match (limit.used, limit.used_max) {
        (Some(used), Some(most)) if used == most => used.to_string(),
        (Some(used), Some(most)) => format!("{used}-{most}"),
        (Some(used), None) => format!("{used}+"),
        (None, _) => "?".to_owned(),
    }
}

fn allowed(limit: &BudgetUse) -> String {
    limit
        .allowed
        .map_or_else(|| "?".to_owned(), |allowed| allowed.to_string())
}

/// Budgets, and how hosts stand to each.
#[derive(Debug)]
pub(super) struct BudgetList(pub(super) Vec<BudgetView>);

impl Serialize for BudgetList {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        self.0.serialize(to)
    }
}

impl Report for BudgetList {
    fn table(&self, screen: &Screen) -> String {
        if self.0.is_empty() {
            return NONE.to_owned();
        }
        let mut table = standings_table();
        for budget in &self.0 {
            if budget.standings.is_empty() {
                let mut row = vec![Cell::from(budget.spec.name.as_str())];
                row.extend(std::iter::repeat_n(Cell::toned("-", Tone::Muted), 6));
                row.push(Cell::toned("no host", Tone::Muted));
                table.row(row);
            }
            for standing in &budget.standings {
                add_rows(&mut table, standing, screen);
            }
        }
        table.draw(screen)
    }

    fn sheet(&self, screen: &Screen) -> Sheet {
        let all = self.0.iter().flat_map(|budget| &budget.standings).cloned();
        HostBudgets(all.collect()).sheet(screen)
    }

    fn notes(&self) -> Vec<String> {
        let left_out = self.0.iter().filter(|budget| budget.standings_left_out > 0);
        left_out
            .map(|budget| {
                format!(
                    "{} more of {} are not listed; see them: tidemark describe budget {}",
                    budget.standings_left_out, budget.spec.name, budget.spec.name
                )
            })
            .collect()
    }
}

fn standings_table() -> Table {
    let left = |name| (name, Align::Left);
    Table::new(&[
        left("BUDGET"),
        left("HOST"),
        left("SPACE"),
        left("WHAT"),
        ("USED", Align::Right),
        ("ALLOWED", Align::Right),
        ("STATE", Align::Whole),
        left("SINCE, OR WHY"),
    ])
}

/// One row for each limit; one without figures when nothing was measured.
fn add_rows(table: &mut Table, standing: &BudgetStanding, screen: &Screen) {
    let place = || {
        [
            Cell::from(standing.budget.as_str()),
            Cell::from(standing.host_name.as_str()),
            Cell::from(standing::space_name(
                &standing.protocol,
                &standing.namespace,
            )),
        ]
    };
    let why = standing
        .why_unknown
        .clone()
        .unwrap_or_else(|| "-".to_owned());
    if standing.limits.is_empty() {
        let mut row = Vec::from(place());
        row.extend([
            Cell::from("-"),
            Cell::toned("?", Tone::Muted),
            Cell::from("-"),
        ]);
        row.extend([state(&standing.state), Cell::from(why.as_str())]);
        table.row(row);
    }
    for limit in &standing.limits {
        let since = match (limit.state.as_str(), standing.over_since_ms) {
            ("over" | "exceeded", Some(since)) => words::relative(since, screen.now),
            ("unknown", _) => why.clone(),
            _ => "-".to_owned(),
        };
        let mut row = Vec::from(place());
        row.extend([
            Cell::from(limit.what.as_str()),
            Cell::from(used(limit)),
            Cell::from(allowed(limit)),
            state(&limit.state),
            Cell::from(since),
        ]);
        table.row(row);
    }
}

fn state(state: &str) -> Cell {
    match state {
        "within" => Cell::toned("● within", Tone::Good),
        "over" => Cell::toned("△ over", Tone::Watch),
        "exceeded" => Cell::toned("▲ exceeded", Tone::Bad),
        other => Cell::toned(format!("? {other}"), Tone::Muted),
    }
}

/// How one host stands to all budgets.
#[derive(Debug)]
pub(super) struct HostBudgets(pub(super) Vec<BudgetStanding>);

impl Serialize for HostBudgets {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        self.0.serialize(to)
    }
}

impl Report for HostBudgets {
    fn table(&self, screen: &Screen) -> String {
        if self.0.is_empty() {
            return "No budget is about this host. See all: tidemark get budgets\n".to_owned();
        }
        let mut table = standings_table();
        for standing in &self.0 {
            add_rows(&mut table, standing, screen);
        }
        table.draw(screen)
    }

    fn sheet(&self, _screen: &Screen) -> Sheet {
        let rows = self.0.iter().flat_map(|standing| {
            let none = standing
                .limits
                .is_empty()
                .then(|| sheet_row(standing, None));
            let limits = standing.limits.iter();
            limits
                .map(|limit| sheet_row(standing, Some(limit)))
                .chain(none)
                .collect::<Vec<_>>()
        });
        Sheet {
            header: vec![
                "budget",
                "host",
                "host_name",
                "protocol",
                "namespace",
                "what",
                "used",
                "used_max",
                "allowed",
                "limit_state",
                "state",
                "over_since_ms",
                "culprit",
                "why_unknown",
            ],
            rows: rows.collect(),
        }
    }
}

fn sheet_row(standing: &BudgetStanding, limit: Option<&BudgetUse>) -> Vec<Value> {
    vec![
        Value::text(&standing.budget),
        Value::text(&standing.host),
        Value::text(&standing.host_name),
        Value::text(&standing.protocol),
        Value::text(&standing.namespace),
        Value::maybe_text(limit.map(|limit| limit.what.as_str())),
        Value::maybe(limit.and_then(|limit| limit.used)),
        Value::maybe(limit.and_then(|limit| limit.used_max)),
        Value::maybe(limit.and_then(|limit| limit.allowed)),
        Value::maybe_text(limit.map(|limit| limit.state.as_str())),
        Value::text(&standing.state),
        Value::maybe(standing.over_since_ms),
        Value::maybe_text(standing.culprit.as_deref()),
        Value::maybe_text(standing.why_unknown.as_deref()),
    ]
}

/// One budget with everything there is to say of it.
#[derive(Debug, Serialize)]
#[serde(transparent)]
pub(super) struct Description(pub(super) BudgetDetail);

impl Report for Description {
    fn table(&self, screen: &Screen) -> String {
        let BudgetDetail { budget, .. } = &self.0;
        let counts = budget.counts;
        let mut text = format!("Budget {}\n", visible(&budget.spec.name));
        let mut line = |name: &str, value: &str| {
            // Writing to a String cannot fail.
            writeln!(text, "  {name:<10}{}", visible(value)).ok();
        };
        for (name, value) in fields(&budget.spec) {
            line(name, &value);
        }
        line("version", &budget.version.to_string());
        line(
            "applied",
            &format!(
                "{} by {}",
                words::relative(budget.applied_ms, screen.now),
                budget.applied_by
            ),
        );
        line(
            "stands",
            &format!(
                "{} exceeded, {} over, {} unknown, {} within",
                counts.exceeded, counts.over, counts.unknown, counts.within
            ),
        );
        text.push_str("\nHosts\n");
        text.push_str(&HostBudgets(budget.standings.clone()).table(screen));
        text.push_str("\nVersions\n");
        let all = self.0.versions.iter().map(|version| Version {
            number: version.version,
            at_ms: version.at_ms,
            by: &version.by,
            what: version.spec.as_ref().map(allows),
        });
        text.push_str(&versions(screen, "ALLOWS", all));
        text
    }

    fn sheet(&self, screen: &Screen) -> Sheet {
        HostBudgets(self.0.budget.standings.clone()).sheet(screen)
    }
}

fn fields(spec: &BudgetSpec) -> Vec<(&'static str, String)> {
    let hosts = if spec.hosts.is_empty() {
        "all".to_owned()
    } else {
        spec.hosts.join(" ")
    };
    let mut fields = vec![("hosts", hosts)];
    fields.extend(spec.process.clone().map(|name| ("process", name)));
    fields.extend(spec.service.clone().map(|name| ("service", name)));
    fields.extend(spec.watch_group.clone().map(|name| ("group", name)));
    fields.push((
        "space",
        standing::space_name(&spec.protocol, &spec.namespace),
    ));
    fields.push(("allows", allows(spec)));
    fields.push(("severity", spec.severity.clone()));
    fields.extend(spec.advice.clone().map(|advice| ("advice", advice)));
    fields
}

/// `2000 ports, 100 close_wait, for 10m`.
fn allows(spec: &BudgetSpec) -> String {
    let mut parts: Vec<String> = spec
        .allow
        .iter()
        .map(|(what, allowed)| match allowed {
            Allowed::Count(count) => format!("{count} {what}"),
            Allowed::Share(share) => format!("{share} {what}"),
        })
        .collect();
    parts.push(format!("more for {}", spec.hold));
    parts.join(", ")
}
