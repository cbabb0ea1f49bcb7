//! The drawing surface: cells of 2 x 4 braille dots, each with one ink, and labels over them.

use crate::render::paint::{Paint, Tone};

/// What a cell is drawn with; the later one wins a cell, dots of the same ink add up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ink {
    /// The shade of a forecast.
    Fan,
    /// Its median.
    Median,
    /// The line of that position.
    Line(usize),
    /// A level across the chart.
    Rule,
    /// A mark of time.
    Mark,
}

#[derive(Clone, Copy, Debug, Default)]
struct Cell {
    dots: u8,
    glyph: Option<char>,
    ink: Option<Ink>,
}

/// The surface.
#[derive(Debug)]
pub struct Grid {
    columns: usize,
    cells: Vec<Cell>,
}

/// Bits of the braille pattern U+2800 by row and column of a cell (Unicode, chapter 21).
const BITS: [[u8; 2]; 4] = [[0x01, 0x08], [0x02, 0x10], [0x04, 0x20], [0x40, 0x80]];

impl Grid {
    /// An empty surface of this many cells.
    pub fn new(columns: usize, rows: usize) -> Self {
        Self {
            columns,
            cells: vec![Cell::default(); columns * rows],
        }
    }

    /// Dots from left to right.
    pub const fn dot_columns(&self) -> usize {
        self.columns * 2
    }

    fn cell(&mut self, column: usize, row: usize) -> Option<&mut Cell> {
        if column >= self.columns {
            return None;
        }
        self.cells.get_mut(row * self.columns + column)
    }

    /// Sets a dot; outside the surface nothing happens. The shade of a forecast stays under everything else.
    pub fn dot(&mut self, dot_column: usize, dot_row: usize, ink: Ink) {
        let bit = BITS
            .get(dot_row % 4)
            .and_then(|bits| bits.get(dot_column % 2))
            .copied()
            .unwrap_or(0);
        if let Some(cell) = self.cell(dot_column / 2, dot_row / 4) {
            if cell.ink != Some(ink) {
                if ink == Ink::Fan && cell.ink.is_some() {
                    return;
                }
                *cell = Cell {
                    dots: 0,
                    glyph: None,
                    ink: Some(ink),
                };
            }
            cell.dots |= bit;
        }
    }

    /// Draws a straight line between two dots (Bresenham).
    pub fn segment(&mut self, from: (usize, usize), to: (usize, usize), ink: Ink) {
        let signed = |(column, row): (usize, usize)| (column.cast_signed(), row.cast_signed());
        let ((mut column, mut row), (end_column, end_row)) = (signed(from), signed(to));
        let (width, height) = ((end_column - column).abs(), -(end_row - row).abs());
        let (column_step, row_step) = ((end_column - column).signum(), (end_row - row).signum());
        let mut error = width + height;
        loop {
            self.dot(column.cast_unsigned(), row.cast_unsigned(), ink);
            if column == end_column && row == end_row {
                return;
            }
            let doubled = 2 * error;
            if doubled >= height {
                error += height;
                column += column_step;
            }
            if doubled <= width {
                error += width;
                row += row_step;
            }
        }
    }

    /// Draws `glyph` across a row wherever nothing is.
    pub fn rule(&mut self, row: usize, glyph: char, ink: Ink) {
        for column in 0..self.columns {
            self.under(column, row, glyph, ink);
        }
    }

    /// Draws `glyph` down a column wherever nothing is.
    pub fn upright(&mut self, column: usize, glyph: char, ink: Ink) {
        for row in 0..self.cells.len() / self.columns.max(1) {
            self.under(column, row, glyph, ink);
        }
    }

    fn under(&mut self, column: usize, row: usize, glyph: char, ink: Ink) {
        if let Some(cell) = self.cell(column, row).filter(|cell| cell.ink.is_none()) {
            *cell = Cell {
                dots: 0,
                glyph: Some(glyph),
                ink: Some(ink),
            };
        }
    }

    /// Writes `text`, one character a cell, over what is there; a line that it would hide keeps its cells.
    pub fn label(&mut self, row: usize, column: usize, text: &str, ink: Ink) {
        for (offset, glyph) in text.chars().enumerate() {
            let own = ink == Ink::Rule;
            let free = |cell: &&mut Cell| {
                !own || matches!(cell.ink, None | Some(Ink::Rule | Ink::Fan | Ink::Mark))
            };
            if let Some(cell) = self.cell(column + offset, row).filter(free) {
                *cell = Cell {
                    dots: 0,
                    glyph: Some(glyph),
                    ink: Some(ink),
                };
            }
        }
    }

    /// The rows as text, in the colours that `tone` gives.
    pub fn rows(&self, paint: Paint, tone: impl Fn(Ink) -> Tone) -> impl Iterator<Item = String> {
        self.cells.chunks(self.columns.max(1)).map(move |cells| {
            let mut text = String::new();
            for run in cells.chunk_by(|left, right| left.ink == right.ink) {
                let glyphs: String = run.iter().map(Cell::character).collect();
                match run.first().and_then(|cell| cell.ink) {
                    Some(ink) => text.push_str(&paint.apply(tone(ink), &glyphs)),
                    None => text.push_str(&glyphs),
                }
            }
            text
        })
    }
}

impl Cell {
    fn character(&self) -> char {
        match (self.glyph, self.dots) {
            (Some(glyph), _) => glyph,
            (None, 0) => ' ',
            (None, dots) => char::from_u32(0x2800 + u32::from(dots)).unwrap_or(' '),
        }
    }
}
