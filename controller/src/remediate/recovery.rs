//! The recovery table: how well each kind of action has worked on each subject, from the stored actions alone.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use tidemark_model::Timestamp;
use tidemark_model::action::{Action, ActionKind, ActionState};
use tidemark_model::view::RecoveryView;
use tidemark_store::StoreError;

use crate::app::App;

/// How far back the table looks.
const LOOK_BACK: Duration = Duration::from_secs(180 * 86_400);
/// Actions that it is made of, the newest.
const ACTIONS_MAX: u32 = 5_000;

/// The table, by kind and subject.
///
/// # Errors
/// When the database fails.
pub async fn recoveries(app: &App) -> Result<Vec<RecoveryView>, StoreError> {
    let now = app.clock.now();
    let since = now.saturating_sub(LOOK_BACK);
    let mut tx = app.store.read().await?;
    let ended = tx.actions_ended_since(since, ACTIONS_MAX).await?;
    Ok(table(&ended, now))
}

/// Where an action with that row stands among others: what worked more often, then freed more, first; then what was never
/// tried; what was in vain last. A stable sort keeps the order among equals.
#[must_use]
pub fn rank(row: Option<&RecoveryView>) -> (u8, Reverse<u64>, Reverse<i64>) {
    let Some(row) = row else {
        return (1, Reverse(0), Reverse(0));
    };
    if row.worked == 0 {
        return (2, Reverse(0), Reverse(0));
    }
    let of_thousand = row
        .worked
        .saturating_mul(1_000)
        .checked_div(row.tried)
        .unwrap_or_default();
    let freed = row.ports_freed_median.unwrap_or_default();
    (0, Reverse(of_thousand), Reverse(freed))
}

#[derive(Default)]
struct Tally<'a> {
    hosts: BTreeSet<String>,
    tried: u64,
    worked: u64,
    still_hold: u64,
    freed: Vec<i64>,
    held_ms: Vec<i64>,
    last: Option<&'a Action>,
}

fn table(ended: &[Action], now: Timestamp) -> Vec<RecoveryView> {
    let mut by_what: BTreeMap<(ActionKind, &str), Tally<'_>> = BTreeMap::new();
    for action in ended.iter().filter(|action| says_something(action)) {
        let spec = &action.order.spec;
        let tally = by_what.entry((spec.kind(), spec.subject())).or_default();
        tally.add(action, now);
    }
    let rows = by_what.into_iter();
    rows.map(|((action, subject), tally)| tally.row(action, subject))
        .collect()
}

/// Whether an action says how well its kind works: it was measured, or its host could not do it.
const fn says_something(action: &Action) -> bool {
    match action.state {
        ActionState::Verified | ActionState::NotEffective => action.body.effect.is_some(),
        ActionState::Failed | ActionState::RolledBack => true,
        ActionState::Proposed
        | ActionState::Approved
        | ActionState::Queued
        | ActionState::Sent
        | ActionState::Accepted
        | ActionState::Running
        | ActionState::Verifying
        | ActionState::Answered
        | ActionState::Rejected
        | ActionState::Expired
        | ActionState::Refused
        | ActionState::TimedOut
        | ActionState::Cancelled => false,
    }
}

impl<'a> Tally<'a> {
    fn add(&mut self, action: &'a Action, now: Timestamp) {
        self.hosts.insert(action.order.host.to_string());
        self.tried = self.tried.saturating_add(1);
        if self.last.is_none_or(|last| last.ended_at < action.ended_at) {
            self.last = Some(action);
        }
        let effect = action.body.effect.as_ref();
        let Some(effect) = effect.filter(|_| action.state == ActionState::Verified) else {
            return;
        };
        self.worked = self.worked.saturating_add(1);
        self.freed.push(effect.ports_freed);
        if effect.holds {
            self.still_hold = self.still_hold.saturating_add(1);
        }
        if let (Some(until), Some(done)) = (effect.held_until_ms, action.body.done_at_ms) {
            self.held_ms.push(until.min(now).ms_since(done));
        }
    }

    fn row(self, action: ActionKind, subject: &str) -> RecoveryView {
        let last = self.last.and_then(|action| action.ended_at);
        RecoveryView {
            action,
            subject: subject.to_owned(),
            hosts: self.hosts.len() as u64,
            tried: self.tried,
            worked: self.worked,
            ports_freed_median: median(self.freed),
            held_ms_median: median(self.held_ms),
            still_hold: self.still_hold,
            last_ms: last.map_or(0, Timestamp::unix_ms),
        }
    }
}

/// The lower of the two in the middle, so that it is a value that was seen.
fn median(mut values: Vec<i64>) -> Option<i64> {
    values.sort_unstable();
    let middle = values.len().checked_sub(1)? / 2;
    values.get(middle).copied()
}

#[cfg(test)]
mod tests {
    use tidemark_model::action::{ActionId, ActionSpec, Effect, Order};
    use tidemark_model::{HostId, PortSpaceKey, Protocol};

    use super::*;

    fn ended(number: u8, state: ActionState, freed: Option<i64>) -> Action {
        let at = Timestamp::from_unix_ms;
        let mut action = Action::proposed(Order {
            id: ActionId::from_bytes([number; 16]),
            host: HostId::of_identity_spki(&[number % 2]),
            spec: ActionSpec::RecycleAppPool {
                pool: "Shop".to_owned(),
            },
            dry_run: false,
            issued_at_ms: at(0),
            not_before_ms: at(0),
            expires_at_ms: at(9),
            requester: "ann".to_owned(),
            reason: "a leak".to_owned(),
            undo_within_s: None,
        });
        action.state = state;
        action.ended_at = Some(at(1_000 + i64::from(number)));
        action.body.done_at_ms = Some(at(1_000));
        action.body.effect = freed.map(|ports_freed| Effect {
            port_space: PortSpaceKey::own(Protocol::Tcp),
            headroom_before: 0,
            headroom_after: 0,
            needed: 10,
            ports_freed,
            subject_ports_before: None,
            subject_ports_after: None,
            held_until_ms: Some(at(1_000 + 100 * i64::from(number))),
            holds: number == 1,
        });
        action
    }

    #[test]
    fn a_row_counts_what_was_measured_and_nothing_else() {
        use ActionState as S;
        let actions = [
            ended(1, S::Verified, Some(500)),
            ended(2, S::Verified, Some(900)),
            ended(3, S::Verified, Some(700)),
            ended(4, S::NotEffective, Some(3)),
            ended(5, S::Failed, None),
            // Nobody knows what these did.
            ended(6, S::TimedOut, None),
            ended(7, S::Refused, None),
            ended(8, S::Verified, None),
        ];
        let rows = table(&actions, Timestamp::from_unix_ms(5_000));
        assert_eq!(
            rows,
            [RecoveryView {
                action: ActionKind::RecycleAppPool,
                subject: "Shop".to_owned(),
                hosts: 2,
                tried: 5,
                worked: 3,
                ports_freed_median: Some(700),
                held_ms_median: Some(200),
                still_hold: 1,
                last_ms: 1_005,
            }]
        );
    }
}
