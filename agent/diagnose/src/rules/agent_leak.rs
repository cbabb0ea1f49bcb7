//! Rule 30: the agent itself holds more ports than it may.

use tidemark_model::Finding;
use tidemark_model::finding::Rule;
use tidemark_model::sample::OwnerSample;

use crate::View;
use crate::case::Case;
use crate::evidence::{grouped, process};
use crate::playbook::{collect_evidence, restart};

/// One connection to its controller, one listener, and for an instant the 32 of the burst probe: twice that is a fault.
const PORTS_MAX: u32 = 64;

pub(super) fn find(view: &View<'_>) -> Vec<Finding> {
    let spaces = view.spaces.iter();
    spaces
        .filter_map(|space| {
            let owners = space.newest.owners.iter().filter(|owner| is_leaking(owner));
            let owner = owners
                .max_by_key(|owner| (owner.counts.ports, std::cmp::Reverse(owner.process.pid)))?;
            Some(
                Case::new(
                    Rule::AgentLeak,
                    0.97,
                    "Tidemark's own agent leaks ports".to_owned(),
                )
                .in_space(space)
                .process(&owner.process)
                .seen(format!(
                    "{} holds {} ports; it needs a handful.",
                    process(&owner.process),
                    grouped(owner.counts.ports)
                ))
                .step(collect_evidence())
                .step(restart(&owner.process, "it holds less than ten ports"))
                .advise(
                    "Report it with the support bundle",
                    "the next version does not leak",
                )
                .finish(),
            )
        })
        .collect()
}

/// Whether this is an agent of ours that holds too many.
pub(crate) fn is_leaking(owner: &OwnerSample) -> bool {
    let name = &owner.process.name;
    let names = ["tidemark-agent", "tidemark-agent.exe"];
    owner.counts.ports > PORTS_MAX && names.iter().any(|own| name.eq_ignore_ascii_case(own))
}
