//! Rule 25: several hosts began to leak alike.

use tidemark_model::Finding;
use tidemark_model::finding::Rule;
use tidemark_model::forecast::Road;

use crate::View;
use crate::case::Case;
use crate::evidence::rate;

const HOSTS_MIN: usize = 3;
/// Hosts that are named.
const NAMED_MAX: usize = 5;

pub(super) fn find(view: &View<'_>) -> Vec<Finding> {
    let Some(peers) = &view.situation.peers else {
        return Vec::new();
    };
    let spaces = view.spaces.iter();
    spaces
        .filter_map(|space| {
            let trend = space.trend.filter(|trend| trend.road == Some(Road::Leak))?;
            let culprit = trend.culprit.as_deref()?;
            let mut alike: Vec<(&str, f64)> = peers
                .iter()
                .filter(|peer| &*peer.culprit == culprit && peer.floor_ports_per_hour > 0.0)
                .map(|peer| (&*peer.host, peer.floor_ports_per_hour))
                .collect();
            alike.sort_by(|a, b| a.0.cmp(b.0).then_with(|| a.1.total_cmp(&b.1)));
            alike.dedup_by(|a, b| a.0 == b.0);
            // This host is one of them.
            if alike.len() + 1 < HOSTS_MIN {
                return None;
            }
            let named: Vec<String> = alike
                .iter()
                .take(NAMED_MAX)
                .map(|(host, per_hour)| format!("{host} by {}", rate(per_hour / 60.0)))
                .collect();
            let others = alike.len();
            Some(
                Case::new(
                    Rule::FleetRegression,
                    0.85,
                    format!("{culprit} leaks on {others} other hosts too: a version or a change that they share"),
                )
                .in_space(space)
                .culprit(culprit)
                .lacks("the version of the image, and the update before the leak, on each host")
                .seen(format!("It leaks on {}.", named.join(", ")))
                .advise(
                    "Compare what these hosts got in the week before: updates, deploys, policies",
                    "a host without the change does not leak",
                )
                .advise("Roll the change back on one host first", "that host's ports stay level")
                .finish(),
            )
        })
        .collect()
}
