//! Policies, what they did and what they would have done, as they are printed.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use serde::Serialize;
use tidemark_model::policy::{CaseState, PolicySpec, RungSpec};
use tidemark_model::view::{
    CaseView, PoliciesApplied, PolicyDetail, PolicyReplay, PolicyView, ReplayFiring,
};

use crate::render::paint::Tone;
use crate::render::sheet::{Sheet, Value};
use crate::render::table::{Align, Cell, Table};
use crate::render::text::visible;
use crate::render::versions::{Version, versions};
use crate::render::{Report, Screen, words};

/// Hosts that a sentence names; the others are counted.
const NAMES_MAX: usize = 5;

/// A list of policies.
#[derive(Debug, Serialize)]
#[serde(transparent)]
pub struct PolicyList(pub Vec<PolicyView>);

/// One policy with what it did and its history.
#[derive(Debug, Serialize)]
pub struct Description {
    /// Its name.
    #[serde(skip)]
    pub name: String,
    /// What is known of it.
    #[serde(flatten)]
    pub detail: PolicyDetail,
}

/// What applying policies did.
#[derive(Debug, Serialize)]
#[serde(transparent)]
pub struct Applied(pub PoliciesApplied);

/// What a policy would have done.
#[derive(Debug, Serialize)]
#[serde(transparent)]
pub struct Replay(pub PolicyReplay);

fn state_cell(policy: &PolicyView) -> Cell {
    match policy.state.as_str() {
        "escalated" => Cell::toned(format!("▲ gave up on {}", policy.escalated), Tone::Bad),
        "acting" => Cell::toned(format!("acts on {}", policy.acting), Tone::Watch),
        "holding" => Cell::toned(format!("holds on {}", policy.holding), Tone::Watch),
        other => Cell::toned(other, Tone::Plain),
    }
}

fn rung_words(rung: &RungSpec) -> String {
    let mut words = vec![rung.action.clone()];
    words.extend(rung.with.iter().cloned());
    words.extend(rung.subject.clone());
    words.join(" ")
}

fn ladder_words(spec: &PolicySpec) -> String {
    let rungs: Vec<String> = spec.ladder.iter().map(rung_words).collect();
    rungs.join(", then ")
}

impl Report for PolicyList {
    fn table(&self, screen: &Screen) -> String {
        if self.0.is_empty() {
            return "No policies. Apply some: tidemark apply -f policies.toml (tidemark apply --help shows one)\n"
                .to_owned();
        }
        let left = |name| (name, Align::Left);
        let mut table = Table::new(&[
            ("NAME", Align::Whole),
            left("STATE"),
            left("WHEN"),
            left("WHAT"),
            ("HOSTS", Align::Right),
            ("FIRED", Align::Right),
            ("HELPED", Align::Right),
            left("LAST"),
            ("VERSION", Align::Right),
        ]);
        for policy in &self.0 {
            let last = policy.fired_ms.map(|at| words::relative(at, screen.now));
            table.row([
                Cell::from(policy.spec.name.as_str()),
                state_cell(policy),
                format!("{} for {}", policy.condition, policy.spec.hold).into(),
                ladder_words(&policy.spec).into(),
                policy.hosts.into(),
                policy.fired.into(),
                policy.verified.into(),
                last.unwrap_or_else(|| "-".to_owned()).into(),
                policy.version.into(),
            ]);
        }
        table.draw(screen)
    }

    fn sheet(&self, _screen: &Screen) -> Sheet {
        let row = |policy: &PolicyView| {
            vec![
                Value::text(&policy.spec.name),
                Value::text(&policy.state),
                Value::text(&policy.condition),
                Value::text(&policy.spec.hold),
                Value::text(ladder_words(&policy.spec)),
                Value::number(policy.hosts),
                Value::number(policy.holding),
                Value::number(policy.acting),
                Value::number(policy.escalated),
                Value::number(policy.fired),
                Value::number(policy.verified),
                Value::maybe(policy.fired_ms),
                Value::number(policy.version),
                Value::text(&policy.applied_by),
                Value::number(policy.applied_ms),
            ]
        };
        Sheet {
            header: vec![
                "name",
                "state",
                "condition",
                "for",
                "ladder",
                "hosts",
                "holding",
                "acting",
                "escalated",
                "fired",
                "verified",
                "fired_ms",
                "version",
                "applied_by",
                "applied_ms",
            ],
            rows: self.0.iter().map(row).collect(),
        }
    }
}

