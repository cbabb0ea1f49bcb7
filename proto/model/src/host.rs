//! A host as the controller knows it.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use serde::{Deserialize, Serialize};

/// What an agent says about its host when a session starts.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct HostFacts {
    /// Host name; hostile text, cut to 253 characters.
    pub name: Arc<str>,
    /// Operating system, as in `Linux 6.18 (Debian 12)` or `Windows Server 2019 (17763.5122)`.
    pub os: Arc<str>,
    /// Version of the agent.
    pub agent_version: Arc<str>,
    /// Changes with each boot.
    pub boot_id: Arc<str>,
    /// IANA name of the time zone that its clock on the wall shows; `None` while nobody knows. Hostile text.
    pub time_zone: Option<Arc<str>>,
    /// What this agent can see and by which means. What is not in it, nobody said anything of.
    pub capabilities: Vec<CapabilityReport>,
    /// Labels from the agent's configuration.
    pub labels: BTreeMap<String, String>,
}

impl HostFacts {
    /// What the agent sees without reservation.
    #[must_use]
    pub fn sees(&self) -> BTreeSet<Capability> {
        seen_without_reservation(&self.capabilities)
    }
}

/// The capabilities that an agent says it has, whole.
#[must_use]
pub fn seen_without_reservation(reports: &[CapabilityReport]) -> BTreeSet<Capability> {
    reports
        .iter()
        .filter(|report| report.state == CapabilityState::Yes)
        .map(|report| report.capability)
        .collect()
}

/// Something that an agent can see on its host, and how.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Capability {
    /// Bound-but-unconnected sockets are listed with their owner.
    BoundSockets,
    /// Sockets are attributed to processes of all users.
    AllOwners,
    /// All network namespaces are sampled.
    AllNamespaces,
    /// Event logs are subscribed to.
    Events,
    /// Windows: `netsh` answers, which tells the ports that are excluded.
    Netsh,
    /// Windows: WMI answers, which tells the dynamic range.
    Wmi,
}

impl Capability {
    /// Every capability; its position is its bit on the wire.
    pub const ALL: [Self; 6] = [
        Self::BoundSockets,
        Self::AllOwners,
        Self::AllNamespaces,
        Self::Events,
        Self::Netsh,
        Self::Wmi,
    ];

    /// The lower-case name used everywhere.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::BoundSockets => "bound_sockets",
            Self::AllOwners => "all_owners",
            Self::AllNamespaces => "all_namespaces",
            Self::Events => "events",
            Self::Netsh => "netsh",
            Self::Wmi => "wmi",
        }
    }

    /// The capability of that name; `None` for one that a newer release knows.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|known| known.as_str() == name)
    }

    /// Whether there is something to say of it on that operating system, as [`HostFacts::os`] names it.
    #[must_use]
    pub fn applies_to(self, os: &str) -> bool {
        match self {
            Self::Netsh | Self::Wmi => os.starts_with("Windows"),
            Self::BoundSockets | Self::AllOwners | Self::AllNamespaces | Self::Events => true,
        }
    }
}

/// Whether an agent has a capability on its host.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CapabilityState {
    /// It has.
    Yes,
    /// With a reservation that is told.
    Partly,
    /// It has not.
    No,
    /// Nobody knows, or not yet.
    Unknown,
}

impl CapabilityState {
    /// The lower-case name used everywhere.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Yes => "yes",
            Self::Partly => "partly",
            Self::No => "no",
            Self::Unknown => "unknown",
        }
    }
}

/// What an agent says of one capability.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CapabilityReport {
    /// Which one.
    pub capability: Capability,
    /// Whether it has it.
    pub state: CapabilityState,
    /// By which means, as in `export`; `None` where there is but one, or it was not told. Hostile text.
    pub how: Option<Arc<str>>,
    /// Why it has it not, or partly. Hostile text.
    pub why: Option<Arc<str>>,
}

impl CapabilityReport {
    /// A report without means and reason.
    #[must_use]
    pub const fn new(capability: Capability, state: CapabilityState) -> Self {
        Self {
            capability,
            state,
            how: None,
            why: None,
        }
    }

    /// For people: `yes, by export`, `no: WMI does not answer`.
    #[must_use]
    pub fn sentence(&self) -> String {
        capability_sentence(
            self.state.as_str(),
            self.how.as_deref(),
            self.why.as_deref(),
        )
    }
}

