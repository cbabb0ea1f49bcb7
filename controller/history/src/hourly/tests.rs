//! What must hold for `host_hourly`.

use tidemark_model::Protocol;

use super::*;
use crate::{Point, Row, SeriesKey, TableBuilder};

const SPACE: EntityNumber = EntityNumber::new(3);

fn table(samples: &[(i64, &[(Metric, i64)])]) -> Table<i64> {
    let mut builder = TableBuilder::with_times(0);
    for (at, values) in samples {
        let points = values.iter().map(|(metric, value)| Point {
            key: SeriesKey::new(SPACE, *metric),
            value: *value,
        });
        builder.row(&Row {
            at: Timestamp::from_unix_ms(*at),
            points: points.collect(),
        });
    }
    builder.build()
}

#[test]
fn an_hour_says_how_its_ports_were_used() {
    let known = |in_use: i64, strong| {
        [
            (Metric::Capacity, 16_384),
            (Metric::InUse, in_use),
            (Metric::Strong, strong),
            (Metric::TimeWait, in_use - strong),
        ]
    };
    let (first, second, next) = (known(100, 60), known(300, 100), known(50, 50));
    let peak = [
        &second[..],
        &[(Metric::InUseMin, 20), (Metric::InUseMax, 900)],
    ]
    .concat();
    let table = table(&[(0, &first), (30_000, &peak), (3_600_000, &next)]);
    let entity = Entity::PortSpace(PortSpaceKey::own(Protocol::Tcp));
    let rows = hourly_rows(&table, |number| (number == SPACE).then_some(&entity));
    assert_eq!(rows.len(), 2);
    let hour = &rows[0];
    assert_eq!(hour.hour, Timestamp::EPOCH);
    assert_eq!((hour.samples, hour.capacity), (2, 16_384));
    assert_eq!(
        (hour.in_use_min, hour.in_use_max, hour.in_use_last),
        (20, 900, 300)
    );
    assert!((hour.in_use_avg - 200.0).abs() < f64::EPSILON);
    assert_eq!(
        (hour.strong_max, hour.time_wait_max, hour.bound_max),
        (100, 200, None)
    );
    assert_eq!(rows[1].in_use_last, 50);
}

#[test]
fn what_is_no_port_space_or_has_no_counts_makes_no_row() {
    let table = table(&[(0, &[(Metric::InUse, 1)])]);
    assert_eq!(hourly_rows(&table, |_| Some(&Entity::Host)), []);
    let entity = Entity::PortSpace(PortSpaceKey::own(Protocol::Tcp));
    assert_eq!(hourly_rows(&table, |_| Some(&entity)), []);
}
