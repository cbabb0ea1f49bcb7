//! Rule 11: exclusions (Windows) or reservations (Linux) take a large part of the range.

use tidemark_model::Finding;
use tidemark_model::finding::Rule;

use crate::View;
use crate::case::Case;
use crate::evidence::{grouped, percent, share};
use crate::playbook::widen_range;

const SHARE_MIN: f64 = 0.2;
const CAPACITY_BELOW: u32 = 8_192;

pub(super) fn find(view: &View<'_>) -> Vec<Finding> {
    let spaces = view.spaces.iter();
    spaces
        .filter_map(|space| {
            let size = space.newest.range.size();
            let excluded = size.saturating_sub(space.capacity());
            let is_shrunk = share(excluded, size) >= SHARE_MIN || space.capacity() < CAPACITY_BELOW;
            if excluded == 0 || !is_shrunk {
                return None;
            }
            let (what, advice) = if view.host.is_windows() {
                (
                    "excluded",
                    "See who excludes them (netsh int ipv4 show excludedportrange); Hyper-V and WinNAT draw theirs anew with net stop winnat, net start winnat",
                )
            } else {
                (
                    "reserved",
                    "See what is reserved and why: sysctl net.ipv4.ip_local_reserved_ports",
                )
            };
            let title = format!(
                "{} of the dynamic {} range is {what}",
                percent(share(excluded, size)),
                space.key.protocol
            );
            Some(
                Case::new(Rule::ExcludedRangeShrink, 0.9, title)
                    .in_space(space)
                    .seen(format!(
                        "Of the range {} ({} ports) {} are {what}; {} can be handed out, {} of them are in use.",
                        space.newest.range,
                        grouped(size),
                        grouped(excluded),
                        grouped(space.capacity()),
                        percent(space.level())
                    ))
                    .advise(advice, "the capacity is the whole range")
                    .step(widen_range(view.situation.os, space.key.protocol))
                    .finish(),
            )
        })
        .collect()
}
