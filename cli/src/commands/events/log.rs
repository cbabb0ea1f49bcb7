//! `get events --log`: what one host's event log and agent reported, record by record.

use serde::{Serialize, Serializer};
use tidemark_model::view::HostEventView;

use super::super::Ctx;
use super::super::show::show;
use crate::api::{Api, Query};
use crate::args::EventsArgs;
use crate::failure::Failure;
use crate::render::paint::Tone;
use crate::render::sheet::{Sheet, Value};
use crate::render::table::{Align, Cell, Table};
use crate::render::{Report, Screen, words};

/// Lists the events of a host's log.
pub(super) async fn list(
    ctx: &Ctx<'_>,
    api: &Api,
    host: &str,
    wanted: &EventsArgs,
) -> Result<(), Failure> {
    let screen = ctx.screen();
    let mut query = Query::new();
    query.extend(wanted.source.clone().map(|source| ("source", source)));
    query.extend(wanted.code.map(|code| ("code", code.to_string())));
    let since = wanted
        .since
        .as_ref()
        .map(|since| since.at(screen.now, &screen.zone));
    query.extend(since.map(|since| ("since_ms", since.unix_ms().to_string())));
    let rows = usize::try_from(wanted.limit).unwrap_or(usize::MAX);
    show(ctx, async || {
        api.host_events(host, query.clone(), rows)
            .await
            .map(HostLog)
    })
    .await
}

/// Events of a host's log, newest first.
#[derive(Debug)]
struct HostLog(Vec<HostEventView>);

impl Serialize for HostLog {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        self.0.serialize(to)
    }
}

impl Report for HostLog {
    fn table(&self, screen: &Screen) -> String {
        if self.0.is_empty() {
            return "This host's event log reported nothing, or its agent cannot read one: see tidemark describe host\n"
                .to_owned();
        }
        let mut table = Table::new(&[
            ("WHEN", Align::Whole),
            ("SOURCE", Align::Left),
            ("ID", Align::Right),
            ("RECORD", Align::Right),
            ("WHAT", Align::Left),
        ]);
        for event in &self.0 {
            let record = event
                .record_id
                .map_or_else(String::new, |record| record.to_string());
            table.row([
                Cell::toned(
                    words::date_time(event.at_ms, &screen.zone, screen.now),
                    Tone::Muted,
                ),
                event.source.as_str().into(),
                event.code.into(),
                record.into(),
                event.text.as_str().into(),
            ]);
        }
        table.draw(screen)
    }

    fn sheet(&self, screen: &Screen) -> Sheet {
        let row = |event: &HostEventView| {
            vec![
                Value::number(event.id),
                Value::number(event.at_ms),
                Value::text(words::rfc3339(event.at_ms, &screen.zone)),
                Value::number(event.host_at_ms),
                Value::text(&event.source),
                Value::number(event.code),
                Value::number(event.count),
                Value::maybe_text(event.channel.as_deref()),
                Value::maybe(event.record_id),
                Value::maybe(event.level),
                Value::maybe_text(event.computer.as_deref()),
                Value::maybe(event.process_id),
                Value::maybe(event.error_code),
                Value::maybe(event.final_status),
                Value::text(&event.text),
            ]
        };
        Sheet {
            header: vec![
                "id",
                "at_ms",
                "time",
                "host_at_ms",
                "source",
                "code",
                "count",
                "channel",
                "record_id",
                "level",
                "computer",
                "process_id",
                "error_code",
                "final_status",
                "text",
            ],
            rows: self.0.iter().map(row).collect(),
        }
    }
}
