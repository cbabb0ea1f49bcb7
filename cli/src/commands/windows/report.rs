//! Windows, their times and what applying them did, as they are printed.

use std::fmt::Write as _;

use serde::Serialize;
use tidemark_model::view::{
    OccurrenceView, WindowDetail, WindowTimes, WindowView, WindowsApplied, ZoneTimes,
};
use tidemark_model::window::WindowSpec;

use crate::render::paint::Tone;
use crate::render::sheet::{Sheet, Value};
use crate::render::table::{Align, Cell, Table};
use crate::render::text::visible;
use crate::render::versions::{Version, versions};
use crate::render::{Report, Screen, words};

/// A list of windows.
#[derive(Debug, Serialize)]
#[serde(transparent)]
pub struct WindowList(pub Vec<WindowView>);

/// When a window comes.
#[derive(Debug, Serialize)]
#[serde(transparent)]
pub struct Times(pub WindowTimes);

/// One window with its history.
#[derive(Debug, Serialize)]
pub struct Description {
    /// Its name.
    #[serde(skip)]
    pub name: String,
    /// What is known of it.
    #[serde(flatten)]
    pub detail: WindowDetail,
}

/// What applying windows did.
#[derive(Debug, Serialize)]
#[serde(transparent)]
pub struct Applied(pub WindowsApplied);

fn next_words(next: Option<&OccurrenceView>, screen: &Screen) -> String {
    match next {
        None => "does not come again".to_owned(),
        Some(next) if next.starts_ms <= screen.now.unix_ms() => {
            let left = next.ends_ms.saturating_sub(screen.now.unix_ms());
            format!("open, {} left", words::span(left))
        }
        Some(next) => words::relative(next.starts_ms, screen.now),
    }
}

fn danger(window: &WindowView) -> Cell {
    match (window.hosts_in_danger, window.hosts_without_zone) {
        (0, 0) => Cell::toned("0", Tone::Plain),
        (0, without) => Cell::toned(format!("? {without} without zone"), Tone::Watch),
        (danger, _) => Cell::toned(format!("▲ {danger}"), Tone::Bad),
    }
}

impl Report for WindowList {
    fn table(&self, screen: &Screen) -> String {
        if self.0.is_empty() {
            return "No windows. Apply some: tidemark apply -f windows.toml (tidemark apply --help shows one)\n"
                .to_owned();
        }
        let left = |name| (name, Align::Left);
        let mut table = Table::new(&[
            ("NAME", Align::Whole),
            left("NEXT"),
            left("BEGINS THERE"),
            left("LASTS"),
            left("COMES"),
            left("MATCHES"),
            ("HOSTS", Align::Right),
            left("IN DANGER"),
            left("SILENCES"),
        ]);
        for window in &self.0 {
            let next = window.next.as_ref();
            let local = next.map(|next| format!("{} {}", next.starts_local, next.time_zone));
            let silences = if window.spec.silences_incidents {
                "yes"
            } else {
                "no"
            };
            table.row([
                Cell::from(window.spec.name.as_str()),
                next_words(next, screen).into(),
                local.unwrap_or_else(|| "-".to_owned()).into(),
                window.spec.duration.as_str().into(),
                window.spec.recurrence.as_str().into(),
                window.spec.hosts.join(" ").into(),
                window.hosts.into(),
                danger(window),
                silences.into(),
            ]);
        }
        table.draw(screen)
    }

