//! Rule 27 (Linux): a process binds before it connects, so that its destinations cannot share ports.

use tidemark_model::Finding;
use tidemark_model::finding::Rule;
use tidemark_model::host::Capability;
use tidemark_model::tcp::TcpState;

use crate::View;
use crate::case::Case;
use crate::evidence::{grouped, percent, process, share};
use crate::playbook::{restart, widen_range};
use crate::space::{Dominance, Refusal};

const OWNER_SHARE: f64 = 0.6;
/// No destination may have more than this share of the ports.
const TUPLE_MAX: f64 = 0.5;
const ESTABLISHED_SHARE: f64 = 0.5;
/// Connections that do not share have as many ports as connections, but for a few.
const UNSHARED: f64 = 1.05;

pub(super) fn find(view: &View<'_>) -> Vec<Finding> {
    if view.host.is_windows() {
        return Vec::new();
    }
    let tcp = view.spaces.iter().filter(|space| space.is_tcp());
    tcp.filter_map(|space| {
        let destinations = &space.newest.destinations;
        let listed = destinations
            .iter()
            .fold(space.newest.destinations_other_ports, |sum, to| {
                sum.saturating_add(to.ports)
            });
        let top = destinations.iter().map(|to| to.ports).max()?;
        let connections = space.sockets(TcpState::Established);
        let in_use = space.newest.in_use();
        let is_unshared = f64::from(listed) <= f64::from(in_use) * UNSHARED
            && share(connections, in_use) >= ESTABLISHED_SHARE
            && destinations.len() >= 2;
        if !space.is_refused() || share(top, space.capacity()) > TUPLE_MAX || !is_unshared {
            return None;
        }
        let strong = space.newest.strong;
        let owner = space.dominant(view.situation, strong, OWNER_SHARE, |o| o.counts.ports);
        let mut case = Case::new(
            Rule::BindBeforeConnect,
            0.8,
            "Connections to different destinations share no port: a process binds before it connects".to_owned(),
        );
        case = match owner {
            Dominance::One(owner, held) => case
                .process(&owner.process)
                .seen(format!(
                    "{} holds {} of {} held ports.",
                    process(&owner.process),
                    grouped(held),
                    grouped(strong)
                ))
                .advise(
                    "Let it set IP_BIND_ADDRESS_NO_PORT before it binds its address, or not bind at all",
                    "more connections than ports",
                )
                .step(restart(&owner.process, "a bind succeeds")),
            Dominance::Unseen => case.needs(view.situation, Capability::AllOwners),
            Dominance::Nobody => return None,
        };
        if space.refusal() == Refusal::Once {
            case = case.lacks("a second round of probes");
        }
        Some(
            case.in_space(space)
                .seen(format!(
                    "A bind fails, and the largest destination has {} of the ports; {} connections take {} ports.",
                    percent(share(top, space.capacity())),
                    grouped(listed),
                    grouped(in_use)
                ))
                .step(widen_range(view.situation.os, space.key.protocol))
                .finish(),
        )
    })
    .collect()
}
