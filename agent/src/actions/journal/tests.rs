//! What a journal tells after a crash, a cut and damage.

use std::fs;

use tidemark_model::action::spec::OnHang;
use tidemark_model::{ActionId, ActionReport, ActionSpec, ActionState, HostId, Order};

use super::*;

mod every_step;

fn at(ms: i64) -> Timestamp {
    Timestamp::from_unix_ms(ms)
}

fn order(number: u128) -> Order {
    Order {
        id: ActionId::from_random(number),
        host: HostId::of_identity_spki(b"host"),
        spec: ActionSpec::RestartService {
            service: "appsvc".to_owned(),
            stop_timeout_s: 120,
            on_hang: OnHang::Fail,
        },
        dry_run: false,
        issued_at_ms: at(0),
        not_before_ms: at(0),
        expires_at_ms: at(i64::MAX / 2),
        requester: "ann".to_owned(),
        reason: "leak".to_owned(),
        undo_within_s: None,
    }
}

fn began(number: u128) -> JournalRecord {
    JournalRecord::Began {
        order: order(number),
        at_ms: at(10),
        signers: Vec::new(),
        grant: None,
    }
}

fn reported(number: u128, state: ActionState) -> JournalRecord {
    JournalRecord::Reported {
        report: ActionReport::new(ActionId::from_random(number), state, at(11), "é"),
    }
}

struct Place {
    folder: tempfile::TempDir,
}

impl Place {
    fn new() -> Self {
        Self {
            folder: tempfile::tempdir().unwrap(),
        }
    }

    fn path(&self) -> PathBuf {
        self.folder.path().join("actions.journal")
    }

    fn open(&self, now: i64) -> (Journal, Ledger, Found) {
        Journal::open(&self.path(), at(now)).unwrap()
    }

    fn written(&self) -> Vec<u8> {
        let (mut journal, _, _) = self.open(1);
        for record in [
            began(1),
            reported(1, ActionState::Running),
            reported(1, ActionState::Verifying),
            began(2),
        ] {
            journal.append(&record).unwrap();
        }
        fs::read(self.path()).unwrap()
    }
}

#[test]
fn what_was_begun_is_remembered_through_a_restart() {
    let place = Place::new();
    place.written();
    let (_, ledger, found) = place.open(20);
    assert_eq!(found, Found::Whole);
    let unfinished: Vec<_> = ledger
        .unfinished()
        .iter()
        .map(|entry| entry.order.id)
        .collect();
    assert_eq!(unfinished, [ActionId::from_random(2)]);
    assert_eq!(ledger.untold().count(), 1);
    // The floor is that of the first start, not of this one.
    assert_eq!(ledger.floor(), Some(at(1)));
}

#[test]
fn a_journal_that_is_new_or_was_removed_refuses_what_was_ordered_before() {
    let place = Place::new();
    let (_, ledger, found) = place.open(50);
    assert_eq!((found, ledger.floor()), (Found::Missing, Some(at(50))));
    fs::remove_file(place.path()).unwrap();
    let (_, ledger, found) = place.open(60);
    assert_eq!((found, ledger.floor()), (Found::Removed, Some(at(60))));
}

#[test]
fn a_journal_that_is_cut_anywhere_tells_what_was_durable_and_damages_nothing() {
    let place = Place::new();
    let whole = place.written();
    for length in 0..whole.len() {
        let cut = Place::new();
        fs::write(cut.path(), &whole[..length]).unwrap();
        let (mut journal, ledger, found) = cut.open(99);
        let lines = whole[..length]
            .iter()
            .filter(|byte| **byte == b'\n')
            .count();
        assert_eq!(found == Found::Whole, lines > 0, "{length}");
        // Without its first line it is lost, and what was ordered before is refused.
        assert_eq!(ledger.floor(), Some(at(if lines > 0 { 1 } else { 99 })));
        let is_known = |number| ledger.get(ActionId::from_random(number)).is_some();
        assert_eq!(
            (is_known(1), is_known(2)),
            (lines >= 2, lines >= 5),
            "{length}"
        );
        journal.append(&began(3)).unwrap();
        let (_, ledger, found) = cut.open(100);
        assert_eq!(found, Found::Whole);
        assert!(ledger.get(ActionId::from_random(3)).is_some());
    }
}

#[test]
fn a_changed_byte_never_makes_an_action_look_new() {
    let place = Place::new();
    let whole = place.written();
    for index in (0..whole.len()).step_by(7) {
        let damaged = Place::new();
        let mut bytes = whole.clone();
        bytes[index] ^= 0x20;
        fs::write(damaged.path(), &bytes).unwrap();
        let (_, ledger, found) = damaged.open(99);
        // Either everything is known that the order's replay is measured by, or everything older is refused.
        let is_known = ledger.get(ActionId::from_random(1)).is_some()
            && ledger.get(ActionId::from_random(2)).is_some();
        let is_refused = ledger.floor() == Some(at(99));
        assert!(is_refused || (is_known && found == Found::Whole), "{index}");
        if let Found::Damaged(aside) = found {
            assert_eq!(fs::read(aside).unwrap(), bytes);
        }
    }
}

#[test]
fn an_all_zero_journal_is_a_lost_one() {
    let place = Place::new();
    fs::write(place.path(), vec![0; 512]).unwrap();
    let (_, ledger, _) = place.open(70);
    assert_eq!(ledger.floor(), Some(at(70)));
}

#[test]
fn a_journal_out_of_a_backup_refuses_what_was_ordered_before_and_begins_nothing() {
    let place = Place::new();
    let (mut journal, _, _) = place.open(1);
    journal.append(&began(1)).unwrap();
    let backup = fs::read(place.path()).unwrap();
    journal.append(&reported(1, ActionState::Running)).unwrap();
    // A copy of the moment is no old one, nor is one that died before it was noted.
    let (_, _, found) = place.open(2);
    assert_eq!(found, Found::Whole);
    fs::write(place.path().with_extension("mark"), "1").unwrap();
    assert_eq!(place.open(3).2, Found::Whole);
    fs::write(place.path(), &backup).unwrap();
    let (mut journal, ledger, found) = place.open(50);
    assert_eq!((found, ledger.floor()), (Found::Older, Some(at(50))));
    assert!(ledger.unfinished().is_empty());
    let told: Vec<_> = ledger.untold().map(|report| report.state).collect();
    assert_eq!(told, [ActionState::Failed]);
    // From here on it is the journal.
    journal.append(&began(2)).unwrap();
    let (_, ledger, found) = place.open(60);
    assert_eq!((found, ledger.floor()), (Found::Whole, Some(at(50))));
    fs::write(place.path().with_extension("mark"), "?").unwrap();
    assert_eq!(place.open(70).2, Found::Older);
    assert_eq!(place.open(80).2, Found::Whole);
}

#[test]
fn what_a_damaged_journal_does_not_know_to_have_begun_is_not_begun() {
    let place = Place::new();
    let (mut journal, _, _) = place.open(1);
    for record in [
        began(1),
        reported(1, ActionState::Accepted),
        reported(1, ActionState::Running),
    ] {
        journal.append(&record).unwrap();
    }
    let whole = fs::read_to_string(place.path()).unwrap();
    fs::write(place.path(), whole.replace("running", "runnink")).unwrap();
    let (_, ledger, found) = place.open(50);
    assert!(matches!(found, Found::Damaged(_)), "{found:?}");
    assert!(ledger.unfinished().is_empty());
    assert_eq!(ledger.untold().next().unwrap().state, ActionState::Failed);
}
