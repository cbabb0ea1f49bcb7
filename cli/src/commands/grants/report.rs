//! Grants as they are printed, and as they are shown before they are signed.

use std::fmt::Write as _;

use serde::Serialize;
use tidemark_model::Timestamp;
use tidemark_model::grant::Grant;
use tidemark_model::view::{GrantDetail, GrantState, GrantView};

use crate::render::paint::Tone;
use crate::render::sheet::{Sheet, Value};
use crate::render::table::{Align, Cell, Table};
use crate::render::text::visible;
use crate::render::{Report, Screen, words};

/// A list of grants.
#[derive(Debug, Serialize)]
#[serde(transparent)]
pub struct GrantList(pub Vec<GrantView>);

/// One grant with what was signed.
#[derive(Debug, Serialize)]
#[serde(transparent)]
pub struct Description(pub GrantDetail);

impl Report for GrantList {
    fn table(&self, screen: &Screen) -> String {
        if self.0.is_empty() {
            return "No grants. Make one: tidemark grant new POLICY --host HOST --reason WHY --key KEY\n"
                .to_owned();
        }
        let mut table = Table::new(&[
            ("ID", Align::Whole),
            ("STATE", Align::Left),
            ("POLICY", Align::Left),
            ("RUNG", Align::Right),
            ("WHAT AND WHEN", Align::Left),
            ("USED", Align::Right),
            ("EXPIRES", Align::Left),
            ("KEYS", Align::Left),
        ]);
        for grant in &self.0 {
            let tone = match grant.state {
                GrantState::Standing => Tone::Plain,
                GrantState::Outdated => Tone::Watch,
                GrantState::Withdrawn | GrantState::Expired => Tone::Muted,
            };
            table.row([
                Cell::from(grant.id.as_str()),
                Cell::toned(grant.state.as_str(), tone),
                Cell::from(visible(&grant.policy)),
                Cell::from(
                    grant
                        .rung
                        .map_or_else(|| "-".to_owned(), |rung| rung.to_string()),
                ),
                Cell::from(visible(&grant.summary)),
                Cell::from(grant.used.to_string()),
                Cell::from(words::relative(grant.expires_ms, screen.now)),
                Cell::from(grant.keys.join(" ")),
            ]);
        }
        table.draw(screen)
    }

    fn sheet(&self, _screen: &Screen) -> Sheet {
        Sheet {
            header: vec![
                "id",
                "state",
                "policy",
                "summary",
                "expires_ms",
                "created_by",
                "keys",
                "rung",
                "used",
                "last_used_ms",
            ],
            rows: self.0.iter().map(row).collect(),
        }
    }
}

fn row(grant: &GrantView) -> Vec<Value> {
    vec![
        Value::text(&grant.id),
        Value::text(grant.state.as_str()),
        Value::text(&grant.policy),
        Value::text(&grant.summary),
        Value::number(grant.expires_ms),
        Value::text(&grant.created_by),
        Value::text(grant.keys.join(" ")),
        grant.rung.map_or_else(|| Value::text(""), Value::number),
        Value::number(grant.used),
        grant
            .last_used_ms
            .map_or_else(|| Value::text(""), Value::number),
    ]
}

impl Report for Description {
    fn table(&self, _screen: &Screen) -> String {
        let Self(detail) = self;
        let grant = &detail.grant;
        let mut text = format!("Grant {}: {}\n", visible(&grant.id), grant.state.as_str());
        if let Some(by) = &grant.withdrawn_by {
            let signed = if grant.has_signed_end {
                ", with a signature"
            } else {
                ""
            };
            text.push_str(&format!("withdrawn by {}{signed}\n", visible(by)));
        }
        match Grant::from_bytes(detail.document.as_bytes()) {
            Ok(read) => text.push_str(&visible_grant(&read)),
            Err(error) => text.push_str(&format!("{}\n", visible(&error.to_string()))),
        }
        let names = |hosts: &[String]| match hosts {
            [] => "no host".to_owned(),
            some => some
                .iter()
                .map(|name| visible(name))
                .collect::<Vec<_>>()
                .join(", "),
        };
        // A String takes every write.
        writeln!(text, "keys     {}", grant.keys.join(", ")).ok();
        writeln!(text, "holds on {}", names(&detail.holds_on)).ok();
        writeln!(text, "not on   {}", names(&detail.not_on)).ok();
        text
    }

    fn sheet(&self, screen: &Screen) -> Sheet {
        GrantList(vec![self.0.grant.clone()]).sheet(screen)
    }
}

/// Everything that a grant says, for whoever signs it.
pub fn visible_grant(grant: &Grant) -> String {
    let ids = grant.hosts.ids.iter().map(ToString::to_string);
    let names = grant.hosts.names.iter();
    let names = names.map(|name| format!("named {}", visible(name)));
    let hosts: Vec<String> = ids.chain(names).collect();
    format!(
        "{} (tier {})\nwhen     {}\non       {}\nat most  {} an hour and {} a day on each host\nfor      policy {}, rule {}\nby {}, because: {}\nmade     {}\nfrom     {}\nuntil    {}\nid       {}\n",
        visible(&grant.action.to_string()),
        grant.action.kind.tier().number(),
        visible(&grant.trigger.to_string()),
        hosts.join(", "),
        grant.per_hour,
        grant.per_day,
        visible(&grant.policy),
        grant.rule,
        visible(&grant.issuer),
        visible(&grant.reason),
        at(grant.issued_at_ms),
        at(grant.not_before_ms),
        at(grant.expires_at_ms),
        grant.id,
    )
}

fn at(time: Timestamp) -> String {
    let unix_ms = time.unix_ms();
    jiff::Timestamp::from_millisecond(unix_ms)
        .map_or_else(|_| unix_ms.to_string(), |at| at.to_string())
}
