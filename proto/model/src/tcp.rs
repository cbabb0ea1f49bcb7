//! States of a TCP endpoint, by the names both systems share.

use serde::{Deserialize, Serialize};

/// State of a TCP endpoint. `Bound` is a socket that holds a port without being connected or listening.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[expect(missing_docs, reason = "RFC 9293 names them")]
pub enum TcpState {
    Established,
    SynSent,
    SynReceived,
    FinWait1,
    FinWait2,
    TimeWait,
    Close,
    CloseWait,
    LastAck,
    Listen,
    Closing,
    Bound,
}

impl TcpState {
    /// Every state, in the order of [`TcpState::index`].
    pub const ALL: [Self; 12] = [
        Self::Established,
        Self::SynSent,
        Self::SynReceived,
        Self::FinWait1,
        Self::FinWait2,
        Self::TimeWait,
        Self::Close,
        Self::CloseWait,
        Self::LastAck,
        Self::Listen,
        Self::Closing,
        Self::Bound,
    ];

    /// Position in [`TcpState::ALL`] and in [`StateCounts`].
    #[must_use]
    pub const fn index(self) -> usize {
        self as usize
    }

    /// The lower-case name used everywhere.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Established => "established",
            Self::SynSent => "syn_sent",
            Self::SynReceived => "syn_received",
            Self::FinWait1 => "fin_wait1",
            Self::FinWait2 => "fin_wait2",
            Self::TimeWait => "time_wait",
            Self::Close => "close",
            Self::CloseWait => "close_wait",
            Self::LastAck => "last_ack",
            Self::Listen => "listen",
            Self::Closing => "closing",
            Self::Bound => "bound",
        }
    }
}

/// Sockets by state, of one address family.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct StateCounts([u32; 12]);

impl StateCounts {
    /// Sockets in `state`.
    #[must_use]
    pub const fn get(&self, state: TcpState) -> u32 {
        self.0[state.index()]
    }

    /// Sets the sockets in `state`.
    pub const fn set(&mut self, state: TcpState, sockets: u32) {
        self.0[state.index()] = sockets;
    }

    /// Counts one more socket in `state`.
    pub const fn count(&mut self, state: TcpState) {
        self.0[state.index()] = self.0[state.index()].saturating_add(1);
    }

    /// Sockets in any state.
    #[must_use]
    pub fn total(&self) -> u32 {
        self.0
            .iter()
            .fold(0, |sum, sockets| sum.saturating_add(*sockets))
    }

    /// The states that hold sockets, with how many.
    pub fn occupied(&self) -> impl Iterator<Item = (TcpState, u32)> + '_ {
        TcpState::ALL
            .into_iter()
            .map(|state| (state, self.get(state)))
            .filter(|(_, sockets)| *sockets > 0)
    }
}
