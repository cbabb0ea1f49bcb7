//! What must hold for `recent`.

use proptest::prelude::*;

use super::*;

fn row(at: i64, points: &[(u32, u16, i64)]) -> Row {
    Row {
        at: Timestamp::from_unix_ms(at),
        points: points
            .iter()
            .map(|(entity, metric, value)| Point {
                key: SeriesKey {
                    entity: EntityNumber::new(*entity),
                    metric: *metric,
                },
                value: *value,
            })
            .collect(),
    }
}

/// Rows as they come back: by time, points by series, of equal ones the last.
fn normal(rows: &[Row]) -> Vec<Row> {
    let mut by_time =
        std::collections::BTreeMap::<i64, std::collections::BTreeMap<SeriesKey, i64>>::new();
    for row in rows {
        let points = by_time.entry(row.at.unix_ms()).or_default();
        points.extend(row.points.iter().map(|point| (point.key, point.value)));
    }
    let to_row = |(at, points): (i64, std::collections::BTreeMap<SeriesKey, i64>)| Row {
        at: Timestamp::from_unix_ms(at),
        points: points
            .into_iter()
            .map(|(key, value)| Point { key, value })
            .collect(),
    };
    by_time.into_iter().map(to_row).collect()
}

fn any_rows() -> impl Strategy<Value = Vec<Row>> {
    let point = (
        any::<u8>().prop_map(u32::from),
        0u16..5,
        prop_oneof![-9i64..9, any::<i64>()],
    );
    let points = proptest::collection::vec(point, 0..12);
    let at = prop_oneof![0i64..50, any::<i64>()];
    proptest::collection::vec(
        (at, points).prop_map(|(at, points)| row(at, &points)),
        0..20,
    )
}

proptest! {
    #[test]
    fn any_batch_survives(rows in any_rows()) {
        let bytes = encode_recent(&rows).unwrap();
        prop_assert_eq!(decode_recent(&bytes).unwrap(), normal(&rows));
    }

    #[test]
    fn one_sample_survives(rows in any_rows()) {
        for row in rows {
            let rows = [row];
            let bytes = encode_recent(&rows).unwrap();
            prop_assert_eq!(decode_recent(&bytes).unwrap(), normal(&rows));
        }
    }

    #[test]
    fn hostile_bytes_are_an_error(bytes: Vec<u8>) {
        prop_assert!(decode_recent(&bytes).is_err() || bytes.len() > 4);
    }

    #[test]
    fn forged_bytes_with_a_right_checksum_never_panic(mut bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
        bytes.insert(0, VERSION);
        if let Ok(rows) = decode_recent(&sealed(bytes)) {
            prop_assert!(rows.is_sorted_by(|left, right| left.at < right.at));
        }
    }

    #[test]
    fn any_damaged_byte_is_noticed(place: prop::sample::Index, bit in 0u8..8) {
        let mut bytes = encode_recent(&[row(5, &[(1, 1, 5), (1, 2, 7)])]).unwrap();
        let place = place.index(bytes.len());
        bytes[place] ^= 1 << bit;
        prop_assert!(decode_recent(&bytes).is_err());
    }
}

#[test]
fn a_usual_sample_takes_four_bytes_a_point() {
    let points: Vec<(u32, u16, i64)> = (1..16)
        .flat_map(|entity| {
            [
                (entity, 40, 900),
                (entity, 41, 12),
                (entity, 42, 0),
                (entity, 43, 1_200),
            ]
        })
        .collect();
    let bytes = encode_recent(&[row(1_790_000_000_000, &points)]).unwrap();
    assert!(
        bytes.len() <= points.len() * 4 + 20,
        "{} bytes",
        bytes.len()
    );
}
