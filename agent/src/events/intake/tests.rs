//! Places in a log: after restarts, overwritten and cleared logs, and acks that come late or never.

use proptest::prelude::*;

use super::*;

fn at(ms: i64) -> Timestamp {
    Timestamp::from_unix_ms(ms)
}

fn place(record_id: u64) -> LogPlace {
    LogPlace {
        record_id,
        at: at(1_000),
        log_epoch: 5,
    }
}

fn facts(oldest: u64, records: u64) -> LogFacts {
    LogFacts {
        oldest_record: Some(oldest),
        records: Some(records),
        epoch: 5,
    }
}

#[test]
fn reading_goes_on_where_it_ended_and_says_what_it_missed() {
    let now = at(90 * 86_400_000);
    let month_ago = Start::OldestSince(at(60 * 86_400_000));
    let since_kept = Start::OldestSince(at(1_000));
    let cases = [
        (None, facts(1, 9), month_ago, None),
        (Some(place(50)), facts(1, 100), Start::After(50), None),
        (Some(place(50)), facts(51, 100), Start::After(50), None),
        (Some(place(50)), LogFacts::default(), Start::After(50), None),
        (
            Some(place(50)),
            facts(61, 100),
            since_kept,
            Some(LogReport::Overwritten { records: Some(10) }),
        ),
        // Cleared, and fewer records since than there were.
        (
            Some(place(50)),
            facts(1, 9),
            since_kept,
            Some(LogReport::Cleared),
        ),
        // Cleared, and more records since: only its creation tells.
        (
            Some(place(50)),
            LogFacts {
                epoch: 6,
                ..facts(1, 100)
            },
            since_kept,
            Some(LogReport::Cleared),
        ),
        (
            Some(place(50)),
            LogFacts {
                epoch: 0,
                ..facts(1, 100)
            },
            Start::After(50),
            None,
        ),
    ];
    for (kept, log, start, report) in cases {
        assert_eq!(
            resume(kept.as_ref(), &log, now),
            (start, report),
            "{kept:?} {log:?}"
        );
    }
}

#[test]
fn a_log_that_is_cleared_under_way_is_noticed_once() {
    let mut continuity = Continuity::default();
    let reports: Vec<_> = [7, 9, 1, 2]
        .into_iter()
        .map(|record_id| continuity.next(&place(record_id)))
        .collect();
    assert_eq!(reports, [None, None, Some(LogReport::Cleared), None]);
}

#[test]
fn a_place_is_kept_only_when_the_controller_has_the_hit() {
    let epoch = Epoch::new(1);
    let mut pending = Pending::new(epoch);
    for (seq, record_id) in [(3, 10), (5, 11), (6, 15)] {
        pending.appended(epoch, Seq::new(seq), place(record_id));
    }
    let kept = |pending: &mut Pending, through| {
        pending.acked(epoch, Seq::new(9), Seq::new(through));
        pending.take_acked().map(|place| place.record_id)
    };
    assert_eq!(kept(&mut pending, 2), None);
    assert_eq!(kept(&mut pending, 5), Some(11));
    assert_eq!(kept(&mut pending, 5), None, "it is kept once");
    assert_eq!(kept(&mut pending, 9), Some(15));
}

#[test]
fn a_new_epoch_of_the_spool_does_not_keep_a_place_too_early() {
    let (old, new) = (Epoch::new(1), Epoch::new(2));
    let mut pending = Pending::new(old);
    pending.appended(old, Seq::new(100), place(10));
    pending.appended(old, Seq::new(101), place(11));
    // What was held is renumbered from 1 to 4.
    pending.acked(new, Seq::new(4), Seq::new(3));
    assert_eq!(pending.take_acked(), None);
    pending.acked(new, Seq::new(8), Seq::new(4));
    assert_eq!(pending.take_acked().map(|place| place.record_id), Some(11));
}

proptest! {
    #[test]
    fn no_place_is_kept_before_its_hit_is_acked(
        steps in proptest::collection::vec((any::<bool>(), 0..6_u64, 0..40_u64), 1..60),
    ) {
        let mut pending = Pending::new(Epoch::new(1));
        let (mut epoch, mut newest, mut record) = (1, 0, 0);
        // Seqs of hits that are not acked, in the current epoch's numbers.
        let mut held: Vec<(u64, u64)> = Vec::new();
        for (is_append, gap, through) in steps {
            if is_append {
                newest += 1 + gap;
                record += 1;
                pending.appended(Epoch::new(epoch), Seq::new(newest), place(record));
                held.push((newest, record));
            } else if through > 35 {
                epoch += 1;
                newest = held.len() as u64;
                for (number, hit) in held.iter_mut().enumerate() {
                    hit.0 = number as u64 + 1;
                }
                pending.acked(Epoch::new(epoch), Seq::new(newest), Seq::ZERO);
            } else {
                let through = through.min(newest);
                pending.acked(Epoch::new(epoch), Seq::new(newest), Seq::new(through));
                held.retain(|(seq, _)| *seq > through);
            }
            if let Some(kept) = pending.take_acked() {
                prop_assert!(held.iter().all(|(_, record)| *record > kept.record_id));
            }
        }
        pending.acked(Epoch::new(epoch), Seq::new(newest), Seq::new(newest));
        let kept = pending.take_acked();
        prop_assert!(held.is_empty() || kept.is_some_and(|kept| kept.record_id == record));
    }
}
