//! What must hold for `table`.

use std::collections::BTreeMap as Map;

use proptest::prelude::*;

use super::*;
use crate::EntityNumber;

type Cell = (i64, u32, i64);

fn key(entity: u32) -> SeriesKey {
    SeriesKey {
        entity: EntityNumber::new(entity),
        metric: 1,
    }
}

fn table(cells: &[Cell]) -> Table<i64> {
    let mut builder = TableBuilder::with_times(0);
    for (at, entity, value) in cells {
        let at = Timestamp::from_unix_ms(*at);
        builder.time(at);
        builder.cell(key(*entity), *value);
    }
    builder.build()
}

fn contents(table: &Table<i64>) -> Map<(i64, SeriesKey), i64> {
    let cells = table.series().flat_map(|(key, cells)| {
        table
            .cells_at(cells)
            .map(move |(at, value)| ((at, key), value))
    });
    cells.collect()
}

fn any_cells() -> impl Strategy<Value = Vec<Cell>> {
    proptest::collection::vec((-20i64..20, 1u32..4, any::<i64>()), 0..40)
}

proptest! {
    #[test]
    fn the_last_cell_of_a_series_and_time_counts(cells in any_cells()) {
        let expected: Map<_, _> = cells.iter().map(|(at, entity, value)| ((*at, key(*entity)), *value)).collect();
        prop_assert_eq!(contents(&table(&cells)), expected);
    }

    #[test]
    fn merging_is_the_same_as_building_from_both(older in any_cells(), newer in any_cells()) {
        let mut merged = table(&older);
        merged.merge(table(&newer));
        let both: Vec<Cell> = older.into_iter().chain(newer).collect();
        prop_assert_eq!(merged, table(&both));
    }

    #[test]
    fn splitting_loses_nothing(cells in any_cells(), from in -25i64..25, length in 1i64..30) {
        let window = Window::of_ms(from, from + length);
        let whole = table(&cells);
        let mut rest = whole.clone();
        let inside = rest.split_off(window);
        prop_assert!(inside.times().iter().all(|at| window.contains(Timestamp::from_unix_ms(*at))));
        prop_assert!(!rest.times().iter().any(|at| window.contains(Timestamp::from_unix_ms(*at))));
        rest.merge(inside);
        prop_assert_eq!(rest, whole);
    }
}

#[test]
fn a_series_without_cells_is_none() {
    let mut builder = TableBuilder::<i64>::with_times(2);
    builder.time(Timestamp::from_unix_ms(1));
    builder.cells(key(1));
    builder.cell(key(2), 7);
    let table = builder.build();
    assert_eq!(table.times(), [1]);
    let keys: Vec<SeriesKey> = table.series().map(|(key, _)| key).collect();
    assert_eq!(keys, [key(2)]);
}
