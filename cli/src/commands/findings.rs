//! `get findings`: what is wrong on which host, why, and what to do first.

use std::collections::BTreeSet;

use serde::{Serialize, Serializer};
use tidemark_model::finding::{Rule, Severity};
use tidemark_model::view::HostFindings;
use tidemark_model::{Finding, runbook};

use super::Ctx;
use super::show::show;
use crate::failure::Failure;
use crate::render::paint::Tone;
use crate::render::sheet::{Sheet, Value};
use crate::render::table::{Align, Cell, Table};
use crate::render::text::visible;
use crate::render::{Report, Screen};

/// Lists what is found on `hosts`; no names means all hosts.
pub async fn list(ctx: &Ctx<'_>, hosts: &[String]) -> Result<(), Failure> {
    let api = ctx.api()?;
    show(ctx, async || {
        Ok(FindingList {
            hosts: api.findings(hosts).await?,
            server: api.server().trim_end_matches('/').to_owned(),
        })
    })
    .await
}

/// Findings by host.
#[derive(Debug)]
struct FindingList {
    hosts: Vec<HostFindings>,
    /// Where the runbooks are.
    server: String,
}

/// A plain array of hosts with their findings, which scripts rely on.
impl Serialize for FindingList {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        self.hosts.serialize(to)
    }
}

impl FindingList {
    fn rows(&self) -> impl Iterator<Item = (&HostFindings, &Finding)> {
        let hosts = self.hosts.iter();
        hosts.flat_map(|host| host.findings.iter().map(move |finding| (host, finding)))
    }
}

impl Report for FindingList {
    fn table(&self, screen: &Screen) -> String {
        if self.rows().next().is_none() {
            return "Nothing was found.\n".to_owned();
        }
        let mut table = Table::new(&[
            ("HOST", Align::Left),
            ("SEVERITY", Align::Whole),
            ("SURE", Align::Right),
            ("RULE", Align::Left),
            ("CULPRIT", Align::Left),
            ("WHAT", Align::Left),
            ("DO FIRST", Align::Left),
        ]);
        for (host, finding) in self.rows() {
            let tone = match finding.severity {
                Severity::Critical => Tone::Bad,
                Severity::Warning => Tone::Watch,
            };
            let first = finding.playbook.first().map_or("-", |step| &step.text);
            table.row([
                Cell::from(host.host_name.as_str()),
                Cell::toned(finding.severity.as_str(), tone),
                Cell::from(format!("{:.0} %", finding.confidence * 100.0)),
                Cell::from(finding.rule.as_str()),
                Cell::from(finding.culprit.as_deref().unwrap_or("-")),
                Cell::from(finding.title.as_str()),
                Cell::from(first),
            ]);
        }
        let mut text = table.draw(screen);
        text.push_str("\nWhat to do, rule by rule:\n");
        let rules: BTreeSet<Rule> = self.rows().map(|(_, finding)| finding.rule).collect();
        for rule in rules {
            let page = runbook::path(rule.as_str());
            text.push_str(&format!("  {}{page}\n", visible(&self.server)));
        }
        text
    }

    fn sheet(&self, _screen: &Screen) -> Sheet {
        let rows = self.rows().map(|(host, finding)| {
            vec![
                Value::text(&host.host),
                Value::text(&host.host_name),
                Value::text(finding.rule.as_str()),
                Value::text(finding.severity.as_str()),
                Value::number(finding.confidence),
                Value::maybe_text(finding.culprit.as_deref()),
                Value::maybe_text(finding.port_space.as_deref()),
                Value::maybe(finding.since_ms.map(tidemark_model::Timestamp::unix_ms)),
                Value::text(&finding.title),
                Value::text(finding.evidence.join(" ")),
            ]
        });
        Sheet {
            header: vec![
                "host",
                "host_name",
                "rule",
                "severity",
                "confidence",
                "culprit",
                "port_space",
                "since_ms",
                "title",
                "evidence",
            ],
            rows: rows.collect(),
        }
    }
}
