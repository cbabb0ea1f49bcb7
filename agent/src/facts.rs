//! Facts about this host that an agent states when a session starts.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use tidemark_model::HostFacts;
use tidemark_model::host::{Capability, CapabilityReport, CapabilityState};
use tidemark_platform::ports::Tools;
use tidemark_platform::tables::{
    BoundMethod, BoundStanding, SocketTables, bound_standing, bound_visibility,
    later_bound_visibility,
};
use tidemark_platform::{host, ports};

use crate::collect::{CollectSettings, Namespaces};
use crate::events::live;
use crate::session::chain;

/// Longest host name that is stated (RFC 1035, section 2.3.4, without the root's dot).
const NAME_CHARS_MAX: usize = 253;
/// What stands where the system does not tell.
const UNKNOWN: &str = "unknown";
/// How long WMI and `netsh` are waited for; what they say later is taken up then.
const TOOLS_TIMEOUT: Duration = Duration::from_secs(5);

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
        time_zone: host::time_zone().map(Arc::from),
        capabilities: capabilities(settings),
        labels,
    }
}

/// Looks again at what was not known yet when the facts were gathered: parts of the system answer late. Never waits.
pub fn refresh(capabilities: &mut [CapabilityReport]) {
    let unknown = capabilities
        .iter_mut()
        .filter(|report| report.state == CapabilityState::Unknown);
    for report in unknown {
        let later = match report.capability {
            Capability::BoundSockets => bound_sockets(&bound_standing(later_bound_visibility())),
            Capability::Netsh | Capability::Wmi => match ports::tools(Duration::ZERO) {
                Some(tools) => tool(report.capability, &tools),
                None => continue,
            },
            Capability::AllOwners | Capability::AllNamespaces | Capability::Events => continue,
        };
        *report = later;
    }
}

/// What this agent can see here, ordered. Waits for parts of the system that take their time, but not for long.
fn capabilities(settings: &CollectSettings) -> Vec<CapabilityReport> {
    let mut reports = vec![
        bound_sockets(&look_for_bound()),
        unless(
            Capability::AllOwners,
            (!host::sees_all_processes())
                .then_some("the agent may not look into processes of other users"),
        ),
        unless(Capability::AllNamespaces, no_namespaces(settings)),
        match live::availability() {
            Ok(()) => CapabilityReport::new(Capability::Events, CapabilityState::Yes),
            Err(error) => because(Capability::Events, CapabilityState::No, error.to_string()),
        },
    ];
    if let Some(tools) = ports::tools(TOOLS_TIMEOUT) {
        reports.extend([Capability::Netsh, Capability::Wmi].map(|one| tool(one, &tools)));
    }
    reports
}

fn look_for_bound() -> BoundStanding {
    let seen = SocketTables::open().and_then(|mut tables| bound_visibility(&mut tables));
    match seen {
        Ok(seen) => bound_standing(seen),
        Err(error) => BoundStanding {
            method: BoundMethod::Nothing,
            why: Some(chain(&error).to_string()),
        },
    }
}

fn bound_sockets(standing: &BoundStanding) -> CapabilityReport {
    let state = match standing.method {
        BoundMethod::Export | BoundMethod::SockDiag => CapabilityState::Yes,
        BoundMethod::Management | BoundMethod::Handles | BoundMethod::Estimate => {
            CapabilityState::Partly
        }
        BoundMethod::Nothing => CapabilityState::No,
        BoundMethod::Unknown => CapabilityState::Unknown,
    };
    CapabilityReport {
        capability: Capability::BoundSockets,
        state,
        how: Some(standing.method.as_str().into()),
        why: standing.why.as_deref().map(Arc::from),
    }
}

/// Why not all namespaces are sampled.
fn no_namespaces(settings: &CollectSettings) -> Option<&'static str> {
    if settings.namespaces != Namespaces::All {
        Some("they are not asked for (`namespaces`)")
    } else if !host::enters_namespaces() {
        Some("the agent may not enter them, or the system has none")
    } else {
        None
    }
}

fn tool(capability: Capability, tools: &Tools) -> CapabilityReport {
    let told = if capability == Capability::Netsh {
        &tools.netsh
    } else {
        &tools.wmi
    };
    match told {
        None => CapabilityReport::new(capability, CapabilityState::Unknown),
        Some(Ok(())) => CapabilityReport::new(capability, CapabilityState::Yes),
        Some(Err(why)) => because(capability, CapabilityState::No, why.to_string()),
    }
}

/// Yes, unless there is a reason why not.
fn unless(capability: Capability, why: Option<&str>) -> CapabilityReport {
    match why {
        None => CapabilityReport::new(capability, CapabilityState::Yes),
        Some(why) => because(capability, CapabilityState::No, why.to_owned()),
    }
}

fn because(capability: Capability, state: CapabilityState, why: String) -> CapabilityReport {
    CapabilityReport {
        why: Some(why.into()),
        ..CapabilityReport::new(capability, state)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_host_has_a_name_a_system_a_boot_and_its_labels() {
        let labels = BTreeMap::from([("role".to_owned(), "web".to_owned())]);
        let settings = CollectSettings::shipped(Duration::from_secs(30));
        let facts = gather(labels.clone(), &settings);
        assert!(!facts.name.is_empty() && facts.os.starts_with("Linux "));
        assert_eq!(facts.boot_id.len(), 36);
        assert_eq!(facts.labels, labels);
        assert_eq!(facts.time_zone.as_deref(), host::time_zone().as_deref());
        let told = |capability| {
            let mut reports = facts.capabilities.iter();
            let report = reports.find(|report| report.capability == capability);
            report.map(CapabilityReport::sentence)
        };
        assert_eq!(
            told(Capability::AllNamespaces).unwrap(),
            "no: they are not asked for (`namespaces`)"
        );
        let bound = told(Capability::BoundSockets).unwrap();
        let means = ["yes, by sock_diag", "partly, by estimate: kernels before"];
        assert!(
            means.iter().any(|means| bound.starts_with(means)),
            "{bound}"
        );
        // Neither means anything on Linux.
        assert_eq!(
            (told(Capability::Netsh), told(Capability::Wmi)),
            (None, None)
        );
    }
}
