//! `get keys` and `get key-statements`: whose signatures hosts take, and what was signed about that.

use serde::Serialize;
use tidemark_model::key_statement::KeyStatement;
use tidemark_model::view::{FleetKeyView, KeyStatementView};

use crate::commands::Ctx;
use crate::commands::show::show;
use crate::failure::Failure;
use crate::render::sheet::{Sheet, Value};
use crate::render::table::{Align, Cell, Table};
use crate::render::text::visible;
use crate::render::{Report, Screen, words};

/// Lists the keys that hosts list.
pub async fn keys(ctx: &Ctx<'_>) -> Result<(), Failure> {
    let api = ctx.api()?;
    show(ctx, async || api.keys().await.map(KeyList)).await
}

/// Lists what was signed about keys.
pub async fn statements(ctx: &Ctx<'_>) -> Result<(), Failure> {
    let api = ctx.api()?;
    show(ctx, async || api.key_statements().await.map(StatementList)).await
}

#[derive(Debug, Serialize)]
#[serde(transparent)]
struct KeyList(Vec<FleetKeyView>);

impl Report for KeyList {
    fn table(&self, screen: &Screen) -> String {
        if self.0.is_empty() {
            return "No host told of a key: where none is listed in policy.toml, orders need no signature.\n".to_owned();
        }
        let mut table = Table::new(&[
            ("NAME", Align::Left),
            ("ID", Align::Left),
            ("TIER", Align::Right),
            ("HOSTS", Align::Right),
            ("BELIEVED", Align::Right),
            ("REPLACED", Align::Right),
            ("REVOKED", Align::Right),
            ("USED BY", Align::Left),
        ]);
        for key in &self.0 {
            let used: Vec<_> = key
                .used_by
                .iter()
                .map(|one| {
                    let last = words::date_time(one.last_ms, &screen.zone, screen.now);
                    format!("{} ({}, last {last})", one.author, one.signed)
                })
                .collect();
            table.row([
                Cell::from(key.names.join(", ")),
                Cell::from(key.id.to_string()),
                Cell::from(key.tier_max.number().to_string()),
                Cell::from(key.hosts.to_string()),
                Cell::from(key.holds.to_string()),
                Cell::from(key.replaced.to_string()),
                Cell::from(revoked(key)),
                Cell::from(if used.is_empty() {
                    "-".to_owned()
                } else {
                    used.join(", ")
                }),
            ]);
        }
        table.draw(screen)
    }

    fn sheet(&self, _screen: &Screen) -> Sheet {
        let header = vec![
            "id",
            "names",
            "public",
            "tier_max",
            "hosts",
            "holds",
            "replaced",
            "revoked",
            "revocation_brought",
            "rotated_from",
        ];
        let rows = self.0.iter().map(|key| {
            vec![
                Value::text(key.id.to_string()),
                Value::text(key.names.join(" ")),
                Value::text(key.public.to_string()),
                Value::number(key.tier_max.number()),
                Value::number(key.hosts),
                Value::number(key.holds),
                Value::number(key.replaced),
                Value::number(key.revoked),
                Value::number(key.is_revocation_brought),
                Value::text(
                    key.rotated_from
                        .map_or_else(String::new, |id| id.to_string()),
                ),
            ]
        });
        Sheet {
            header,
            rows: rows.collect(),
        }
    }
}

/// On how many hosts, and whether the others are still to hear of it.
fn revoked(key: &FleetKeyView) -> String {
    if key.is_revocation_brought && key.revoked < key.hosts {
        format!("{} of {}", key.revoked, key.hosts)
    } else {
        key.revoked.to_string()
    }
}

/// One statement, after it was brought or signed.
#[derive(Debug, Serialize)]
#[serde(transparent)]
pub struct Statement(pub KeyStatementView);

impl Report for Statement {
    fn table(&self, screen: &Screen) -> String {
        let Self(view) = self;
        let signers: Vec<_> = view
            .signatures
            .iter()
            .map(|signature| signature.key_id.to_string())
            .collect();
        let mut text = format!(
            "{} {}: {}\n  signed by {}\n  brought   {} by {}\n  followed  by {} of {} hosts that list the key\n",
            view.kind.as_str(),
            view.id,
            what(view),
            signers.join(", "),
            words::date_time(view.at_ms, &screen.zone, screen.now),
            visible(&view.author),
            view.followed,
            view.hosts
        );
        for (word, hosts) in [("refused  ", &view.refused), ("not yet  ", &view.waiting)] {
            for one in hosts {
                let host = one.host_name.as_deref().unwrap_or(&one.host);
                text.push_str(&format!(
                    "  {word} by {}: {}\n",
                    visible(host),
                    visible(&one.text)
                ));
            }
        }
        text
    }

    fn sheet(&self, screen: &Screen) -> Sheet {
        StatementList(vec![self.0.clone()]).sheet(screen)
    }
}

#[derive(Debug, Serialize)]
#[serde(transparent)]
struct StatementList(Vec<KeyStatementView>);

impl Report for StatementList {
    fn table(&self, screen: &Screen) -> String {
        if self.0.is_empty() {
            return "Nothing was signed about keys.\n".to_owned();
        }
        let all = self.0.iter().cloned();
        all.map(|view| Statement(view).table(screen)).collect()
    }

    fn sheet(&self, _screen: &Screen) -> Sheet {
        let rows = self.0.iter().map(|view| {
            vec![
                Value::text(view.id.to_string()),
                Value::text(view.kind.as_str()),
                Value::text(view.key_id.to_string()),
                Value::text(view.statement.reason()),
                Value::number(view.at_ms),
                Value::text(&view.author),
                Value::number(view.signatures.len()),
                Value::number(view.hosts),
                Value::number(view.followed),
                Value::number(view.refused.len()),
            ]
        });
        Sheet {
            header: vec![
                "id",
                "kind",
                "key_id",
                "reason",
                "at_ms",
                "author",
                "signatures",
                "hosts",
                "followed",
                "refused",
            ],
            rows: rows.collect(),
        }
    }
}

fn what(view: &KeyStatementView) -> String {
    let name = view.key_name.as_deref().map(visible);
    let name = name.map_or_else(String::new, |name| format!(" ({name})"));
    let reason = visible(view.statement.reason());
    match &view.statement {
        KeyStatement::Revocation(_) => format!("key {}{name}, {reason}", view.key_id),
        KeyStatement::Rotation(rotation) => format!(
            "key {}{name} by key {}, {reason}",
            view.key_id,
            rotation.new.id()
        ),
    }
}
