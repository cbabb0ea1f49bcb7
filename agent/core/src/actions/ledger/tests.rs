//! What a host remembers of the actions that it began.

use tidemark_model::action::spec::OnHang;
use tidemark_model::{ActionSpec, HostId};

use super::*;

fn order(number: u128, spec: ActionSpec) -> Order {
    Order {
        id: ActionId::from_random(number),
        host: HostId::of_identity_spki(b"host"),
        spec,
        dry_run: false,
        issued_at_ms: Timestamp::from_unix_ms(0),
        not_before_ms: Timestamp::from_unix_ms(0),
        expires_at_ms: Timestamp::from_unix_ms(60_000),
        requester: "ann".to_owned(),
        reason: "leak".to_owned(),
        undo_within_s: None,
    }
}

fn restart(number: u128) -> Order {
    let spec = ActionSpec::RestartService {
        service: "appsvc".to_owned(),
        stop_timeout_s: 120,
        on_hang: OnHang::Fail,
    };
    order(number, spec)
}

fn began(order: Order, at: i64) -> JournalRecord {
    JournalRecord::Began {
        order,
        at_ms: Timestamp::from_unix_ms(at),
        signers: Vec::new(),
        grant: None,
    }
}

fn reported(order: &Order, state: ActionState) -> JournalRecord {
    let report = ActionReport::new(order.id, state, Timestamp::from_unix_ms(1), "");
    JournalRecord::Reported { report }
}

#[test]
fn what_was_begun_and_has_not_ended_is_found_again() {
    let (one, two) = (restart(1), restart(2));
    let mut ledger = Ledger::default();
    ledger.apply(began(two.clone(), 20));
    ledger.apply(began(one.clone(), 10));
    ledger.apply(reported(&one, ActionState::Running));
    let ids: Vec<_> = ledger
        .unfinished()
        .iter()
        .map(|entry| entry.order.id)
        .collect();
    assert_eq!(ids, [one.id, two.id]);
    ledger.apply(reported(&one, ActionState::Verifying));
    assert_eq!(ledger.unfinished().len(), 1);
    assert_eq!(ledger.untold().count(), 1);
    ledger.apply(JournalRecord::Acked { id: one.id });
    assert_eq!(ledger.untold().count(), 0);
}

#[test]
fn a_journal_that_is_written_anew_says_the_same() {
    let mut ledger = Ledger::default();
    let (one, two) = (
        restart(1),
        order(2, ActionSpec::CollectEvidence { seconds: 5 }),
    );
    for record in [
        began(one.clone(), 10),
        reported(&one, ActionState::Failed),
        JournalRecord::Acked { id: one.id },
        began(two, 20),
        JournalRecord::Floor {
            at_ms: Timestamp::from_unix_ms(5),
            written: 0,
        },
    ] {
        let line = serde_json::to_string(&record).unwrap();
        ledger.apply(serde_json::from_str(&line).unwrap());
    }
    let mut again = Ledger::default();
    for record in ledger.records() {
        again.apply(record);
    }
    let lines = |ledger: &Ledger| ledger.records().collect::<Vec<_>>();
    assert_eq!(lines(&again), lines(&ledger));
    assert_eq!(again.floor(), Some(Timestamp::from_unix_ms(5)));
}

#[test]
fn an_action_is_forgotten_only_when_it_can_no_longer_come_back() {
    let mut ledger = Ledger::default();
    let one = restart(1);
    ledger.apply(began(one.clone(), 0));
    ledger.apply(reported(&one, ActionState::Verifying));
    let much_later = Timestamp::from_unix_ms(60_000).saturating_add(KEPT);
    // Its end is not stored by the controller yet.
    assert!(!ledger.prune(much_later));
    ledger.apply(JournalRecord::Acked { id: one.id });
    let order_valid = Timestamp::from_unix_ms(60_000 + 1);
    assert!(!ledger.prune(order_valid));
    assert_eq!(ledger.forgotten(), None);
    assert!(ledger.prune(much_later));
    assert!(ledger.get(one.id).is_none());
    // A clock that is set back does not make its order a new one.
    assert_eq!(ledger.forgotten(), Some(one.expires_at_ms));
    let mut again = Ledger::default();
    ledger.records().for_each(|record| again.apply(record));
    assert_eq!(again.forgotten(), Some(one.expires_at_ms));
}

#[test]
fn only_what_disturbs_counts_against_the_limits() {
    let mut ledger = Ledger::default();
    let mut dry = restart(1);
    dry.dry_run = true;
    ledger.apply(began(dry, 10));
    ledger.apply(began(
        order(2, ActionSpec::CollectEvidence { seconds: 5 }),
        10,
    ));
    ledger.apply(began(restart(3), 10));
    let since = |at| {
        ledger
            .begun_since(Timestamp::from_unix_ms(at), |_| true)
            .count()
    };
    assert_eq!((since(10), since(11)), (1, 0));
    let last = ledger.last_begun(ActionKind::RestartService, "APPSVC");
    assert_eq!(last, Some(Timestamp::from_unix_ms(10)));
}

#[test]
fn a_journal_that_knows_no_grants_is_read_and_one_that_does_keeps_them() {
    let order = restart(1);
    let began = |grant| JournalRecord::Began {
        order: order.clone(),
        at_ms: Timestamp::from_unix_ms(5),
        signers: Vec::new(),
        grant,
    };
    let text = serde_json::to_string(&began(None)).unwrap();
    assert!(!text.contains("grant"), "{text}");
    let read: JournalRecord = serde_json::from_str(&text).unwrap();
    assert_eq!(read, began(None));
    let grant = Some(GrantId::from_random(7));
    let mut ledger = Ledger::default();
    ledger.apply(began(grant));
    assert_eq!(ledger.get(order.id).unwrap().grant, grant);
    assert_eq!(ledger.records().next(), Some(began(grant)));
}
