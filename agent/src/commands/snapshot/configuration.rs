//! How the host is configured, as a person reads it: what deserves a look first, then every fact.

use std::fmt::Write as _;

use tidemark_model::HostAudit;
use tidemark_model::audit::concern::concerns;
use tidemark_model::audit::{FactState, TopicState};

use crate::link::failure::shown;

/// The configuration as text.
pub(super) fn render(audit: &HostAudit) -> String {
    let mut text = "\nconfiguration\n".to_owned();
    // Writing to a String cannot fail.
    for concern in concerns(audit) {
        let line = format!("{}: {}", concern.key, concern.text);
        writeln!(text, "  ! {}", shown(&line)).ok();
    }
    for (topic, state) in &audit.topics {
        if let TopicState::Unread(reason) = state {
            writeln!(text, "  {topic} could not be read: {}", shown(reason)).ok();
        }
    }
    let names: Vec<String> = audit
        .facts
        .iter()
        .map(|fact| shown(&fact.key.to_string()))
        .collect();
    let width = names.iter().map(|name| name.chars().count()).max();
    let width = width.unwrap_or(0);
    for (name, fact) in names.iter().zip(&audit.facts) {
        let value = match &fact.state {
            FactState::Known(value) => shown(&value.to_string()),
            FactState::Absent => "absent".to_owned(),
            FactState::Unknown(reason) => format!("unknown: {}", shown(reason)),
        };
        writeln!(text, "  {name:<width$}  {value}").ok();
    }
    text
}
