//! What a recording holds: its hosts, its time, its faults.

use std::collections::HashMap;
use std::fmt;
use std::path::Path;

use anyhow::Context as _;
use serde::Serialize;

use super::super::progress::Progress;
use super::ReplayReport;
use super::reader::each_parsed;
use super::repeats::Seen;

/// Malformed lines that are named.
const NAMED_MAX: usize = 10;
/// Hosts of one recording: as many as a join token has uses.
const HOSTS_MAX: usize = 100_000;
/// Longest reason that is shown, in characters; it may quote the line.
const REASON_CHARS_MAX: usize = 200;

/// What a recording holds.
#[derive(Clone, Debug)]
pub struct Survey {
    /// Names of its hosts, in the order of their first line.
    pub hosts: Vec<String>,
    /// The seqs of each.
    pub(super) seqs: HashMap<String, Seen>,
    /// When its first sample was received, in unix milliseconds.
    pub first_received_ms: i64,
    /// When its last sample was.
    pub last_received_ms: i64,
    /// Lines that are samples.
    pub samples: u64,
    /// Its lines and faults.
    pub report: ReplayReport,
}

/// A line that is no sample.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct MalformedLine {
    /// Its number, from 1.
    pub line: u64,
    /// Why it is none.
    pub reason: String,
}

impl fmt::Display for MalformedLine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "line {}: {}", self.line, self.reason)
    }
}

impl Survey {
    pub(super) fn of(file: &Path, progress: Progress) -> anyhow::Result<Self> {
        let mut survey = Self {
            hosts: Vec::new(),
            seqs: HashMap::new(),
            first_received_ms: i64::MAX,
            last_received_ms: i64::MIN,
            samples: 0,
            report: ReplayReport::default(),
        };
        let read = each_parsed(file, |number, parsed| {
            survey.report.lines = survey.report.lines.saturating_add(1);
            match parsed {
                Ok(line) => {
                    survey.samples = survey.samples.saturating_add(1);
                    survey.first_received_ms = survey.first_received_ms.min(line.recv_unix_ms);
                    survey.last_received_ms = survey.last_received_ms.max(line.recv_unix_ms);
                    survey.note_seq(line.host, line.seq);
                }
                Err(reason) => survey.report.add_malformed(number, &reason),
            }
            progress.advance(1);
            survey.hosts.len() <= HOSTS_MAX
        });
        progress.finish();
        anyhow::ensure!(
            survey.hosts.len() <= HOSTS_MAX,
            "{} has more than {HOSTS_MAX} hosts; split it by host",
            file.display()
        );
        if let Err(error) = read {
            if survey.report.lines == 0 {
                return Err(error).with_context(|| format!("cannot read {}", file.display()));
            }
            survey.report.broken_off = Some(format!("after line {}: {error}", survey.report.lines));
        }
        Ok(survey)
    }

    fn note_seq(&mut self, host: String, seq: u64) {
        if let Some(seqs) = self.seqs.get_mut(&host) {
            seqs.note(seq);
            return;
        }
        let mut seqs = Seen::new();
        seqs.note(seq);
        self.seqs.insert(host.clone(), seqs);
        self.hosts.push(host);
    }
}

impl ReplayReport {
    fn add_malformed(&mut self, line: u64, reason: &str) {
        self.malformed = self.malformed.saturating_add(1);
        if self.first_malformed.len() < NAMED_MAX {
            let reason = reason.chars().take(REASON_CHARS_MAX).collect();
            self.first_malformed.push(MalformedLine { line, reason });
        }
    }

    /// Its lines in a table.
    pub(in super::super) fn rows(&self, row: &mut impl FnMut(&str, &str)) {
        let text = format!(
            "{} ({} samples and {} events sent, {} repeated, {} malformed, {} of hosts that did not enrol)",
            self.lines,
            self.samples,
            self.events,
            self.repeated,
            self.malformed,
            self.without_agent
        );
        row("lines", &text);
        for fault in &self.first_malformed {
            row("", &fault.to_string());
        }
        let unnamed = self
            .malformed
            .saturating_sub(u64::try_from(self.first_malformed.len()).unwrap_or(0));
        if unnamed > 0 {
            row("", &format!("and {unnamed} more"));
        }
        if let Some(reason) = &self.broken_off {
            row("broken off", reason);
        }
    }
}
