//! What must hold for `segment`.

use proptest::prelude::*;

use super::*;
use crate::compact::merge;
use crate::table::Table;
use crate::tier::roll_up_raw;
use crate::{Bucket, CodecError, EntityNumber, Point, Row, SeriesKey, TableBuilder, Tier, Window};
use tidemark_model::Timestamp;

const DAY: Window = Window::of_ms(0, 86_400_000);

fn key(entity: u32, metric: u16) -> SeriesKey {
    SeriesKey {
        entity: EntityNumber::new(entity),
        metric,
    }
}

fn table_of(rows: &[Row]) -> Table<i64> {
    let mut builder = TableBuilder::with_times(0);
    for row in rows {
        builder.row(row);
    }
    builder.build()
}

/// Rows of a few series that come and go, at irregular times.
fn any_rows() -> impl Strategy<Value = Vec<Row>> {
    let point = (
        1u32..6,
        prop_oneof![0u16..4, Just(u16::MAX)],
        prop_oneof![-3i64..3, any::<i64>()],
    );
    let points = proptest::collection::vec(point, 0..12);
    proptest::collection::vec((0i64..86_400_000, points), 0..60).prop_map(|rows| {
        let row = |(at, points): (i64, Vec<(u32, u16, i64)>)| Row {
            at: Timestamp::from_unix_ms(at),
            points: points
                .into_iter()
                .map(|(entity, metric, value)| Point {
                    key: key(entity, metric),
                    value,
                })
                .collect(),
        };
        rows.into_iter().map(row).collect()
    })
}

fn regular(rows: i64, value: impl Fn(i64) -> i64) -> Table<i64> {
    let row = |index| Row {
        at: Timestamp::from_unix_ms(index * 30_000),
        points: vec![Point {
            key: key(1, 1),
            value: value(index),
        }],
    };
    table_of(&(0..rows).map(row).collect::<Vec<_>>())
}

proptest! {
    #[test]
    fn any_raw_table_survives(rows in any_rows()) {
        let table = table_of(&rows);
        let bytes = encode_segment(Tier::Raw, DAY, &table).unwrap();
        let reader = SegmentReader::open(&bytes).unwrap();
        prop_assert_eq!(reader.window(), DAY);
        prop_assert!(reader.table::<i64>().unwrap() == table);
        for (key, _) in table.series() {
            prop_assert_eq!(reader.points(key).unwrap(), table.points(key).collect::<Vec<_>>());
        }
    }

    #[test]
    fn any_table_of_buckets_survives(rows in any_rows()) {
        for tier in [Tier::FiveMinutes, Tier::Hour] {
            let table = roll_up_raw(&table_of(&rows), tier);
            let bytes = encode_segment(tier, DAY, &table).unwrap();
            let reader = SegmentReader::open(&bytes).unwrap();
            prop_assert_eq!(reader.table::<Bucket>().unwrap(), table);
        }
    }

    #[test]
    fn merging_parts_in_any_cut_gives_the_whole(rows in any_rows(), cuts in proptest::collection::vec(any::<prop::sample::Index>(), 0..4)) {
        let mut cuts: Vec<usize> = cuts.iter().map(|cut| cut.index(rows.len() + 1)).collect();
        cuts.extend([0, rows.len()]);
        cuts.sort_unstable();
        let parts: Vec<Vec<u8>> = cuts
            .windows(2)
            .map(|cut| encode_segment(Tier::Raw, DAY, &table_of(&rows[cut[0]..cut[1]])).unwrap())
            .collect();
        let parts: Vec<&[u8]> = parts.iter().map(Vec::as_slice).collect();
        let merged = merge(Tier::Raw, DAY, &parts).unwrap().bytes;
        let whole = encode_segment(Tier::Raw, DAY, &table_of(&rows)).unwrap();
        prop_assert_eq!(merged, whole);
    }

    #[test]
    fn arbitrary_bytes_are_refused(bytes: Vec<u8>) {
        prop_assert!(SegmentReader::open(&bytes).is_err());
    }

    #[test]
    fn any_damaged_byte_is_noticed(place: prop::sample::Index, bit in 0u8..8) {
        let mut bytes = encode_segment(Tier::Raw, DAY, &regular(40, |index| index * index)).unwrap();
        let place = place.index(bytes.len());
        bytes[place] ^= 1 << bit;
        let read = SegmentReader::open(&bytes).and_then(|reader| reader.table::<i64>());
        // The tier is outside the checksum; a flipped one makes cells of another type.
        prop_assert!(read.is_err(), "byte {}", place);
    }

    #[test]
    fn forged_bytes_with_a_right_checksum_never_panic(
        changes in proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..8),
        noise in any::<bool>(),
    ) {
        let table = regular(300, |index| if noise { index * 7_919 % 251 } else { index });
        let mut bytes = encode_segment(Tier::Raw, DAY, &table).unwrap();
        for (place, byte) in changes {
            let place = 4 + place.index(bytes.len() - 4);
            bytes[place] = byte;
        }
        bytes[4] = VERSION;
        encode::seal(&mut bytes);
        if let Ok(reader) = SegmentReader::open(&bytes) {
            if let Ok(table) = reader.table::<i64>() {
                prop_assert!(table.times().is_sorted_by(|left, right| left < right));
            }
            if let Ok(table) = reader.table::<Bucket>() {
                prop_assert!(table.times().is_sorted_by(|left, right| left < right));
            }
        }
    }
}