    fn sheet(&self, _screen: &Screen) -> Sheet {
        let row = |window: &WindowView| {
            let next = window.next.as_ref();
            vec![
                Value::text(&window.spec.name),
                Value::text(&window.spec.recurrence),
                Value::text(&window.spec.start),
                Value::text(&window.spec.duration),
                Value::text(&window.spec.time_zone),
                Value::text(window.spec.hosts.join(" ")),
                Value::number(window.spec.silences_incidents),
                Value::number(window.hosts),
                Value::number(window.hosts_without_zone),
                Value::number(window.hosts_in_danger),
                Value::maybe(next.map(|next| next.starts_ms)),
                Value::maybe(next.map(|next| next.ends_ms)),
                Value::number(window.version),
                Value::text(&window.applied_by),
                Value::number(window.applied_ms),
            ]
        };
        Sheet {
            header: vec![
                "name",
                "recurrence",
                "start",
                "duration",
                "time_zone",
                "hosts",
                "silences_incidents",
                "host_count",
                "hosts_without_zone",
                "hosts_in_danger",
                "next_starts_ms",
                "next_ends_ms",
                "version",
                "applied_by",
                "applied_ms",
            ],
            rows: self.0.iter().map(row).collect(),
        }
    }
}

fn zone_table(zone: &ZoneTimes, screen: &Screen) -> String {
    let mut table = Table::new(&[
        ("BEGINS THERE", Align::Whole),
        ("BEGINS HERE", Align::Whole),
        ("ENDS HERE", Align::Whole),
        ("WHEN", Align::Left),
    ]);
    for at in &zone.occurrences {
        let here = |at_ms| words::date_time(at_ms, &screen.zone, screen.now);
        table.row([
            Cell::from(at.starts_local.as_str()),
            here(at.starts_ms).into(),
            here(at.ends_ms).into(),
            Cell::toned(next_words(Some(at), screen), Tone::Muted),
        ]);
    }
    table.draw(screen)
}

impl Report for Times {
    fn table(&self, screen: &Screen) -> String {
        times_text(&self.0, screen)
    }

    fn sheet(&self, _screen: &Screen) -> Sheet {
        let rows = self.0.zones.iter().flat_map(|zone| {
            zone.occurrences.iter().map(|at| {
                vec![
                    Value::text(&zone.time_zone),
                    Value::number(zone.hosts),
                    Value::number(at.starts_ms),
                    Value::number(at.ends_ms),
                    Value::text(&at.starts_local),
                ]
            })
        });
        Sheet {
            header: vec!["time_zone", "hosts", "starts_ms", "ends_ms", "starts_local"],
            rows: rows.collect(),
        }
    }
}

fn times_text(times: &WindowTimes, screen: &Screen) -> String {
    let mut text = String::new();
    for zone in &times.zones {
        let heading = format!("{} ({} hosts)", visible(&zone.time_zone), zone.hosts);
        // Writing to a String cannot fail.
        writeln!(text, "{}", screen.paint.bold(&heading)).ok();
        if zone.occurrences.is_empty() {
            text.push_str("does not come again\n");
        } else {
            text.push_str(&zone_table(zone, screen));
        }
    }
    if times.zones_left_out > 0 {
        writeln!(text, "and {} time zones more", times.zones_left_out).ok();
    }
    if times.hosts_without_zone > 0 {
        writeln!(
            text,
            "{} hosts: never, for their time zone is not known",
            times.hosts_without_zone
        )
        .ok();
    }
    if text.is_empty() {
        text.push_str("No host is in it, and so no time zone: see what it matches with tidemark describe window NAME\n");
    }
    text
}

impl Report for Description {
    fn table(&self, screen: &Screen) -> String {
        let mut text = format!("{}\n", screen.paint.bold(&visible(&self.name)));
        match &self.detail.window {
            None => text.push_str("  deleted\n"),
            Some(window) => {
                for (name, value) in fields(window, screen) {
                    // Writing to a String cannot fail.
                    writeln!(text, "  {name:<13}{}", visible(&value)).ok();
                }
            }
        }
        write!(text, "\n{}\n", screen.paint.bold("VERSIONS")).ok();
        let what = |spec: &WindowSpec| {
            format!(
                "{} from {} for {} in {}, {}",
                spec.recurrence,
                spec.start,
                spec.duration,
                spec.time_zone,
                spec.hosts.join(" ")
            )
        };
        let all = self.detail.versions.iter().map(|version| Version {
            number: version.version,
            at_ms: version.applied_ms,
            by: &version.applied_by,
            what: version.spec.as_ref().map(what),
        });
        text.push_str(&versions(screen, "WHAT", all));
        text
    }

