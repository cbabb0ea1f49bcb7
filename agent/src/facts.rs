//! Facts about this host that an agent states when a session starts.

use std::collections::BTreeMap;

use tidemark_model::HostFacts;

use crate::collect::CollectSettings;

/// Gathers what is known of this host. What cannot be read is `unknown`, never an error.
#[must_use]
pub fn gather(labels: BTreeMap<String, String>, _settings: &CollectSettings) -> HostFacts {
    HostFacts {
        name: "unknown".into(),
        os: "unknown".into(),
        agent_version: env!("CARGO_PKG_VERSION").into(),
        boot_id: "unknown".into(),
        capabilities: Vec::new(),
        labels,
    }
}
