//! Where problems come from: one file a source, each telling all problems that it sees and what it sees of one.

mod budgets;
mod causes;
mod findings;
mod forecasts;

use std::collections::{BTreeMap, HashMap, HashSet};

use tidemark_model::incident::Incident;
use tidemark_model::problem::{Fingerprint, Problem, ProblemKey};
use tidemark_model::{HostId, Timestamp};

use crate::app::App;
use crate::live::HostLive;

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
    /// It belongs to another problem: it explains it, or that is its cause.
    Grouped(Fingerprint),
}

/// Everything that is seen at one time.
#[derive(Clone, Debug, Default)]
pub struct Sights {
    problems: BTreeMap<Fingerprint, Problem>,
    /// Problems that another one stands for, by that one.
    grouped: HashMap<Fingerprint, Fingerprint>,
    /// Port spaces with a problem of their own, by what stands for it.
    spaces: HashMap<(HostId, String), Fingerprint>,
}

impl Sights {
    /// Looks at every source; `watched` are the incidents that are looked after.
    #[must_use]
    pub fn of(app: &App, watched: &[Incident], now: Timestamp) -> Self {
        let open: findings::Open<'_> = watched
            .iter()
            .filter_map(|one| match &one.problem.key {
                ProblemKey::Finding { host, subject, .. } => {
                    Some(((*host, subject.as_str()), &one.problem))
                }
                ProblemKey::Ports { .. } | ProblemKey::Cause { .. } | ProblemKey::Budget { .. } => {
                    None
                }
            })
            .collect();
        let mut problems = forecasts::problems(app, now);
        for problem in &mut problems {
            explain(app, problem);
        }
        // While the incident of a port space is not over, what explains it is no news.
        let spaces: HashSet<(HostId, String)> = watched
            .iter()
            .filter_map(|one| space_of(&one.problem))
            .collect();
        let is_told = |finding: &Problem| {
            subject_of(finding).is_none_or(|subject| {
                open.contains_key(&(subject.0, &*subject.1)) || !spaces.contains(&subject)
            })
        };
        problems.extend(budgets::problems(app, now));
        let findings = findings::problems(app, &open, now);
        problems.extend(findings.into_iter().filter(is_told));
        let causes: Vec<&Incident> = watched
            .iter()
            .filter(|one| matches!(one.problem.key, ProblemKey::Cause { .. }))
            .collect();
        let grouping = causes::group(&app.causes.load(), &causes, &problems, &Fleet { app, now });
        problems.extend(grouping.causes);
        Self::sorted(problems, grouping.grouped)
    }

    /// Sorts problems: what a cause stands for is told with the cause, not beside it.
    #[must_use]
    pub fn from_problems(problems: Vec<Problem>) -> Self {
        Self::sorted(problems, HashMap::new())
    }

    /// Sorts problems, some of which are known to be `grouped`. What a cause stands for is told with the cause, and what
    /// explains a problem of the same port space with that.
    fn sorted(problems: Vec<Problem>, grouped: HashMap<Fingerprint, Fingerprint>) -> Self {
        let mut sights = Self {
            grouped,
            ..Self::default()
        };
        let causes = problems.iter().filter(|one| one.key.host().is_none());
        let mut cause_of: HashMap<(HostId, &str), Fingerprint> = HashMap::new();
        for cause in causes {
            let Some(culprit) = cause.culprit.as_deref() else {
                continue;
            };
            for host in &cause.hosts {
                cause_of.insert((*host, culprit), cause.key.fingerprint());
            }
        }
        for single in &problems {
            let blamed = single.key.host().zip(single.culprit.as_deref());
            let cause = blamed.and_then(|blamed| cause_of.get(&blamed));
            if let Some(cause) = cause {
                let fingerprint = single.key.fingerprint();
                sights.grouped.entry(fingerprint).or_insert(*cause);
            }
        }
        for ports in &problems {
            if let Some(space) = space_of(ports) {
                let fingerprint = ports.key.fingerprint();
                let teller = sights.grouped.get(&fingerprint).unwrap_or(&fingerprint);
                sights.spaces.insert(space, *teller);
            }
        }
        for finding in &problems {
            if let Some(teller) = sights.explained_by(finding) {
                sights.grouped.insert(finding.key.fingerprint(), teller);
            }
        }
        for problem in problems {
            let fingerprint = problem.key.fingerprint();
            if !sights.grouped.contains_key(&fingerprint) {
                sights.problems.insert(fingerprint, problem);
            }
        }
        sights
    }

