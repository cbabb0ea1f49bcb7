//! Rule 5: connections are opened and closed faster than TIME_WAIT gives their ports back.

use tidemark_model::Finding;
use tidemark_model::finding::Rule;

use crate::View;
use crate::case::Case;
use crate::evidence::{grouped, percent, remote, share};
use crate::playbook::{shorten_time_wait, widen_range};
use crate::space::SpaceView;

const OF_USED: f64 = 0.5;
const OF_CAPACITY: f64 = 0.5;
const STRONG_BELOW: f64 = 0.5;
/// A destination with this share of TIME_WAIT is the culprit.
const DESTINATION_SHARE: f64 = 0.5;

pub(super) fn find(view: &View<'_>) -> Vec<Finding> {
    let tcp = view.spaces.iter().filter(|space| space.is_tcp());
    tcp.filter_map(|space| in_space(view, space)).collect()
}

fn in_space(view: &View<'_>, space: &SpaceView<'_>) -> Option<Finding> {
    let held = space.newest.time_wait_only;
    let is_churn = share(held, space.newest.in_use()) >= OF_USED
        && share(held, space.capacity()) >= OF_CAPACITY
        && space.strong_level() < STRONG_BELOW;
    if !is_churn {
        return None;
    }
    let lifetime = view.host.time_wait().as_secs_f64();
    let (closes, sustainable) = (
        f64::from(held) / lifetime,
        f64::from(space.capacity()) / lifetime,
    );
    let title =
        "Connections are opened and closed faster than TIME_WAIT lets their ports go".to_owned();
    let mut case = Case::new(Rule::TimeWaitChurn, 0.9, title)
        .in_space(space)
        .since(
            space
                .series(|s| s.time_wait_only)
                .since_at_least(f64::from(space.capacity()) * OF_CAPACITY),
        )
        .seen(format!(
            "{} of {} ports ({}) are held by TIME_WAIT alone, {} by anything else.",
            grouped(held),
            grouped(space.capacity()),
            percent(share(held, space.capacity())),
            grouped(space.newest.strong)
        ))
        .seen(format!(
            "That is {closes:.0} closes a second; {sustainable:.0} can be sustained ({} ports / {lifetime:.0} s).",
            grouped(space.capacity())
        ));
    let destinations = space.destinations();
    if let Some(top) = destinations.iter().max_by_key(|to| to.time_wait)
        && share(top.time_wait, held) >= DESTINATION_SHARE
    {
        case = case.destination(top).seen(format!(
            "{} of them were connections to {}.",
            grouped(top.time_wait),
            remote(top)
        ));
    } else if destinations.is_empty() {
        case = case.lacks("the destinations of the connections");
    }
    Some(
        case.advise(
            "Keep connections open: pooling, keep-alive, one client object for all requests",
            "closes a second fall below 60 % of what can be sustained",
        )
        .step(widen_range(view.situation.os, space.key.protocol))
        .step(shorten_time_wait(view.situation.os))
        .finish(),
    )
}
