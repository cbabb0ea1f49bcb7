//! The ledger against a map from seq to gap.

use std::collections::BTreeMap;

use proptest::prelude::*;

use super::*;

#[derive(Clone, Debug)]
enum Step {
    Insert(Gap),
    Tell(u64, u64),
    Settle(u64),
}

fn step() -> impl Strategy<Value = Step> {
    let range = (1..60_u64, 0..9_u64).prop_map(|(first, more)| (first, first + more));
    let reason = proptest::sample::select(GapReason::ALL.to_vec());
    prop_oneof![
        4 => (range.clone(), reason, any::<bool>()).prop_map(|((first, last), reason, told)| {
            Step::Insert(Gap { first, last, reason, told })
        }),
        2 => range.prop_map(|(first, last)| Step::Tell(first, last)),
        1 => (0..40_u64).prop_map(Step::Settle),
    ]
}

proptest! {
    #[test]
    fn the_ledger_equals_a_map_of_seqs(steps in proptest::collection::vec(step(), 0..40)) {
        let mut ledger = GapLedger::default();
        let mut model: BTreeMap<u64, (GapReason, bool)> = BTreeMap::new();
        for step in steps {
            match step {
                Step::Insert(gap) => {
                    let before = model.len();
                    for seq in gap.first..=gap.last {
                        model.entry(seq).or_insert((gap.reason, gap.told));
                    }
                    prop_assert_eq!(ledger.insert(gap), (model.len() - before) as u64);
                }
                Step::Tell(first, last) => {
                    ledger.mark_told(first, last);
                    model.range_mut(first..=last).for_each(|(_, gap)| gap.1 = true);
                }
                Step::Settle(through) => {
                    let settled = ledger.settle(through);
                    let rest = model.split_off(&(through + 1));
                    for reason in GapReason::ALL {
                        let told = model.values().filter(|gap| **gap == (reason, true)).count();
                        prop_assert_eq!(settled.get(reason), told as u64);
                    }
                    model = rest;
                }
            }
            let seqs: Vec<_> = ledger
                .iter()
                .flat_map(|gap| (gap.first..=gap.last).map(|seq| (seq, (gap.reason, gap.told))))
                .collect();
            prop_assert_eq!(seqs, model.iter().map(|(seq, gap)| (*seq, *gap)).collect::<Vec<_>>());
            for seq in 0..75 {
                let at = ledger.at(seq).map(|gap| (gap.first, gap.reason, gap.told));
                prop_assert_eq!(at, model.get(&seq).map(|(reason, told)| (seq, *reason, *told)));
            }
        }
    }
}

#[test]
fn more_gaps_than_are_kept_are_joined_from_the_oldest_on() {
    let mut ledger = GapLedger::default();
    for n in 0..=GAPS_MAX as u64 {
        ledger.insert(Gap {
            first: n * 10 + 1,
            last: n * 10 + 1,
            reason: GapReason::Damaged,
            told: false,
        });
    }
    assert_eq!(ledger.iter().len(), GAPS_MAX);
    assert_eq!(ledger.at(1).map(|gap| gap.last), Some(11));
    assert_eq!(ledger.at(21).map(|gap| gap.last), Some(21));
}
