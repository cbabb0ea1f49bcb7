//! Where problems come from: one file a source, each telling all problems that it sees and what it sees of one.

mod budgets;
mod forecasts;

use std::collections::{BTreeMap, HashMap};

use tidemark_model::incident::Incident;
use tidemark_model::problem::{Fingerprint, Problem, ProblemKey};
use tidemark_model::{HostId, Timestamp};

use crate::app::App;

/// What a source sees of a problem.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Sight {
    /// It is there.
    Seen(Box<Problem>),
    /// It is known not to be there.
    Clear,
    /// Nobody can tell: the host is silent, or too little is known of it yet.
    Unknown,
    /// Its host was shut out.
    HostGone,
    /// It belongs to a problem of several hosts.
    Grouped(Fingerprint),
}

/// Everything that is seen at one time.
#[derive(Clone, Debug, Default)]
pub struct Sights {
    problems: BTreeMap<Fingerprint, Problem>,
    /// Problems of single hosts that a cause stands for, by that cause.
    grouped: HashMap<Fingerprint, Fingerprint>,
}

impl Sights {
    /// Looks at every source.
    #[must_use]
    pub fn of(app: &App, now: Timestamp) -> Self {
        let mut problems = forecasts::problems(app, now);
        problems.extend(budgets::problems(app, now));
        Self::from_problems(problems)
    }

    /// Sorts problems: what a cause stands for is told with the cause, not beside it.
    #[must_use]
    pub fn from_problems(problems: Vec<Problem>) -> Self {
        let (causes, singles): (Vec<Problem>, Vec<Problem>) = problems
            .into_iter()
            .partition(|problem| matches!(problem.key, ProblemKey::Cause { .. }));
        let mut sights = Self::default();
        let mut cause_of: HashMap<(HostId, &str), Fingerprint> = HashMap::new();
        for cause in &causes {
            let Some(culprit) = cause.culprit.as_deref() else {
                continue;
            };
            for host in &cause.hosts {
                cause_of.insert((*host, culprit), cause.key.fingerprint());
            }
        }
        for single in singles {
            let of_cause = single.key.host().zip(single.culprit.as_deref());
            let fingerprint = single.key.fingerprint();
            match of_cause.and_then(|key| cause_of.get(&key)) {
                Some(cause) => {
                    sights.grouped.insert(fingerprint, *cause);
                }
                None => {
                    sights.problems.insert(fingerprint, single);
                }
            }
        }
        let causes = causes
            .into_iter()
            .map(|cause| (cause.key.fingerprint(), cause));
        sights.problems.extend(causes.collect::<Vec<_>>());
        sights
    }

    /// What is seen of an incident's problem. It is then no news any more.
    pub fn take(&mut self, app: &App, incident: &Incident, now: Timestamp) -> Sight {
        if let Some(problem) = self.problems.remove(&incident.fingerprint) {
            return Sight::Seen(Box::new(problem));
        }
        if let Some(cause) = self.grouped.get(&incident.fingerprint) {
            return Sight::Grouped(*cause);
        }
        match &incident.problem.key {
            ProblemKey::Ports { host, space } => {
                forecasts::look(app, (*host, space), &incident.problem, now)
            }
            ProblemKey::Budget {
                host,
                budget,
                space,
            } => budgets::look(app, (*host, budget, space), now),
            // No source tells of these by themselves: what is not among the problems is over, if its hosts are heard.
            ProblemKey::Finding { .. } | ProblemKey::Cause { .. } => {
                hosts_heard(app, &incident.problem.hosts, now)
            }
        }
    }

    /// Problems that nobody took: those without an incident.
    #[must_use]
    pub fn news(self) -> Vec<Problem> {
        self.problems.into_values().collect()
    }
}

fn hosts_heard(app: &App, hosts: &[HostId], now: Timestamp) -> Sight {
    let states: Vec<&'static str> = hosts
        .iter()
        .map(|host| {
            app.live
                .read(*host, |live| live.state(now))
                .unwrap_or("revoked")
        })
        .collect();
    if states.iter().all(|state| *state == "revoked") {
        Sight::HostGone
    } else if states.contains(&"online") {
        Sight::Clear
    } else {
        Sight::Unknown
    }
}

#[cfg(test)]
mod tests {
    use tidemark_model::problem::{Severity, Sureness};
    use tidemark_model::{PortSpaceKey, Protocol};

    use super::*;

    fn problem(key: ProblemKey, hosts: Vec<HostId>, culprit: &str) -> Problem {
        Problem {
            key,
            kind: "leak".to_owned(),
            hosts,
            culprit: Some(culprit.to_owned()),
            cause: String::new(),
            evidence: vec![],
            advice: vec![],
            since: Timestamp::EPOCH,
            is_exhausted: false,
            eta: None,
            at_least: Severity::Info,
            sure: Sureness::Unknown,
        }
    }

    #[test]
    fn a_cause_stands_for_its_hosts_problems_with_the_same_culprit_alone() {
        let host = |number: u8| HostId::of_identity_spki(&[number]);
        let ports = |number: u8, culprit: &str| {
            let key = ProblemKey::Ports {
                host: host(number),
                space: PortSpaceKey::own(Protocol::Tcp),
            };
            problem(key, vec![host(number)], culprit)
        };
        let key = ProblemKey::Cause {
            common: "edr=7.0".to_owned(),
        };
        let cause = problem(key, vec![host(1), host(2)], "edr.exe");
        let singles = [ports(1, "edr.exe"), ports(2, "java"), ports(3, "edr.exe")];
        let mut all = vec![cause.clone()];
        all.extend(singles.clone());
        let sights = Sights::from_problems(all);
        let grouped = singles[0].key.fingerprint();
        assert_eq!(sights.grouped.get(&grouped), Some(&cause.key.fingerprint()));
        assert_eq!(sights.grouped.len(), 1);
        let mut kinds: Vec<_> = sights.news().into_iter().map(|news| news.hosts).collect();
        kinds.sort();
        let mut expected = vec![cause.hosts, vec![host(2)], vec![host(3)]];
        expected.sort();
        assert_eq!(kinds, expected);
    }
}
