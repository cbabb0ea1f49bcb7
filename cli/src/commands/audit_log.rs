//! `audit list|show|verify|export|key`: who did what, and whether the log of it is as it was written.

mod verify;

use std::fs::OpenOptions;
use std::io::Write as _;
use std::path::Path;

use serde::Serialize;
use tidemark_model::view::AuditEntryView;

use super::Ctx;
use super::show::{show, show_once};
use crate::api::{Api, Query};
use crate::args::{Audit, AuditListArgs};
use crate::failure::Failure;
use crate::render::paint::Tone;
use crate::render::sheet::{Sheet, Value};
use crate::render::table::{Align, Cell, Table};
use crate::render::text::visible;
use crate::render::{Report, Screen, words};

/// Does what was asked.
pub async fn run(ctx: &Ctx<'_>, wanted: &Audit) -> Result<(), Failure> {
    match wanted {
        Audit::List(wanted) => list(ctx, wanted).await,
        Audit::Show { seq } => {
            let entry = ctx.api()?.audit_entry(*seq).await?;
            show_once(ctx, &OneEntry(entry))
        }
        Audit::Verify(wanted) => verify::verify(ctx, wanted).await,
        Audit::Export { file, after } => export(ctx, file.as_deref(), *after).await,
        Audit::Key { checkpoint } => key(ctx, *checkpoint).await,
    }
}

async fn list(ctx: &Ctx<'_>, wanted: &AuditListArgs) -> Result<(), Failure> {
    let api = ctx.api()?;
    let screen = ctx.screen();
    let mut query = Query::new();
    for (name, value) in [
        ("who", &wanted.who),
        ("what", &wanted.what),
        ("outcome", &wanted.outcome),
        ("host", &wanted.host),
    ] {
        query.extend(value.clone().map(|value| (name, value)));
    }
    let since = wanted.since.as_ref();
    let since = since.map(|since| since.at(screen.now, &screen.zone));
    query.extend(since.map(|since| ("since_ms", since.unix_ms().to_string())));
    let rows = usize::try_from(wanted.limit).unwrap_or(usize::MAX);
    show(ctx, async || {
        api.audit_entries(query.clone(), rows).await.map(EntryList)
    })
    .await
}

async fn key(ctx: &Ctx<'_>, checkpoint: bool) -> Result<(), Failure> {
    let status = ctx.api()?.audit_status().await?;
    let (found, otherwise) = if checkpoint {
        (status.checkpoint, "no checkpoint was signed yet")
    } else {
        let key = status.key.map(|key| format!("{key}\n"));
        (key, "the controller signs no checkpoints")
    };
    let found = found.ok_or_else(|| {
        Failure::Tampered(status.unsigned.unwrap_or_else(|| otherwise.to_owned()))
    })?;
    ctx.console.write(&found)
}

async fn export(ctx: &Ctx<'_>, file: Option<&Path>, mut after: u64) -> Result<(), Failure> {
    let api = ctx.api()?;
    let failed = |source| Failure::Io {
        action: "write the export",
        source,
    };
    let mut file = match file {
        Some(path) => {
            let opened = OpenOptions::new().write(true).create_new(true).open(path);
            Some(opened.map_err(failed)?)
        }
        None => None,
    };
    while let Some((lines, last)) = next_lines(&api, after).await? {
        match &mut file {
            Some(file) => file.write_all(lines.as_bytes()).map_err(failed)?,
            None => ctx.console.write(&lines)?,
        }
        after = last;
    }
    if let Some(file) = file {
        file.sync_all().map_err(failed)?;
    }
    Ok(())
}

/// The lines after that entry, and the place of the last of them; `None` after the end.
async fn next_lines(api: &Api, after: u64) -> Result<Option<(String, u64)>, Failure> {
    let lines = api.audit_lines(after).await?;
    let Some(last) = lines.lines().last() else {
        return Ok(None);
    };
    let seq = serde_json::from_str::<serde_json::Value>(last)
        .ok()
        .and_then(|line| line.get("seq")?.as_u64())
        .filter(|seq| *seq > after);
    match seq {
        Some(seq) => Ok(Some((lines, seq))),
        None => Err(Failure::Tampered(format!(
            "what the controller sends after entry {after} is no log"
        ))),
    }
}

#[derive(Debug, Serialize)]
#[serde(transparent)]
struct EntryList(Vec<AuditEntryView>);

fn text(value: Option<&String>) -> &str {
    value.map_or("?", String::as_str)
}

/// Who, as lists say it.
fn who(entry: &AuditEntryView) -> String {
    match (&entry.who, &entry.who_kind) {
        (Some(name), _) if !name.is_empty() => name.clone(),
        (Some(_), _) => "nobody".to_owned(),
        (None, _) => "?".to_owned(),
    }
}

