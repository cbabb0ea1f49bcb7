//! Files to apply: TOML or YAML, a list under the name of each kind. What the entries say is the controller's to judge.

use std::io::{self, Read as _};
use std::path::Path;

use serde_json::Value;

use crate::failure::Failure;
use crate::render::text::visible_lines;

/// Largest file that is read, in bytes; the controller takes no larger request.
const BYTES_MAX: u64 = 1_024 * 1_024;

/// What files hold, by kind, in the files' order.
#[derive(Debug, Default, PartialEq)]
pub struct Found {
    /// Under `budget`.
    pub budgets: Vec<Value>,
    /// Under `policy`.
    pub policies: Vec<Value>,
    /// Under `window`.
    pub windows: Vec<Value>,
}

/// Adds what a file holds.
pub fn read(path: &Path, found: &mut Found) -> Result<(), Failure> {
    let value = value_of(path)?;
    let shown = path.display();
    let nothing = || {
        Failure::usage(format!(
            "{shown} holds nothing to apply; begin an entry with [[budget]], [[policy]] or [[window]] in TOML, or with `budget:`, `policy:` or `window:` and a list in YAML"
        ))
    };
    let Value::Object(fields) = value else {
        return Err(nothing());
    };
    if fields.is_empty() {
        return Err(nothing());
    }
    for (kind, entries) in fields {
        let list = match kind.as_str() {
            "budget" => &mut found.budgets,
            "policy" => &mut found.policies,
            "window" => &mut found.windows,
            _ => {
                return Err(Failure::usage(format!(
                    "{shown} has {kind:?}, which is nothing to apply; the kinds are `budget`, `policy` and `window`"
                )));
            }
        };
        match entries {
            Value::Array(entries) if !entries.is_empty() => list.extend(entries),
            Value::Null
            | Value::Bool(_)
            | Value::Number(_)
            | Value::String(_)
            | Value::Array(_)
            | Value::Object(_) => return Err(nothing()),
        }
    }
    Ok(())
}

/// What a file says, as TOML or YAML by its name.
pub fn value_of(path: &Path) -> Result<Value, Failure> {
    let text = text_of(path)?;
    let is_toml = path
        .extension()
        .is_some_and(|extension| extension == "toml");
    let read: Result<Value, String> = if is_toml {
        toml::from_str(&text).map_err(|error| error.to_string())
    } else {
        serde_yaml_ng::from_str(&text).map_err(|error| error.to_string())
    };
    read.map_err(|error| {
        let (shown, kind) = (path.display(), if is_toml { "TOML" } else { "YAML" });
        Failure::usage(format!("{shown} is no {kind}: {}", visible_lines(&error)))
    })
}

fn text_of(path: &Path) -> Result<String, Failure> {
    let failed = |source| Failure::File {
        what: "what to apply",
        path: path.to_owned(),
        source,
    };
    let mut text = String::new();
    let mut source: Box<dyn io::Read> = if path == Path::new("-") {
        Box::new(io::stdin().lock())
    } else {
        Box::new(std::fs::File::open(path).map_err(failed)?)
    };
    source
        .by_ref()
        .take(BYTES_MAX + 1)
        .read_to_string(&mut text)
        .map_err(failed)?;
    if text.len() as u64 > BYTES_MAX {
        return Err(Failure::usage(format!(
            "{} is larger than {BYTES_MAX} bytes; apply it in parts",
            path.display()
        )));
    }
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What a file of that name and text holds, or the failure.
    fn read_as(name: &str, text: &str) -> Result<Found, String> {
        let write = || -> io::Result<Result<Found, Failure>> {
            let folder = tempfile::tempdir()?;
            let path = folder.path().join(name);
            std::fs::write(&path, text)?;
            let mut found = Found::default();
            Ok(read(&path, &mut found).map(|()| found))
        };
        write()
            .map_err(|error| error.to_string())?
            .map_err(|failure| failure.to_string())
    }

    #[test]
    fn toml_and_yaml_say_the_same() {
        let toml =
            "[[window]]\nname = \"night\"\nhosts = [\"tier=web\"]\nsilences_incidents = true\n";
        let yaml = "window:\n- name: night\n  hosts: [tier=web]\n  silences_incidents: true\n";
        let read = read_as("w.toml", toml).unwrap();
        assert_eq!(read, read_as("w.yaml", yaml).unwrap());
        assert_eq!(read.windows[0]["silences_incidents"], true);
    }

    #[test]
    fn what_holds_nothing_to_apply_is_refused_with_what_would() {
        for (name, text, part) in [
            ("w.toml", "window = 1", "nothing to apply"),
            ("w.yaml", "- a", "nothing to apply"),
            ("w.yaml", "{}", "nothing to apply"),
            (
                "w.yaml",
                "gate: []",
                "the kinds are `budget`, `policy` and `window`",
            ),
            ("w.toml", "window: []", "is no TOML"),
            ("w.yaml", "a: [", "is no YAML"),
            ("w.yaml", "", "nothing to apply"),
        ] {
            let refused = read_as(name, text).unwrap_err();
            assert!(refused.contains(part), "{text}: {refused}");
        }
        let large = format!("# {}", "x".repeat(1_024 * 1_024));
        assert!(read_as("w.yaml", &large).unwrap_err().contains("larger"));
    }
}
