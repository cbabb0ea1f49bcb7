//! What the rules found on each host when they last looked, and since when each finding is found at every look. Bounded by
//! the hosts that deserve a look; forgotten at a stop.

use std::collections::HashMap;
use std::sync::Arc;

use tidemark_model::finding::{Rule, Severity};
use tidemark_model::{Finding, HostId, Timestamp};

/// A finding, and how long it stands.
#[derive(Clone, Debug, PartialEq)]
pub struct Standing {
    /// As the last look found it.
    pub finding: Finding,
    /// Found at every look from this time on, by the controller's clock.
    pub since: Timestamp,
    /// Critical at every look from this time on; `None` when it was not at the last.
    pub critical_since: Option<Timestamp>,
}

/// One look at a host.
#[derive(Clone, Debug, PartialEq)]
pub struct Look {
    /// When, by the controller's clock.
    pub at: Timestamp,
    /// What was found, what matters most first.
    pub found: Vec<Standing>,
}

impl Look {
    /// What is found at `now`, after `before`.
    #[must_use]
    pub fn after(before: Option<&Self>, findings: Vec<Finding>, now: Timestamp) -> Self {
        let former = |finding: &Finding| {
            before.and_then(|look| look.of(finding.rule, finding.port_space.as_deref()))
        };
        let critical_since = |finding: &Finding| {
            let since = former(finding).and_then(|standing| standing.critical_since);
            (finding.severity == Severity::Critical).then(|| since.unwrap_or(now))
        };
        Self {
            at: now,
            found: findings
                .into_iter()
                .map(|finding| Standing {
                    since: former(&finding).map_or(now, |standing| standing.since),
                    critical_since: critical_since(&finding),
                    finding,
                })
                .collect(),
        }
    }

    /// What a rule found of a port space, or of the host as a whole: the first, where it found several things.
    #[must_use]
    pub fn of(&self, rule: Rule, port_space: Option<&str>) -> Option<&Standing> {
        self.found.iter().find(|standing| {
            standing.finding.rule == rule && standing.finding.port_space.as_deref() == port_space
        })
    }
}

/// The last look at each host that deserves one.
#[derive(Clone, Debug, Default)]
pub struct FindingsSeen {
    /// Hosts that deserved a look; the others are well.
    pub hosts: HashMap<HostId, Arc<Look>>,
    /// Whether a look over the fleet was finished since the start: before that nobody knows who is well.
    pub is_complete: bool,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn finding(rule: &str) -> Finding {
        let json = serde_json::json!({
            "rule": rule, "title": "t", "severity": "warning", "confidence": 0.9, "confidence_reasons": [],
            "culprit": null, "process": null, "port_space": "tcp/default", "evidence": [], "since_ms": null,
            "missing": [], "caused_by": null, "effects": [], "playbook": [],
        });
        serde_json::from_value(json).unwrap()
    }

    #[test]
    fn a_finding_stands_from_the_first_of_the_looks_that_all_found_it() {
        let at = Timestamp::from_unix_ms;
        let first = Look::after(None, vec![finding("bound_leak")], at(10));
        let second = vec![finding("retry_loop"), finding("bound_leak")];
        let second = Look::after(Some(&first), second, at(20));
        let since: Vec<_> = second.found.iter().map(|one| one.since).collect();
        assert_eq!(since, [at(20), at(10)]);
        let mut critical = vec![finding("bound_leak")];
        critical[0].severity = Severity::Critical;
        let third = Look::after(Some(&second), critical.clone(), at(25));
        let fourth = Look::after(Some(&third), critical, at(27));
        let since = (fourth.found[0].since, fourth.found[0].critical_since);
        assert_eq!(since, (at(10), Some(at(25))));
        let gone = Look::after(Some(&second), vec![], at(30));
        let back = Look::after(Some(&gone), vec![finding("bound_leak")], at(40));
        assert_eq!(back.found[0].since, at(40));
    }
}
