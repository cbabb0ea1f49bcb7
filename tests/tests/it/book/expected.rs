//! What the documentation says that a command prints, against what it prints.
//!
//! White space and empty lines do not count. `...` alone stands for any lines, within a line for any text. A placeholder, as
//! in `TOKEN`, is what stands there, and from then on the word in commands.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use regex::Regex;

/// Words that are learnt from what commands print.
const LEARNT: [&str; 2] = ["TOKEN", "ACTION_ID"];

/// Words and what stands for them.
pub type Words = BTreeMap<String, String>;

/// Whether all must be as expected, or only the beginning.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Extent {
    /// All of it.
    Whole,
    /// A program that goes on will print more.
    Beginning,
}

/// Learns what the placeholders stand for; `None` when something else was printed.
///
/// # Errors
/// When the expectation is no pattern.
pub fn matched(
    expected: &[String],
    printed: &str,
    extent: Extent,
    words: &Words,
) -> anyhow::Result<Option<Words>> {
    let printed: String = plain(printed.lines());
    let pattern = pattern(expected, extent, words);
    let found = Regex::new(&pattern)?.captures(&printed).map(|captures| {
        let learnt = LEARNT.iter().filter_map(|word| {
            let value = captures.name(word)?.as_str().to_owned();
            Some(((*word).to_owned(), value))
        });
        learnt.collect()
    });
    Ok(found)
}

fn plain<'a>(lines: impl Iterator<Item = &'a str>) -> String {
    let lines = lines.map(|line| line.split_whitespace().collect::<Vec<_>>().join(" "));
    lines
        .filter(|line| !line.is_empty())
        .fold(String::new(), |text, line| text + &line + "\n")
}

fn pattern(expected: &[String], extent: Extent, words: &Words) -> String {
    let mut pattern = String::from("^");
    for line in plain(expected.iter().map(String::as_str)).lines() {
        if line == "..." {
            pattern.push_str("(?:[^\n]*\n)*?");
            continue;
        }
        let mut line = regex::escape(&replaced(line, words)).replace(r"\.\.\.", "[^\n]*");
        for word in LEARNT {
            if let Some(at) = line.split(' ').position(|part| part == word) {
                let mut parts: Vec<String> = line.split(' ').map(str::to_owned).collect();
                if let Some(part) = parts.get_mut(at) {
                    *part = format!("(?<{word}>\\S+)");
                }
                line = parts.join(" ");
            }
        }
        // Writing to a String cannot fail.
        writeln!(pattern, "{line}").ok();
    }
    if extent == Extent::Whole {
        pattern.push('$');
    }
    pattern
}

/// A text with the words that are known so far.
pub fn replaced(text: &str, words: &Words) -> String {
    words.iter().fold(text.to_owned(), |text, (word, value)| {
        // A word of its own: neither VALID nor IDS.
        let whole = Regex::new(&format!(r"\b{word}\b")).map(|whole| {
            let value = value.replace('$', "$$");
            whole.replace_all(&text, &*value).into_owned()
        });
        whole.unwrap_or(text)
    })
}

#[test]
fn an_expectation_holds_for_what_differs_and_not_for_what_is_missing() -> anyhow::Result<()> {
    let lines = |text: &str| text.lines().map(str::to_owned).collect::<Vec<_>>();
    let words = Words::from([("ADDRESS".to_owned(), "10.0.0.1".to_owned())]);
    let is =
        |expected: &str, printed: &str, extent| matched(&lines(expected), printed, extent, &words);
    let learnt = is(
        "a ... ADDRESS:7\n...\nid TOKEN",
        "a  b 10.0.0.1:7\n\nx\ny\nid   t1\n",
        Extent::Whole,
    )?;
    assert_eq!(
        learnt,
        Some(Words::from([("TOKEN".to_owned(), "t1".to_owned())]))
    );
    assert_eq!(is("a\nb", "a\n", Extent::Whole)?, None);
    assert_eq!(is("a", "a\nb\n", Extent::Whole)?, None);
    assert!(is("a", "a\nb\n", Extent::Beginning)?.is_some());
    assert_eq!(is("a ...", "ab\n", Extent::Whole)?, None);
    assert_eq!(
        replaced("ID IDS", &Words::from([("ID".to_owned(), "7".to_owned())])),
        "7 IDS"
    );
    Ok(())
}
