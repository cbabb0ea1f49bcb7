//! Many rows in one SQLite statement: each call into the driver costs a trip to its thread, which is dearer than a row.
//!
//! Postgres takes arrays (`UNNEST`) instead.

use crate::StoreError;

/// Eight times a row of placeholders, separated by commas.
macro_rules! eight_rows {
    ($row:literal) => {
        concat!(
            $row, ",", $row, ",", $row, ",", $row, ",", $row, ",", $row, ",", $row, ",", $row
        )
    };
}
pub(crate) use eight_rows;

/// 64 times a row of placeholders, separated by commas.
macro_rules! sixty_four_rows {
    ($row:literal) => {
        concat!(
            $crate::batch::eight_rows!($row),
            ",",
            $crate::batch::eight_rows!($row),
            ",",
            $crate::batch::eight_rows!($row),
            ",",
            $crate::batch::eight_rows!($row),
            ",",
            $crate::batch::eight_rows!($row),
            ",",
            $crate::batch::eight_rows!($row),
            ",",
            $crate::batch::eight_rows!($row),
            ",",
            $crate::batch::eight_rows!($row)
        )
    };
}
pub(crate) use sixty_four_rows;

/// One statement for 64, for 8 and for 1 row.
pub(crate) struct BySize {
    pub sixty_four: &'static str,
    pub eight: &'static str,
    pub one: &'static str,
}

impl BySize {
    /// Cuts `rows` into pieces of 64, 8 and 1, each with its statement.
    pub(crate) fn pieces<'r, T>(
        &self,
        rows: &'r [T],
    ) -> impl Iterator<Item = (&'static str, &'r [T])> {
        let of_64 = rows.chunks_exact(64);
        let of_8 = of_64.remainder().chunks_exact(8);
        let of_1 = of_8.remainder().chunks_exact(1);
        of_64
            .map(|piece| (self.sixty_four, piece))
            .chain(of_8.map(|piece| (self.eight, piece)))
            .chain(of_1.map(|piece| (self.one, piece)))
    }
}

/// Refuses a batch of which not every row was written.
pub(crate) fn all_rows(
    rows_affected: u64,
    expected: usize,
    otherwise: StoreError,
) -> Result<(), StoreError> {
    if usize::try_from(rows_affected) == Ok(expected) {
        Ok(())
    } else {
        Err(otherwise)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pieces_hold_every_row_once_and_in_order() {
        let statements = BySize {
            sixty_four: "64",
            eight: "8",
            one: "1",
        };
        for length in [0, 1, 8, 63, 64, 65, 200] {
            let rows: Vec<usize> = (0..length).collect();
            let mut seen = Vec::new();
            for (statement, piece) in statements.pieces(&rows) {
                assert_eq!(statement, piece.len().to_string());
                seen.extend_from_slice(piece);
            }
            assert_eq!(seen, rows);
        }
    }

    #[test]
    fn placeholder_rows_are_counted_right() {
        assert_eq!(sixty_four_rows!("(?)").split(',').count(), 64);
    }
}
