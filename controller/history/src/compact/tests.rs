//! What must hold for compaction: nothing is lost, doubled or left lying, whenever it comes.

use std::collections::BTreeMap;
use std::time::Duration;

use proptest::prelude::*;
use tidemark_model::{Metric, Timestamp};

use super::*;
use crate::fixture::{Stored, row};
use crate::stored::{RecentMeta, SegmentMeta};
use crate::tier::roll_up_raw;
use crate::{Bucket, Row, SegmentReader, Table, TableBuilder};

const HOUR: i64 = 3_600_000;
const DAY: i64 = 24 * HOUR;
const START: i64 = 20_000 * DAY;

fn at(ms: i64) -> Timestamp {
    Timestamp::from_unix_ms(ms)
}

fn eager() -> CompactPolicy {
    CompactPolicy {
        five_minutes_after: Duration::from_secs(3_600),
        hour_after: Duration::from_secs(3_600),
        ..CompactPolicy::default()
    }
}

fn table_of(rows: &[Row]) -> Table<i64> {
    let mut builder = TableBuilder::with_times(0);
    rows.iter().for_each(|row| builder.row(row));
    builder.build()
}

fn raw_of(stored: &Stored) -> Table<i64> {
    let mut table = Table::default();
    for (meta, bytes) in stored.segments.values() {
        if meta.tier == Tier::Raw {
            table.merge(SegmentReader::open(bytes).unwrap().table().unwrap());
        }
    }
    table
}

fn buckets_of(stored: &Stored, tier: Tier) -> Table<Bucket> {
    let mut table = Table::default();
    for (meta, bytes) in stored.segments.values() {
        if meta.tier == tier {
            table.merge(SegmentReader::open(bytes).unwrap().table().unwrap());
        }
    }
    table
}

fn windows(stored: &Stored, tier: Tier) -> Vec<i64> {
    let metas = stored.metas().into_iter().filter(|meta| meta.tier == tier);
    metas.map(|meta| meta.window.length_ms()).collect()
}

/// Samples every ten minutes with a value that tells them apart.
fn regular(from: i64, to: i64) -> Vec<Row> {
    let times = (from..to).step_by(600_000);
    times
        .map(|time| row(time, Metric::InUse, &[time / 600_000 % 1_000, 7]))
        .collect()
}

