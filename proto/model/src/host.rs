//! A host as the controller knows it.

use std::collections::BTreeMap;
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
    /// What this agent can see, by [`Capability`] name.
    pub capabilities: Vec<Capability>,
    /// Labels from the agent's configuration.
    pub labels: BTreeMap<String, String>,
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
}

impl Capability {
    /// Every capability; its position is its bit on the wire.
    pub const ALL: [Self; 4] = [
        Self::BoundSockets,
        Self::AllOwners,
        Self::AllNamespaces,
        Self::Events,
    ];

    /// The lower-case name used everywhere.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::BoundSockets => "bound_sockets",
            Self::AllOwners => "all_owners",
            Self::AllNamespaces => "all_namespaces",
            Self::Events => "events",
        }
    }
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
