//! Orders that are made with a run's plan for hosts that want signatures, so that operators sign them before the hosts'
//! turns. Their bytes are fixed with the plan; when a host's turn comes, its order is sent as it was signed.

use std::time::Duration;

use sha2::{Digest as _, Sha256};
use tidemark_model::Timestamp;
use tidemark_model::action::order::VALID_MAX;
use tidemark_model::action::{ActionId, Order};
use tidemark_model::run::{NOW, Run, RunHost, RunRules, SignedAhead};
use tidemark_model::window::Occurrence;
use tidemark_store::{RunOrder, RunOrderCount, StoreError, Tx};

use super::ask::reason;

/// Longest time within which an order that was signed ahead may be begun: who signs at noon means the coming night.
const HOLDS_MAX: Duration = Duration::from_secs(86_400);
/// Orders that are made with one plan.
pub(super) const ORDERS_MAX: usize = 10_000;

/// When orders hold that are made at `made_at` for a host whose window has these times; `None` without a window. `None` is
/// answered when no order may be made that early. They let themselves be undone within `undo_within_s`.
pub(super) fn times(
    window: Option<&[Occurrence]>,
    (made_at, now): (Timestamp, Timestamp),
    undo_within_s: Option<u32>,
) -> Option<SignedAhead> {
    let (from_ms, until_ms) = match window {
        None => (made_at, made_at.saturating_add(HOLDS_MAX)),
        Some(times) => {
            let next = times.iter().find(|at| at.end > now)?;
            let from = next.start.max(made_at);
            (from, next.end.min(from.saturating_add(HOLDS_MAX)))
        }
    };
    let is_signable = from_ms < until_ms && until_ms <= made_at.saturating_add(VALID_MAX);
    is_signable.then_some(SignedAhead {
        from_ms,
        until_ms,
        undo_within_s,
    })
}

/// The moment by which it is seen whether a run's plan is still what would be planned: that of the plan itself, unless the
/// orders of a run without a window are past.
pub(super) fn made_at(run: &Run, now: Timestamp) -> Timestamp {
    let made_at = run.body.plan.made_at_ms;
    if run.spec.window == NOW && made_at.saturating_add(HOLDS_MAX) <= now {
        now
    } else {
        made_at
    }
}

/// Leaves out hosts beyond those whose orders one plan can have.
pub(super) fn bound(run: &mut Run, rules: &RunRules) {
    let room = ORDERS_MAX / orders_of_host(rules).max(1);
    let signed_ahead = run
        .hosts
        .iter_mut()
        .filter(|host| host.body.ahead.is_some());
    for host in signed_ahead.skip(room) {
        host.body.ahead = None;
    }
}

fn orders_of_host(rules: &RunRules) -> usize {
    rules.steps.len() * attempts(rules).count()
}

/// The orders that are made with a run's plan: one for each step of each host, and one for each time that it may be tried
/// again.
pub(super) fn orders(run: &Run, rules: &RunRules) -> Vec<RunOrder> {
    let mut orders = Vec::new();
    for host in &run.hosts {
        let Some(ahead) = host.body.ahead else {
            continue;
        };
        for (step, wanted) in (0_u32..).zip(&rules.steps) {
            for attempt in attempts(rules) {
                let order = Order {
                    id: id_of(run, host, (step, attempt)),
                    host: host.host,
                    spec: wanted.spec.clone(),
                    dry_run: false,
                    issued_at_ms: run.body.plan.made_at_ms,
                    not_before_ms: ahead.from_ms,
                    expires_at_ms: ahead.until_ms,
                    requester: run.body.requester.clone(),
                    reason: reason(run),
                    undo_within_s: ahead.undo_within_s.filter(|_| wanted.spec.can_be_undone()),
                };
                orders.push(RunOrder {
                    id: order.id,
                    wanted: u32::from(order.spec.tier().signatures_min()),
                    bytes: order.to_bytes(),
                });
            }
        }
    }
    orders
}

