//! `tidemark-agent events`: events of this host's log or of a saved one, for a person at a sick server or for a script.

use std::fmt::Write as _;
use std::io::{self, Write as _};
use std::path::PathBuf;
use std::time::Duration;

use anyhow::Context as _;
use clap::{Args, ValueEnum};
use serde::Serialize;
use tidemark_model::Timestamp;
use tidemark_model::sample::EventHit;
use tidemark_runtime::{Clock, Outcome};

use super::print;
use super::table::grouped;
use crate::events::file::{self, LogHits};
use crate::events::live::{self, LiveLog};
use crate::events::reader::{EventSource as _, SourceError};
use crate::events::selection;
use crate::events::xml::{self, Reading};
use crate::link::failure::shown;

/// Calls to the live log at most, each of which brings a thousand events: a log that is written all the time has no end.
const CALLS_MAX: usize = 10_000;

#[derive(Args, Clone, Debug)]
pub(super) struct EventsArgs {
    /// A saved event log; without it this host's System and Application logs are read.
    #[arg(long, value_name = "FILE")]
    evtx: Option<PathBuf>,
    /// Every event of the saved log, not only those that concern ports.
    #[arg(long, requires = "evtx")]
    all: bool,
    /// Only events of this long before now, as in `12h` or `30d`.
    #[arg(long, value_name = "DURATION", value_parser = duration)]
    since: Option<Duration>,
    /// Only so many, the newest.
    #[arg(long, value_name = "COUNT", default_value_t = 1_000, value_parser = newest_max)]
    limit: usize,
    /// Form of the output.
    #[arg(short, long, value_enum, default_value_t = EventOutput::Table)]
    output: EventOutput,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum EventOutput {
    Table,
    Json,
    /// One JSON object a line.
    Jsonl,
}

fn duration(text: &str) -> Result<Duration, String> {
    tidemark_model::duration::parse_duration(text).map_err(|error| error.to_string())
}

fn newest_max(text: &str) -> Result<usize, String> {
    const MAX: usize = 1_000_000;
    let count = text.parse().ok().filter(|count| (1..=MAX).contains(count));
    count.ok_or_else(|| format!("1 to {MAX}"))
}

pub(super) fn run(args: &EventsArgs) -> anyhow::Result<Outcome> {
    let now = Clock::System.now();
    let since = args.since.map(|since| now.saturating_sub(since));
    let is_recent = |hit: &EventHit| since.is_none_or(|since| hit.at >= since);
    let found = match &args.evtx {
        Some(path) => file::read(path, now, args.limit, |hit| {
            is_recent(hit) && (args.all || selection::is_selected(hit))
        })?,
        None => read_live(now, args.limit, is_recent)?,
    };
    tell_what_lacks(&found);
    print(&render(&found, args.output)?)
}

/// What this host's log says that `is_wanted` wants, the newest.
pub(super) fn read_live(
    now: Timestamp,
    newest_max: usize,
    is_wanted: impl Fn(&EventHit) -> bool,
) -> anyhow::Result<LogHits> {
    live::availability().context("give a saved event log: --evtx FILE")?;
    let mut found = LogHits::new(newest_max);
    for log in selection::LOGS {
        let told = |hit: &EventHit| log.volume(hit).is_some() && is_wanted(hit);
        read_log(LiveLog::of(log), now, told, &mut found)
            .with_context(|| format!("this host's {} log cannot be read", log.channel))?;
    }
    Ok(found.into_sorted())
}

fn read_log(
    mut log: LiveLog,
    now: Timestamp,
    is_wanted: impl Fn(&EventHit) -> bool,
    found: &mut LogHits,
) -> Result<(), SourceError> {
    let reading = Reading {
        read_at: now,
        log_epoch: log.facts()?.epoch,
    };
    log.open(None)?;
    let mut events = Vec::new();
    for _ in 0..CALLS_MAX {
        log.next(Duration::ZERO, &mut events)?;
        if events.is_empty() {
            break;
        }
        for event in events.drain(..) {
            match xml::parse(&event, reading) {
                Ok(hit) if is_wanted(&hit) => found.push(hit),
                Ok(_) => {}
                Err(_) => found.unreadable += 1,
            }
        }
    }
    Ok(())
}

/// On standard error, so that scripts get nothing but events.
fn tell_what_lacks(found: &LogHits) {
    let mut text = String::new();
    // Writing to a String cannot fail, and nothing is left to tell it to when standard error is gone.
    if found.unreadable > 0 {
        let records = grouped(found.unreadable);
        writeln!(text, "{records} damaged or unknown record(s) are left out").ok();
    }
    if found.left_out > 0 {
        let events = grouped(found.left_out);
        writeln!(text, "{events} older event(s) are left out: see --limit").ok();
    }
    io::stderr().write_all(text.as_bytes()).ok();
}

fn render(found: &LogHits, output: EventOutput) -> anyhow::Result<String> {
    let mut text = String::new();
    match output {
        EventOutput::Table if found.hits().is_empty() => {
            text.push_str("No event of this log says anything about ports.\n");
        }
        EventOutput::Table => found
            .hits()
            .iter()
            .for_each(|hit| push_line(&mut text, hit)),
        EventOutput::Json => {
            let document = Document {
                events: found.hits(),
                unreadable: found.unreadable,
            };
            text = serde_json::to_string_pretty(&document)?;
            text.push('\n');
        }
        EventOutput::Jsonl => {
            for hit in found.hits() {
                text.push_str(&serde_json::to_string(hit)?);
                text.push('\n');
            }
        }
    }
    Ok(text)
}

#[derive(Serialize)]
struct Document<'a> {
    events: &'a [EventHit],
    /// Records that could not be read.
    unreadable: u64,
}

