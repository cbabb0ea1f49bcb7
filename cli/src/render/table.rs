//! Plain columns: a heading, one line for each row, nothing drawn around them, so that `grep` and `awk` work.

use super::Screen;
use super::paint::{Paint, Tone};
use super::text::{cut, visible, width};

/// Where a column's text stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Align {
    /// Words, which are cut where there is no room.
    Left,
    /// Words of which a part would mislead: never cut.
    Whole,
    /// Numbers.
    Right,
}

/// One cell: text made visible, and what its colour says.
#[derive(Clone, Debug)]
pub struct Cell {
    text: String,
    tone: Tone,
}

impl Cell {
    /// A cell with a meaning; `text` may be hostile.
    pub fn toned(text: impl AsRef<str>, tone: Tone) -> Self {
        Self {
            text: visible(text.as_ref()),
            tone,
        }
    }
}

impl From<String> for Cell {
    fn from(text: String) -> Self {
        Self::toned(text, Tone::Plain)
    }
}

impl From<&str> for Cell {
    fn from(text: &str) -> Self {
        Self::toned(text, Tone::Plain)
    }
}

impl From<u32> for Cell {
    fn from(number: u32) -> Self {
        Self::toned(number.to_string(), Tone::Plain)
    }
}

impl From<u64> for Cell {
    fn from(number: u64) -> Self {
        Self::toned(number.to_string(), Tone::Plain)
    }
}

/// Unknown is shown as `?`, never as zero.
impl<T: Into<Self>> From<Option<T>> for Cell {
    fn from(known: Option<T>) -> Self {
        known.map_or_else(|| Self::toned("?", Tone::Muted), Into::into)
    }
}

/// Rows under a heading.
#[derive(Debug)]
pub struct Table {
    columns: Vec<(String, Align)>,
    rows: Vec<Vec<Cell>>,
}

impl Table {
    /// A table of these columns.
    pub fn new(columns: &[(&str, Align)]) -> Self {
        Self {
            columns: columns
                .iter()
                .map(|(name, align)| (visible(name), *align))
                .collect(),
            rows: Vec::new(),
        }
    }

    /// Adds a row with a cell for each column.
    pub fn row(&mut self, cells: impl IntoIterator<Item = Cell>) {
        self.rows.push(cells.into_iter().collect());
    }

    /// Draws it, each row on one line. Where the screen is too narrow the widest words and headings are cut at `…`, and
    /// then whole columns are left out from the right; numbers are never cut.
    pub fn draw(&self, screen: &Screen) -> String {
        let widths = self.widths(screen.width.unwrap_or(usize::MAX));
        let heading = self.columns.iter().map(|(name, _)| Cell {
            text: name.clone(),
            tone: Tone::Plain,
        });
        let mut text = screen.paint.bold(&self.line(
            heading.collect::<Vec<_>>().as_slice(),
            &widths,
            Paint::Plain,
        ));
        text.push('\n');
        for row in &self.rows {
            text.push_str(&self.line(row, &widths, screen.paint));
            text.push('\n');
        }
        text
    }

    fn line(&self, cells: &[Cell], widths: &[usize], paint: Paint) -> String {
        let mut line = String::new();
        let mut owed = 0;
        for ((cell, columns), (_, align)) in cells.iter().zip(widths).zip(&self.columns) {
            let text = cut(&cell.text, *columns);
            let spare = columns.saturating_sub(width(&text));
            let (before, after) = match align {
                Align::Left | Align::Whole => (0, spare),
                Align::Right => (spare, 0),
            };
            // Spaces are written only when something follows them.
            if !text.is_empty() {
                line.extend(std::iter::repeat_n(' ', owed + before));
                line.push_str(&paint.apply(cell.tone, &text));
                owed = 0;
            }
            owed += after + GAP + if text.is_empty() { before } else { 0 };
        }
        line
    }

    /// Columns of the screen for each column of the table, as many as fit.
    fn widths(&self, screen_columns: usize) -> Vec<usize> {
        let (mut widths, least): (Vec<usize>, Vec<usize>) = self
            .columns
            .iter()
            .enumerate()
            .map(|(position, (name, align))| {
                let cells = self.rows.iter().filter_map(|row| row.get(position));
                let data = cells.map(|cell| width(&cell.text)).max().unwrap_or(0);
                let natural = data.max(width(name));
                let least = match align {
                    Align::Left => natural.min(LEAST),
                    Align::Whole | Align::Right => data.max(4).min(natural),
                };
                (natural, least)
            })
            .unzip();
        let total =
            |widths: &[usize]| widths.iter().sum::<usize>() + GAP * widths.len().saturating_sub(1);
        while total(&widths) > screen_columns {
            let cuttable =
                (0..widths.len()).filter(|position| widths.get(*position) > least.get(*position));
            match cuttable.max_by_key(|position| widths.get(*position).copied()) {
                Some(position) => widths
                    .iter_mut()
                    .skip(position)
                    .take(1)
                    .for_each(|width| *width -= 1),
                None if widths.len() > 1 => widths.truncate(widths.len() - 1),
                None => break,
            }
        }
        widths
    }
}

/// Spaces between columns.
const GAP: usize = 2;

/// Columns that words keep when they are cut.
const LEAST: usize = 8;

#[cfg(test)]
mod tests {
    use jiff::tz::TimeZone;
    use tidemark_model::Timestamp;

    use super::*;

    fn drawn(columns: Option<usize>, paint: Paint) -> String {
        let mut table = Table::new(&[
            ("NAME", Align::Left),
            ("IN USE", Align::Right),
            ("CULPRIT", Align::Left),
        ]);
        table.row([
            "日本語のホスト名".into(),
            20_840_u32.into(),
            Cell::toned("mailer of the north", Tone::Bad),
        ]);
        table.row(["a".into(), None::<u32>.into(), "".into()]);
        let screen = Screen {
            width: columns,
            height: None,
            paint,
            zone: TimeZone::UTC,
            now: Timestamp::from_unix_ms(0),
        };
        table.draw(&screen)
    }

    #[test]
    fn columns_are_aligned_by_what_the_eye_sees() {
        insta::assert_snapshot!(drawn(None, Paint::Plain), @r"
        NAME              IN USE  CULPRIT
        日本語のホスト名   20840  mailer of the north
        a                      ?
        ");
    }

    #[test]
    fn a_narrow_screen_cuts_words_and_never_numbers() {
        for columns in 1..60 {
            let text = drawn(Some(columns), Paint::Plain);
            assert_eq!(text.lines().count(), 3, "{text}");
            assert!(
                text.lines().all(|line| width(line) <= columns.max(LEAST)),
                "{columns}: {text}"
            );
            assert!(columns < 17 || text.contains("20840"), "{columns}: {text}");
        }
    }

    #[test]
    fn colours_do_not_count_as_columns() {
        let text = drawn(None, Paint::Colours);
        assert!(
            text.contains("\u{1b}[38;5;166mmailer of the north\u{1b}[39m"),
            "{text:?}"
        );
    }
}
