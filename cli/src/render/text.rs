//! Text from elsewhere, made safe to look at: nothing in it moves the cursor, hides, or reverses what is around it.

use std::fmt::Write as _;

use unicode_width::{UnicodeWidthChar as _, UnicodeWidthStr as _};

/// `text` with every character that a terminal would obey, hide or reorder written as `\u{..}`.
pub fn visible(text: &str) -> String {
    escape(text, |_| false)
}

/// Like [`visible`], but line feeds stay.
pub fn visible_lines(text: &str) -> String {
    escape(text, |character| character == '\n')
}

fn escape(text: &str, keep: impl Fn(char) -> bool) -> String {
    let mut safe = String::with_capacity(text.len());
    for character in text.chars() {
        if deceives(character) && !keep(character) {
            // Writing to a String cannot fail.
            write!(safe, "\\u{{{:x}}}", u32::from(character)).ok();
        } else {
            safe.push(character);
        }
    }
    safe
}

/// Whether a character acts instead of being seen: controls (C0, DEL, C1), bidirectional controls, line separators and
/// the Default_Ignorable_Code_Point set of Unicode (UAX #44).
pub fn deceives(character: char) -> bool {
    character.is_control()
        || matches!(character,
            '\u{ad}' | '\u{34f}' | '\u{61c}' | '\u{115f}' | '\u{1160}' | '\u{17b4}' | '\u{17b5}'
            | '\u{180b}'..='\u{180f}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}'
            | '\u{2060}'..='\u{206f}' | '\u{3164}' | '\u{fe00}'..='\u{fe0f}' | '\u{feff}' | '\u{ffa0}'
            | '\u{fff0}'..='\u{fffb}' | '\u{1bca0}'..='\u{1bca3}' | '\u{1d173}'..='\u{1d17a}'
            | '\u{e0000}'..='\u{e0fff}')
}

/// Columns that `text` takes on a terminal.
pub fn width(text: &str) -> usize {
    text.width()
}

/// `text` in at most `columns` columns; what is cut off is marked by `…`.
pub fn cut(text: &str, columns: usize) -> String {
    if width(text) <= columns {
        return text.to_owned();
    }
    let mut kept = String::new();
    let mut used = 0;
    for character in text.chars() {
        used += character.width().unwrap_or(0);
        if used + 1 > columns {
            break;
        }
        kept.push(character);
    }
    if columns > 0 {
        kept.push('…');
    }
    kept
}

/// `text` cut or filled with spaces on the right to exactly `columns` columns.
pub fn fit(text: &str, columns: usize) -> String {
    let mut fitted = cut(text, columns);
    fitted.extend(std::iter::repeat_n(
        ' ',
        columns.saturating_sub(width(&fitted)),
    ));
    fitted
}

/// `text` filled with spaces on the left to `columns` columns.
pub fn fit_right(text: &str, columns: usize) -> String {
    let text = cut(text, columns);
    format!("{}{text}", " ".repeat(columns.saturating_sub(width(&text))))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn what_a_terminal_would_obey_is_shown_instead() {
        assert_eq!(visible("web\u{1b}[2J"), "web\\u{1b}[2J");
        assert_eq!(
            visible("a\u{202e}b\u{200d}c\u{9b}d\r\n"),
            "a\\u{202e}b\\u{200d}c\\u{9b}d\\u{d}\\u{a}"
        );
        assert_eq!(visible("ünï-日本"), "ünï-日本");
    }

    proptest! {
        #[test]
        fn nothing_that_deceives_is_left(text in any::<String>()) {
            prop_assert!(!visible(&text).chars().any(deceives));
        }

        #[test]
        fn fitted_text_is_as_wide_as_asked(text in "\\PC{0,20}", columns in 0_usize..20) {
            prop_assert_eq!(width(&fit(&visible(&text), columns)), columns);
        }
    }
}
