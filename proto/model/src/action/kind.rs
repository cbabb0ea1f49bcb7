//! The kinds of action, and how disruptive each is.

use serde::{Deserialize, Serialize};

use crate::kinds::kinds;

kinds! {
    /// What an action does. Told and stored by name: never rename one.
    #[derive(PartialOrd, Ord)]
    #[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
    ActionKind
    /// Collects the socket table, the host's configuration and events into one file on the host.
    CollectEvidence = "collect_evidence",
    /// Writes an entry into the host's event log or journal.
    WriteEvent = "write_event",
    /// Restarts a service with the services that depend on it.
    RestartService = "restart_service",
    /// Recycles an IIS application pool.
    RecycleAppPool = "recycle_app_pool",
    /// Ends one process.
    EndProcess = "end_process",
    /// Sets the range that ephemeral ports are taken from.
    SetDynamicPortRange = "set_dynamic_port_range",
    /// Sets one parameter of the TCP stack.
    SetTcpParameter = "set_tcp_parameter",
    /// Sets one of the stack's global switches (Windows).
    SetTcpGlobal = "set_tcp_global",
    /// Switches an offload of a network adapter.
    SetNicOffload = "set_nic_offload",
    /// Switches the interrupt moderation of a network adapter.
    SetInterruptModeration = "set_interrupt_moderation",
    /// Sets the connections a host that old .NET programs may open.
    SetDotnetConnectionLimit = "set_dotnet_connection_limit",
    /// Puts the TCP/IP stack back to how it was installed.
    ResetTcpStack = "reset_tcp_stack",
    /// Restarts the host.
    Reboot = "reboot",
    /// Runs a script that the host's administrators put into its hooks folder.
    RunHook = "run_hook",
}

impl ActionKind {
    /// How disruptive it is at least; a host's policy may treat a hook as more.
    #[must_use]
    pub const fn tier(self) -> Tier {
        match self {
            Self::CollectEvidence | Self::WriteEvent => Tier::ReadOnly,
            Self::RestartService
            | Self::RecycleAppPool
            | Self::SetDynamicPortRange
            | Self::SetTcpParameter
            | Self::SetTcpGlobal
            | Self::SetDotnetConnectionLimit => Tier::Reversible,
            Self::EndProcess
            | Self::SetNicOffload
            | Self::SetInterruptModeration
            | Self::RunHook => Tier::Disruptive,
            Self::ResetTcpStack | Self::Reboot => Tier::Reboot,
        }
    }
}

/// How disruptive an action is, the least first. Its number is what playbooks and people say.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "u8", into = "u8")]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub enum Tier {
    /// 0: changes nothing that a user would notice.
    ReadOnly,
    /// 1: can be undone, or is a restart that people are used to.
    Reversible,
    /// 2: ends a process or drops a link.
    Disruptive,
    /// 3: needs a reboot, or is one.
    Reboot,
}

impl Tier {
    /// Every tier, the least disruptive first.
    pub const ALL: [Self; 4] = [
        Self::ReadOnly,
        Self::Reversible,
        Self::Disruptive,
        Self::Reboot,
    ];

    /// Its number, 0 to 3.
    #[must_use]
    pub const fn number(self) -> u8 {
        match self {
            Self::ReadOnly => 0,
            Self::Reversible => 1,
            Self::Disruptive => 2,
            Self::Reboot => 3,
        }
    }

    /// How many people must approve it, other than the one who asked for it.
    #[must_use]
    pub const fn approvals_min(self) -> u8 {
        match self {
            Self::ReadOnly => 0,
            Self::Reversible | Self::Disruptive => 1,
            Self::Reboot => 2,
        }
    }

    /// How many different keys must have signed it for a host whose policy lists keys.
    #[must_use]
    pub const fn signatures_min(self) -> u8 {
        match self {
            Self::ReadOnly | Self::Reversible | Self::Disruptive => 1,
            Self::Reboot => 2,
        }
    }
}

impl From<Tier> for u8 {
    fn from(tier: Tier) -> Self {
        tier.number()
    }
}

/// A number that is no tier.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a tier is 0, 1, 2 or 3")]
pub struct InvalidTier;

impl TryFrom<u8> for Tier {
    type Error = InvalidTier;

    fn try_from(number: u8) -> Result<Self, InvalidTier> {
        Self::ALL
            .into_iter()
            .find(|tier| tier.number() == number)
            .ok_or(InvalidTier)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_restarts_a_host_takes_two_people() {
        for kind in [ActionKind::Reboot, ActionKind::ResetTcpStack] {
            assert_eq!(kind.tier().approvals_min(), 2, "{}", kind.as_str());
        }
        assert_eq!(ActionKind::CollectEvidence.tier().approvals_min(), 0);
        for tier in Tier::ALL {
            assert_eq!(tier.signatures_min(), tier.approvals_min().max(1));
        }
    }

    #[test]
    fn names_and_numbers_are_read_back() {
        for kind in ActionKind::ALL {
            assert_eq!(ActionKind::from_name(kind.as_str()), Some(*kind));
            let json = serde_json::to_string(kind).unwrap();
            assert_eq!(json, format!("\"{}\"", kind.as_str()));
        }
        for tier in Tier::ALL {
            assert_eq!(Tier::try_from(tier.number()), Ok(tier));
        }
        assert_eq!(Tier::try_from(4), Err(InvalidTier));
    }
}
