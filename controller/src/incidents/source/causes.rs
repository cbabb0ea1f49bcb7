//! Common causes of leaks as problems of several hosts. A cause stands for the problems of its hosts that blame its culprit.
//!
//! A cause that is open is known by its incident: it stands for its hosts while nobody can tell (after a start, before the
//! first look at the fleet) and while it waits to be over, so that they do not open one by one.

use std::collections::{BTreeSet, HashMap, HashSet};

use tidemark_model::incident::Incident;
use tidemark_model::problem::{Fingerprint, Problem, ProblemKey, Severity, Sureness};
use tidemark_model::view::CauseView;
use tidemark_model::{HostId, Timestamp};

use crate::incidents::text::clean;
use crate::tasks::causes::CausesSeen;
use crate::web::words;

/// The kind of these problems.
pub(super) const KIND: &str = "common_cause";
/// Hosts that must have the problem at this moment before it is one of several hosts.
const HOSTS_LEAST: usize = 2;
/// Hosts that an incident names; with more, those that are not named are taken for its hosts by their culprit alone.
pub(super) const HOSTS_MAX: usize = 1_000;
/// A cause is surer than its chance says by no more than this: what was compared may be what matters, or go with it.
const PERCENT: u8 = 99;

/// Causes that are there, and what they and those that are open stand for.
#[derive(Debug, Default)]
pub(super) struct Grouping {
    /// The causes that are there.
    pub(super) causes: Vec<Problem>,
    /// Problems of single hosts, each with the cause that stands for it.
    pub(super) grouped: HashMap<Fingerprint, Fingerprint>,
}

/// What a host is asked for.
pub(super) trait Hosts {
    /// Whether nobody can tell what it has: it was not shut out, and is not heard.
    fn is_silent(&self, host: HostId) -> bool;
    /// Whether an attribute of it has that value at this moment.
    fn has(&self, host: HostId, attribute: &str, value: &str) -> bool;
}

/// Whether a host's problem is one that this culprit makes.
fn is_blamed(single: &Problem, culprit: &str) -> bool {
    match &single.culprit {
        Some(blamed) => *blamed == culprit,
        // While a forecast makes up its mind whom to blame, it is still the same trouble of the same host.
        None => matches!(single.key, ProblemKey::Ports { .. }),
    }
}

/// Sorts what is seen on single hosts by cause. `standing` are the incidents of causes that are looked after.
pub(super) fn group(
    seen: &CausesSeen,
    standing: &[&Incident],
    singles: &[Problem],
    fleet: &impl Hosts,
) -> Grouping {
    let mut grouping = Grouping::default();
    let mut matched: HashSet<Fingerprint> = HashSet::new();
    for (view, hosts) in seen.view.items.iter().zip(&seen.hosts) {
        let open = standing
            .iter()
            .find(|open| !matched.contains(&open.fingerprint) && is_same(open, view, hosts));
        let key = open.map_or_else(
            || ProblemKey::Cause {
                common: common(&view.attribute, &view.value, &view.culprit),
            },
            |open| open.problem.key.clone(),
        );
        let cause = key.fingerprint();
        let culprit = clean(&view.culprit);
        // A host that began to leak since the last look is one of them when it has the value.
        let is_one =
            |host: HostId| hosts.contains(&host) || fleet.has(host, &view.attribute, &view.value);
        let members: Vec<&Problem> = singles
            .iter()
            .filter(|single| is_blamed(single, &culprit))
            .filter(|single| single.key.host().is_some_and(is_one))
            .filter(|single| !grouping.grouped.contains_key(&single.key.fingerprint()))
            .collect();
        let mut having: BTreeSet<HostId> =
            members.iter().filter_map(|one| one.key.host()).collect();
        // A host that fell silent has what it had.
        let had = open.iter().flat_map(|open| &open.problem.hosts);
        having.extend(had.filter(|host| hosts.contains(host) && fleet.is_silent(**host)));
        let hosts_least = if open.is_some() { 1 } else { HOSTS_LEAST };
        if having.len() < hosts_least {
            continue;
        }
        matched.insert(cause);
        let grouped = members.iter().map(|one| (one.key.fingerprint(), cause));
        grouping.grouped.extend(grouped);
        grouping.causes.push(problem(key, view, &members, having));
    }
    for open in standing {
        if matched.contains(&open.fingerprint) {
            continue;
        }
        let named = &open.problem.hosts;
        let is_named = |host: HostId| named.len() >= HOSTS_MAX || named.contains(&host);
        let culprit = open.problem.culprit.as_deref().unwrap_or_default();
        let members = singles
            .iter()
            .filter(|single| is_blamed(single, culprit))
            .filter(|single| single.key.host().is_some_and(is_named));
        for single in members {
            let fingerprint = single.key.fingerprint();
            let cause = grouping.grouped.entry(fingerprint);
            cause.or_insert(open.fingerprint);
        }
    }
    grouping
}

/// How a cause is named: `label:edr=7.0 (w3wp.exe)`.
fn common(attribute: &str, value: &str, culprit: &str) -> String {
    format!("{attribute}={value} ({culprit})")
}

/// Whether what is open is what was found, perhaps by the name of another value that explains the same, or with most of the
/// same hosts.
fn is_same(open: &Incident, view: &CauseView, hosts: &HashSet<HostId>) -> bool {
    let ProblemKey::Cause { common: named } = &open.problem.key else {
        return false;
    };
    if open.problem.culprit.as_deref() != Some(&*clean(&view.culprit)) {
        return false;
    }
    let has_name = |attribute: &str, value: &str| *named == common(attribute, value, &view.culprit);
    let shared = open
        .problem
        .hosts
        .iter()
        .filter(|host| hosts.contains(host));
    has_name(&view.attribute, &view.value)
        || view
            .alike
            .iter()
            .any(|one| has_name(&one.attribute, &one.value))
        || shared.count().saturating_mul(2) > open.problem.hosts.len()
}

fn problem(
    key: ProblemKey,
    view: &CauseView,
    members: &[&Problem],
    having: BTreeSet<HostId>,
) -> Problem {
    let (attribute, value) = (clean(&view.attribute), clean(&view.value));
    let culprit = clean(&view.culprit);
    let exhausted = members.iter().filter(|one| one.is_exhausted).count();
    let soonest = members
        .iter()
        .filter_map(|one| one.eta)
        .min_by_key(|eta| eta.at);
    let mut evidence = vec![format!(
        "{} of the {} hosts of this cause have the problem at this moment",
        words::count(having.len() as u64),
        words::count(view.hosts_total),
    )];
    if exhausted > 0 {
        evidence.push(format!("{exhausted} port spaces have no port left"));
    }
    evidence.push(clean(&view.explanation));
    Problem {
        key,
        kind: KIND.to_owned(),
        hosts: having.into_iter().take(HOSTS_MAX).collect(),
        culprit: Some(culprit.clone()),
        cause: format!(
            "{culprit} takes ports and does not give them back where {attribute} is {value}, \
             and hardly anywhere else"
        ),
        evidence,
        advice: vec![
            format!(
                "Restart {culprit} where ports run out first, and take {attribute} {value} back or replace it on all hosts that have it"
            ),
            "See the counts and the hosts: tidemark get causes".to_owned(),
        ],
        since: Timestamp::from_unix_ms(view.since_ms),
        is_exhausted: exhausted > 0,
        eta: soonest,
        at_least: Severity::Warning,
        sure: Sureness::Percent(PERCENT),
        reason: None,
    }
}

#[cfg(test)]
mod tests;
