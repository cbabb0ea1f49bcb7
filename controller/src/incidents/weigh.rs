//! What becomes of an incident, given what is seen: pure, so that every case can be tried.

use tidemark_model::Timestamp;
use tidemark_model::incident::{
    Entry, EntryKind, Incident, IncidentRules, IncidentState, Resolution,
};
use tidemark_model::problem::{Problem, ProblemKey, Severity};
use tidemark_model::time::duration_ms;

use super::source::Sight;

/// An incident that is seen without news is stored again after this, so that its figures do not grow old.
const REFRESH_MS: i64 = 60_000;

/// What is to be stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Change {
    /// The incident as it is to be.
    pub(super) incident: Incident,
    /// What its time line gets.
    pub(super) entries: Vec<Entry>,
}

/// What everything is weighed by.
#[derive(Clone, Copy, Debug)]
pub(super) struct Scales {
    pub(super) rules: IncidentRules,
    pub(super) now: Timestamp,
    /// When the problem must be put right at the latest: the host's next maintenance window begins, or the one it is in ends.
    pub(super) window: Option<Timestamp>,
}

impl Scales {
    fn severity(&self, problem: &Problem) -> Severity {
        self.rules.severity(problem, self.window, self.now)
    }

    /// A problem without an incident that is looked after; `last` is the newest that it had.
    pub(super) fn weigh_news(&self, problem: Problem, last: Option<Incident>) -> Change {
        let severity = self.severity(&problem);
        let is_recent =
            |ended: Timestamp| self.now.ms_since(ended) <= duration_ms(self.rules.reopen_within);
        let again = last.filter(|last| last.state.resolved_at().is_some_and(is_recent));
        if let Some(change) = again.and_then(|last| self.reopen(last, &problem)) {
            return change;
        }
        let text = format!("opened as {}: {}", severity.as_str(), problem.cause);
        Change {
            incident: Incident::open(problem, severity, self.now),
            entries: vec![Entry::own(self.now, EntryKind::Opened, text)],
        }
    }

    /// An incident that is looked after; `None` when there is nothing to store.
    pub(super) fn weigh(&self, incident: &Incident, sight: Sight) -> Option<Change> {
        match (sight, &incident.state) {
            (Sight::Unknown, _) => None,
            (Sight::Seen(problem), IncidentState::Resolved { .. }) => {
                let is_worse = self.severity(&problem) > incident.severity;
                is_worse
                    .then(|| self.reopen(incident.clone(), &problem))
                    .flatten()
            }
            (
                Sight::Seen(problem),
                IncidentState::Open { .. } | IncidentState::Acknowledged { .. },
            ) => self.seen(incident, *problem),
            (Sight::Clear, _) => self.clear(incident),
            (Sight::HostGone, _) => {
                self.end(incident, Resolution::HostGone, "its host was shut out")
            }
            // Who groups it is known only when that incident is stored; see `reconcile`.
            (Sight::Grouped(_), _) => None,
        }
    }

    /// It is part of the incident `into` from now on.
    pub(super) fn group(&self, incident: &Incident, into: &Incident) -> Option<Change> {
        let text = format!(
            "it is part of incident {}, which tells of it: {}",
            into.id, into.problem.cause
        );
        self.end(incident, Resolution::Grouped { into: into.id }, &text)
    }

    fn reopen(&self, last: Incident, problem: &Problem) -> Option<Change> {
        let severity = self.severity(problem);
        let text = format!(
            "the problem is back, as {}: {}",
            severity.as_str(),
            problem.cause
        );
        Some(Change {
            incident: Incident {
                state: last.state.reopen().ok()?,
                severity,
                reopened: last.reopened.saturating_add(1),
                seen_at: self.now,
                problem: problem.clone(),
                ..last
            },
            entries: vec![Entry::own(self.now, EntryKind::Reopened, text)],
        })
    }

    fn seen(&self, incident: &Incident, mut problem: Problem) -> Option<Change> {
        let before = &incident.problem;
        problem.since = problem.since.min(before.since);
        // Who did it is not forgotten while the forecast makes up its mind.
        problem.culprit = problem.culprit.or_else(|| before.culprit.clone());
        problem.reason = problem.reason.or_else(|| before.reason.clone());
        let severity = incident.severity.max(self.severity(&problem));
        let mut entries = Vec::new();
        if severity > incident.severity {
            let text = format!("{}: {}", severity.as_str(), escalation(&problem));
            entries.push(Entry::own(self.now, EntryKind::Escalated, text));
        }
        let is_stale = self.now.ms_since(incident.seen_at) >= REFRESH_MS;
        // Which of several processes a finding blames may change with every look; that is told once a minute.
        let is_settled = is_stale || !matches!(problem.key, ProblemKey::Finding { .. });
        if let Some(text) = difference(before, &problem).filter(|_| is_settled) {
            entries.push(Entry::own(self.now, EntryKind::Changed, text));
        }
        if entries.is_empty() && incident.state.clear_since().is_none() && !is_stale {
            return None;
        }
        Some(Change {
            incident: Incident {
                state: incident.state.clone().seen(),
                severity,
                seen_at: self.now,
                problem,
                ..incident.clone()
            },
            entries,
        })
    }

    fn clear(&self, incident: &Incident) -> Option<Change> {
        let state = incident
            .state
            .clone()
            .clear(self.now, self.rules.clear_after);
        if state == incident.state {
            return None;
        }
        let is_over = incident.state.resolved_at().is_none() && state.resolved_at().is_some();
        let gone = "the problem is gone, and stayed away";
        Some(Change {
            entries: is_over
                .then(|| Entry::own(self.now, EntryKind::Resolved, gone))
                .into_iter()
                .collect(),
            incident: Incident {
                state,
                ..incident.clone()
            },
        })
    }

    fn end(&self, incident: &Incident, how: Resolution, why: &str) -> Option<Change> {
        let state = match incident.state.clone().end(how, self.now) {
            Ok(state) => state,
            // An operator said so before: there is nothing left to look after.
            Err(_) => incident
                .state
                .clone()
                .clear(self.now, self.rules.clear_after),
        };
        (state != incident.state).then(|| Change {
            incident: Incident {
                state,
                ..incident.clone()
            },
            entries: vec![Entry::own(self.now, EntryKind::Resolved, why)],
        })
    }
}

fn escalation(problem: &Problem) -> String {
    if problem.is_exhausted {
        problem.cause.clone()
    } else {
        format!("the end comes near; {}", problem.cause)
    }
}

/// What of a problem changed in a way that people care about.
fn difference(before: &Problem, after: &Problem) -> Option<String> {
    if before.hosts != after.hosts {
        return Some(format!(
            "{} host(s) have it, {} before",
            after.hosts.len(),
            before.hosts.len()
        ));
    }
    if let (None, Some(reason)) = (&before.reason, &after.reason) {
        return Some(format!(
            "diagnosed as {}, {} % sure: {}",
            reason.rule, reason.percent, reason.title
        ));
    }
    let has_changed = before.kind != after.kind || before.culprit != after.culprit;
    has_changed.then(|| after.cause.clone())
}

#[cfg(test)]
mod tests;
