//! `get incidents`, `describe incident` and `incident ack|resolve|note`.

use std::fmt::Write as _;

use serde::{Serialize, Serializer};
use tidemark_model::view::{IncidentDetail, IncidentView};

use super::Ctx;
use super::show::{show, show_once};
use crate::api::{Deed, Query};
use crate::args::{Incident, IncidentsArgs};
use crate::failure::Failure;
use crate::render::paint::Tone;
use crate::render::sheet::{Sheet, Value};
use crate::render::table::{Align, Cell, Table};
use crate::render::text::visible;
use crate::render::{Report, Screen, words};

/// Lists incidents.
pub async fn list(ctx: &Ctx<'_>, wanted: &IncidentsArgs) -> Result<(), Failure> {
    let api = ctx.api()?;
    let screen = ctx.screen();
    let mut query = Query::new();
    query.extend(
        wanted
            .state
            .as_str()
            .map(|state| ("state", state.to_owned())),
    );
    let severity = wanted.severity.map(|severity| severity.as_str().to_owned());
    query.extend(severity.map(|severity| ("severity", severity)));
    query.extend(wanted.host.clone().map(|host| ("host", host)));
    let since = wanted
        .since
        .as_ref()
        .map(|since| since.at(screen.now, &screen.zone));
    query.extend(since.map(|since| ("since_ms", since.unix_ms().to_string())));
    let rows = usize::try_from(wanted.limit).unwrap_or(usize::MAX);
    show(ctx, async || {
        api.incidents(query.clone(), rows).await.map(IncidentList)
    })
    .await
}

/// Describes one incident with its time line.
pub async fn describe(ctx: &Ctx<'_>, id: i64) -> Result<(), Failure> {
    let api = ctx.api()?;
    show(ctx, async || {
        let mut detail = api.incident(id).await?;
        let runbook = &mut detail.incident.runbook;
        if runbook.starts_with('/') {
            runbook.insert_str(0, api.server().trim_end_matches('/'));
        }
        Ok(Description(detail))
    })
    .await
}

/// Acknowledges, resolves, or writes a note.
pub async fn act(ctx: &Ctx<'_>, wanted: &Incident) -> Result<(), Failure> {
    let (deed, id, text) = match wanted {
        Incident::Ack { id, text } => (Deed::Acknowledge, *id, text.join(" ")),
        Incident::Resolve { id, text } => (Deed::Resolve, *id, text.join(" ")),
        Incident::Note { id, text } => (Deed::Note, *id, text.join(" ")),
    };
    let incident = ctx.api()?.act_on_incident(id, deed, &text).await?;
    show_once(ctx, &Done(incident))
}

/// What became of an incident.
#[derive(Debug, Serialize)]
#[serde(transparent)]
struct Done(IncidentView);

impl Report for Done {
    fn table(&self, _screen: &Screen) -> String {
        let Self(incident) = self;
        format!(
            "incident {} is {}: {}\n",
            incident.id,
            visible(&incident.state),
            visible(&incident.title)
        )
    }

    fn sheet(&self, screen: &Screen) -> Sheet {
        IncidentList(vec![self.0.clone()]).sheet(screen)
    }
}

#[derive(Debug)]
struct IncidentList(Vec<IncidentView>);

impl Serialize for IncidentList {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        self.0.serialize(to)
    }
}

/// A severity with its mark; what is over is muted.
fn severity(incident: &IncidentView) -> Cell {
    match (incident.state.as_str(), incident.severity.as_str()) {
        ("resolved", severity) => Cell::toned(format!("○ {severity}"), Tone::Muted),
        (_, "critical") => Cell::toned("▲ critical", Tone::Bad),
        (_, "warning") => Cell::toned("△ warning", Tone::Watch),
        (_, severity) => Cell::toned(format!("– {severity}"), Tone::Plain),
    }
}

fn until(incident: &IncidentView, screen: &Screen) -> String {
    match (incident.resolved_ms, incident.eta_ms) {
        (Some(ended), _) => format!("over {}", words::relative(ended, screen.now)),
        (None, _) if incident.kind == "saturated" => "exhausted".to_owned(),
        (None, Some(eta)) => words::relative(eta, screen.now),
        (None, None) => "?".to_owned(),
    }
}

fn state(incident: &IncidentView, screen: &Screen) -> String {
    let silenced = match (&incident.silenced_by, &incident.silenced_by_window) {
        (Some(_), _) => ", silenced".to_owned(),
        (None, Some(window)) => format!(
            ", silenced by the window {} until {}",
            window.name,
            words::date_time(window.until_ms, &screen.zone, screen.now)
        ),
        (None, None) => String::new(),
    };
    match &incident.acknowledged_by {
        Some(by) => format!("{} by {by}{silenced}", incident.state),
        None => format!("{}{silenced}", incident.state),
    }
}