    fn sheet(&self, _screen: &Screen) -> Sheet {
        let rows = self.detail.versions.iter().map(|version| {
            let spec = version.spec.as_ref();
            vec![
                Value::number(version.version),
                Value::number(version.applied_ms),
                Value::text(&version.applied_by),
                Value::maybe_text(spec.map(|spec| spec.recurrence.as_str())),
                Value::maybe_text(spec.map(|spec| spec.start.as_str())),
                Value::maybe_text(spec.map(|spec| spec.duration.as_str())),
                Value::maybe_text(spec.map(|spec| spec.time_zone.as_str())),
            ]
        });
        Sheet {
            header: vec![
                "version",
                "applied_ms",
                "applied_by",
                "recurrence",
                "start",
                "duration",
                "time_zone",
            ],
            rows: rows.collect(),
        }
    }
}

fn fields(window: &WindowView, screen: &Screen) -> Vec<(&'static str, String)> {
    let spec = &window.spec;
    let next = window.next.as_ref();
    let local = next.map_or_else(String::new, |next| {
        format!(", {} {}", next.starts_local, next.time_zone)
    });
    let without = match window.hosts_without_zone {
        0 => String::new(),
        count => format!(" ({count} without a known time zone: never for them)"),
    };
    let silences = if spec.silences_incidents {
        "nobody is told of its hosts' incidents while it is open"
    } else {
        "no"
    };
    let mut fields = vec![
        ("next", format!("{}{local}", next_words(next, screen))),
        ("comes", format!("{} from {}", spec.recurrence, spec.start)),
        ("lasts", spec.duration.clone()),
        ("time zone", spec.time_zone.clone()),
        ("matches", spec.hosts.join(" ")),
        ("hosts", format!("{}{without}", window.hosts)),
        (
            "in danger",
            format!(
                "{} will not, or may not, last until it",
                window.hosts_in_danger
            ),
        ),
        ("silences", silences.to_owned()),
    ];
    if !spec.exclude.is_empty() {
        fields.push(("but not", spec.exclude.join(", ")));
    }
    if !spec.description.is_empty() {
        fields.insert(0, ("what for", spec.description.clone()));
    }
    fields
}

impl Report for Applied {
    fn table(&self, screen: &Screen) -> String {
        let mut text = String::new();
        if self.0.dry_run {
            text.push_str("Nothing is stored: this is what would be.\n");
        }
        for change in &self.0.windows {
            let heading = format!(
                "window {} {}, version {}, {} hosts",
                visible(&change.name),
                change.outcome,
                change.version,
                change.hosts
            );
            // Writing to a String cannot fail.
            writeln!(text, "{}", screen.paint.bold(&heading)).ok();
            if self.0.dry_run {
                text.push_str(&times_text(&change.times, screen));
            } else {
                let zone = change.times.zones.first();
                let next = zone.and_then(|zone| zone.occurrences.first());
                let place = next.map_or_else(String::new, |next| {
                    format!(": {} {}", next.starts_local, next.time_zone)
                });
                writeln!(text, "next {}{place}", next_words(next, screen)).ok();
            }
        }
        text
    }

    fn sheet(&self, _screen: &Screen) -> Sheet {
        let rows = self.0.windows.iter().map(|change| {
            vec![
                Value::text(&change.name),
                Value::text(&change.outcome),
                Value::number(change.version),
                Value::number(change.hosts),
                Value::number(self.0.dry_run),
            ]
        });
        Sheet {
            header: vec!["name", "outcome", "version", "hosts", "dry_run"],
            rows: rows.collect(),
        }
    }
}
