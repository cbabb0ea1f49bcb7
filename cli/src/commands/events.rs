//! `get events`: what happened; with `--watch` what happens.

mod log;

use std::pin::pin;

use serde::{Serialize, Serializer};
use tidemark_model::view::EventView;
use tidemark_runtime::lifecycle::shutdown_signal;

use super::Ctx;
use super::show::{for_reader, format_of, show};
use crate::api::{Api, Heard, Query};
use crate::args::{EventsArgs, Format};
use crate::failure::Failure;
use crate::render::document::{self, Layout};
use crate::render::paint::Tone;
use crate::render::sheet::{Heading, Sheet, Value};
use crate::render::table::{Align, Cell, Table};
use crate::render::text::{fit, visible};
use crate::render::{Report, Screen, words};

/// Lists events, or follows them.
pub async fn list(ctx: &Ctx<'_>, wanted: &EventsArgs) -> Result<(), Failure> {
    let api = ctx.api()?;
    let screen = ctx.screen();
    if let Some(host) = wanted.host.as_deref().filter(|_| wanted.log) {
        return log::list(ctx, &api, host, wanted).await;
    }
    let mut query = Query::new();
    query.extend(wanted.host.clone().map(|host| ("host", host)));
    query.extend(wanted.kind.clone().map(|kind| ("kind", kind)));
    let since = wanted
        .since
        .as_ref()
        .map(|since| since.at(screen.now, &screen.zone));
    query.extend(since.map(|since| ("since_ms", since.unix_ms().to_string())));
    let rows = usize::try_from(wanted.limit).unwrap_or(usize::MAX);
    if ctx.global.watch {
        let format = format_of::<EventList>(ctx)?;
        return Follower {
            ctx,
            api: &api,
            wanted,
            format,
        }
        .follow(query, rows)
        .await;
    }
    show(ctx, async || {
        api.events(query.clone(), rows).await.map(EventList)
    })
    .await
}

/// Prints events as they happen, one line each, the oldest first.
struct Follower<'a> {
    ctx: &'a Ctx<'a>,
    api: &'a Api,
    wanted: &'a EventsArgs,
    format: Format,
}

impl Follower<'_> {
    async fn follow(&self, query: Query, rows: usize) -> Result<(), Failure> {
        let mut stop = pin!(shutdown_signal());
        let mut live = self.api.live()?;
        let mut newest = None;
        loop {
            let heard = tokio::select! {
                heard = live.next() => heard?,
                () = &mut stop => return Ok(()),
            };
            match heard {
                // What happened while nobody listened is in the list.
                Heard::ReadAgain => {
                    let mut missed = self.api.events(query.clone(), rows).await?;
                    missed.retain(|event| newest.is_none_or(|newest| event.id > newest));
                    missed.sort_by_key(|event| event.id);
                    for event in &missed {
                        self.print(event, newest.is_none())?;
                        newest = Some(event.id);
                    }
                }
                Heard::Notice(event)
                    if newest.is_none_or(|newest| event.id > newest) && self.is_wanted(&event) =>
                {
                    self.print(&event, newest.is_none())?;
                    newest = Some(event.id);
                }
                Heard::Lost { reason, .. } => self
                    .ctx
                    .console
                    .note(&format!("{reason}; connecting again")),
                Heard::Garbled => self
                    .ctx
                    .console
                    .note("an event could not be read and is left out"),
                Heard::Notice(_) | Heard::Host(_) => {}
            }
        }
    }

    fn is_wanted(&self, event: &EventView) -> bool {
        let of_host = |host: &String| {
            event.host.as_ref() == Some(host) || event.host_name.as_ref() == Some(host)
        };
        self.wanted.host.as_ref().is_none_or(of_host)
            && self
                .wanted
                .kind
                .as_ref()
                .is_none_or(|kind| *kind == event.kind)
    }

    fn print(&self, event: &EventView, first: bool) -> Result<(), Failure> {
        let screen = self.ctx.screen();
        let text = match self.format {
            Format::Json => document::json(event, Layout::Line)?,
            Format::Yaml => for_reader(
                self.ctx,
                format!(
                    "---
{}",
                    document::yaml(event)?
                ),
            ),
            Format::Csv => {
                let heading = if first {
                    Heading::With
                } else {
                    Heading::Without
                };
                for_reader(
                    self.ctx,
                    EventList(vec![event.clone()])
                        .sheet(&screen)
                        .write(heading)?,
                )
            }
            Format::Table | Format::Chart => {
                let (at, host) = (
                    words::date_time(event.at_ms, &screen.zone, screen.now),
                    host_name(event),
                );
                format!(
                    "{at}  {}  {}  {}",
                    fit(&visible(host), 20),
                    fit(&visible(&event.kind), 18),
                    visible(&event.text)
                )
            }
        };
        self.ctx.console.write(&text)
    }
}

/// A list of events, newest first.
#[derive(Debug)]
struct EventList(Vec<EventView>);

impl Serialize for EventList {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        self.0.serialize(to)
    }
}

fn host_name(event: &EventView) -> &str {
    event
        .host_name
        .as_deref()
        .or(event.host.as_deref())
        .unwrap_or("controller")
}

impl Report for EventList {
    fn table(&self, screen: &Screen) -> String {
        if self.0.is_empty() {
            return "No events. Look further back: tidemark get events --since 14d\n".to_owned();
        }
        let left = |name| (name, Align::Left);
        let mut table = Table::new(&[
            ("WHEN", Align::Whole),
            left("HOST"),
            ("KIND", Align::Whole),
            left("WHAT"),
        ]);
        for event in &self.0 {
            table.row([
                Cell::toned(
                    words::date_time(event.at_ms, &screen.zone, screen.now),
                    Tone::Muted,
                ),
                host_name(event).into(),
                event.kind.as_str().into(),
                event.text.as_str().into(),
            ]);
        }
        table.draw(screen)
    }

    fn sheet(&self, screen: &Screen) -> Sheet {
        let row = |event: &EventView| {
            vec![
                Value::number(event.id),
                Value::number(event.at_ms),
                Value::text(words::rfc3339(event.at_ms, &screen.zone)),
                Value::maybe_text(event.host.as_deref()),
                Value::maybe_text(event.host_name.as_deref()),
                Value::text(&event.kind),
                Value::text(&event.text),
            ]
        };
        Sheet {
            header: vec!["id", "at_ms", "time", "host", "host_name", "kind", "text"],
            rows: self.0.iter().map(row).collect(),
        }
    }
}