/// How many orders are made with the plan of a run that is not stored.
#[must_use]
pub fn count_planned(run: &Run) -> RunOrderCount {
    let of_host = run.spec.check().map(|rules| orders_of_host(&rules));
    let hosts = run.hosts.iter().filter(|host| host.body.ahead.is_some());
    let orders = of_host.map(|of_host| of_host * hosts.count());
    RunOrderCount {
        orders: orders.unwrap_or(0) as u64,
        signed: 0,
    }
}

fn attempts(rules: &RunRules) -> std::ops::RangeInclusive<u32> {
    0..=rules.max_retries
}

/// The order that was made for what a host is at; `None` when there is none, when its time is not now, or when it was sent
/// before.
///
/// # Errors
/// When the database fails.
pub(super) async fn order_of(
    tx: &mut Tx,
    (run, host): (&Run, &RunHost),
    now: Timestamp,
) -> Result<Option<Order>, StoreError> {
    let is_time = |ahead: &SignedAhead| ahead.from_ms <= now && now < ahead.until_ms;
    if !host.body.ahead.as_ref().is_some_and(is_time) {
        return Ok(None);
    }
    let id = id_of(run, host, (host.body.step, host.body.retries));
    if tx.action_find(id).await?.is_some() {
        return Ok(None);
    }
    let Some(stored) = tx.run_order(run.number, id).await? else {
        return Ok(None);
    };
    match Order::from_bytes(&stored.bytes) {
        Ok(order) => Ok(Some(order)),
        Err(error) => {
            tracing::error!(
                run = run.number,
                %error,
                "an order of a run cannot be read, and is made anew"
            );
            Ok(None)
        }
    }
}

/// The id of the order for one step of a host. It is the same in every plan of the run, so that of two that were signed a
/// host carries out one.
fn id_of(run: &Run, host: &RunHost, (step, attempt): (u32, u32)) -> ActionId {
    let mut hash = Sha256::new();
    hash.update(b"ahead\0");
    hash.update(run.body.seed.as_bytes());
    hash.update(host.host.to_string().as_bytes());
    hash.update(step.to_be_bytes());
    hash.update(attempt.to_be_bytes());
    super::ask::first_bytes(hash)
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOUR: i64 = 3_600_000;
    const DAY: i64 = 24 * HOUR;

    fn at(ms: i64) -> Timestamp {
        Timestamp::from_unix_ms(ms)
    }

    fn window(start: i64, end: i64) -> Occurrence {
        Occurrence {
            start: at(start),
            end: at(end),
        }
    }

    fn holds(from: i64, until: i64) -> Option<SignedAhead> {
        Some(SignedAhead {
            from_ms: at(from),
            until_ms: at(until),
            undo_within_s: None,
        })
    }

    #[test]
    fn orders_hold_within_the_next_window_and_for_a_day_at_most() {
        let both = [window(HOUR, 3 * HOUR), window(DAY, DAY + HOUR)];
        assert_eq!(
            times(Some(&both), (at(0), at(0)), None),
            holds(HOUR, 3 * HOUR)
        );
        let during = 2 * HOUR;
        let found = times(Some(&both), (at(during), at(during)), None);
        assert_eq!(found, holds(during, 3 * HOUR), "not before they were made");
        let found = times(Some(&both), (at(0), at(3 * HOUR)), None);
        assert_eq!(found, holds(DAY, DAY + HOUR), "the first is over");
        let long = [window(HOUR, 5 * DAY)];
        assert_eq!(
            times(Some(&long), (at(0), at(0)), None),
            holds(HOUR, HOUR + DAY)
        );
        assert_eq!(
            times(None, (at(HOUR), at(HOUR)), None),
            holds(HOUR, HOUR + DAY)
        );
        assert_eq!(times(Some(&[]), (at(0), at(0)), None), None);
    }

    #[test]
    fn a_window_that_is_too_far_away_for_any_order_has_none() {
        let last = [window(14 * DAY - HOUR, 14 * DAY)];
        assert!(times(Some(&last), (at(0), at(0)), None).is_some());
        let late = [window(14 * DAY - HOUR, 14 * DAY + 1)];
        assert_eq!(times(Some(&late), (at(0), at(0)), None), None);
    }
}
