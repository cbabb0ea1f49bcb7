//! Rule 20: a bind fails for want of kernel memory, not of ports.

use tidemark_model::Finding;
use tidemark_model::finding::Rule;
use tidemark_model::host::Capability;

use crate::View;
use crate::case::Case;
use crate::events::{self, Id};
use crate::evidence::percent;
use crate::playbook::collect_evidence;

const STRONG_BELOW: f64 = 0.7;
/// The nonpaged pool may take this share of the memory.
const NONPAGED_SHARE: f64 = 0.75;
/// What the file server and the kernel say of an empty pool.
const POOL_EVENTS: [Id; 4] = [
    ("srv", 2_019),
    ("srv", 2_020),
    ("srv", 2_017),
    ("Microsoft-Windows-Resource-Exhaustion-Detector", 2_004),
];

pub(super) fn find(view: &View<'_>) -> Vec<Finding> {
    if !view.host.is_windows() {
        return Vec::new();
    }
    let hits = view.events.of_ids(&POOL_EVENTS);
    let nonpaged = view.host.nonpaged_of_memory();
    let share = nonpaged.map(|(pool, memory)| pool as f64 / memory.max(1) as f64);
    let is_full = share.is_some_and(|share| share > NONPAGED_SHARE);
    let spaces = view.spaces.iter();
    spaces
        .filter(|space| space.is_refused() && space.strong_level() < STRONG_BELOW)
        .filter(|_| is_full || !hits.is_empty())
        .map(|space| {
            let mut case = Case::new(
                Rule::PoolExhaustion,
                0.9,
                "The kernel's memory is short, not its ports".to_owned(),
            )
            .in_space(space)
            .critical()
            .seen(format!(
                "A bind fails (10055) although only {} of the ports are held.",
                percent(space.strong_level())
            ))
            .seen_all(share.map(|share| {
                format!("The nonpaged pool takes {} of the memory.", percent(share))
            }))
            .seen_all(events::sentence(&hits));
            if share.is_none() {
                case = case.lacks("the size of the nonpaged pool");
            }
            if hits.is_empty() {
                case = case.needs(view.situation, Capability::Events);
            }
            case.step(collect_evidence())
                .advise(
                    "Find the driver by its pool tag (poolmon, sort by bytes) and update it; more ports do not help",
                    "the nonpaged pool stays level",
                )
                .reboot("a bind succeeds")
                .finish()
        })
        .collect()
}
