//! How socket tables are asked for, the same on every system.

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
}
