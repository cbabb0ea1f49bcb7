//! Rule 12: no port can be had although the tables show free ones: a driver or the kernel holds them.

use tidemark_model::Finding;
use tidemark_model::finding::Rule;
use tidemark_model::host::Capability;

use crate::View;
use crate::case::Case;
use crate::events::{self, SLOW_CLOSE, TDI_FILTER};
use crate::evidence::{grouped, percent};
use crate::playbook::collect_evidence;
use crate::space::Refusal;

const VISIBLE_MAX: f64 = 0.7;

pub(super) fn find(view: &View<'_>) -> Vec<Finding> {
    let hints = view.events.of_ids(&[SLOW_CLOSE, TDI_FILTER]);
    let spaces = view.spaces.iter();
    spaces
        .filter_map(|space| {
            let refusal = space.refusal();
            let is_hidden = space.is_refused() && space.level() <= VISIBLE_MAX;
            if !is_hidden {
                return None;
            }
            let mut case = Case::new(
                Rule::HiddenOwner,
                0.85,
                "Ports are held by something that no table shows: a driver, NAT, or the kernel"
                    .to_owned(),
            )
            .in_space(space)
            .critical()
            .seen(format!(
                "A bind fails although only {} of {} ports ({}) are in use by what can be seen.",
                grouped(space.newest.in_use()),
                grouped(space.capacity()),
                percent(space.level())
            ))
            .seen_all(events::sentence(&hints))
            .seen_all(view.host.endpoint_protection());
            if refusal == Refusal::Once {
                case = case.lacks("a second round of probes");
            }
            if space.is_tcp() {
                case = case.needs(view.situation, Capability::BoundSockets);
            }
            Some(
                case.step(collect_evidence())
                    .advise(
                        "Update what filters the network: security products, VPN and network drivers (Windows: KB2577795 on 2008 R2)",
                        "less than 2 % of the ports are unaccounted for, for 24 h",
                    )
                    .advise(
                        "Take a full memory dump for the makers of the driver",
                        "the dump names the owner",
                    )
                    .reboot("a bind succeeds")
                    .finish(),
            )
        })
        .collect()
}