impl Report for Description {
    fn table(&self, screen: &Screen) -> String {
        let mut text = format!("{}\n", screen.paint.bold(&visible(&self.name)));
        match &self.detail.policy {
            None => text.push_str("  deleted\n"),
            Some(policy) => {
                for (name, value) in fields(policy) {
                    // Writing to a String cannot fail.
                    writeln!(text, "  {name:<10}{}", visible(&value)).ok();
                }
            }
        }
        write!(text, "\n{}\n", screen.paint.bold("ON HOSTS")).ok();
        text.push_str(&cases_text(&self.detail.cases, screen));
        write!(text, "\n{}\n", screen.paint.bold("VERSIONS")).ok();
        let all = self.detail.versions.iter().map(|version| Version {
            number: version.version,
            at_ms: version.applied_ms,
            by: &version.applied_by,
            what: version.spec.as_ref().map(ladder_words),
        });
        text.push_str(&versions(screen, "WHAT", all));
        text
    }

    fn sheet(&self, _screen: &Screen) -> Sheet {
        let rows = self.detail.cases.iter().map(|case| {
            vec![
                Value::number(case.id),
                Value::text(&case.host),
                Value::text(case.state.as_str()),
                Value::number(case.since_ms),
                Value::maybe(case.fired_ms),
                Value::maybe(case.ended_ms),
                Value::text(&case.seen),
                Value::maybe_text(case.why.as_deref()),
            ]
        });
        Sheet {
            header: vec![
                "id", "host", "state", "since_ms", "fired_ms", "ended_ms", "seen", "why",
            ],
            rows: rows.collect(),
        }
    }
}

fn fields(policy: &PolicyView) -> Vec<(&'static str, String)> {
    let spec = &policy.spec;
    let limits = &spec.limits;
    let mut fields = vec![
        ("state", policy.state.clone()),
        ("when", format!("{} for {}", policy.condition, spec.hold)),
        ("what", ladder_words(spec)),
        (
            "how",
            format!(
                "{}, {}, approval {} within {}",
                spec.when.as_str(),
                spec.order.as_str(),
                spec.approval.as_str(),
                spec.approve_within
            ),
        ),
        (
            "limits",
            format!(
                "{} a host and day, {} between, {} hosts at once",
                limits.per_day, limits.cooldown, limits.concurrent
            ),
        ),
        ("matches", spec.hosts.join(" ")),
        ("hosts", policy.hosts.to_string()),
        (
            "fired",
            format!("{} in 30 d, {} helped", policy.fired, policy.verified),
        ),
    ];
    if !spec.description.is_empty() {
        fields.insert(0, ("what for", spec.description.clone()));
    }
    fields
}

fn cases_text(cases: &[CaseView], screen: &Screen) -> String {
    if cases.is_empty() {
        return "Its condition has not held on a host yet.\n".to_owned();
    }
    let mut table = Table::new(&[
        ("SINCE", Align::Whole),
        ("HOST", Align::Left),
        ("STATE", Align::Left),
        ("SEEN", Align::Left),
        ("TRIED", Align::Left),
        ("WHY", Align::Left),
    ]);
    for case in cases {
        let tone = match case.state {
            CaseState::Escalated if case.ended_ms.is_none() => Tone::Bad,
            CaseState::Holding | CaseState::Acting | CaseState::Stopped => Tone::Watch,
            CaseState::Verified
            | CaseState::Done
            | CaseState::Escalated
            | CaseState::Cleared
            | CaseState::Withdrawn => Tone::Plain,
        };
        let tried = case.tried.iter().map(|tried| {
            let state = tried.state.map_or("not asked for", |state| state.as_str());
            format!("{} ({state})", tried.summary)
        });
        let why = case.why.as_deref().or(case.waits_for.as_deref());
        table.row([
            words::date_time(case.since_ms, &screen.zone, screen.now).into(),
            Cell::from(case.host_name.as_deref().unwrap_or(&case.host)),
            Cell::toned(case.state.as_str(), tone),
            case.seen.as_str().into(),
            tried.collect::<Vec<_>>().join(", ").into(),
            why.unwrap_or_default().into(),
        ]);
    }
    table.draw(screen)
}

