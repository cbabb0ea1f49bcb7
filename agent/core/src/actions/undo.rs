//! Whether an action is undone when its controller asks: only what this host did by an order that it took and that lets
//! itself be undone, once, within the time that the order names.
//!
//! That consent is among what operators sign, so that asking takes no signature: the most that a controller gets by it is
//! a value that the host had before.

use std::time::Duration;

use tidemark_model::{ActionId, ActionReport, ActionState, Timestamp};

use super::ledger::{Entry, Ledger, Undoing};

/// What becomes of the asking.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum UndoJudgement {
    /// It is undone.
    Begin(Box<Entry>),
    /// It is being undone.
    UnderWay,
    /// It is not, or was already: this is where it stands.
    Tell(Box<ActionReport>),
}

/// Judges it at `now`, by the host's clock.
#[must_use]
pub fn judge(id: ActionId, ledger: &Ledger, (now, is_locked): (Timestamp, bool)) -> UndoJudgement {
    let Some(entry) = ledger.get(id) else {
        let report = ActionReport::new(id, ActionState::Verifying, now, "not known");
        return refuse(report, "this host does not remember that action");
    };
    let Some(report) = entry.report.clone() else {
        let report = ActionReport::new(id, ActionState::Accepted, entry.began_at, "accepted");
        return refuse(report, "it has not been done");
    };
    match entry.undoing {
        Undoing::Never => {}
        Undoing::Begun => return UndoJudgement::UnderWay,
        Undoing::Over => return UndoJudgement::Tell(Box::new(report)),
    }
    if report.state != ActionState::Verifying {
        let why = format!("it is {}: there is nothing to undo", report.state.as_str());
        return refuse(report, &why);
    }
    let Some(seconds) = entry.order.undo_within_s else {
        return refuse(
            report,
            "its order does not let it be undone; make another order",
        );
    };
    if let Some(later) = ledger.set_later(entry) {
        let why = format!(
            "the value was set by a later action, {} ({}): undo that one",
            later.order.id,
            later.order.spec.summary()
        );
        return refuse(report, &why);
    }
    let until = report
        .at_ms
        .saturating_add(Duration::from_secs(u64::from(seconds)));
    if until < now {
        let why = format!(
            "its order lets it be undone within {seconds} s after it was done, which are over; make another order"
        );
        return refuse(report, &why);
    }
    if is_locked {
        return refuse(
            report,
            "every action is stopped on this host; end the lockdown first",
        );
    }
    UndoJudgement::Begin(Box::new(entry.clone()))
}

fn refuse(mut report: ActionReport, why: &str) -> UndoJudgement {
    report.undo_refused = Some(why.to_owned());
    UndoJudgement::Tell(Box::new(report))
}

#[cfg(test)]
mod tests {
    use tidemark_model::action::spec::TcpParameter;
    use tidemark_model::{ActionSpec, HostId, Order};

    use super::super::JournalRecord;
    use super::*;

    const DONE_AT: i64 = 10_000;

    fn order() -> Order {
        let at = Timestamp::from_unix_ms;
        Order {
            id: ActionId::from_random(1),
            host: HostId::of_identity_spki(b"host"),
            spec: ActionSpec::SetTcpParameter {
                parameter: TcpParameter::TcpFinTimeout,
                value: Some(30),
            },
            dry_run: false,
            issued_at_ms: at(0),
            not_before_ms: at(0),
            expires_at_ms: at(60_000),
            requester: "ann".to_owned(),
            reason: "leak".to_owned(),
            undo_within_s: Some(60),
        }
    }

    fn done(order: &Order) -> Ledger {
        let at = Timestamp::from_unix_ms;
        let mut ledger = Ledger::default();
        ledger.apply(JournalRecord::Began {
            order: order.clone(),
            signers: Vec::new(),
            grant: None,
            at_ms: at(9_000),
        });
        ledger.apply(reported(order, ActionState::Verifying));
        ledger
    }

    fn reported(order: &Order, state: ActionState) -> JournalRecord {
        let at = Timestamp::from_unix_ms(DONE_AT);
        JournalRecord::Reported {
            report: ActionReport::new(order.id, state, at, ""),
        }
    }

    fn undoing(order: &Order) -> JournalRecord {
        JournalRecord::Undoing {
            id: order.id,
            at_ms: Timestamp::from_unix_ms(DONE_AT),
        }
    }

