//! The section `[incidents]`: from when on a date is close, and how long a problem must be gone.

use serde::Deserialize;
use tidemark_model::incident::IncidentRules;

use super::{duration, noted};

/// The section as it is written.
#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct IncidentsConfig {
    critical_within: Option<String>,
    warning_within: Option<String>,
    clear_after: Option<String>,
    reopen_within: Option<String>,
    raise_after: Option<String>,
}

impl IncidentsConfig {
    pub(super) fn check(&self, problems: &mut Vec<String>) -> Option<IncidentRules> {
        let defaults = IncidentRules::default();
        let mut of = |key: &str, text: &Option<String>, default| match text {
            None => Some(default),
            Some(text) => noted(duration(&format!("incidents.{key}"), text), problems),
        };
        let rules = IncidentRules {
            critical_within: of(
                "critical_within",
                &self.critical_within,
                defaults.critical_within,
            )?,
            warning_within: of(
                "warning_within",
                &self.warning_within,
                defaults.warning_within,
            )?,
            clear_after: of("clear_after", &self.clear_after, defaults.clear_after)?,
            reopen_within: of("reopen_within", &self.reopen_within, defaults.reopen_within)?,
            raise_after: of("raise_after", &self.raise_after, defaults.raise_after)?,
        };
        if rules.critical_within > rules.warning_within {
            problems.push(
                "incidents.critical_within is longer than incidents.warning_within; it must be as long or shorter"
                    .to_owned(),
            );
            return None;
        }
        Some(rules)
    }
}
