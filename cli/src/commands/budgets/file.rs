//! Files with budgets: TOML or YAML, by their names. What the budgets say is the controller's to judge.

use std::io::{self, Read as _};
use std::path::Path;

use serde_json::Value;

use crate::failure::Failure;
use crate::render::text::visible_lines;

/// Largest file that is read, in bytes; the controller takes no larger request.
const BYTES_MAX: u64 = 1_024 * 1_024;

/// The budgets of one file.
pub(super) fn read(path: &Path) -> Result<Vec<Value>, Failure> {
    let text = text_of(path)?;
    let is_toml = path
        .extension()
        .is_some_and(|extension| extension == "toml");
    let shown = path.display();
    let read: Result<Value, String> = if is_toml {
        toml::from_str(&text).map_err(|error| error.to_string())
    } else {
        serde_yaml_ng::from_str(&text).map_err(|error| error.to_string())
    };
    let value = read.map_err(|error| {
        let kind = if is_toml { "TOML" } else { "YAML" };
        Failure::usage(format!("{shown} is no {kind}: {}", visible_lines(&error)))
    })?;
    let Value::Object(mut fields) = value else {
        return Err(Failure::usage(format!(
            "{shown} holds no budgets; begin one with [[budget]] in TOML, or `budget:` and a list in YAML"
        )));
    };
    let budgets = fields.remove("budget");
    if let Some(name) = fields.keys().next() {
        return Err(Failure::usage(format!(
            "{shown} has {:?}, which is nothing to apply; the only kind is `budget`",
            name
        )));
    }
    match budgets {
        Some(Value::Array(budgets)) if !budgets.is_empty() => Ok(budgets),
        Some(_) | None => Err(Failure::usage(format!(
            "{shown} holds no budgets; begin one with [[budget]] in TOML, or `budget:` and a list in YAML"
        ))),
    }
}

fn text_of(path: &Path) -> Result<String, Failure> {
    let failed = |source| Failure::File {
        what: "budgets",
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

    fn read_as(name: &str, text: &str) -> Result<Vec<Value>, String> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(name);
        std::fs::write(&path, text).unwrap();
        read(&path).map_err(|failure| failure.to_string())
    }

    #[test]
    fn toml_and_yaml_say_the_same() {
        let toml = "[[budget]]\nname = \"web\"\nallow = { ports = 20, bound = \"5%\" }\n";
        let yaml = "budget:\n- name: web\n  allow: {ports: 20, bound: 5%}\n";
        let read = read_as("b.toml", toml).unwrap();
        assert_eq!(read, read_as("b.yaml", yaml).unwrap());
        assert_eq!(read[0]["allow"]["bound"], "5%");
    }

    #[test]
    fn what_holds_no_budgets_is_refused_with_what_would() {
        for (name, text, part) in [
            ("b.toml", "budget = 1", "holds no budgets"),
            ("b.yaml", "- a", "holds no budgets"),
            ("b.yaml", "policy: []", "the only kind is `budget`"),
            ("b.toml", "budget: []", "is no TOML"),
            ("b.yaml", "a: [", "is no YAML"),
            ("b.yaml", "", "holds no budgets"),
        ] {
            let refused = read_as(name, text).unwrap_err();
            assert!(refused.contains(part), "{text}: {refused}");
        }
        let large = format!("# {}", "x".repeat(1_024 * 1_024));
        assert!(read_as("b.yaml", &large).unwrap_err().contains("larger"));
    }
}