    fn refused(ledger: &Ledger, now: i64, is_locked: bool) -> Option<String> {
        let id = ActionId::from_random(1);
        match judge(id, ledger, (Timestamp::from_unix_ms(now), is_locked)) {
            UndoJudgement::Begin(entry) => {
                assert_eq!(entry.order.id, id);
                None
            }
            UndoJudgement::Tell(report) => Some(report.undo_refused.unwrap_or_default()),
            UndoJudgement::UnderWay => Some("under way".to_owned()),
        }
    }

    #[test]
    fn what_its_order_lets_be_undone_is_undone_within_its_time() {
        let ledger = done(&order());
        assert_eq!(refused(&ledger, DONE_AT + 60_000, false), None);
        let late = refused(&ledger, DONE_AT + 60_001, false).unwrap();
        assert!(late.contains("within 60 s"), "{late}");
        let locked = refused(&ledger, DONE_AT, true).unwrap();
        assert!(locked.contains("lockdown"), "{locked}");
    }

    #[test]
    fn nothing_else_is_undone() {
        let unknown = refused(&Ledger::default(), DONE_AT, false).unwrap();
        assert!(unknown.contains("does not remember"), "{unknown}");
        let silent = Order {
            undo_within_s: None,
            ..order()
        };
        let silent = refused(&done(&silent), DONE_AT, false).unwrap();
        assert!(silent.contains("does not let"), "{silent}");
        for state in [
            ActionState::Running,
            ActionState::Failed,
            ActionState::Refused,
        ] {
            let mut ledger = done(&order());
            ledger.apply(reported(&order(), state));
            let why = refused(&ledger, DONE_AT, false).unwrap();
            assert!(why.contains("nothing to undo"), "{why}");
        }
    }

    /// A later order for the same value, of a host whose clock says so.
    fn later(at: i64, state: Option<ActionState>) -> Ledger {
        let mut ledger = done(&order());
        let one = Order {
            id: ActionId::from_random(2),
            ..order()
        };
        ledger.apply(JournalRecord::Began {
            order: one.clone(),
            signers: Vec::new(),
            grant: None,
            at_ms: Timestamp::from_unix_ms(at),
        });
        if let Some(state) = state {
            ledger.apply(reported(&one, state));
        }
        ledger
    }

    #[test]
    fn what_a_later_action_set_is_not_undone_by_an_earlier_one() {
        for state in [
            None,
            Some(ActionState::Running),
            Some(ActionState::Verifying),
            Some(ActionState::Failed),
        ] {
            // Whatever the clock says, and through a journal that was written anew.
            for at in [9_500, 8_000] {
                let ledger = later(at, state);
                let mut again = Ledger::default();
                for record in ledger.records() {
                    again.apply(record);
                }
                for ledger in [ledger, again] {
                    let why = refused(&ledger, DONE_AT, false).unwrap();
                    assert!(why.contains("set by a later action"), "{state:?}: {why}");
                }
            }
        }
        for state in [
            ActionState::Refused,
            ActionState::Answered,
            ActionState::RolledBack,
        ] {
            let ledger = later(9_500, Some(state));
            assert_eq!(refused(&ledger, DONE_AT, false), None, "{state:?}");
        }
    }

    #[test]
    fn a_later_action_on_another_value_hinders_no_undo() {
        let mut ledger = done(&order());
        let other = Order {
            id: ActionId::from_random(2),
            spec: ActionSpec::SetTcpParameter {
                parameter: TcpParameter::TcpTwReuse,
                value: Some(1),
            },
            ..order()
        };
        ledger.apply(JournalRecord::Began {
            order: other.clone(),
            signers: Vec::new(),
            grant: None,
            at_ms: Timestamp::from_unix_ms(9_500),
        });
        ledger.apply(reported(&other, ActionState::Verifying));
        assert_eq!(refused(&ledger, DONE_AT, false), None);
    }

    #[test]
    fn an_action_is_undone_at_most_once() {
        let mut ledger = done(&order());
        ledger.apply(undoing(&order()));
        assert_eq!(refused(&ledger, DONE_AT, false).unwrap(), "under way");
        assert_eq!(ledger.unfinished().len(), 1);
        ledger.apply(reported(&order(), ActionState::RolledBack));
        assert_eq!(ledger.unfinished().len(), 0);
        let id = ActionId::from_random(1);
        let again = judge(id, &ledger, (Timestamp::from_unix_ms(DONE_AT), false));
        assert!(
            matches!(&again, UndoJudgement::Tell(report) if report.state == ActionState::RolledBack),
            "{again:?}"
        );
        // Also when it could not be undone.
        let mut ledger = done(&order());
        ledger.apply(undoing(&order()));
        ledger.apply(reported(&order(), ActionState::Verifying));
        assert_eq!(refused(&ledger, DONE_AT, false).unwrap(), "");
    }
}