/// `2026-01-05T08:00:00Z  Tcpip 4231  #123456  no dynamic TCP port could be had: ...`
fn push_line(text: &mut String, hit: &EventHit) {
    let at = jiff::Timestamp::from_millisecond(hit.at.unix_ms())
        .map_or_else(|_| "unknown time".to_owned(), |at| format!("{at:.0}"));
    let record = hit.log.as_ref().and_then(|log| log.record_id);
    let record = record.map_or_else(String::new, |record| format!("  #{record}"));
    // Writing to a String cannot fail.
    writeln!(
        text,
        "{at}  {} {}{record}  {}",
        shown(&hit.source),
        hit.code,
        shown(&hit.text)
    )
    .ok();
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(text: &str) -> LogHits {
        let mut hit = xml::parse(
            "<Event><System><Provider Name='Tcpip'/><EventID>4231</EventID>\
             <TimeCreated SystemTime='2026-01-05T08:00:00.5Z'/><EventRecordID>7</EventRecordID></System></Event>",
            Reading {
                read_at: Timestamp::EPOCH,
                log_epoch: 0,
            },
        )
        .unwrap();
        hit.text = text.into();
        let mut found = LogHits::new(1);
        found.push(hit);
        found.unreadable = 2;
        found
    }

    #[test]
    fn a_line_cannot_be_broken_or_coloured_by_an_event() {
        let text = render(&found("a\n\u{1b}[31mb"), EventOutput::Table).unwrap();
        assert_eq!(text, "2026-01-05T08:00:00Z  Tcpip 4231  #7  a  [31mb\n");
    }

    #[test]
    fn json_holds_every_part() {
        let one: serde_json::Value =
            serde_json::from_str(&render(&found("x"), EventOutput::Json).unwrap()).unwrap();
        assert_eq!(one["unreadable"], 2);
        assert_eq!(one["events"][0]["log"]["record_id"], 7);
        let lines = render(&found("x\ny"), EventOutput::Jsonl).unwrap();
        assert_eq!(lines.lines().count(), 1);
    }
}
