//! Rule 26 (Linux): one destination has used up the ports towards it.

use tidemark_model::Finding;
use tidemark_model::finding::Rule;

use crate::View;
use crate::case::Case;
use crate::evidence::{grouped, percent, remote, share};
use crate::playbook::widen_range;

const SHARE_MIN: f64 = 0.8;

pub(super) fn find(view: &View<'_>) -> Vec<Finding> {
    if view.host.is_windows() {
        return Vec::new();
    }
    let tcp = view.spaces.iter().filter(|space| space.is_tcp());
    tcp.filter_map(|space| {
        // Linux counts by local address, remote address and remote port: not merged.
        let top = space.newest.destinations.iter().max_by_key(|to| {
            let place = (to.local_address, to.remote_address, to.remote_port);
            (to.ports, std::cmp::Reverse(place))
        })?;
        let used = share(top.ports, space.capacity());
        if used < SHARE_MIN {
            return None;
        }
        Some(
            Case::new(
                Rule::DestinationSaturated,
                0.95,
                format!("The ports from {} to {} are nearly used up", top.local_address, remote(top)),
            )
            .in_space(space)
            .destination(top)
            .seen(format!(
                "{} of {} ports ({}) are used from {} to {}, {} of them in TIME_WAIT; other destinations have ports of their own.",
                grouped(top.ports),
                grouped(space.capacity()),
                percent(used),
                top.local_address,
                remote(top),
                grouped(top.time_wait)
            ))
            .advise(
                "Keep connections to it open: pooling, keep-alive",
                "less than 60 % of the ports go to it",
            )
            .advise(
                "Give the client more local addresses, or the service more addresses or ports",
                "less than 60 % of the ports go to each",
            )
            .step(widen_range(view.situation.os, space.key.protocol))
            .finish(),
        )
    })
    .collect()
}
