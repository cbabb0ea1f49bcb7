//! Rules 7 and 8: the load needs more ports than there are, and whether sharing ports between destinations would help.

use std::time::Duration;

use tidemark_model::Finding;
use tidemark_model::finding::Rule;
use tidemark_model::tcp::TcpState;

use crate::View;
use crate::case::Case;
use crate::evidence::{grouped, percent, process, share};
use crate::playbook::widen_range;
use crate::series::Growth;
use crate::space::SpaceView;

const STRONG_MIN: f64 = 0.8;
const ESTABLISHED_OF_STRONG: f64 = 0.8;
const NEEDED: Duration = Duration::from_secs(15 * 60);
/// A load that grows by less than this share of the capacity an hour is as good as level.
const LEVEL_SHARE_PER_HOUR: f64 = 0.02;
/// Remote endpoints from which port reuse helps.
const REMOTES_FOR_REUSE: u32 = 50;

pub(super) fn high(view: &View<'_>) -> Vec<Finding> {
    let tcp = view.spaces.iter().filter(|space| space.is_tcp());
    tcp.filter_map(|space| {
        let case = Case::new(
            Rule::HighConcurrency,
            0.85,
            "The load needs as many ports as there are".to_owned(),
        );
        let case = concurrent(space, case)?;
        let remotes = remotes_at_least(space);
        let mut case = case
            .step(widen_range(view.situation.os, space.key.protocol))
            .advise(
                "Make the wider range permanent, and spread the load over more hosts or local addresses",
                "the peak of a day is below 60 % of the ports",
            );
        if view.host.is_windows() && remotes >= REMOTES_FOR_REUSE {
            case = case.advise(
                "Set an auto-reuse range (Set-NetTCPSetting -AutoReusePortRangeStartPort ...) and reboot: there are enough destinations for it",
                "the peak of a day is below 60 % of the ports",
            );
        }
        Some(case.finish())
    })
    .collect()
}

pub(super) fn without_reuse(view: &View<'_>) -> Vec<Finding> {
    if !view.host.is_windows() || view.host.auto_reuse_ports().is_some_and(|ports| ports > 0) {
        return Vec::new();
    }
    let tcp = view.spaces.iter().filter(|space| space.is_tcp());
    tcp.filter_map(|space| {
        let remotes = remotes_at_least(space);
        if remotes <= space.capacity() / 4 {
            return None;
        }
        let case = Case::new(
            Rule::ManyDestinationsWithoutReuse,
            0.8,
            "Many destinations could share local ports, and port reuse is off".to_owned(),
        );
        let mut case = concurrent(space, case)?
            .seen(format!("There are {} destinations at least.", grouped(remotes)))
            .lacks("whether the client is .NET before 6, or binds before it connects")
            .advise(
                "Set an auto-reuse range that does not overlap the dynamic one, on every TCP template, and reboot",
                "the peak of a day is below 60 % of the ports",
            );
        if view.host.auto_reuse_ports().is_none() {
            case = case.lacks("the auto-reuse range of this host");
        }
        Some(case.finish())
    })
    .collect()
}

/// The conditions of rule 7.
fn concurrent(space: &SpaceView<'_>, case: Case) -> Option<Case> {
    let established = space
        .sockets(TcpState::Established)
        .min(space.newest.strong);
    let is_load = space.strong_level() >= STRONG_MIN
        && share(established, space.newest.strong) >= ESTABLISHED_OF_STRONG;
    if !is_load {
        return None;
    }
    let rate_min = f64::from(space.capacity()) * LEVEL_SHARE_PER_HOUR / 60.0;
    let case = match space.series(|s| s.strong).growth(rate_min, NEEDED) {
        Growth::Measured(_) | Growth::Glimpsed(_) => return None,
        Growth::Absent => case,
        Growth::Unknown => case.lacks("whether it is level: samples of 15 minutes"),
    };
    let case = match space.top_owner(|owner| owner.counts.ports) {
        Some((owner, held)) if share(held, space.newest.strong) >= 0.5 => {
            let sentence = format!("{} holds {} ports.", process(&owner.process), grouped(held));
            case.process(&owner.process).seen(sentence)
        }
        Some(_) | None => case,
    };
    Some(
        case.in_space(space)
            .since(
                space
                    .series(|s| s.strong)
                    .since_at_least(f64::from(space.capacity()) * STRONG_MIN),
            )
            .seen(format!(
                "{} of {} ports ({}) are held, {} of them by connections that are in use.",
                grouped(space.newest.strong),
                grouped(space.capacity()),
                percent(space.strong_level()),
                grouped(established)
            )),
    )
}

/// How many remote endpoints there are at least: those that are listed, and of the others so many as their ports need
/// when each has as many as the last that is listed.
fn remotes_at_least(space: &SpaceView<'_>) -> u32 {
    let destinations = space.destinations();
    let listed = u32::try_from(destinations.len()).unwrap_or(u32::MAX);
    let fewest = destinations.iter().map(|to| to.ports).min().unwrap_or(0);
    let others = space.newest.destinations_other_ports;
    listed.saturating_add(others.checked_div(fewest).unwrap_or(0))
}
