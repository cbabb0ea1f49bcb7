//! Rule 23: handles of a process grow before its ports do.

use std::time::Duration;

use tidemark_model::Finding;
use tidemark_model::finding::Rule;
use tidemark_model::sample::OwnerSample;

use crate::View;
use crate::case::Case;
use crate::evidence::{grouped, process, rate, share};
use crate::playbook::{collect_evidence, restart};
use crate::series::Growth;
use crate::space::SpaceView;

const HANDLES_ABOVE: u32 = 3_000;
const TIMES_MEDIAN: u32 = 5;
const SOCKET_SHARE: f64 = 0.5;
const RATE_MIN: f64 = 0.1;
const NEEDED: Duration = Duration::from_secs(15 * 60);
/// Processes that hold many handles by design (Microsoft's list).
const BY_DESIGN: [&str; 7] = [
    "System",
    "lsass.exe",
    "store.exe",
    "Microsoft.Exchange.Store.Worker.exe",
    "sqlservr.exe",
    "lsass",
    "sqlservr",
];

pub(super) fn find(view: &View<'_>) -> Vec<Finding> {
    let tcp = view.spaces.iter().filter(|space| space.is_tcp());
    tcp.filter_map(|space| {
        let (owner, handles) = space.top_owner(|owner| owner.handles.unwrap_or(0))?;
        of_owner(view, space, owner, handles)
    })
    .collect()
}

fn of_owner(
    view: &View<'_>,
    space: &SpaceView<'_>,
    owner: &OwnerSample,
    handles: u32,
) -> Option<Finding> {
    if !is_suspect(owner) {
        return None;
    }
    let image = &owner.process.name;
    let series = space.owner_series(&owner.process, |o| o.handles.unwrap_or(0));
    let growth = series.growth(RATE_MIN, NEEDED);
    let median = view.situation.handle_medians.get(image).copied();
    let title = format!("{image} opens handles of sockets and does not close them");
    let mut case = Case::new(Rule::HandleLeak, 0.85, title);
    match median {
        Some(median) if handles >= median.saturating_mul(TIMES_MEDIAN) => {
            case = case.seen(format!(
                "Its median of the last seven days is {}.",
                grouped(median)
            ));
        }
        Some(_) => return None,
        // A busy server has many handles: one of the two must be measured.
        None if !matches!(growth, Growth::Measured(_)) => return None,
        None => case = case.lacks("its median of the last seven days"),
    }
    Some(
        case.grows(growth, NEEDED)?
            .in_space(space)
            .process(&owner.process)
            .seen(format!(
                "{} has {} handles, {} of them visible sockets.",
                process(&owner.process),
                grouped(handles),
                grouped(owner.counts.sockets)
            ))
            .seen_all(
                growth
                    .per_minute()
                    .map(|per_minute| format!("They grow by {}.", rate(per_minute))),
            )
            .step(collect_evidence())
            .step(restart(
                &owner.process,
                "its handles stay near their median",
            ))
            .finish(),
    )
}

/// Whether the rule asks what this process usually has.
pub(crate) fn is_suspect(owner: &OwnerSample) -> bool {
    let handles = owner.handles.unwrap_or(0);
    let is_by_design = BY_DESIGN
        .iter()
        .any(|name| owner.process.name.eq_ignore_ascii_case(name));
    let is_of_sockets = share(owner.counts.sockets, handles) >= SOCKET_SHARE;
    !is_by_design && handles > HANDLES_ABOVE && is_of_sockets
}
