//! Rule 21: a process takes ports by local address (`SO_PORT_SCALABILITY`), and programs without it find none.

use std::collections::BTreeSet;
use std::net::IpAddr;

use tidemark_model::Finding;
use tidemark_model::finding::Rule;
use tidemark_model::host::Capability;

use crate::View;
use crate::case::Case;
use crate::evidence::{grouped, percent, process, share};
use crate::playbook::widen_range;
use crate::space::Dominance;

const OWNER_SHARE: f64 = 0.6;
const LEVEL_MIN: f64 = 0.7;
const ADDRESSES_MIN: usize = 2;

pub(super) fn find(view: &View<'_>) -> Vec<Finding> {
    if !view.host.is_windows() {
        return Vec::new();
    }
    let tcp = view.spaces.iter().filter(|space| space.is_tcp());
    tcp.filter_map(|space| {
        let addresses: BTreeSet<IpAddr> = space
            .newest
            .destinations
            .iter()
            .map(|to| to.local_address)
            .filter(|address| !address.is_unspecified() && !address.is_loopback())
            .collect();
        let is_starved = space.is_refused()
            && space.level() >= LEVEL_MIN
            && addresses.len() >= ADDRESSES_MIN;
        if !is_starved {
            return None;
        }
        let strong = space.newest.strong;
        let owner = space.dominant(view.situation, strong, OWNER_SHARE, |o| o.counts.ports);
        let title = "Programs find no port while one process takes them by local address".to_owned();
        let case = Case::new(Rule::PortScalabilityStarvation, 0.8, title)
            .in_space(space)
            .lacks("whether it sets SO_PORT_SCALABILITY: ask its makers");
        let case = match owner {
            Dominance::One(owner, held) => case.process(&owner.process).seen(format!(
                "{} holds {} of {} held ports ({}) on {} local addresses, and a bind to any address fails.",
                process(&owner.process),
                grouped(held),
                grouped(strong),
                percent(share(held, strong)),
                addresses.len()
            )),
            Dominance::Unseen => case.needs(view.situation, Capability::AllOwners),
            Dominance::Nobody => return None,
        };
        Some(
            case.step(widen_range(view.situation.os, space.key.protocol))
                .advise(
                    "Let it use SO_REUSE_UNICASTPORT with an auto-reuse range instead",
                    "a bind to any address succeeds",
                )
                .finish(),
        )
    })
    .collect()
}