#[test]
fn a_series_that_never_changes_costs_a_few_bytes() {
    let one = encode_segment(Tier::Raw, DAY, &regular(240, |_| 16_384)).unwrap();
    assert!(one.len() <= 32, "{} bytes", one.len());
}

#[test]
fn announced_sizes_beyond_the_limits_are_refused_before_memory_is_taken() {
    let mut bytes = encode_segment(Tier::Raw, DAY, &Table::<i64>::default()).unwrap();
    bytes.truncate(HEADER_BYTES);
    crate::varint::put_signed(&mut bytes, 0);
    crate::varint::put(&mut bytes, 1);
    crate::varint::put(&mut bytes, u64::MAX);
    encode::seal(&mut bytes);
    assert!(matches!(
        SegmentReader::open(&bytes),
        Err(CodecError::TooLarge { limit, .. }) if limit == ROWS_MAX as u64
    ));
}

#[test]
fn a_small_segment_that_announces_more_cells_than_fit_in_memory_is_refused() {
    let mut bytes = encode_segment(Tier::Raw, DAY, &Table::<i64>::default()).unwrap();
    bytes.truncate(HEADER_BYTES);
    // Times a millisecond apart; 200 series that are all zero: 800 bytes stand for 52 million cells.
    let times = [0, 0, 2];
    let directory = [2, 0, 0, 0].repeat(200);
    for number in [
        0,
        2,
        ROWS_MAX as u64,
        200,
        times.len() as u64,
        directory.len() as u64,
    ] {
        crate::varint::put(&mut bytes, number);
    }
    bytes.extend(times);
    bytes.extend(directory);
    encode::seal(&mut bytes);
    let reader = SegmentReader::open(&bytes).unwrap();
    assert_eq!(reader.points(key(200, 0)).unwrap().len(), ROWS_MAX);
    assert!(matches!(
        reader.table::<i64>(),
        Err(CodecError::TooLarge {
            limit: CELLS_MAX,
            ..
        })
    ));
}

#[test]
fn the_version_of_a_later_release_is_named() {
    let mut bytes = encode_segment(Tier::Raw, DAY, &Table::<i64>::default()).unwrap();
    bytes[4] = 9;
    let message = SegmentReader::open(&bytes).unwrap_err().to_string();
    assert!(message.contains("format version 9"), "{message}");
}

#[test]
fn the_later_segment_wins_at_one_time() {
    let parts = [regular(3, |_| 1), regular(2, |_| 2)]
        .map(|table| encode_segment(Tier::Raw, DAY, &table).unwrap());
    let merged = merge(Tier::Raw, DAY, &[&parts[0], &parts[1]])
        .unwrap()
        .bytes;
    let points = SegmentReader::open(&merged)
        .unwrap()
        .points(key(1, 1))
        .unwrap();
    assert_eq!(points, [(0, 2), (30_000, 2), (60_000, 1)]);
}

#[test]
fn segments_of_two_tiers_are_not_joined() {
    let bytes = encode_segment(Tier::Raw, DAY, &regular(3, |_| 1)).unwrap();
    let refused = merge(Tier::Hour, DAY, &[&bytes]);
    assert!(matches!(
        refused,
        Err(crate::compact::CompactError::Segment { position: 0, .. })
    ));
}
