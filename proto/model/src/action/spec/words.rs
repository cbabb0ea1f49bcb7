//! Actions as people type them: a kind and `name=value` words.

use super::ActionSpec;
use crate::ActionKind;

/// Words that are no action.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidWords {
    /// No such kind.
    #[error("{0:?} is no action; the actions are {known}", known = kinds_list())]
    Kind(String),
    /// Not `name=value`.
    #[error("{0:?} is no parameter; write NAME=VALUE")]
    Parameter(String),
    /// A parameter is missing, unknown, twice there or of another type.
    #[error("{kind}: {reason}")]
    Parameters {
        /// Of which action.
        kind: &'static str,
        /// What is wrong.
        reason: String,
    },
}

fn kinds_list() -> String {
    let names: Vec<_> = ActionKind::ALL.iter().map(|kind| kind.as_str()).collect();
    names.join(", ")
}

impl ActionSpec {
    /// From words as people type them: `restart_service service=appsvc stop_timeout_s=60`. A value that is JSON is taken as
    /// such (`12`, `true`, `null`, `["ipv4"]`, `"12"`), anything else as text. Limits are not looked at: see
    /// [`ActionSpec::problems`].
    ///
    /// # Errors
    /// [`InvalidWords`] says which word is wrong.
    pub fn from_words(kind: &str, parameters: &[String]) -> Result<Self, InvalidWords> {
        let known = ActionKind::from_name(kind)
            .ok_or_else(|| InvalidWords::Kind(kind.chars().take(64).collect()))?;
        let wrong = |reason: String| InvalidWords::Parameters {
            kind: known.as_str(),
            reason,
        };
        let mut fields = serde_json::Map::new();
        fields.insert("action".to_owned(), known.as_str().into());
        for word in parameters {
            let (name, value) = word
                .split_once('=')
                .ok_or_else(|| InvalidWords::Parameter(word.chars().take(64).collect()))?;
            let value = serde_json::from_str(value).unwrap_or_else(|_| value.into());
            if fields.insert(name.to_owned(), value).is_some() {
                return Err(wrong(format!("{name} is given twice")));
            }
        }
        serde_json::from_value(fields.into()).map_err(|error| wrong(error.to_string()))
    }
}