/// For people: `yes, by export`, `no: WMI does not answer`.
#[must_use]
pub fn capability_sentence(state: &str, how: Option<&str>, why: Option<&str>) -> String {
    let by = how.map_or_else(String::new, |how| format!(", by {how}"));
    let because = why.map_or_else(String::new, |why| format!(": {why}"));
    format!("{state}{by}{because}")
}

/// A report for each capability that means something on `os`: unknown where `told` has none.
#[must_use]
pub fn capabilities_on(os: &str, told: &[CapabilityReport]) -> Vec<CapabilityReport> {
    Capability::ALL
        .into_iter()
        .filter_map(|capability| {
            let report = told.iter().find(|report| report.capability == capability);
            report.cloned().or_else(|| {
                capability
                    .applies_to(os)
                    .then(|| CapabilityReport::new(capability, CapabilityState::Unknown))
            })
        })
        .collect()
}

/// Standing of a host's identity, as stored. Whether it is connected is live state, not this.
///
/// ```text
/// enrolled <-> quarantined -> revoked
///     \-----------------------/
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum HostState {
    /// In good standing.
    Enrolled,
    /// Two holders of one identity were seen: samples are taken, nothing is sent to it.
    Quarantined,
    /// Shut out for good; a new identity is needed.
    Revoked,
}

/// A step that the state does not allow.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("a host that is {} cannot be {action}", .from.as_str())]
pub struct InvalidTransition {
    /// Where it stands.
    pub from: HostState,
    /// What was asked.
    pub action: &'static str,
}

impl HostState {
    /// Every state.
    pub const ALL: [Self; 3] = [Self::Enrolled, Self::Quarantined, Self::Revoked];

    /// The stored name.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Enrolled => "enrolled",
            Self::Quarantined => "quarantined",
            Self::Revoked => "revoked",
        }
    }

    /// The state of that name.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|state| state.as_str() == name)
    }

    /// Two holders of the identity were seen.
    ///
    /// # Errors
    /// When it is revoked.
    pub fn quarantine(self) -> Result<Self, InvalidTransition> {
        match self {
            Self::Enrolled | Self::Quarantined => Ok(Self::Quarantined),
            from @ Self::Revoked => Err(InvalidTransition {
                from,
                action: "quarantined",
            }),
        }
    }

    /// An operator vouches for it again.
    ///
    /// # Errors
    /// When it is not quarantined.
    pub fn release(self) -> Result<Self, InvalidTransition> {
        match self {
            Self::Quarantined => Ok(Self::Enrolled),
            from @ (Self::Enrolled | Self::Revoked) => Err(InvalidTransition {
                from,
                action: "released",
            }),
        }
    }

    /// An operator shuts it out.
    ///
    /// # Errors
    /// When it is revoked already.
    pub fn revoke(self) -> Result<Self, InvalidTransition> {
        match self {
            Self::Enrolled | Self::Quarantined => Ok(Self::Revoked),
            from @ Self::Revoked => Err(InvalidTransition {
                from,
                action: "revoked",
            }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::HostState::{Enrolled, Quarantined, Revoked};
    use super::*;

    #[test]
    fn what_nobody_told_is_unknown_where_it_means_something() {
        let told = [CapabilityReport {
            how: Some("wmi".into()),
            why: Some("no export".into()),
            ..CapabilityReport::new(Capability::BoundSockets, CapabilityState::Partly)
        }];
        let names = |os| {
            let reports = capabilities_on(os, &told).into_iter();
            let lines = reports.map(|report| {
                let name = report.capability.as_str();
                format!("{name} {}", report.sentence())
            });
            lines.collect::<Vec<_>>()
        };
        let of_linux = [
            "bound_sockets partly, by wmi: no export",
            "all_owners unknown",
            "all_namespaces unknown",
            "events unknown",
        ];
        assert_eq!(names("Linux 6.18"), of_linux);
        let more = ["netsh unknown", "wmi unknown"];
        let of_windows = [&of_linux[..], &more[..]].concat();
        assert_eq!(names("Windows Server 2019 (17763.1)"), of_windows);
    }

    #[test]
    fn the_legal_steps_are_exactly_these() {
        let table = [
            (Enrolled, Some(Quarantined), None, Some(Revoked)),
            (
                Quarantined,
                Some(Quarantined),
                Some(Enrolled),
                Some(Revoked),
            ),
            (Revoked, None, None, None),
        ];
        for (from, quarantine, release, revoke) in table {
            assert_eq!(from.quarantine().ok(), quarantine, "{from:?}");
            assert_eq!(from.release().ok(), release, "{from:?}");
            assert_eq!(from.revoke().ok(), revoke, "{from:?}");
        }
    }
}
