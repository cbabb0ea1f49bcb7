//! Plain columns: a heading, one line for each row, nothing drawn around them, so that `grep` and `awk` work.

use comfy_table::{Attribute, Color, ContentArrangement, presets};

use super::Screen;
use super::paint::{Paint, Tone};
use super::text::visible;

/// Where a column's text stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Align {
    /// Words.
    Left,
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

    /// Draws it, each row on one line; what does not fit the screen's width is cut at `…`.
    pub fn draw(&self, screen: &Screen) -> String {
        let mut table = comfy_table::Table::new();
        table.load_style(presets::NOTHING).force_no_tty();
        table.style_text_only();
        if screen.paint == Paint::Colours {
            table.enforce_styling();
        }
        table.set_header(
            self.columns
                .iter()
                .map(|(name, _)| comfy_table::Cell::new(name).add_attribute(Attribute::Bold)),
        );
        for cells in &self.rows {
            let mut row = comfy_table::Row::from(cells.iter().map(styled).collect::<Vec<_>>());
            row.max_height(1);
            table.add_row(row);
        }
        for (column, (_, align)) in table.column_iter_mut().zip(&self.columns) {
            column.set_padding((0, 2));
            column.set_cell_alignment(match align {
                Align::Left => comfy_table::CellAlignment::Left,
                Align::Right => comfy_table::CellAlignment::Right,
            });
        }
        if let Some(width) = screen.width {
            table.set_content_arrangement(ContentArrangement::Dynamic);
            table.set_width(u16::try_from(width).unwrap_or(u16::MAX));
        }
        let mut text: String = table
            .lines()
            .flat_map(|line| [line.trim_end().to_owned(), "\n".to_owned()])
            .collect();
        text.truncate(text.trim_end_matches('\n').len());
        text.push('\n');
        text
    }
}

fn styled(cell: &Cell) -> comfy_table::Cell {
    let styled = comfy_table::Cell::new(&cell.text);
    match cell.tone.palette_index() {
        Some(index) => styled.fg(Color::AnsiValue(index)),
        None => styled,
    }
}
