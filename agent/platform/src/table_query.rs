//! How socket tables are asked for, the same on every system.

use std::time::Duration;

use tidemark_model::sample::BoundScope;
use tidemark_model::{PortRange, Protocol};

/// Name of the program's hidden command that calls `bound_self_test` in a process of its own.
pub const BOUND_SELF_TEST: &str = "bound-self-test";
/// What that command prints when bound sockets are listed.
pub const BOUND_SELF_TEST_PASSED: &str = "bound sockets are listed";

/// Which sockets to list.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TableQuery {
    /// Which protocol, v4 and v6 together.
    pub protocol: Protocol,
    /// Whether TCP sockets that are bound but not connected are listed, where the system can.
    pub bound: BoundVisibility,
    /// Only sockets whose local port is in this range; the others are skipped.
    pub local_ports: Option<PortRange>,
}

/// Whether the system lists bound-but-unconnected TCP sockets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BoundVisibility {
    /// It does (`TCP_BOUND_INACTIVE` of Linux 6.8 and kernels it was ported back to; the bound endpoints of Windows).
    Listed,
    /// It does not.
    Hidden,
}

/// How a dump went.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct DumpReport {
    /// Rows listed.
    pub rows: u32,
    /// The system says that the tables changed so that rows may be missing or repeated.
    pub interrupted: bool,
    /// How the bound sockets among them were listed.
    pub bound: BoundListing,
}

/// How bound-but-unconnected TCP sockets came into a dump.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum BoundListing {
    /// They are not in it.
    #[default]
    Missing,
    /// All of them, with the other rows.
    Current,
    /// From a list that had been made before.
    Earlier {
        /// How long before.
        age: Duration,
        /// Whose sockets it names.
        scope: BoundScope,
    },
}

/// By which means bound-but-unconnected TCP sockets are counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BoundMethod {
    /// The exports of `iphlpapi.dll`.
    Export,
    /// WMI's `MSFT_NetTCPConnection`, now and then.
    Management,
    /// Handles of suspect processes, now and then.
    Handles,
    /// `sock_diag` of Linux.
    SockDiag,
    /// The kernel's totals: how many are hidden, at most.
    Estimate,
    /// By none.
    Nothing,
    /// It is not known yet.
    Unknown,
}

impl BoundMethod {
    /// The lower-case name used everywhere.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Export => "export",
            Self::Management => "wmi",
            Self::Handles => "afd",
            Self::SockDiag => "sock_diag",
            Self::Estimate => "estimate",
            Self::Nothing => "none",
            Self::Unknown => "unknown",
        }
    }
}

/// By which means bound sockets are counted, and what is to be said of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BoundStanding {
    /// The means.
    pub method: BoundMethod,
    /// Why it is none, or none that sees every socket of the moment.
    pub why: Option<String>,
}