/// `in the last 30 days this would have fired 3 times, on web-1 (2), web-2`.
fn replay_sentence(replay: &PolicyReplay) -> String {
    if let Some(why) = &replay.unknown {
        return format!("nobody can tell what it would have done: {}", visible(why));
    }
    let days = replay.to_ms.saturating_sub(replay.from_ms) / 86_400_000;
    let mut by_host: BTreeMap<&str, u64> = BTreeMap::new();
    for firing in replay.firings.iter().filter(|one| !one.escalated) {
        *by_host.entry(&firing.host_name).or_default() += 1;
    }
    let names = by_host.iter().take(NAMES_MAX).map(|(name, count)| {
        let name = visible(name);
        if *count > 1 {
            format!("{name} ({count})")
        } else {
            name
        }
    });
    let mut on = names.collect::<Vec<_>>().join(", ");
    if by_host.len() > NAMES_MAX {
        on.push_str(&format!(" and {} more", by_host.len() - NAMES_MAX));
    }
    let times = match replay.fired {
        0 => "not have fired".to_owned(),
        1 => format!("have fired once, on {on}"),
        fired => format!("have fired {fired} times, on {on}"),
    };
    let escalated = match replay.escalated {
        0 => String::new(),
        count => format!("; {count} more would have been left to somebody"),
    };
    let left_out = match replay.hosts_left_out {
        0 => String::new(),
        count => format!(", {count} not"),
    };
    format!(
        "in the last {days} days this would {times}{escalated} ({} hosts looked at{left_out}; {})",
        replay.hosts,
        visible(&replay.note)
    )
}

impl Report for Replay {
    fn table(&self, screen: &Screen) -> String {
        let mut text = format!("{}: {}\n", visible(&self.0.name), replay_sentence(&self.0));
        if self.0.firings.is_empty() {
            return text;
        }
        let mut table = Table::new(&[
            ("FIRED", Align::Whole),
            ("HOST", Align::Left),
            ("HELD SINCE", Align::Whole),
            ("", Align::Left),
        ]);
        for firing in &self.0.firings {
            let at = |ms| words::date_time(ms, &screen.zone, screen.now);
            let instead = if firing.escalated {
                "somebody must look instead"
            } else {
                ""
            };
            table.row([
                Cell::from(at(firing.fired_ms)),
                firing.host_name.as_str().into(),
                at(firing.since_ms).into(),
                instead.into(),
            ]);
        }
        text.push_str(&table.draw(screen));
        text
    }

    fn sheet(&self, _screen: &Screen) -> Sheet {
        let row = |firing: &ReplayFiring| {
            vec![
                Value::text(&firing.host),
                Value::text(&firing.host_name),
                Value::number(firing.since_ms),
                Value::number(firing.fired_ms),
                Value::number(firing.escalated),
            ]
        };
        Sheet {
            header: vec!["host", "host_name", "since_ms", "fired_ms", "escalated"],
            rows: self.0.firings.iter().map(row).collect(),
        }
    }
}

impl Report for Applied {
    fn table(&self, screen: &Screen) -> String {
        let mut text = String::new();
        if self.0.dry_run {
            text.push_str("Nothing is stored: this is what would be.\n");
        }
        for change in &self.0.policies {
            let heading = format!(
                "policy {} {}, version {}, {} hosts",
                visible(&change.name),
                change.outcome,
                change.version,
                change.hosts
            );
            // Writing to a String cannot fail.
            writeln!(text, "{}", screen.paint.bold(&heading)).ok();
            if self.0.dry_run {
                for line in &change.differences {
                    writeln!(text, "  {}", visible(line)).ok();
                }
            }
            if change.hosts_without_window > 0 {
                writeln!(
                    text,
                    "  {} of them have no maintenance window",
                    change.hosts_without_window
                )
                .ok();
            }
            if let Some(replay) = &change.replay {
                writeln!(text, "  {}", replay_sentence(replay)).ok();
            }
        }
        text
    }

    fn sheet(&self, _screen: &Screen) -> Sheet {
        let rows = self.0.policies.iter().map(|change| {
            let replay = change.replay.as_ref();
            vec![
                Value::text(&change.name),
                Value::text(&change.outcome),
                Value::number(change.version),
                Value::number(change.hosts),
                Value::maybe(
                    replay
                        .filter(|one| one.unknown.is_none())
                        .map(|one| one.fired),
                ),
                Value::number(self.0.dry_run),
            ]
        });
        Sheet {
            header: vec![
                "name",
                "outcome",
                "version",
                "hosts",
                "would_have_fired",
                "dry_run",
            ],
            rows: rows.collect(),
        }
    }
}
