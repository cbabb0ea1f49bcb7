//! JSON and YAML documents.

use std::fmt::Write as _;

use serde::Serialize;

use super::text::deceives;
use crate::failure::Failure;

/// How a JSON document is laid out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Layout {
    /// Indented, for one document.
    Indented,
    /// On one line, for a stream of documents.
    Line,
}

/// A JSON document. Characters that a terminal would obey are written as `\uXXXX`, which readers undo.
pub fn json(value: &impl Serialize, layout: Layout) -> Result<String, Failure> {
    let text = match layout {
        Layout::Indented => serde_json::to_string_pretty(value),
        Layout::Line => serde_json::to_string(value),
    };
    let text = text.map_err(|error| Failure::Io {
        action: "write JSON",
        source: error.into(),
    })?;
    // Outside strings JSON is ASCII without such characters but for its line feeds.
    let mut safe = String::with_capacity(text.len());
    for character in text.chars() {
        if deceives(character) && character != '\n' {
            let mut units = [0_u16; 2];
            for unit in character.encode_utf16(&mut units) {
                // Writing to a String cannot fail.
                write!(safe, "\\u{unit:04x}").ok();
            }
        } else {
            safe.push(character);
        }
    }
    Ok(safe)
}

/// A YAML document.
pub fn yaml(value: &impl Serialize) -> Result<String, Failure> {
    serde_yaml_ng::to_string(value).map_err(|error| Failure::Io {
        action: "write YAML",
        source: std::io::Error::other(error),
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn json_loses_nothing_and_shows_nothing_that_acts(text in any::<String>()) {
            let written = json(&text, Layout::Line).unwrap();
            prop_assert!(!written.chars().any(deceives));
            prop_assert_eq!(serde_json::from_str::<String>(&written).unwrap(), text);
        }
    }
}
