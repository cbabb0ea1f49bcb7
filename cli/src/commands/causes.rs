//! `get causes`: what leaking hosts have in common.

use serde::{Serialize, Serializer};
use tidemark_model::view::{CauseView, CausesView};

use super::Ctx;
use super::show::show;
use crate::failure::Failure;
use crate::render::sheet::{Sheet, Value};
use crate::render::table::{Align, Cell, Table};
use crate::render::{Report, Screen, words};

/// Lists common causes.
pub async fn list(ctx: &Ctx<'_>) -> Result<(), Failure> {
    let api = ctx.api()?;
    show(ctx, async || api.causes().await.map(Causes)).await
}

#[derive(Debug)]
struct Causes(CausesView);

impl Serialize for Causes {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        self.0.serialize(to)
    }
}

/// `12 of 14`.
fn share(count: u64, of: u64) -> String {
    format!("{count} of {of}")
}

/// How many of the hosts compared that lack the value leak.
fn without(cause: &CauseView) -> String {
    share(
        cause.leaking.saturating_sub(cause.hosts_total),
        cause.compared.saturating_sub(cause.having),
    )
}

impl Report for Causes {
    fn table(&self, screen: &Screen) -> String {
        let Some(swept_ms) = self.0.swept_ms else {
            return "Not known yet: the controller has not looked at the fleet since its start. It does every 5 min.\n"
                .to_owned();
        };
        if self.0.items.is_empty() {
            return format!(
                "No common cause among {} leaking of {} hosts, as of {}.\n",
                self.0.leaking,
                self.0.hosts,
                words::relative(swept_ms, screen.now)
            );
        }
        let left = |name| (name, Align::Left);
        let mut table = Table::new(&[
            left("CAUSE"),
            left("LEAKS"),
            left("WITH IT"),
            left("WITHOUT"),
            left("CHANCE"),
            left("SINCE"),
            left("CHANGED BEFORE"),
        ]);
        for cause in &self.0.items {
            table.row([
                Cell::from(format!("{} {}", cause.attribute, cause.value)),
                cause.culprit.as_str().into(),
                share(cause.hosts_total, cause.having).into(),
                without(cause).into(),
                format!("10^{:.0}", cause.chance_power.ceil()).into(),
                words::relative(cause.since_ms, screen.now).into(),
                share(cause.changed_before, cause.hosts_total).into(),
            ]);
        }
        table.draw(screen)
    }

    fn sheet(&self, _screen: &Screen) -> Sheet {
        let row = |cause: &CauseView| {
            let hosts: Vec<&str> = cause.hosts.iter().map(|host| host.name.as_str()).collect();
            vec![
                Value::text(&cause.attribute),
                Value::text(&cause.value),
                Value::text(&cause.culprit),
                Value::number(cause.hosts_total),
                Value::number(cause.having),
                Value::number(cause.leaking),
                Value::number(cause.compared),
                Value::number(cause.chance_power),
                Value::number(cause.since_ms),
                Value::number(cause.changed_before),
                Value::text(hosts.join(",")),
            ]
        };
        Sheet {
            header: vec![
                "attribute",
                "value",
                "culprit",
                "leaking_with",
                "having",
                "leaking",
                "compared",
                "chance_power",
                "since_ms",
                "changed_before",
                "hosts",
            ],
            rows: self.0.items.iter().map(row).collect(),
        }
    }

    fn notes(&self) -> Vec<String> {
        let sentences = self.0.items.iter().map(|cause| cause.explanation.clone());
        sentences.collect()
    }
}
