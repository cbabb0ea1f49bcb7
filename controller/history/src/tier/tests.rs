//! What must hold for `tier`.

use proptest::prelude::*;

use super::*;
use crate::{EntityNumber, SeriesKey, TableBuilder};
use tidemark_model::Timestamp;

const KEY: SeriesKey = SeriesKey {
    entity: EntityNumber::new(1),
    metric: 2,
};

fn table(points: &[(i64, i64)]) -> Table<i64> {
    let mut builder = TableBuilder::with_times(0);
    for (at, value) in points {
        let at = Timestamp::from_unix_ms(*at);
        builder.time(at);
        builder.cell(KEY, *value);
    }
    builder.build()
}

proptest! {
    #[test]
    fn hours_of_five_minutes_are_hours_of_raw_points(
        points in proptest::collection::vec((-9_000_000i64..9_000_000, any::<i64>()), 0..200),
    ) {
        let raw = table(&points);
        let five = roll_up_raw(&raw, Tier::FiveMinutes);
        prop_assert_eq!(roll_up_buckets(&five, Tier::Hour), roll_up_raw(&raw, Tier::Hour));
    }

    #[test]
    fn a_bucket_says_what_its_points_say(values in proptest::collection::vec(any::<i64>(), 1..100)) {
        let points: Vec<(i64, i64)> = (0..).zip(values.iter().copied()).collect();
        let rolled = roll_up_raw(&table(&points), Tier::Hour);
        let (start, bucket) = rolled.points(KEY).next().unwrap();
        prop_assert_eq!(start, 0);
        prop_assert_eq!(bucket.min, *values.iter().min().unwrap());
        prop_assert_eq!(bucket.max, *values.iter().max().unwrap());
        prop_assert_eq!(bucket.last, *values.last().unwrap());
        prop_assert_eq!(bucket.count, values.len() as u64);
        prop_assert_eq!(bucket.sum, values.iter().map(|value| i128::from(*value)).sum::<i128>());
    }
}

#[test]
fn buckets_start_on_their_tier_before_the_epoch_as_well() {
    let rolled = roll_up_raw(&table(&[(-1, 5), (0, 6), (299_999, 7)]), Tier::FiveMinutes);
    assert_eq!(rolled.times(), [-300_000, 0]);
    assert_eq!(
        rolled
            .points(KEY)
            .map(|(_, bucket)| bucket.last)
            .collect::<Vec<_>>(),
        [5, 7]
    );
}