impl Report for IncidentList {
    fn table(&self, screen: &Screen) -> String {
        if self.0.is_empty() {
            return "No incident matches. With those that are over: tidemark get incidents --state all\n"
                .to_owned();
        }
        let left = |name| (name, Align::Left);
        let mut table = Table::new(&[
            ("ID", Align::Right),
            ("SEVERITY", Align::Whole),
            left("WHAT"),
            left("SINCE"),
            left("RUNS OUT"),
            left("STATE"),
        ]);
        for incident in &self.0 {
            table.row([
                Cell::from(incident.id.to_string()),
                severity(incident),
                incident.title.as_str().into(),
                words::relative(incident.since_ms, screen.now).into(),
                until(incident, screen).into(),
                state(incident, screen).into(),
            ]);
        }
        table.draw(screen)
    }

    fn sheet(&self, _screen: &Screen) -> Sheet {
        let row = |incident: &IncidentView| {
            let host = incident.hosts.first();
            let name = host.and_then(|host| host.name.as_deref());
            vec![
                Value::number(incident.id),
                Value::text(&incident.fingerprint),
                Value::text(&incident.state),
                Value::text(&incident.severity),
                Value::text(&incident.kind),
                Value::text(&incident.title),
                Value::maybe_text(name),
                Value::number(incident.host_count),
                Value::maybe_text(incident.culprit.as_deref()),
                Value::number(incident.since_ms),
                Value::number(incident.opened_ms),
                Value::maybe(incident.eta_ms),
                Value::maybe(incident.resolved_ms),
                Value::maybe_text(incident.acknowledged_by.as_deref()),
                Value::number(incident.reopened),
            ]
        };
        Sheet {
            header: vec![
                "id",
                "fingerprint",
                "state",
                "severity",
                "kind",
                "title",
                "host",
                "host_count",
                "culprit",
                "since_ms",
                "opened_ms",
                "eta_ms",
                "resolved_ms",
                "acknowledged_by",
                "reopened",
            ],
            rows: self.0.iter().map(row).collect(),
        }
    }
}

#[derive(Debug, Serialize)]
#[serde(transparent)]
struct Description(IncidentDetail);

impl Report for Description {
    fn table(&self, screen: &Screen) -> String {
        let Self(IncidentDetail {
            incident,
            timeline,
            proposals: _,
        }) = self;
        let mut text = format!(
            "{}\n\n{}\n",
            screen.paint.bold(&visible(&incident.title)),
            visible(&incident.sentence)
        );
        let labels: Vec<_> = incident
            .labels
            .iter()
            .map(|(key, value)| format!("{}={}", visible(key), visible(value)))
            .collect();
        // Writing to a String cannot fail.
        write!(
            text,
            "\nincident     {}, {}, {}\nfingerprint  {}\nlabels       {}\n",
            incident.id,
            visible(&incident.severity),
            visible(&state(incident, screen)),
            visible(&incident.fingerprint),
            labels.join(" ")
        )
        .ok();
        if let Some(window) = &incident.window {
            let words = words::window(window, screen.now);
            writeln!(text, "window       {}", visible(&words)).ok();
        }
        if !incident.runbook.is_empty() {
            writeln!(text, "runbook      {}", visible(&incident.runbook)).ok();
        }
        for (heading, lines) in [
            ("FIGURES", &incident.evidence),
            ("WHAT TO DO", &incident.advice),
        ] {
            write!(text, "\n{}\n", screen.paint.bold(heading)).ok();
            for line in lines {
                writeln!(text, "- {}", visible(line)).ok();
            }
        }
        write!(text, "\n{}\n", screen.paint.bold("TIME LINE")).ok();
        let mut table = Table::new(&[
            ("WHEN", Align::Whole),
            ("KIND", Align::Whole),
            ("WHO OR WHERE", Align::Left),
            ("WHAT", Align::Left),
        ]);
        for line in timeline {
            let who = line.by.as_deref().or(line.host.as_deref()).unwrap_or("-");
            table.row([
                Cell::toned(
                    words::date_time(line.at_ms, &screen.zone, screen.now),
                    Tone::Muted,
                ),
                line.kind.as_str().into(),
                who.into(),
                line.text.as_str().into(),
            ]);
        }
        text.push_str(&table.draw(screen));
        text
    }

    fn sheet(&self, _screen: &Screen) -> Sheet {
        Sheet {
            header: vec!["at_ms", "kind", "by", "host", "text"],
            rows: self
                .0
                .timeline
                .iter()
                .map(|line| {
                    vec![
                        Value::number(line.at_ms),
                        Value::text(&line.kind),
                        Value::maybe_text(line.by.as_deref()),
                        Value::maybe_text(line.host.as_deref()),
                        Value::text(&line.text),
                    ]
                })
                .collect(),
        }
    }
}
