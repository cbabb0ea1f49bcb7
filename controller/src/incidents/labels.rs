//! The labels that routes and silences choose incidents by: each host's own, and what the incident says over them.

use tidemark_model::HostScope;
use tidemark_model::incident::Incident;
use tidemark_model::problem::ProblemKey;
use tidemark_model::silence::{Labels, Silence};

use super::text::clean;
use crate::app::App;

/// Hosts whose labels are looked at; those of a cause over more are alike in what matters.
const HOSTS_MAX: usize = 200;

/// Silences that have not ended, at most: each incident is held against each.
pub const SILENCES_MAX: u32 = 1_000;

/// Labels of an incident, one map for each of its hosts.
#[must_use]
pub fn labels_of(app: &App, incident: &Incident) -> Vec<Labels> {
    incident
        .problem
        .hosts
        .iter()
        .take(HOSTS_MAX)
        .map(|id| {
            let (name, mut labels) = app
                .live
                .read(*id, |host| {
                    (clean(&host.profile.name), host.profile.labels.clone())
                })
                .unwrap_or_else(|| (id.to_string(), Labels::new()));
            labels.insert("host".to_owned(), name);
            labels.insert("host_id".to_owned(), id.to_string());
            add_own(&mut labels, incident);
            labels
        })
        .collect()
}

/// The silence that keeps an incident with these labels from receivers; `None` when none does.
#[must_use]
pub fn silence_on<'s>(
    app: &App,
    incident: &Incident,
    on_hosts: &[Labels],
    silences: &'s [Silence],
) -> Option<&'s Silence> {
    let now = app.clock.now();
    // All of its hosts, not only those whose labels are looked at, by what none of them can say of itself.
    let all_within = |scope: &HostScope| {
        let mut hosts = incident.problem.hosts.iter();
        hosts.all(|host| app.live.is_within(*host, scope))
    };
    silences
        .iter()
        .find(|silence| silence.covers(on_hosts, all_within, now))
}

/// What all hosts of an incident have in common.
#[must_use]
pub fn common(on_hosts: &[Labels]) -> Labels {
    let Some((first, others)) = on_hosts.split_first() else {
        return Labels::new();
    };
    first
        .iter()
        .filter(|(key, value)| others.iter().all(|labels| labels.get(*key) == Some(*value)))
        .map(|(key, value)| (key.clone(), value.clone()))
        .collect()
}

fn add_own(labels: &mut Labels, incident: &Incident) {
    let mut put = |key: &str, value: &str| labels.insert(key.to_owned(), value.to_owned());
    put("severity", incident.severity.as_str());
    put("kind", &incident.problem.kind);
    if let Some(culprit) = &incident.problem.culprit {
        put("culprit", culprit);
    }
    match &incident.problem.key {
        ProblemKey::Ports { space, .. } => {
            put("protocol", space.protocol.as_str());
            put("namespace", &clean(&space.namespace));
        }
        // The rule that finds it at this moment, which need not be the one that found it first.
        ProblemKey::Finding { .. } => {
            put("rule", &incident.problem.kind);
        }
        ProblemKey::Cause { common } => {
            put("cause", &clean(common));
        }
        ProblemKey::Budget { budget, space, .. } => {
            put("budget", budget);
            put("protocol", space.protocol.as_str());
            put("namespace", &clean(&space.namespace));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_hosts_have_in_common_is_what_all_have_alike() {
        let labels = |pairs: [(&str, &str); 2]| -> Labels {
            pairs
                .into_iter()
                .map(|(key, value)| (key.to_owned(), value.to_owned()))
                .collect()
        };
        let a = labels([("host", "a"), ("tier", "we")]);
        let b = labels([("host", "b"), ("tier", "we")]);
        assert_eq!(common(std::slice::from_ref(&a)), a);
        let both = common(&[a, b]);
        assert_eq!(both.keys().collect::<Vec<_>>(), ["tier"]);
        assert!(common(&[]).is_empty());
    }
}
