//! Configuration: flag over environment over file over default, and every problem named at once.
//!
//! Knows how to read and merge; what the keys mean is each program's own.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use serde::de::DeserializeOwned;
use toml::{Table, Value};

/// Where settings come from, the weakest first.
#[derive(Clone, Debug, Default)]
pub struct Sources<'a> {
    /// The TOML file, when there is one.
    pub file: Option<&'a Path>,
    /// Environment variables whose name begins with `TIDEMARK_`.
    pub environment: Vec<(String, String)>,
    /// What flags say.
    pub flags: Table,
}

/// Prefix of the environment variables that are settings.
pub const ENVIRONMENT_PREFIX: &str = "TIDEMARK_";

/// Variables of that prefix that are no program's settings: they may be set beside any of them.
pub const NOT_SETTINGS: [&str; 6] = [
    "TIDEMARK_CONFIG",
    "TIDEMARK_CONFIG_DIR",
    "TIDEMARK_CONTEXT",
    "TIDEMARK_NOW_MS",
    "TIDEMARK_SERVER",
    "TIDEMARK_CA_FILE",
];

/// Why there is no configuration.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// The file cannot be read.
    #[error("configuration file {} cannot be read", path.display())]
    Read {
        /// Which file.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// The file is no TOML.
    #[error("configuration file {} is not valid TOML", path.display())]
    Syntax {
        /// Which file.
        path: PathBuf,
        /// Line, column and what was expected.
        source: toml::de::Error,
    },
    /// Keys that do not exist.
    #[error("{}", .0.iter().map(ToString::to_string).collect::<Vec<_>>().join("; "))]
    UnknownKeys(Vec<UnknownKey>),
    /// A value of the wrong type or out of its limits.
    #[error("{}", message.trim_end())]
    Value {
        /// The parser's words, with the key.
        message: String,
    },
    /// Values that break a rule of the program, one sentence each.
    #[error("{}", .0.join("; "))]
    Rules(Vec<String>),
}

/// A key that does not exist, and the one that was probably meant.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{origin}: unknown key {key:?}{}", .nearest.as_ref().map(|near| format!("; did you mean {near:?}?")).unwrap_or_default())]
pub struct UnknownKey {
    /// File, variable or flag.
    pub origin: String,
    /// The key, dotted.
    pub key: String,
    /// The nearest known key, unless none is near.
    pub nearest: Option<String>,
}

/// The variables of this process's environment that begin with [`ENVIRONMENT_PREFIX`].
#[must_use]
pub fn process_environment() -> Vec<(String, String)> {
    std::env::vars()
        .filter(|(name, _)| name.starts_with(ENVIRONMENT_PREFIX))
        .collect()
}

/// Merges the sources and reads them as `T`. `keys` lists every legal key, dotted; a key that ends in `.*` stands for
/// a table of free names.
///
/// # Errors
/// [`ConfigError`], naming the file, the key and the remedy.
pub fn load<T: DeserializeOwned>(sources: &Sources<'_>, keys: &[&str]) -> Result<T, ConfigError> {
    let mut unknown = Vec::new();
    let mut merged = match sources.file {
        Some(path) => {
            let table = read_file(path)?;
            let origin = path.display().to_string();
            unknown_keys(&table, keys, &origin, &mut unknown);
            table
        }
        None => Table::new(),
    };
    for (name, text) in &sources.environment {
        if NOT_SETTINGS.contains(&name.as_str()) {
            continue;
        }
        match environment_key(name, keys) {
            Some(key) => insert(&mut merged, key, environment_value(text)),
            None => unknown.push(unknown_variable(name, keys)),
        }
    }
    overlay(&mut merged, sources.flags.clone());
    if !unknown.is_empty() {
        return Err(ConfigError::UnknownKeys(unknown));
    }
    Value::Table(merged)
        .try_into()
        .map_err(|error: toml::de::Error| ConfigError::Value {
            message: error.to_string(),
        })
}

fn read_file(path: &Path) -> Result<Table, ConfigError> {
    let text = fs::read_to_string(path).map_err(|source| ConfigError::Read {
        path: path.to_owned(),
        source,
    })?;
    text.parse().map_err(|source| ConfigError::Syntax {
        path: path.to_owned(),
        source,
    })
}

fn unknown_keys(table: &Table, keys: &[&str], origin: &str, unknown: &mut Vec<UnknownKey>) {
    let mut pending: Vec<(String, &Table)> = vec![(String::new(), table)];
    while let Some((prefix, table)) = pending.pop() {
        for (name, value) in table {
            let key = format!("{prefix}{name}");
            let opens_section = keys
                .iter()
                .any(|known| known.starts_with(&format!("{key}.")));
            match value {
                Value::Table(inner) if opens_section => {
                    if !keys.contains(&format!("{key}.*").as_str()) {
                        pending.push((format!("{key}."), inner));
                    }
                }
                Value::String(_)
                | Value::Integer(_)
                | Value::Float(_)
                | Value::Boolean(_)
                | Value::Datetime(_)
                | Value::Array(_)
                | Value::Table(_)
                    if keys.contains(&key.as_str()) => {}
                Value::String(_)
                | Value::Integer(_)
                | Value::Float(_)
                | Value::Boolean(_)
                | Value::Datetime(_)
                | Value::Array(_)
                | Value::Table(_) => {
                    unknown.push(UnknownKey {
                        origin: origin.to_owned(),
                        nearest: nearest(&key, keys),
                        key,
                    });
                }
            }
        }
    }
}

