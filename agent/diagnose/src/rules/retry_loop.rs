//! Rule 17: a process takes ports at a constant rate towards one endpoint, or is started over and over.

use std::collections::BTreeMap;
use std::collections::BTreeSet;
use std::time::Duration;

use tidemark_model::Finding;
use tidemark_model::finding::Rule;
use tidemark_model::sample::OwnerSample;
use tidemark_model::tcp::TcpState;

use crate::View;
use crate::case::Case;
use crate::events::{self, Id};
use crate::evidence::{grouped, process, rate, remote, share};
use crate::playbook::restart;
use crate::series::Series;
use crate::space::{SpaceView, merged_destinations};

/// Half a port a second.
const RATE_MIN: f64 = 30.0;
const NEEDED: Duration = Duration::from_secs(15 * 60);
/// A program that fills its pool at its start is no loop: so much must be in use,
const LEVEL_MIN: f64 = 0.2;
/// or so much, where most of the sockets are connections in use.
const LEVEL_OF_USED_MIN: f64 = 0.5;
const ESTABLISHED_SHARE: f64 = 0.8;
/// The endpoint must take this share of the growth.
const DESTINATION_SHARE: f64 = 0.8;
const STARTS_PER_MINUTE: f64 = 10.0;
const STARTS_LEVEL_MIN: f64 = 0.5;
/// Programs that end: errors of applications, services that stop by themselves.
const ENDS: [Id; 3] = [
    ("Application Error", 1_000),
    ("Service Control Manager", 7_031),
    ("Service Control Manager", 7_034),
];

pub(super) fn find(view: &View<'_>) -> Vec<Finding> {
    let tcp = view.spaces.iter().filter(|space| space.is_tcp());
    tcp.filter_map(|space| steady(space).or_else(|| restarts(view, space)))
        .collect()
}

fn steady(space: &SpaceView<'_>) -> Option<Finding> {
    let (owner, held) = space.top_owner(|owner| owner.counts.ports)?;
    let series = space.owner_series(&owner.process, |o| o.counts.ports);
    let growth = series.growth(RATE_MIN, NEEDED);
    let per_minute = growth.per_minute()?;
    if !series.never_falls() {
        return None;
    }
    let established = space.sockets(TcpState::Established);
    let level_min = if share(established, space.newest.strong) >= ESTABLISHED_SHARE {
        LEVEL_OF_USED_MIN
    } else {
        LEVEL_MIN
    };
    if share(held, space.capacity()) < level_min {
        return None;
    }
    let destinations = space.destinations();
    let top = destinations
        .iter()
        .max_by_key(|to| to.ports.saturating_sub(to.time_wait))?;
    let to_top: Series = space
        .history
        .iter()
        .map(|(at, sample)| {
            let merged = merged_destinations(sample);
            let same = merged.iter().find(|to| {
                to.remote_address == top.remote_address && to.remote_port == top.remote_port
            });
            let ports = same.map_or(0, |to| to.ports.saturating_sub(to.time_wait));
            (*at, f64::from(ports))
        })
        .collect();
    let to_top = to_top.slope_per_minute()?;
    if to_top < per_minute * DESTINATION_SHARE {
        return None;
    }
    let title = format!(
        "{} tries again and again and keeps a port each time",
        owner.process.name
    );
    Some(
        Case::new(Rule::RetryLoop, 0.8, title)
            .in_space(space)
            .process(&owner.process)
            .grows(growth, NEEDED)?
            .seen(format!(
                "{} holds {} ports and takes {} more, nearly all towards {}.",
                process(&owner.process),
                grouped(held),
                rate(per_minute),
                remote(top)
            ))
            .step(restart(&owner.process, "its ports do not climb again"))
            .advise(
                "See what it tries: a sign-in, a configuration, a peer that accepts and does not answer",
                "its ports do not climb again",
            )
            .finish(),
    )
}

/// Processes of one image that came and went.
fn restarts(view: &View<'_>, space: &SpaceView<'_>) -> Option<Finding> {
    let mut seen: BTreeMap<&str, BTreeSet<(u32, i64)>> = BTreeMap::new();
    let (from, _) = space.history.first()?;
    for (_, sample) in &space.history {
        for owner in &sample.owners {
            let process = &owner.process;
            if process.started_at >= *from {
                let started = process.started_at.unix_ms();
                seen.entry(&process.name)
                    .or_default()
                    .insert((process.pid, started));
            }
        }
    }
    let minutes = space.at.ms_since(*from) as f64 / 60_000.0;
    let (image, starts) = seen
        .iter()
        .map(|(image, processes)| (*image, processes.len()))
        .max_by_key(|(image, starts)| (*starts, std::cmp::Reverse(*image)))?;
    let is_gone = |owner: &&OwnerSample| &*owner.process.name == image;
    let alive = space.newest.owners.iter().filter(is_gone).count();
    let ended = starts.saturating_sub(alive) as f64;
    let is_loop = minutes > 0.0 && ended / minutes >= STARTS_PER_MINUTE;
    let hits = view.events.of_ids(&ENDS);
    if !is_loop || (hits.is_empty() && space.level() < STARTS_LEVEL_MIN) {
        return None;
    }
    let mut case = Case::new(
        Rule::RetryLoop,
        0.75,
        format!("{image} is started and ends again and again"),
    )
    .in_space(space)
    .culprit(image)
    .seen(format!(
        "{ended:.0} processes of {image} came and went in {minutes:.1} minutes."
    ))
    .seen_all(events::sentence(&hits));
    if hits.is_empty() {
        case = case.lacks("events of programs that end with an error");
    }
    Some(
        case.advise(
            "Stop or disable what starts it, and see in its log why it ends",
            "no new process of it for 10 minutes",
        )
        .finish(),
    )
}
