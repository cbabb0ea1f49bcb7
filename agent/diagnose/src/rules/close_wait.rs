//! Rule 4: a process does not close connections that its peers have closed.

use std::time::Duration;

use tidemark_model::Finding;
use tidemark_model::finding::Rule;
use tidemark_model::sample::OwnerSample;

use crate::View;
use crate::case::Case;
use crate::evidence::{grouped, process, rate, remote};
use crate::playbook::{collect_evidence, restart};
use crate::space::SpaceView;

const SOCKETS_MIN: u32 = 200;
/// Half of them must be older than this.
const AGE: Duration = Duration::from_secs(10 * 60);
/// Any growth counts that a day would show.
const RATE_MIN: f64 = 0.1;
/// Processes named at most.
const OWNERS_MAX: usize = 3;

pub(super) fn find(view: &View<'_>) -> Vec<Finding> {
    let tcp = view.spaces.iter().filter(|space| space.is_tcp());
    tcp.flat_map(|space| {
        let mut owners: Vec<&OwnerSample> = space
            .newest
            .owners
            .iter()
            .filter(|owner| owner.counts.close_wait >= SOCKETS_MIN)
            .collect();
        owners.sort_by_key(|owner| {
            let held = std::cmp::Reverse(owner.counts.close_wait);
            (held, &owner.process.name, owner.process.pid)
        });
        owners
            .into_iter()
            .filter_map(|owner| of_owner(space, owner))
            .take(OWNERS_MAX)
            .collect::<Vec<Finding>>()
    })
    .collect()
}

fn of_owner(space: &SpaceView<'_>, owner: &OwnerSample) -> Option<Finding> {
    let held = owner.counts.close_wait;
    let series = space.owner_series(&owner.process, |o| o.counts.close_wait);
    let growth = series.growth(RATE_MIN, AGE);
    let title = format!(
        "{} does not close connections that its peers have closed",
        owner.process.name
    );
    let mut case = Case::new(Rule::CloseWaitLeak, 0.95, title).grows(growth, AGE)?;
    // What was there then and is not closed is older than that.
    match series.lowest_over(AGE) {
        Some(then) if then * 2.0 >= f64::from(held) => {
            case = case.seen(format!(
                "{then:.0} of them or more were there 10 minutes ago already."
            ));
        }
        Some(_) => return None,
        None => case = case.lacks("their age: samples of 10 minutes"),
    }
    let ports = owner.counts.ports;
    if ports < held / 2 {
        case = case.weigh(
            0.8,
            "they are mostly connections that others made, which hold no dynamic port here",
        );
    }
    let peers: Vec<String> = space.destinations().iter().take(3).map(remote).collect();
    Some(
        case.in_space(space)
            .process(&owner.process)
            .since(series.since_at_least(f64::from(SOCKETS_MIN)))
            .seen(format!(
                "{} has {} sockets in CLOSE_WAIT and {} dynamic ports.",
                process(&owner.process),
                grouped(held),
                grouped(ports)
            ))
            .seen_all(
                growth
                    .per_minute()
                    .map(|per_minute| format!("They grow by {}.", rate(per_minute))),
            )
            .seen_all((!peers.is_empty()).then(|| {
                format!("Most ports go to {}.", peers.join(", "))
            }))
            .step(collect_evidence())
            .step(restart(&owner.process, "its successor has no socket in CLOSE_WAIT"))
            .advise(
                "Ask its makers: a connection must be closed when the peer has closed it (a pool that never checks its connections, a response that is never disposed)",
                "the next version has none",
            )
            .finish(),
    )
}