/// `TIDEMARK_SPOOL_BYTES_MAX` names `spool.bytes_max`: dots and underscores are alike in the environment.
fn environment_key<'k>(name: &str, keys: &[&'k str]) -> Option<&'k str> {
    let wanted = name.strip_prefix(ENVIRONMENT_PREFIX)?.to_ascii_lowercase();
    keys.iter()
        .copied()
        .find(|key| key.replace('.', "_") == wanted)
}

/// Numbers, booleans and arrays are written as in TOML; anything else is text.
fn environment_value(text: &str) -> Value {
    format!("value = {text}")
        .parse::<Table>()
        .ok()
        .and_then(|mut table| table.remove("value"))
        .filter(|value| !value.is_datetime())
        .unwrap_or_else(|| Value::String(text.to_owned()))
}

fn unknown_variable(name: &str, keys: &[&str]) -> UnknownKey {
    let flat: Vec<String> = keys
        .iter()
        .map(|key| {
            format!(
                "{ENVIRONMENT_PREFIX}{}",
                key.replace('.', "_").to_ascii_uppercase()
            )
        })
        .collect();
    let names: Vec<&str> = flat.iter().map(String::as_str).collect();
    UnknownKey {
        origin: "environment".to_owned(),
        key: name.to_owned(),
        nearest: nearest(name, &names),
    }
}

fn insert(table: &mut Table, key: &str, value: Value) {
    match key.split_once('.') {
        None => {
            table.insert(key.to_owned(), value);
        }
        Some((section, rest)) => {
            let entry = table
                .entry(section)
                .or_insert_with(|| Value::Table(Table::new()));
            if let Value::Table(inner) = entry {
                insert(inner, rest, value);
            }
        }
    }
}

fn overlay(base: &mut Table, over: Table) {
    for (name, value) in over {
        match (base.get_mut(&name), value) {
            (Some(Value::Table(inner)), Value::Table(value)) => overlay(inner, value),
            (_, value) => {
                base.insert(name, value);
            }
        }
    }
}

/// The known name that a misspelt one is nearest to; `None` when nothing is near enough to be meant.
#[must_use]
pub fn nearest(name: &str, known: &[&str]) -> Option<String> {
    known
        .iter()
        .map(|candidate| (strsim::jaro_winkler(name, candidate), *candidate))
        .filter(|(similarity, _)| *similarity > 0.75)
        .max_by(|left, right| left.0.total_cmp(&right.0))
        .map(|(_, candidate)| candidate.to_owned())
}

#[cfg(test)]
mod tests {
    use serde::Deserialize;

    use super::*;

    #[derive(Debug, PartialEq, Deserialize)]
    struct Example {
        interval: String,
        spool: Spool,
    }

    #[derive(Debug, PartialEq, Deserialize)]
    struct Spool {
        bytes_max: u64,
    }

    const KEYS: [&str; 3] = ["interval", "spool.bytes_max", "labels.*"];

    #[expect(
        clippy::unwrap_in_result,
        reason = "the arrangement of a test, not the thing tested"
    )]
    fn load_text(
        text: &str,
        environment: &[(&str, &str)],
        flags: &str,
    ) -> Result<Example, ConfigError> {
        let file = tempfile::NamedTempFile::new().unwrap();
        fs::write(file.path(), text).unwrap();
        load(
            &Sources {
                file: Some(file.path()),
                environment: environment
                    .iter()
                    .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
                    .collect(),
                flags: flags.parse().unwrap(),
            },
            &KEYS,
        )
    }

    const FILE: &str = "interval = '30s'\n[spool]\nbytes_max = 1\n[labels]\nanything = 'x'";

    #[test]
    fn a_flag_beats_the_environment_beats_the_file() {
        let environment = [
            ("TIDEMARK_INTERVAL", "5s"),
            ("TIDEMARK_SPOOL_BYTES_MAX", "2"),
            ("TIDEMARK_CONFIG_DIR", "/x"),
        ];
        let loaded = load_text(FILE, &environment, "interval = '1s'").unwrap();
        let spool = Spool { bytes_max: 2 };
        assert_eq!(
            loaded,
            Example {
                interval: "1s".to_owned(),
                spool
            }
        );
    }

    #[test]
    fn every_unknown_key_is_named_with_the_nearest_known_one() {
        let text = format!("intervall = '1s'\n{FILE}").replace("bytes_max", "byte_max");
        let error = load_text(&text, &[("TIDEMARK_INTERVALS", "1s")], "")
            .unwrap_err()
            .to_string();
        for part in [
            "\"intervall\"; did you mean \"interval\"?",
            "did you mean \"spool.bytes_max\"?",
            "did you mean \"TIDEMARK_INTERVAL\"?",
        ] {
            assert!(error.contains(part), "{error}");
        }
    }

    #[test]
    fn a_wrong_type_names_the_key() {
        let error = load_text(FILE, &[("TIDEMARK_SPOOL_BYTES_MAX", "many")], "")
            .unwrap_err()
            .to_string();
        assert!(error.contains("bytes_max"), "{error}");
    }

    #[test]
    fn a_missing_file_is_named() {
        let sources = Sources {
            file: Some(Path::new("/nonexistent/agent.toml")),
            ..Sources::default()
        };
        let error = load::<Example>(&sources, &KEYS).unwrap_err().to_string();
        assert_eq!(
            error,
            "configuration file /nonexistent/agent.toml cannot be read"
        );
    }
}
