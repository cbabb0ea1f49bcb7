//! Rule 28 (Linux): many sockets are bound and idle, or grow hidden where the kernel does not list them.

use std::time::Duration;

use tidemark_model::Finding;
use tidemark_model::finding::Rule;
use tidemark_model::host::Capability;
use tidemark_model::sample::CountQuality;

use crate::View;
use crate::case::Case;
use crate::evidence::{grouped, percent, process, rate, share};
use crate::playbook::{collect_evidence, restart, widen_range};
use crate::series::Growth;
use crate::space::SpaceView;

const SHARE_MIN: f64 = 0.1;
const RATE_MIN: f64 = 1.0;
const NEEDED: Duration = Duration::from_secs(30 * 60);
/// A process with this share of them is the culprit.
const OWNER_SHARE: f64 = 0.5;

pub(super) fn find(view: &View<'_>) -> Vec<Finding> {
    if view.host.is_windows() {
        return Vec::new();
    }
    let tcp = view.spaces.iter().filter(|space| space.is_tcp());
    tcp.filter_map(|space| match space.newest.bound {
        Some(bound) => counted(view, space, bound),
        None => hidden(view, space),
    })
    .collect()
}

fn counted(view: &View<'_>, space: &SpaceView<'_>, bound: u32) -> Option<Finding> {
    if share(bound, space.capacity()) < SHARE_MIN {
        return None;
    }
    let title = "Many sockets are bound and neither connected nor listening".to_owned();
    let mut case = Case::new(Rule::BoundInactiveLeak, 0.75, title)
        .in_space(space)
        .since(
            space
                .series(|s| s.bound.unwrap_or(0))
                .since_at_least(f64::from(space.capacity()) * SHARE_MIN),
        )
        .seen(format!(
            "{} of {} ports ({}) are held by such sockets.",
            grouped(bound),
            grouped(space.capacity()),
            percent(share(bound, space.capacity()))
        ))
        .step(collect_evidence());
    case = match space.top_owner(|owner| owner.counts.bound) {
        Some((owner, held)) if share(held, bound) >= OWNER_SHARE => {
            let sentence = format!("{} has {}.", process(&owner.process), grouped(held));
            case.process(&owner.process)
                .seen(sentence)
                .step(restart(&owner.process, "its bound sockets are few"))
        }
        Some(_) | None => case.needs(view.situation, Capability::AllOwners),
    };
    Some(
        case.step(widen_range(view.situation.os, space.key.protocol))
            .finish(),
    )
}

/// Kernels before 6.8: the estimate of hidden sockets grows.
fn hidden(view: &View<'_>, space: &SpaceView<'_>) -> Option<Finding> {
    if space.newest.quality != CountQuality::Estimated {
        return None;
    }
    let growth = space.series(|s| s.strong).growth(RATE_MIN, NEEDED);
    // Without growth nothing is known of hidden sockets.
    let per_minute = match growth {
        Growth::Measured(per_minute) | Growth::Glimpsed(per_minute) => per_minute,
        Growth::Absent | Growth::Unknown => return None,
    };
    if space.strong_level() < SHARE_MIN {
        return None;
    }
    let title =
        "Sockets that this kernel does not list grow: probably bound and never closed".to_owned();
    let mut case = Case::new(Rule::BoundInactiveLeak, 0.75, title)
        .in_space(space)
        .needs(view.situation, Capability::BoundSockets)
        .grows(growth, NEEDED)?
        .seen(format!(
            "About {} of {} ports are held, and {} more are.",
            grouped(space.newest.strong),
            grouped(space.capacity()),
            rate(per_minute)
        ));
    if let Some((owner, handles)) = space.top_owner(|owner| owner.handles.unwrap_or(0)) {
        case = case.process(&owner.process).seen(format!(
            "{} has most open files: {}.",
            process(&owner.process),
            grouped(handles)
        ));
    }
    Some(case.step(collect_evidence()).finish())
}
