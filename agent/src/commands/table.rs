//! Plain aligned text for terminals.

use std::fmt::Write as _;
use std::time::Duration;

use tidemark_model::Timestamp;
use tidemark_model::duration::format_duration;

use crate::link::failure::shown;

/// Rows of cells; the first column is aligned left, the others right.
#[derive(Debug, Default)]
pub(super) struct Table {
    rows: Vec<Vec<String>>,
}

impl Table {
    pub(super) fn new(header: &[&str]) -> Self {
        let mut table = Self::default();
        table.row(header.iter().map(|cell| (*cell).to_owned()));
        table
    }

    /// Adds a row; control characters become spaces, because names are other people's text.
    pub(super) fn row(&mut self, cells: impl IntoIterator<Item = String>) {
        self.rows
            .push(cells.into_iter().map(|cell| shown(&cell)).collect());
    }

    pub(super) fn is_empty(&self) -> bool {
        self.rows.len() < 2
    }

    /// The rows, each after `indent` spaces.
    pub(super) fn render(&self, indent: usize) -> String {
        let width_of = |cell: &String| cell.chars().count();
        let columns = self.rows.iter().map(Vec::len).max().unwrap_or(0);
        let widths: Vec<usize> = (0..columns)
            .map(|column| {
                let cells = self.rows.iter().filter_map(|row| row.get(column));
                cells.map(width_of).max().unwrap_or(0)
            })
            .collect();
        let mut text = String::new();
        for row in &self.rows {
            let mut line = " ".repeat(indent);
            for (column, (cell, width)) in row.iter().zip(&widths).enumerate() {
                // Writing to a String cannot fail.
                if column == 0 {
                    write!(line, "{cell:<width$}").ok();
                } else {
                    write!(line, "  {cell:>width$}").ok();
                }
            }
            text.push_str(line.trim_end());
            text.push('\n');
        }
        text
    }
}

/// `1,204`.
pub(super) fn grouped(number: impl Into<u64>) -> String {
    let digits = number.into().to_string();
    let mut text = String::new();
    for (position, digit) in digits.chars().enumerate() {
        if position > 0 && (digits.len() - position).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// `?` where something is unknown.
pub(super) fn known<T: ToString>(value: Option<T>) -> String {
    value.map_or_else(|| "?".to_owned(), |value| value.to_string())
}

/// `12s ago`, or `in 3h` for what is to come.
pub(super) fn relative(at: Timestamp, now: Timestamp) -> String {
    let ms = now.ms_since(at);
    let text = format_duration(Duration::from_millis(ms.unsigned_abs()));
    if ms >= 0 {
        format!("{text} ago")
    } else {
        format!("in {text}")
    }
}

/// `12 KiB`.
pub(super) fn bytes(size: u64) -> String {
    match size {
        0..1_024 => format!("{size} B"),
        1_024..1_048_576 => format!("{} KiB", size / 1_024),
        1_048_576.. => format!("{} MiB", size / 1_048_576),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_aligned_and_hostile_names_are_harmless() {
        let mut table = Table::new(&["process", "ports"]);
        table.row(["a\u{1b}[31mb".to_owned(), "5".to_owned()]);
        assert_eq!(table.render(2), "  process  ports\n  a [31mb      5\n");
    }

    #[test]
    fn numbers_and_times_are_for_people() {
        assert_eq!(grouped(1_234_567_u32), "1,234,567");
        assert_eq!(grouped(12_u8), "12");
        let now = Timestamp::from_unix_ms(100_000);
        assert_eq!(relative(Timestamp::from_unix_ms(88_000), now), "12s ago");
        assert_eq!(relative(Timestamp::from_unix_ms(103_000), now), "in 3s");
        assert_eq!(bytes(2_097_152), "2 MiB");
    }
}