/// Rows with when each arrives: most at once, some late, some very late.
fn any_delivery() -> impl Strategy<Value = Vec<(i64, Row)>> {
    let delay = prop_oneof![6 => Just(0), 2 => 0..HOUR, 1 => 0..30 * HOUR];
    let sample = (START..START + 3 * DAY, delay, -50i64..50);
    proptest::collection::vec(sample, 1..150).prop_map(|samples| {
        let arrivals = samples
            .into_iter()
            .map(|(time, delay, value)| (time + delay, row(time, Metric::InUse, &[value])));
        let mut arrivals: Vec<(i64, Row)> = arrivals.collect();
        arrivals.sort_by_key(|(arrives, _)| *arrives);
        arrivals
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn whenever_it_comes_everything_is_kept_once_and_rolled_up(
        delivery in any_delivery(), every in 1usize..40, batch in 1usize..5,
    ) {
        let policy = eager();
        let mut stored = Stored::default();
        for (index, batch) in delivery.chunks(batch).enumerate() {
            let rows: Vec<Row> = batch.iter().map(|(_, row)| row.clone()).collect();
            stored.append(&rows);
            if index % every == 0 {
                let now = batch.last().map_or(START, |(arrives, _)| *arrives);
                stored.compact(&policy, at(now));
            }
        }
        stored.compact(&policy, at(START + 6 * DAY));

        let rows: Vec<Row> = delivery.into_iter().map(|(_, row)| row).collect();
        let expected = table_of(&rows);
        prop_assert!(stored.recent.is_empty());
        prop_assert_eq!(stored.discarded, 0);
        prop_assert!(raw_of(&stored) == expected);
        for tier in [Tier::FiveMinutes, Tier::Hour] {
            prop_assert_eq!(buckets_of(&stored, tier), roll_up_raw(&expected, tier));
        }
        // At most one raw segment a day: two windows never overlap.
        let mut days: Vec<Window> = stored.metas().iter().filter(|meta| meta.tier == Tier::Raw).map(|meta| meta.window).collect();
        days.sort();
        prop_assert!(days.windows(2).all(|pair| pair[0].to <= pair[1].from));
        prop_assert!(days.len() <= 3);
    }

    #[test]
    fn no_two_jobs_of_a_pass_share_a_source(
        rows in proptest::collection::vec((0..5 * DAY, 0..3 * HOUR), 0..40),
        segments in proptest::collection::vec((0i64..60, 0usize..3, prop_oneof![Just(2 * HOUR), Just(DAY), Just(7 * DAY)]), 0..30),
        now in 0..60 * DAY,
    ) {
        let rows: Vec<RecentMeta> = (1000..)
            .zip(rows)
            .map(|(id, (first, length))| RecentMeta { id, first: at(first), last: at(first + length) })
            .collect();
        let segments: Vec<SegmentMeta> = (1..)
            .zip(segments)
            .map(|(id, (window, tier, length))| SegmentMeta {
                id,
                tier: Tier::ALL[tier],
                window: Window::holding(at(window * 2 * HOUR), length),
                bytes: 1_000,
            })
            .collect();
        let policy = eager();
        let mut used = BTreeMap::new();
        for job in plan(&rows, &segments, &policy, policy.retention.cutoffs(at(now), &[]), at(now)) {
            let sources = match &job {
                Job::Compact { recent, segments, .. } => [recent.clone(), segments.clone()].concat(),
                Job::Merge { segments, .. } | Job::Delete { segments } => segments.clone(),
                Job::RollUp { raw, into, .. } => [raw.clone(), into.clone()].concat(),
                Job::Discard { recent } => recent.clone(),
            };
            for id in sources {
                prop_assert_eq!(used.insert(id, job.clone()), None);
            }
        }
    }
}

#[test]
fn the_open_window_waits_and_a_closed_one_becomes_one_segment() {
    let mut stored = Stored::of(&regular(START, START + 90 * 60_000));
    stored.compact(&eager(), at(START + 90 * 60_000));
    assert_eq!(windows(&stored, Tier::Raw), [HOUR]);
    assert_eq!(stored.recent.len(), 3, "of the open hour");
    stored.compact(&eager(), at(START + 2 * HOUR + 600_000));
    assert_eq!(windows(&stored, Tier::Raw), [HOUR; 2]);
    assert!(stored.recent.is_empty());
}

#[test]
fn shorter_and_longer_windows_of_an_older_release_become_days_all_the_same() {
    let older = |window| CompactPolicy { window, ..eager() };
    let rows = regular(START, START + DAY);
    let mut stored = Stored::of(&rows[..30]);
    stored.compact(&older(Duration::from_secs(7_200)), at(START + 5 * HOUR));
    assert!(windows(&stored, Tier::Raw).contains(&(2 * HOUR)));
    stored.append(&rows[30..]);
    stored.compact(&eager(), at(START + 9 * HOUR));
    assert!(windows(&stored, Tier::Raw).contains(&HOUR));
    stored.compact(&eager(), at(START + 2 * DAY));
    assert_eq!(windows(&stored, Tier::Raw), [DAY]);
    assert_eq!(raw_of(&stored), table_of(&rows));
}

#[test]
fn a_late_sample_joins_the_day_that_is_there() {
    let mut stored = Stored::of(&regular(START, START + DAY));
    stored.compact(&eager(), at(START + 5 * HOUR));
    assert!(windows(&stored, Tier::Raw).contains(&HOUR));
    stored.compact(&eager(), at(START + DAY + HOUR));
    assert_eq!(windows(&stored, Tier::Raw), [DAY]);
    let late = row(START + 5 * HOUR + 1, Metric::InUse, &[123_456]);
    stored.append(std::slice::from_ref(&late));
    stored.compact(&eager(), at(START + 2 * DAY));
    assert_eq!(windows(&stored, Tier::Raw), [DAY]);
    let mut rows = regular(START, START + DAY);
    rows.push(late);
    assert_eq!(raw_of(&stored), table_of(&rows));
    assert_eq!(
        buckets_of(&stored, Tier::Hour),
        roll_up_raw(&table_of(&rows), Tier::Hour)
    );
}

#[test]
fn a_late_sample_reaches_the_tiers_of_a_week_that_was_joined() {
    let policy = eager();
    let rows = regular(START, START + 9 * DAY);
    let mut stored = Stored::of(&rows);
    stored.compact(&policy, at(START + 12 * DAY));
    assert!(windows(&stored, Tier::FiveMinutes).contains(&(7 * DAY)));
    let late = row(START + 3 * DAY + 1, Metric::InUse, &[99_999]);
    stored.append(std::slice::from_ref(&late));
    stored.compact(&policy, at(START + 12 * DAY));
    let expected = table_of(&[rows, vec![late]].concat());
    for tier in [Tier::FiveMinutes, Tier::Hour] {
        assert_eq!(buckets_of(&stored, tier), roll_up_raw(&expected, tier));
    }
}

#[test]
fn each_tier_ends_at_its_age_and_not_before_it_is_rolled_up() {
    // The default policy rolls up late; retention must wait for it.
    let policy = CompactPolicy::default();
    let rows = regular(START, START + 2 * DAY);
    let expected = table_of(&rows);
    let mut stored = Stored::of(&rows);
    stored.compact(&policy, at(START + 3 * DAY));
    assert!(
        windows(&stored, Tier::FiveMinutes).is_empty(),
        "raw points answer a week long"
    );
    stored.compact(&policy, at(START + 17 * DAY));
    assert!(windows(&stored, Tier::Raw).is_empty());
    assert_eq!(
        buckets_of(&stored, Tier::FiveMinutes),
        roll_up_raw(&expected, Tier::FiveMinutes)
    );
    stored.compact(&policy, at(START + 110 * DAY));
    assert!(windows(&stored, Tier::FiveMinutes).is_empty());
    assert_eq!(
        buckets_of(&stored, Tier::Hour),
        roll_up_raw(&expected, Tier::Hour)
    );
    stored.compact(&policy, at(START + 800 * DAY));
    assert!(stored.segments.is_empty());
}

#[test]
fn what_comes_after_its_raw_points_have_gone_is_discarded_and_counted() {
    let policy = CompactPolicy::default();
    let mut stored = Stored::of(&regular(START, START + HOUR));
    stored.compact(&policy, at(START + 3 * DAY));
    stored.compact(&policy, at(START + 20 * DAY));
    let whole = buckets_of(&stored, Tier::Hour);
    stored.append(&regular(START + 1, START + HOUR));
    stored.compact(&policy, at(START + 20 * DAY));
    assert!(stored.recent.is_empty());
    assert_eq!(stored.discarded, 6);
    assert_eq!(buckets_of(&stored, Tier::Hour), whole);
}

#[test]
fn what_waited_through_a_long_outage_of_the_controller_is_rolled_up_all_the_same() {
    let policy = CompactPolicy::default();
    let rows = regular(START, START + 2 * DAY);
    let mut stored = Stored::of(&rows);
    stored.compact(&policy, at(START + 40 * DAY));
    assert_eq!(stored.discarded, 0);
    assert!(windows(&stored, Tier::Raw).is_empty());
    for tier in [Tier::FiveMinutes, Tier::Hour] {
        assert_eq!(
            buckets_of(&stored, tier),
            roll_up_raw(&table_of(&rows), tier)
        );
    }
}

#[test]
fn what_is_left_of_a_day_does_not_replace_its_buckets() {
    let policy = eager();
    let rows = regular(START, START + DAY);
    let mut stored = Stored::of(&rows);
    stored.compact(&policy, at(START + 3 * DAY));
    let whole = buckets_of(&stored, Tier::Hour);
    // Retention by bytes has taken the raw day; a straggler of that day comes when there is room again.
    stored
        .segments
        .retain(|_, (meta, _)| meta.tier != Tier::Raw);
    stored.append(&[row(START + HOUR + 1, Metric::InUse, &[5])]);
    stored.compact(&policy, at(START + 3 * DAY));
    assert_eq!(buckets_of(&stored, Tier::Hour), whole);
}

#[test]
fn a_day_of_more_bytes_than_a_job_may_hold_stays_in_windows() {
    let policy = CompactPolicy {
        merge_bytes_max: 100,
        day_rows_max: 10,
        ..eager()
    };
    let rows = regular(START, START + DAY);
    let mut stored = Stored::of(&rows);
    stored.compact(&policy, at(START + 3 * DAY));
    assert_eq!(windows(&stored, Tier::Raw), [HOUR; 24]);
    assert_eq!(
        buckets_of(&stored, Tier::Hour),
        roll_up_raw(&table_of(&rows), Tier::Hour)
    );
}

#[test]
fn bytes_end_a_tier_before_its_age_oldest_day_first() {
    let day = |number: i64, bytes| DayBytes {
        tier: Tier::Raw,
        until: at(START + number * DAY),
        bytes,
    };
    let retention = Retention {
        raw_bytes_max: Some(250),
        ..Retention::default()
    };
    let days = [day(1, 100), day(3, 100), day(2, 100)];
    assert_eq!(
        retention.cutoffs(at(START + 3 * DAY), &days).raw,
        at(START + DAY)
    );
    let roomy = Retention {
        raw_bytes_max: Some(300),
        ..retention
    };
    assert_eq!(
        roomy.cutoffs(at(START + 3 * DAY), &days).raw,
        at(START - 11 * DAY)
    );
}

#[test]
fn what_is_left_of_a_batch_outside_the_window_says_what_it_holds() {
    let batch = crate::encode_recent(&regular(START, START + 2 * HOUR)).unwrap();
    let compacted = compact_window(Window::holding(at(START), HOUR), &[&batch], &[]).unwrap();
    assert_eq!(compacted.segment.unwrap().cells, 12);
    let left = compacted.leftover.unwrap();
    assert_eq!((left.first, left.points), (at(START + HOUR), 12));
}

#[test]
fn a_damaged_source_is_named() {
    let good = crate::encode_recent(&regular(START, START + HOUR)).unwrap();
    let mut bad = good.clone();
    bad[3] ^= 1;
    let window = Window::holding(at(START), 2 * HOUR);
    let refused = compact_window(window, &[&good, &bad], &[]);
    assert!(matches!(
        refused,
        Err(CompactError::Recent { position: 1, .. })
    ));
    let segment = compact_window(window, &[&good], &[])
        .unwrap()
        .segment
        .unwrap();
    let refused = roll_up(Tier::Hour, window, &[&segment.bytes], &[&bad]);
    assert!(matches!(
        refused,
        Err(CompactError::Segment { position: 1, .. })
    ));
}

#[test]
fn a_policy_that_cannot_be_kept_is_refused_with_the_remedy() {
    let mut policy = CompactPolicy::default();
    assert_eq!(policy.check(), Ok(()));
    policy.retention.raw = Duration::from_secs(3_600);
    assert!(policy.check().unwrap_err().to_string().contains("48 h"));
    policy.retention.raw = Duration::from_secs(86_400 * 100);
    assert!(policy.check().unwrap_err().to_string().contains("5m"));
    policy = CompactPolicy::default();
    policy.window = Duration::from_secs(5 * 3_600);
    assert!(
        policy
            .check()
            .unwrap_err()
            .to_string()
            .contains("does not divide a day")
    );
}
