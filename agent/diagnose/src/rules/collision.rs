//! Rule 6: churn towards one endpoint, so that its ports collide there (Tcpip 4227).

use tidemark_model::finding::Rule;
use tidemark_model::host::Capability;
use tidemark_model::{Finding, PortSpaceKey, Protocol};

use crate::View;
use crate::case::Case;
use crate::events::{self, COLLISION, TCP_EXHAUSTED};
use crate::evidence::{grouped, percent, remote, share};

const DESTINATION_SHARE: f64 = 0.7;
/// Where the log cannot be read, TIME_WAIT must hold as much as churn does (rule 5).
const OF_CAPACITY_UNLOGGED: f64 = 0.5;

pub(super) fn find(view: &View<'_>) -> Vec<Finding> {
    let own = PortSpaceKey::own(Protocol::Tcp);
    let hits = view.events.of_id(COLLISION);
    if !view.events.of_id(TCP_EXHAUSTED).is_empty() {
        return Vec::new();
    }
    let title = |to: &str| {
        format!("Connections to {to} follow each other too closely: ports collide in TIME_WAIT")
    };
    let case = if view.spaces.is_empty() {
        if hits.is_empty() {
            return Vec::new();
        }
        Case::new(Rule::SingleDestinationCollision, 0.9, title("one endpoint"))
            .lacks("a sample of the time: the endpoint is not in the log")
    } else {
        let Some(space) = view.spaces.iter().find(|space| *space.key == own) else {
            return Vec::new();
        };
        let held = space.newest.time_wait_only;
        let destinations = space.destinations();
        let top = destinations.iter().max_by_key(|to| to.time_wait);
        let Some(top) = top.filter(|to| held > 0 && share(to.time_wait, held) >= DESTINATION_SHARE)
        else {
            return Vec::new();
        };
        let can_read = view.situation.can_see(Capability::Events);
        let is_unlogged = hits.is_empty()
            && view.host.is_windows()
            && !can_read
            && share(held, space.capacity()) >= OF_CAPACITY_UNLOGGED;
        if hits.is_empty() && !is_unlogged {
            return Vec::new();
        }
        let case = Case::new(Rule::SingleDestinationCollision, 0.9, title(&remote(top)))
            .in_space(space)
            .destination(top)
            .seen(format!(
                "{} of {} ports in TIME_WAIT ({}) were connections to {}.",
                grouped(top.time_wait),
                grouped(held),
                percent(share(top.time_wait, held)),
                remote(top)
            ));
        if hits.is_empty() {
            case.needs(view.situation, Capability::Events)
        } else {
            case
        }
    };
    vec![
        case.since(hits.first().map(|hit| hit.at))
            .seen_all(events::sentence(&hits))
            .advise(
                "Keep connections to it open: pooling, keep-alive",
                "no Tcpip 4227 for 24 h",
            )
            .advise(
                "Give it further addresses or ports; an auto-reuse range does not help with one destination",
                "no Tcpip 4227 for 24 h",
            )
            .finish(),
    ]
}
