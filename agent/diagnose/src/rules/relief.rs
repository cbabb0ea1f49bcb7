//! Rule 24: whenever a service is restarted, the ports come back.

use std::collections::BTreeMap;

use tidemark_model::finding::Rule;
use tidemark_model::sample::{PortSpaceSample, ProcessIdentity};
use tidemark_model::{Finding, Timestamp};

use crate::View;
use crate::case::Case;
use crate::events;
use crate::evidence::{grouped, share};
use crate::playbook::restart;
use crate::space::{SpaceView, is_same};

const DROP_OF_CAPACITY: f64 = 0.5;
/// Within a minute, and some seconds for samples that came late.
const WITHIN_MS: i64 = 65_000;
const OCCASIONS: usize = 2;

/// One restart that helped.
struct Relief<'a> {
    at: Timestamp,
    ports: u32,
    process: &'a ProcessIdentity,
}

pub(super) fn find(view: &View<'_>) -> Vec<Finding> {
    view.spaces.iter().filter_map(in_space).collect()
}

fn in_space(space: &SpaceView<'_>) -> Option<Finding> {
    let mut by_image: BTreeMap<&str, Vec<Relief<'_>>> = BTreeMap::new();
    for pair in space.history.windows(2) {
        let [(before_at, before), (at, after)] = pair else {
            continue;
        };
        if at.ms_since(*before_at) > WITHIN_MS {
            continue;
        }
        if let Some(relief) = relief(before, after, *at) {
            by_image
                .entry(&relief.process.name)
                .or_default()
                .push(relief);
        }
    }
    let (image, reliefs) = by_image
        .into_iter()
        .max_by_key(|(image, reliefs)| (reliefs.len(), std::cmp::Reverse(*image)))
        .filter(|(_, reliefs)| reliefs.len() >= OCCASIONS)?;
    let times: Vec<String> = reliefs
        .iter()
        .map(|relief| format!("{} at {}", grouped(relief.ports), events::time(relief.at)))
        .collect();
    let interval_h = reliefs
        .windows(2)
        .filter_map(|pair| match pair {
            [first, second] => Some(second.at.ms_since(first.at) as f64 / 3_600_000.0),
            _ => None,
        })
        .reduce(f64::min)?;
    let newest = reliefs.last()?.process;
    Some(
        Case::new(
            Rule::RecurringRelief,
            0.9,
            format!("{image} is the culprit: whenever it is restarted, the ports come back"),
        )
        .in_space(space)
        .culprit(image)
        .since(reliefs.first().map(|relief| relief.at))
        .seen(format!("Restarts of {image} freed ports: {}.", times.join(", ")))
        .step(restart(newest, "half of the ports come back"))
        .advise(
            &format!(
                "Until it is mended, restart it every {:.1} h, which is half of the time that the ports last",
                interval_h / 2.0
            ),
            "ports in use stay below 80 %",
        )
        .advise("Open a ticket with its makers, with this report", "the next version does not leak")
        .finish(),
    )
}

/// A fall of the ports in use at which the process that held most was replaced or ended.
fn relief<'a>(
    before: &'a PortSpaceSample,
    after: &'a PortSpaceSample,
    at: Timestamp,
) -> Option<Relief<'a>> {
    let freed = before.in_use().saturating_sub(after.in_use());
    if share(freed, before.capacity) < DROP_OF_CAPACITY {
        return None;
    }
    let top = before.owners.iter().max_by_key(|owner| {
        let process = &owner.process;
        (
            owner.counts.ports,
            std::cmp::Reverse((&process.name, process.pid)),
        )
    })?;
    let still_there = after
        .owners
        .iter()
        .any(|owner| is_same(&owner.process, &top.process));
    (!still_there).then_some(Relief {
        at,
        ports: freed,
        process: &top.process,
    })
}
