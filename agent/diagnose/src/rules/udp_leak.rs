//! Rule 29: a process opens UDP sockets and does not close them. Every one holds a port (windows.md, 1.1).

use std::time::Duration;

use tidemark_model::finding::Rule;
use tidemark_model::host::Capability;
use tidemark_model::{Finding, Protocol};

use super::exhaustion::is_dns_pool;
use super::many;
use crate::View;
use crate::case::Case;
use crate::evidence::{grouped, percent, process, rate, share};
use crate::playbook::{collect_evidence, restart, widen_range};
use crate::series::Growth;
use crate::space::{Dominance, SpaceView};

/// As rule 3 has it of bound sockets of TCP.
const OWNER_SHARE: f64 = 0.6;
const RATE_MIN: f64 = 1.0;
const NEEDED: Duration = Duration::from_secs(30 * 60);
/// What does not grow before one's eyes must have taken this much.
const LEVEL_UNSEEN: f64 = 0.5;

pub(super) fn find(view: &View<'_>) -> Vec<Finding> {
    let udp = view
        .spaces
        .iter()
        .filter(|space| space.key.protocol == Protocol::Udp);
    udp.filter_map(|space| in_space(view, space)).collect()
}

fn in_space(view: &View<'_>, space: &SpaceView<'_>) -> Option<Finding> {
    let in_use = space.newest.in_use();
    if in_use < many(space.capacity()) {
        return None;
    }
    let is_unseen_leak =
        |growth: Growth| growth != Growth::Unknown || space.level() >= LEVEL_UNSEEN;
    let case = match space.dominant(view.situation, in_use, OWNER_SHARE, |o| o.counts.ports) {
        Dominance::One(owner, held) => {
            if is_dns_pool(&owner.process.name, held) {
                return None;
            }
            let series = space.owner_series(&owner.process, |o| o.counts.ports);
            let growth = space.growth_or_trend(&series, RATE_MIN, NEEDED, &owner.process.name);
            if !is_unseen_leak(growth) {
                return None;
            }
            let title = format!(
                "{} opens UDP sockets and does not close them",
                owner.process.name
            );
            Case::new(Rule::UdpLeak, 0.9, title)
                .process(&owner.process)
                .grows(growth, NEEDED)?
                .seen(format!(
                    "{} holds {} UDP ports.",
                    process(&owner.process),
                    grouped(held)
                ))
                .seen_all(
                    growth
                        .per_minute()
                        .map(|per_minute| format!("They grow by {}.", rate(per_minute))),
                )
                .step(collect_evidence())
                .step(restart(
                    &owner.process,
                    "its UDP ports are few and do not climb again",
                ))
        }
        Dominance::Unseen => {
            let growth = space.series(|s| s.strong).growth(RATE_MIN, NEEDED);
            if !is_unseen_leak(growth) {
                return None;
            }
            let title = "A process that the agent may not see leaks UDP sockets".to_owned();
            Case::new(Rule::UdpLeak, 0.9, title)
                .needs(view.situation, Capability::AllOwners)
                .grows(growth, NEEDED)?
        }
        Dominance::Nobody => return None,
    };
    Some(
        case.in_space(space)
            .since(
                space
                    .series(|s| s.strong)
                    .since_at_least(f64::from(many(space.capacity())) / 2.0),
            )
            .seen(format!(
                "{} of {} UDP ports ({}) are in use.",
                grouped(in_use),
                grouped(space.capacity()),
                percent(share(in_use, space.capacity()))
            ))
            .step(widen_range(view.situation.os, space.key.protocol))
            .finish(),
    )
}
