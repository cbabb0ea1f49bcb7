//! What is reported: the findings, what was looked at, and what could not be seen.

use std::collections::BTreeMap;

use serde::Serialize;
use tidemark_diagnose::diagnose;
use tidemark_model::finding::Severity;
use tidemark_model::host::Capability;
use tidemark_model::{Finding, Timestamp};

use super::{Looked, Source, html, text};

/// A report on one host.
#[derive(Clone, Debug, Serialize)]
pub struct Report {
    /// Host that was looked at; hostile text.
    pub host: String,
    /// Its system.
    pub os: String,
    /// When the report was made.
    pub made_at_ms: Timestamp,
    /// What was looked at.
    pub source: Source,
    /// How many samples.
    pub samples: usize,
    /// From the first to the newest sample.
    pub watched_ms: i64,
    /// How many events.
    pub events: usize,
    /// What it comes to.
    pub verdict: Verdict,
    /// The findings, the one that matters most first.
    pub findings: Vec<Finding>,
    /// Every capability, and whether this look had it.
    pub capabilities: BTreeMap<&'static str, bool>,
    /// What could not be seen, one sentence each.
    pub not_seen: Vec<String>,
    /// The port spaces of the newest sample.
    pub port_spaces: Vec<SpaceLine>,
}

/// One port space in figures.
#[derive(Clone, Debug, Serialize)]
pub struct SpaceLine {
    /// As in `tcp/default`.
    pub name: String,
    /// Ports that cannot be handed out.
    pub in_use: u32,
    /// Of those, held by TIME_WAIT alone.
    pub time_wait: u32,
    /// Of those, bound and idle; `null` where the system cannot tell.
    pub bound: Option<u32>,
    /// Ports that can be handed out.
    pub capacity: u32,
}

/// What a report comes to; its number is the exit code.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// Nothing was found.
    NothingFound = 0,
    /// Something should be looked at.
    Warning = 1,
    /// Something should be done at once.
    Critical = 2,
    /// Too little could be seen to say anything.
    CouldNotTell = 3,
}

impl Verdict {
    /// The exit code.
    #[must_use]
    pub const fn exit_code(self) -> u8 {
        self as u8
    }

    /// In words.
    #[must_use]
    pub const fn in_words(self) -> &'static str {
        match self {
            Self::NothingFound => "nothing found",
            Self::Warning => "warning",
            Self::Critical => "critical",
            Self::CouldNotTell => "could not tell",
        }
    }
}

impl Report {
    /// Runs the rules over what was looked at.
    #[must_use]
    pub fn of(looked: Looked, made_at: Timestamp) -> Self {
        let findings = diagnose(&looked.situation);
        let Looked {
            situation,
            host,
            source,
            mut not_seen,
        } = looked;
        let newest = situation.samples.iter().max_by_key(|sample| sample.at);
        let first = situation.samples.iter().map(|sample| sample.at).min();
        let has_ports = newest.is_some_and(|sample| !sample.port_spaces.is_empty());
        let has_log = situation.capabilities.contains(&Capability::Events);
        if source != Source::Log && !has_ports {
            not_seen.push("No sample holds a port space.".to_owned());
        }
        let verdict = match findings.iter().map(|finding| finding.severity).max() {
            Some(Severity::Critical) => Verdict::Critical,
            Some(Severity::Warning) => Verdict::Warning,
            None if has_ports || (source == Source::Log && has_log) => Verdict::NothingFound,
            None => Verdict::CouldNotTell,
        };
        Self {
            host,
            os: situation.os_name.to_string(),
            made_at_ms: made_at,
            source,
            samples: situation.samples.len(),
            watched_ms: newest
                .zip(first)
                .map_or(0, |(newest, first)| newest.at.ms_since(first)),
            events: situation.events.len(),
            verdict,
            findings,
            capabilities: Capability::ALL
                .into_iter()
                .map(|capability| {
                    let has_it = situation.capabilities.contains(&capability);
                    (capability.as_str(), has_it)
                })
                .collect(),
            not_seen,
            port_spaces: newest.map_or_else(Vec::new, |sample| {
                let spaces = sample.port_spaces.iter();
                spaces
                    .map(|space| SpaceLine {
                        name: space.key.to_string(),
                        in_use: space.in_use(),
                        time_wait: space.time_wait_only,
                        bound: space.bound,
                        capacity: space.capacity,
                    })
                    .collect()
            }),
        }
    }

    /// For a terminal or a mail.
    #[must_use]
    pub fn to_text(&self) -> String {
        text::render(self)
    }

    /// One page that needs nothing else.
    #[must_use]
    pub fn to_html(&self) -> String {
        html::render(self)
    }

    /// For scripts.
    ///
    /// # Errors
    /// Never, as far as is known; serialising is fallible by its type.
    pub fn to_json(&self) -> serde_json::Result<String> {
        let mut text = serde_json::to_string_pretty(self)?;
        text.push('\n');
        Ok(text)
    }

    /// How it was looked at, in one sentence.
    #[must_use]
    pub fn how(&self) -> String {
        let seconds = self.watched_ms / 1_000;
        let samples = match self.samples {
            0 => "no sample".to_owned(),
            1 => "one sample".to_owned(),
            many => format!("{many} samples over {seconds} s"),
        };
        let from = match self.source {
            Source::Live => "of this moment",
            Source::Snapshot => "of a saved snapshot",
            Source::Log => "beside a saved event log",
        };
        let events = match self.events {
            0 => "no event that concerns".to_owned(),
            1 => "one event that concerns".to_owned(),
            many => format!("{many} events that concern"),
        };
        format!("Looked at {samples} {from}, and {events} ports.")
    }
}