    /// What tells of the problem that a finding explains.
    fn explained_by(&self, finding: &Problem) -> Option<Fingerprint> {
        self.spaces.get(&subject_of(finding)?).copied()
    }

    /// What is seen of an incident's problem. It is then no news any more.
    pub fn take(&mut self, app: &App, incident: &Incident, now: Timestamp) -> Sight {
        if let Some(problem) = self.problems.remove(&incident.fingerprint) {
            return Sight::Seen(Box::new(problem));
        }
        if let Some(teller) = self.grouped.get(&incident.fingerprint) {
            return Sight::Grouped(*teller);
        }
        match &incident.problem.key {
            ProblemKey::Ports { host, space } => {
                match forecasts::look(app, (*host, space), &incident.problem, now) {
                    Sight::Seen(mut problem) => {
                        explain(app, &mut problem);
                        Sight::Seen(problem)
                    }
                    sight @ (Sight::Clear
                    | Sight::Unknown
                    | Sight::HostGone
                    | Sight::Grouped(_)) => sight,
                }
            }
            ProblemKey::Finding { host, .. } => self
                .explained_by(&incident.problem)
                .map_or_else(|| findings::look(app, *host, now), Sight::Grouped),
            ProblemKey::Budget {
                host,
                budget,
                space,
            } => budgets::look(app, (*host, budget, space), now),
            // Before the first look at the fleet nobody knows what its hosts have in common.
            ProblemKey::Cause { .. } if app.causes.load().view.swept_ms.is_none() => Sight::Unknown,
            ProblemKey::Cause { .. } => hosts_heard(app, &incident.problem.hosts, now),
        }
    }

    /// Problems that nobody took: those without an incident.
    #[must_use]
    pub fn news(self) -> Vec<Problem> {
        self.problems.into_values().collect()
    }
}

/// The live fleet, as causes ask it.
struct Fleet<'a> {
    app: &'a App,
    now: Timestamp,
}

impl causes::Hosts for Fleet<'_> {
    fn is_silent(&self, host: HostId) -> bool {
        let state = self.app.live.read(host, |live| live.state(self.now));
        state.is_some_and(|state| !matches!(state, "online" | "revoked"))
    }

    fn has(&self, host: HostId, attribute: &str, value: &str) -> bool {
        // Facts win over what the host says of itself, as in its attributes; building all of them for one is too much.
        let has = |live: &HostLive| {
            let fact = live.facts.attributes().find(|(name, _)| *name == attribute);
            fact.map_or_else(
                || {
                    live.own_attributes()
                        .get(attribute)
                        .is_some_and(|is| is == value)
                },
                |(_, is)| is == value,
            )
        };
        self.app.live.read(host, has).unwrap_or(false)
    }
}

/// Says what the diagnosis knows of a port space's problem.
fn explain(app: &App, problem: &mut Problem) {
    let Some((host, space)) = space_of(problem) else {
        return;
    };
    if let Some((reason, steps)) = findings::reason(app, host, &space) {
        problem.reason = Some(reason);
        problem.advice.extend(steps);
    }
}

/// The port space that a problem is of.
fn space_of(problem: &Problem) -> Option<(HostId, String)> {
    match &problem.key {
        ProblemKey::Ports { host, space } => Some((*host, space.to_string())),
        ProblemKey::Finding { .. } | ProblemKey::Cause { .. } | ProblemKey::Budget { .. } => None,
    }
}

/// The port space that a finding is about; its name is empty where that is the host as a whole.
fn subject_of(problem: &Problem) -> Option<(HostId, String)> {
    match &problem.key {
        ProblemKey::Finding { host, subject, .. } => Some((*host, subject.clone())),
        ProblemKey::Ports { .. } | ProblemKey::Cause { .. } | ProblemKey::Budget { .. } => None,
    }
}

/// How a host stands; one that is not known any more was shut out.
fn state_of(app: &App, host: HostId, now: Timestamp) -> &'static str {
    let state = app.live.read(host, |live| live.state(now));
    state.unwrap_or("revoked")
}

fn hosts_heard(app: &App, hosts: &[HostId], now: Timestamp) -> Sight {
    let states: Vec<&'static str> = hosts.iter().map(|host| state_of(app, *host, now)).collect();
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
            reason: None,
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
