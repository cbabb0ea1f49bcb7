//! One row of a socket table, the same for every system.

use tidemark_model::Timestamp;
use tidemark_model::tcp::TcpState;

use crate::{Address, Family};

/// A socket that holds a local port.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SocketRow {
    /// Family of the socket, not of its addresses.
    pub family: Family,
    /// Its state. Unconnected UDP sockets are [`TcpState::Bound`], connected ones [`TcpState::Established`].
    pub state: TcpState,
    /// Local port in host order; 0 when it has none.
    pub local_port: u16,
    /// Remote port in host order; 0 when there is no peer.
    pub remote_port: u16,
    /// Local address.
    pub local: Address,
    /// Remote address.
    pub remote: Address,
    /// What ties it to a process, a number of what [`HolderKind`] says. 0 when no process holds it (TIME_WAIT,
    /// embryonic and orphaned sockets).
    pub holder: u32,
    /// Windows: which of the services in its process opened it. 0 when none did or it is not told.
    pub service_tag: u32,
    /// When it was opened, by the host's clock; `None` where the system does not tell.
    pub created: Option<Timestamp>,
}

/// What [`SocketRow::holder`] numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HolderKind {
    /// The socket itself, by its inode: which process has it open must be looked for.
    Socket,
    /// The process.
    Process,
}
