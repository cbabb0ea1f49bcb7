//! Rule 3: a process binds sockets and neither connects nor closes them.

use std::time::Duration;

use tidemark_model::Finding;
use tidemark_model::finding::Rule;
use tidemark_model::host::Capability;
use tidemark_model::sample::OwnerSample;
use tidemark_model::tcp::TcpState;

use super::many;
use crate::View;
use crate::case::Case;
use crate::events::TCP_EXHAUSTED;
use crate::evidence::{grouped, percent, process, rate, share, time_left};
use crate::playbook::{collect_evidence, restart, widen_range};
use crate::space::{Dominance, SpaceView, sockets};

/// One process must hold this share of the bound ports.
const OWNER_SHARE: f64 = 0.6;
const RATE_MIN: f64 = 1.0;
const NEEDED: Duration = Duration::from_secs(30 * 60);
/// Connections that stay within this share of each other are flat.
const FLAT: f64 = 0.1;
/// And so are those that move by less than a few.
const FLAT_SOCKETS: f64 = 50.0;

pub(super) fn find(view: &View<'_>) -> Vec<Finding> {
    let tcp = view.spaces.iter().filter(|space| space.is_tcp());
    tcp.filter_map(|space| match space.newest.bound {
        Some(bound) => counted(view, space, bound),
        None => hidden(view, space),
    })
    .collect()
}

fn counted(view: &View<'_>, space: &SpaceView<'_>, bound: u32) -> Option<Finding> {
    if bound < many(space.capacity()) {
        return None;
    }
    let case = match space.dominant(view.situation, bound, OWNER_SHARE, |o| o.counts.bound) {
        Dominance::One(owner, held) => of_owner(space, owner, held),
        Dominance::Unseen => {
            let title = "A process that the agent may not see leaks bound sockets".to_owned();
            let bound = space.series(|s| s.bound.unwrap_or(0));
            Case::new(Rule::BoundLeak, 0.95, title)
                .needs(view.situation, Capability::AllOwners)
                .grows(bound.growth(RATE_MIN, NEEDED), NEEDED)
        }
        Dominance::Nobody => return None,
    }?;
    let established = space.series(|s| sockets(s, TcpState::Established));
    let (low, high) = established.extremes()?;
    if high - low > FLAT_SOCKETS && high - low > high * FLAT * 2.0 {
        return None;
    }
    let since = space
        .series(|s| s.bound.unwrap_or(0))
        .since_at_least(f64::from(many(space.capacity())) / 2.0);
    Some(
        case.in_space(space)
            .since(since)
            .seen(format!(
                "{} of {} ports ({}) are held by sockets that are bound and neither connected nor listening; connections are few: {}.",
                grouped(bound),
                grouped(space.capacity()),
                percent(share(bound, space.capacity())),
                grouped(space.sockets(TcpState::Established))
            ))
            .step(widen_range(view.situation.os, space.key.protocol))
            .advise(
                "Ask its makers: sockets must be closed on every path, above all when connecting failed",
                "the next version does not leak",
            )
            .finish(),
    )
}

fn of_owner(space: &SpaceView<'_>, owner: &OwnerSample, held: u32) -> Option<Case> {
    let name = process(&owner.process);
    let series = space.owner_series(&owner.process, |o| o.counts.bound);
    let growth = space.growth_or_trend(&series, RATE_MIN, NEEDED, &owner.process.name);
    let title = format!(
        "{} leaks sockets that it bound and never closes",
        owner.process.name
    );
    let case = Case::new(Rule::BoundLeak, 0.95, title)
        .process(&owner.process)
        .seen(format!(
            "{name} holds {} of the bound ports.",
            grouped(held)
        ))
        .seen_all(growth.per_minute().map(|per_minute| {
            let left = space.minutes_left(per_minute).unwrap_or(0.0);
            format!(
                "They grow by {}; at that rate the remaining {} ports last {}.",
                rate(per_minute),
                grouped(space.newest.headroom()),
                time_left(left)
            )
        }))
        .seen_all(
            owner
                .handles
                .map(|handles| format!("It has {} open handles.", grouped(handles))),
        )
        .step(collect_evidence())
        .step(restart(
            &owner.process,
            "its bound ports fall below 5 % of what they were and do not climb again",
        ))
        .grows(growth, NEEDED)?;
    Some(case)
}

/// Where bound sockets are not listed, handles that no visible socket accounts for point to them.
fn hidden(view: &View<'_>, space: &SpaceView<'_>) -> Option<Finding> {
    let is_short = space.is_refused() || !view.events.of_id(TCP_EXHAUSTED).is_empty();
    if !is_short || !view.host.is_windows() {
        return None;
    }
    let beyond = |owner: &OwnerSample| {
        owner
            .handles
            .unwrap_or(0)
            .saturating_sub(owner.counts.sockets)
    };
    let (owner, handles) = space.top_owner(beyond)?;
    if handles < many(space.capacity()) {
        return None;
    }
    let name = process(&owner.process);
    let series = space.owner_series(&owner.process, |o| o.handles.unwrap_or(0));
    let growth = space.growth_or_trend(&series, RATE_MIN, NEEDED, &owner.process.name);
    let title = format!(
        "{} probably leaks sockets that no table shows",
        owner.process.name
    );
    Some(
        Case::new(Rule::BoundLeak, 0.95, title)
            .in_space(space)
            .process(&owner.process)
            .needs(view.situation, Capability::BoundSockets)
            .grows(growth, NEEDED)?
            .seen(format!(
                "{name} has {} handles more than visible sockets, and ports are refused.",
                grouped(handles)
            ))
            .step(collect_evidence())
            .step(restart(&owner.process, "a bind succeeds"))
            .finish(),
    )
}
