//! Colours by meaning, from the Okabe-Ito palette (<https://jfly.uni-koeln.de/color/>), which colour-blind people can
//! tell apart. A colour never stands alone: a word or a shape says the same.

use crossterm::style::{Color, Stylize as _};

/// Whether there are colours.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Paint {
    /// Escape sequences are written.
    Colours,
    /// Text alone.
    Plain,
}

/// What a colour says.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Tone {
    /// Nothing.
    #[default]
    Plain,
    /// As it should be.
    Good,
    /// Worth watching.
    Watch,
    /// Needs attention.
    Bad,
    /// Of less weight, or unknown.
    Muted,
    /// Leads the eye: headings, marks.
    Accent,
    /// The series of that position.
    Series(usize),
}

/// The 256-colour neighbours of sky blue, orange, bluish green, reddish purple, yellow, blue and vermillion.
const SERIES: [u8; 7] = [74, 214, 36, 175, 227, 25, 166];

impl Tone {
    /// Its place in the 256-colour palette, which every colour terminal has; `None` leaves the terminal's own.
    pub fn palette_index(self) -> Option<u8> {
        match self {
            Self::Plain => None,
            Self::Good => Some(36),
            Self::Watch => Some(214),
            Self::Bad => Some(166),
            Self::Muted => Some(244),
            Self::Accent => Some(74),
            Self::Series(position) => SERIES.get(position % SERIES.len()).copied(),
        }
    }
}

impl Paint {
    /// `text` in the colour of `tone`.
    pub fn apply(self, tone: Tone, text: &str) -> String {
        match (self, tone.palette_index()) {
            (Self::Colours, Some(index)) => text.with(Color::AnsiValue(index)).to_string(),
            (Self::Colours, None) | (Self::Plain, _) => text.to_owned(),
        }
    }

    /// `text` in bold.
    pub fn bold(self, text: &str) -> String {
        match self {
            Self::Colours => text.bold().to_string(),
            Self::Plain => text.to_owned(),
        }
    }
}