/// On what, as lists say it.
fn on(entry: &AuditEntryView) -> String {
    let mut on = text(entry.on_kind.as_ref()).to_owned();
    if let Some(id) = entry.on_id.as_ref().filter(|id| !id.is_empty()) {
        on.push(' ');
        on.push_str(id);
    }
    on
}

fn tone(entry: &AuditEntryView) -> Tone {
    match entry.outcome.as_deref() {
        Some("done") => Tone::Good,
        Some("refused") => Tone::Watch,
        Some(_) | None => Tone::Bad,
    }
}

impl Report for EntryList {
    fn table(&self, screen: &Screen) -> String {
        if self.0.is_empty() {
            return "No entries. Leave filters out to see more.\n".to_owned();
        }
        let left = |name| (name, Align::Left);
        let mut table = Table::new(&[
            ("SEQ", Align::Right),
            left("WHEN"),
            left("WHO"),
            left("WHAT"),
            left("ON"),
            left("HOST"),
            left("OUTCOME"),
        ]);
        for entry in &self.0 {
            let at = entry
                .at_ms
                .map(|at| words::date_time(at, &screen.zone, screen.now));
            let outcome = match &entry.fault {
                Some(_) => "ALTERED",
                None => text(entry.outcome.as_ref()),
            };
            table.row([
                entry.seq.to_string().into(),
                at.unwrap_or_else(|| "?".to_owned()).into(),
                who(entry).into(),
                text(entry.what.as_ref()).into(),
                on(entry).into(),
                entry.host_name.clone().unwrap_or_default().into(),
                Cell::toned(outcome, tone(entry)),
            ]);
        }
        table.draw(screen)
    }

    fn sheet(&self, _screen: &Screen) -> Sheet {
        sheet_of(&self.0)
    }
}

fn sheet_of(entries: &[AuditEntryView]) -> Sheet {
    let maybe = |value: &Option<String>| Value::text(value.as_deref().unwrap_or_default());
    let row = |entry: &AuditEntryView| {
        vec![
            Value::number(i64::try_from(entry.seq).unwrap_or(i64::MAX)),
            Value::maybe(entry.at_ms),
            maybe(&entry.who_kind),
            maybe(&entry.who),
            maybe(&entry.role),
            maybe(&entry.credential),
            maybe(&entry.address),
            maybe(&entry.what),
            maybe(&entry.on_kind),
            maybe(&entry.on_id),
            maybe(&entry.host),
            maybe(&entry.outcome),
            Value::text(serde_json::to_string(&entry.detail).unwrap_or_default()),
            maybe(&entry.fault),
        ]
    };
    Sheet {
        header: vec![
            "seq",
            "at_ms",
            "who_kind",
            "who",
            "role",
            "credential",
            "address",
            "what",
            "on_kind",
            "on_id",
            "host",
            "outcome",
            "detail",
            "fault",
        ],
        rows: entries.iter().map(row).collect(),
    }
}

#[derive(Debug, Serialize)]
#[serde(transparent)]
struct OneEntry(AuditEntryView);

impl Report for OneEntry {
    fn table(&self, screen: &Screen) -> String {
        let Self(entry) = self;
        let mut lines = vec![("entry", entry.seq.to_string())];
        if let Some(at) = entry.at_ms {
            lines.push(("when", words::date_time(at, &screen.zone, screen.now)));
        }
        lines.push(("who", who(entry)));
        for (name, value) in [
            ("as", &entry.who_kind),
            ("role", &entry.role),
            ("with", &entry.credential),
            ("from", &entry.address),
            ("what", &entry.what),
        ] {
            lines.extend(value.clone().map(|value| (name, value)));
        }
        lines.push(("on", on(entry)));
        let host = entry.host.as_ref().map(|id| {
            let name = entry.host_name.as_deref().unwrap_or("unknown");
            ("host", format!("{name} ({id})"))
        });
        lines.extend(host);
        lines.extend(entry.outcome.clone().map(|outcome| ("outcome", outcome)));
        for (name, value) in &entry.detail {
            lines.push(("", format!("{name}: {value}")));
        }
        lines.extend(entry.hash.clone().map(|hash| ("hash", hash)));
        lines.extend(entry.fault.clone().map(|fault| ("ALTERED", fault)));
        lines
            .iter()
            .map(|(name, value)| format!("{name:<8} {}\n", visible(value)))
            .collect()
    }

    fn sheet(&self, _screen: &Screen) -> Sheet {
        sheet_of(std::slice::from_ref(&self.0))
    }
}
