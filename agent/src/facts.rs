//! Facts about this host that an agent states when a session starts.

use std::collections::BTreeMap;
use std::sync::Arc;

use tidemark_model::HostFacts;
use tidemark_model::host::Capability;
use tidemark_platform::tables::{BoundVisibility, SocketTables, bound_visibility};
use tidemark_platform::{TableError, host};

use crate::collect::{CollectSettings, Namespaces};
use crate::events::live;

/// Longest host name that is stated (RFC 1035, section 2.3.4, without the root's dot).
const NAME_CHARS_MAX: usize = 253;
/// What stands where the system does not tell.
const UNKNOWN: &str = "unknown";

/// Gathers what is known of this host. What cannot be read is `unknown`, never an error.
#[must_use]
pub fn gather(labels: BTreeMap<String, String>, settings: &CollectSettings) -> HostFacts {
    HostFacts {
        name: host::name()
            .chars()
            .take(NAME_CHARS_MAX)
            .collect::<String>()
            .into(),
        os: host::os().into(),
        agent_version: env!("CARGO_PKG_VERSION").into(),
        boot_id: host::boot_id().map_or_else(|_| Arc::from(UNKNOWN), Arc::from),
        capabilities: capabilities(settings),
        labels,
    }
}

/// What this agent can see here, ordered.
fn capabilities(settings: &CollectSettings) -> Vec<Capability> {
    let has = |capability| match capability {
        Capability::BoundSockets => lists_bound_sockets().unwrap_or(false),
        Capability::AllOwners => host::sees_all_processes(),
        Capability::AllNamespaces => {
            settings.namespaces == Namespaces::All && host::enters_namespaces()
        }
        Capability::Events => live::availability().is_ok(),
    };
    Capability::ALL
        .into_iter()
        .filter(|capability| has(*capability))
        .collect()
}

fn lists_bound_sockets() -> Result<bool, TableError> {
    let mut tables = SocketTables::open()?;
    Ok(bound_visibility(&mut tables)? == BoundVisibility::Listed)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn this_host_has_a_name_a_system_a_boot_and_its_labels() {
        let labels = BTreeMap::from([("role".to_owned(), "web".to_owned())]);
        let settings = CollectSettings::shipped(Duration::from_secs(30));
        let facts = gather(labels.clone(), &settings);
        assert!(!facts.name.is_empty() && facts.os.starts_with("Linux "));
        assert_eq!(facts.boot_id.len(), 36);
        assert_eq!(facts.labels, labels);
        assert!(!facts.capabilities.contains(&Capability::AllNamespaces));
    }
}
