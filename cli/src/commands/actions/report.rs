//! How actions look.

use serde::Serialize;
use tidemark_model::view::{ActionDetail, ActionView, RecoveryView};

use crate::render::sheet::{Sheet, Value};
use crate::render::table::{Align, Cell, Table};
use crate::render::text::visible;
use crate::render::{Report, Screen, words};

/// An action that was just asked for.
#[derive(Debug, Serialize)]
#[serde(transparent)]
pub(super) struct Proposed(pub(super) ActionView);

impl Report for Proposed {
    fn table(&self, _screen: &Screen) -> String {
        let action = &self.0;
        let next = match action.approvals_needed {
            _ if action.dry_run => "The host is asked what it would do.".to_owned(),
            0 => "It needs no approval.".to_owned(),
            1 => format!(
                "Somebody else approves it: tidemark action approve {}",
                action.id
            ),
            count => format!(
                "{count} others approve it: tidemark action approve {}",
                action.id
            ),
        };
        format!(
            "{} on {}: {}, {}.\n{next}\nFollow it: tidemark describe action {}\n",
            action.id,
            visible(action.host_name.as_deref().unwrap_or(&action.host)),
            visible(&action.summary),
            action.state.as_str(),
            action.id
        )
    }

    fn sheet(&self, _screen: &Screen) -> Sheet {
        sheet_of(std::slice::from_ref(&self.0))
    }
}

/// Actions in a list.
#[derive(Debug, Serialize)]
#[serde(transparent)]
pub(super) struct ActionList(pub(super) Vec<ActionView>);

impl Report for ActionList {
    fn table(&self, screen: &Screen) -> String {
        if self.0.is_empty() {
            return "No actions. `tidemark action propose HOST ACTION` asks for one.\n".to_owned();
        }
        let mut table = Table::new(&[
            ("ID", Align::Whole),
            ("HOST", Align::Left),
            ("STATE", Align::Left),
            ("SINCE", Align::Left),
            ("TIER", Align::Right),
            ("WHAT", Align::Left),
        ]);
        for action in &self.0 {
            let host = action.host_name.as_deref().unwrap_or(&action.host);
            table.row([
                Cell::from(action.id.clone()),
                Cell::from(host.to_owned()),
                Cell::from(action.state.as_str().to_owned()),
                Cell::from(words::relative(action.state_ms, screen.now)),
                Cell::from(action.tier.number().to_string()),
                Cell::from(action.summary.clone()),
            ]);
        }
        table.draw(screen)
    }

    fn sheet(&self, _screen: &Screen) -> Sheet {
        sheet_of(&self.0)
    }
}

fn sheet_of(actions: &[ActionView]) -> Sheet {
    Sheet {
        header: vec![
            "id",
            "host",
            "state",
            "state_ms",
            "tier",
            "dry_run",
            "summary",
            "requester",
        ],
        rows: actions
            .iter()
            .map(|action| {
                vec![
                    Value::text(&action.id),
                    Value::text(action.host_name.as_deref().unwrap_or(&action.host)),
                    Value::text(action.state.as_str()),
                    Value::number(action.state_ms),
                    Value::number(action.tier.number()),
                    Value::text(if action.dry_run { "true" } else { "false" }),
                    Value::text(&action.summary),
                    Value::text(&action.requester),
                ]
            })
            .collect(),
    }
}

/// Everything about one action.
#[derive(Debug, Serialize)]
#[serde(transparent)]
pub(super) struct Described(pub(super) ActionDetail);

impl Report for Described {
    fn table(&self, screen: &Screen) -> String {
        let ActionDetail {
            action,
            approvals,
            signatures,
            report,
            life,
        } = &self.0;
        let host = visible(action.host_name.as_deref().unwrap_or(&action.host));
        let mut text = format!(
            "{} on {host} (tier {}{})\n{}, asked for by {}: {}\n",
            visible(&action.summary),
            action.tier.number(),
            if action.dry_run { ", dry run" } else { "" },
            action.state.as_str(),
            visible(&action.requester),
            visible(&action.reason),
        );
        if let Some(waits_for) = &action.waits_for {
            text.push_str(&format!("waits: {}\n", visible(waits_for)));
        }
        for approval in approvals {
            text.push_str(&format!("approved by {}\n", visible(&approval.approver)));
        }
        for signature in signatures {
            text.push_str(&format!("signed by key {}\n", signature.key_id));
        }
        if let Some(report) = report {
            text.push_str(&format!("\nThe host says: {}\n", visible(&report.text)));
            if let Some(refusal) = report.refusal {
                text.push_str(&format!("  refused: {}\n", refusal.as_str()));
            }
            for step in &report.steps {
                let (what, said) = (visible(&step.what), visible(&step.text));
                text.push_str(&format!("  {:8} {what}  {said}\n", step.state.as_str()));
            }
            for change in &report.changes {
                let shown = |value: &Option<String>| {
                    value
                        .as_deref()
                        .map_or_else(|| "not set".to_owned(), visible)
                };
                let what = visible(&change.what);
                let (before, after) = (shown(&change.before), shown(&change.after));
                text.push_str(&format!("  {what}: {before} -> {after}\n"));
            }
        }
        text.push_str("\nLife\n");
        for step in life {
            let at = words::date_time_seconds(step.at_ms, &screen.zone, screen.now);
            let (by, said) = (
                visible(step.by.as_deref().unwrap_or("controller")),
                visible(&step.text),
            );
            text.push_str(&format!("  {at}  {:12} {by}  {said}\n", step.to.as_str()));
        }
        text
    }

    fn sheet(&self, _screen: &Screen) -> Sheet {
        sheet_of(std::slice::from_ref(&self.0.action))
    }
}

/// What has worked on what.
#[derive(Debug, Serialize)]
#[serde(transparent)]
pub(super) struct Recoveries(pub(super) Vec<RecoveryView>);

impl Report for Recoveries {
    fn table(&self, screen: &Screen) -> String {
        if self.0.is_empty() {
            return "No action has been measured yet.\n".to_owned();
        }
        let mut table = Table::new(&[
            ("ACTION", Align::Left),
            ("ON", Align::Left),
            ("WORKED", Align::Right),
            ("PORTS FREED", Align::Right),
            ("HELD", Align::Right),
        ]);
        for one in &self.0 {
            let unknown = || "-".to_owned();
            table.row([
                Cell::from(one.action.as_str().to_owned()),
                Cell::from(one.subject.clone()),
                Cell::from(format!("{} of {}", one.worked, one.tried)),
                Cell::from(
                    one.ports_freed_median
                        .map_or_else(unknown, |ports| ports.to_string()),
                ),
                Cell::from(one.held_ms_median.map_or_else(unknown, words::span)),
            ]);
        }
        table.draw(screen)
    }

    fn sheet(&self, _screen: &Screen) -> Sheet {
        Sheet {
            header: vec!["action", "subject", "tried", "worked"],
            rows: self
                .0
                .iter()
                .map(|one| {
                    vec![
                        Value::text(one.action.as_str()),
                        Value::text(&one.subject),
                        Value::number(i64::try_from(one.tried).unwrap_or(i64::MAX)),
                        Value::number(i64::try_from(one.worked).unwrap_or(i64::MAX)),
                    ]
                })
                .collect(),
        }
    }
}
