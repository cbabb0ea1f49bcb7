//! One row of a socket table, the same for every system.

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
    /// What ties it to a process: the socket's inode on Linux. 0 when no process holds it (TIME_WAIT, embryonic and
    /// orphaned sockets).
    pub inode: u32,
}
