//! `get drift`: what changed of hosts' configuration.

use serde::{Serialize, Serializer};
use tidemark_model::audit::view::DriftView;

use super::Ctx;
use super::describe::configuration::fact_name;
use super::show::show;
use crate::api::Query;
use crate::args::DriftArgs;
use crate::failure::Failure;
use crate::render::paint::Tone;
use crate::render::sheet::{Sheet, Value};
use crate::render::table::{Align, Cell, Table};
use crate::render::{Report, Screen, words};

/// Lists changes.
pub async fn list(ctx: &Ctx<'_>, wanted: &DriftArgs) -> Result<(), Failure> {
    let api = ctx.api()?;
    let screen = ctx.screen();
    let mut query = Query::new();
    let since = wanted
        .since
        .as_ref()
        .map(|since| since.at(screen.now, &screen.zone));
    query.extend(since.map(|since| ("since_ms", since.unix_ms().to_string())));
    let rows = usize::try_from(wanted.limit).unwrap_or(usize::MAX);
    show(ctx, async || {
        api.drift(wanted.host.as_deref(), query.clone(), rows)
            .await
            .map(DriftList)
    })
    .await
}

/// Changes, newest first.
#[derive(Debug)]
struct DriftList(Vec<DriftView>);

impl Serialize for DriftList {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        self.0.serialize(to)
    }
}

fn host_name(drift: &DriftView) -> &str {
    drift.host_name.as_deref().unwrap_or(&drift.host)
}

impl Report for DriftList {
    fn table(&self, screen: &Screen) -> String {
        if self.0.is_empty() {
            return "No setting changed in that time, as far as it could be read.\n".to_owned();
        }
        let mut table = Table::new(&[
            ("WHEN", Align::Whole),
            ("HOST", Align::Left),
            ("FACT", Align::Left),
            ("FROM", Align::Left),
            ("TO", Align::Left),
        ]);
        for drift in &self.0 {
            table.row([
                Cell::toned(
                    words::date_time(drift.at_ms, &screen.zone, screen.now),
                    Tone::Muted,
                ),
                host_name(drift).into(),
                fact_name(&drift.fact, drift.item.as_deref()).into(),
                drift.from.as_str().into(),
                drift.to.as_str().into(),
            ]);
        }
        table.draw(screen)
    }

    fn sheet(&self, screen: &Screen) -> Sheet {
        let row = |drift: &DriftView| {
            vec![
                Value::number(drift.id),
                Value::number(drift.at_ms),
                Value::text(words::rfc3339(drift.at_ms, &screen.zone)),
                Value::text(&drift.host),
                Value::maybe_text(drift.host_name.as_deref()),
                Value::text(&drift.fact),
                Value::maybe_text(drift.item.as_deref()),
                Value::text(&drift.from),
                Value::text(&drift.to),
            ]
        };
        Sheet {
            header: vec![
                "id",
                "at_ms",
                "time",
                "host",
                "host_name",
                "fact",
                "item",
                "from",
                "to",
            ],
            rows: self.0.iter().map(row).collect(),
        }
    }
}
