//! How things look: words, colours, tables, charts, documents. Knows the API's shapes, not where they come from.

pub mod bar;
pub mod chart;
pub mod document;
pub mod paint;
pub mod sheet;
pub mod standing;
pub mod table;
pub mod text;
pub mod versions;
pub mod words;

use jiff::tz::TimeZone;
use serde::Serialize;
use tidemark_model::Timestamp;

use self::paint::Paint;
use self::sheet::Sheet;

/// What there is to draw on.
#[derive(Clone, Debug)]
pub struct Screen {
    /// Columns; `None` without a limit.
    pub width: Option<usize>,
    /// Lines; `None` without a limit.
    pub height: Option<usize>,
    /// Whether there are colours.
    pub paint: Paint,
    /// The reader's time zone.
    pub zone: TimeZone,
    /// The time.
    pub now: Timestamp,
}

/// An answer that can be shown in every format. Its `Serialize` is what JSON and YAML print.
pub trait Report: Serialize {
    /// Whether [`Report::chart`] draws anything.
    const CHART: Chartable = Chartable::Never;

    /// For people.
    fn table(&self, screen: &Screen) -> String;

    /// For spreadsheets.
    fn sheet(&self, screen: &Screen) -> Sheet;

    /// Drawn with characters.
    fn chart(&self, screen: &Screen) -> String {
        self.table(screen)
    }

    /// What the reader must know beside the output, one line each.
    fn notes(&self) -> Vec<String> {
        Vec::new()
    }
}

/// Whether an answer can be drawn.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Chartable {
    /// It is not about numbers over time.
    Never,
    /// On a terminal, unless another format is asked for.
    First,
}
