//! Settings that the installation or a group policy left with the system: weaker than flags and the environment,
//! stronger than the file. What they mean is the configuration's; where they are kept is the platform's.

use tidemark_platform::installation::{self, SettingsPlace, StoredValue};
use tidemark_runtime::config::{ConfigError, ENVIRONMENT_PREFIX, UnknownKey, nearest};
use toml::{Table, Value};

/// Name of the setting that holds a join token; removed when it has served.
const TOKEN: &str = "Token";
/// The labels in one text: `site=berlin;tier=db`.
const TAGS: &str = "Tags";
/// Keys of which only the strongest source's count: they say the same in two ways.
const TOKEN_KEYS: [&str; 2] = ["token", "token_file"];

/// The settings of all places as the environment would say them, the weakest first, so that a later one beats an
/// earlier one. Token settings are left out where `has_stronger_token`.
///
/// # Errors
/// [`ConfigError`], naming the place, the setting and the remedy.
pub(super) fn as_environment(
    places: &[SettingsPlace],
    keys: &[&str],
    stronger_token: StrongerToken,
) -> Result<Vec<(String, String)>, ConfigError> {
    let (mut variables, mut unknown, mut problems) = (Vec::new(), Vec::new(), Vec::new());
    for place in places {
        let mut found: Vec<(&str, String)> = Vec::new();
        for setting in &place.settings {
            let text = match &setting.value {
                StoredValue::Text(text) => text.trim().to_owned(),
                StoredValue::Number(number) => number.to_string(),
                StoredValue::Unreadable => {
                    problems.push(format!(
                        r"{}\{}: write a text (REG_SZ) or a number (REG_DWORD)",
                        place.name, setting.name
                    ));
                    continue;
                }
            };
            // A repair of the installation writes what was not given as an empty text.
            if text.is_empty() {
                continue;
            }
            if setting.name.eq_ignore_ascii_case(TAGS) {
                match labels(&text) {
                    Ok(labels) => found.push(("labels", labels)),
                    Err(problem) => {
                        problems.push(format!(r"{}\{}: {problem}", place.name, setting.name));
                    }
                }
            } else if let Some(key) = key_of(&setting.name, keys) {
                found.push((key, text));
            } else {
                unknown.push(unknown_setting(place, &setting.name, keys));
            }
        }
        if found.iter().any(|(key, _)| TOKEN_KEYS.contains(key)) {
            variables.retain(|(key, _)| !TOKEN_KEYS.contains(key));
        }
        variables.extend(found);
    }
    if !unknown.is_empty() {
        return Err(ConfigError::UnknownKeys(unknown));
    }
    if !problems.is_empty() {
        return Err(ConfigError::Rules(problems));
    }
    if stronger_token == StrongerToken::Given {
        variables.retain(|(key, _)| !TOKEN_KEYS.contains(key));
    }
    Ok(variables
        .into_iter()
        .map(|(key, text)| (variable(key), text))
        .collect())
}

/// Whether flags or the environment name a token.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum StrongerToken {
    /// They do.
    Given,
    /// They do not.
    Absent,
}

impl StrongerToken {
    /// Looks at what is stronger than the installation's settings.
    pub(super) fn of(environment: &[(String, String)], flags: &Table) -> Self {
        let is_given = TOKEN_KEYS.iter().any(|key| {
            flags.contains_key(*key) || environment.iter().any(|(name, _)| *name == variable(key))
        });
        if is_given { Self::Given } else { Self::Absent }
    }
}

/// Removes the join token that the installation left, since everybody on the host can read it there.
pub(super) fn forget_token() {
    match installation::forget(TOKEN) {
        Ok(true) => tracing::info!("the join token was removed from the installation's settings"),
        Ok(false) => {}
        Err(error) => tracing::warn!(
            %error,
            "the join token cannot be removed from the installation's settings: remove it by hand"
        ),
    }
}

/// `TokenFile` and `token_file`, `SpoolBytesMax` and `spool.bytes_max` are the same.
fn key_of<'k>(name: &str, keys: &[&'k str]) -> Option<&'k str> {
    let plain = plain(name);
    keys.iter().copied().find(|key| self::plain(key) == plain)
}

fn plain(name: &str) -> String {
    name.chars()
        .filter(|character| !matches!(character, '_' | '.'))
        .map(|character| character.to_ascii_lowercase())
        .collect()
}

fn variable(key: &str) -> String {
    format!(
        "{ENVIRONMENT_PREFIX}{}",
        key.replace('.', "_").to_ascii_uppercase()
    )
}

/// `site=berlin;tier=db` as TOML.
fn labels(text: &str) -> Result<String, String> {
    let mut labels = Table::new();
    for tag in text.split(';').map(str::trim).filter(|tag| !tag.is_empty()) {
        let (key, value) = tag.split_once('=').ok_or_else(|| {
            format!("{tag:?} is no tag: write key=value, as in site=berlin;tier=db")
        })?;
        labels.insert(key.trim().to_owned(), Value::from(value.trim()));
    }
    Ok(Value::Table(labels).to_string())
}

fn unknown_setting(place: &SettingsPlace, name: &str, keys: &[&str]) -> UnknownKey {
    let names: Vec<String> = keys
        .iter()
        .filter(|key| !key.ends_with(".*"))
        .map(|key| in_words_of_the_registry(key))
        .chain([TAGS.to_owned()])
        .collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    UnknownKey {
        origin: place.name.to_owned(),
        key: name.to_owned(),
        nearest: nearest(name, &names),
    }
}

/// `spool.bytes_max` as `SpoolBytesMax`.
fn in_words_of_the_registry(key: &str) -> String {
    key.split(['_', '.'])
        .flat_map(|word| {
            let mut characters = word.chars();
            let first = characters.next().map(|first| first.to_ascii_uppercase());
            first.into_iter().chain(characters)
        })
        .collect()
}

#[cfg(test)]
mod tests;
