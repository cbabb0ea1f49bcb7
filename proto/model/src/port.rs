//! Port spaces: one protocol's pool of dynamic ports in one network namespace of a host.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

/// Transport protocol of a port space. Windows and Linux keep one pool for v4 and v6 together.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Protocol {
    /// TCP over v4 and v6.
    Tcp,
    /// UDP over v4 and v6.
    Udp,
}

impl Protocol {
    /// Both, in display order.
    pub const ALL: [Self; 2] = [Self::Tcp, Self::Udp];

    /// The lower-case name used everywhere.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Tcp => "tcp",
            Self::Udp => "udp",
        }
    }
}

impl fmt::Display for Protocol {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A text that names no protocol.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("the protocol is `tcp` or `udp`")]
pub struct UnknownProtocol;

impl FromStr for Protocol {
    type Err = UnknownProtocol;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text {
            "tcp" => Ok(Self::Tcp),
            "udp" => Ok(Self::Udp),
            _ => Err(UnknownProtocol),
        }
    }
}

/// Name of the namespace an agent lives in; other namespaces carry their `/run/netns` name or `net-<inode>`.
pub const OWN_NAMESPACE: &str = "default";

/// Names one port space of a host.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct PortSpaceKey {
    /// Whose pool.
    pub protocol: Protocol,
    /// Network namespace (Linux) or compartment (Windows); [`OWN_NAMESPACE`] for the agent's own.
    pub namespace: Arc<str>,
}

impl PortSpaceKey {
    /// The port space of `protocol` in the agent's own namespace.
    #[must_use]
    pub fn own(protocol: Protocol) -> Self {
        Self {
            protocol,
            namespace: Arc::from(OWN_NAMESPACE),
        }
    }
}

impl fmt::Display for PortSpaceKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.protocol, self.namespace)
    }
}

/// An inclusive range of ports, `first <= last`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct PortRange {
    /// Lowest port of the range.
    pub first: u16,
    /// Highest port of the range, included.
    pub last: u16,
}

impl PortRange {
    /// The range from `first` to `last`, both included; `None` when they are the wrong way round.
    #[must_use]
    pub const fn new(first: u16, last: u16) -> Option<Self> {
        if first <= last {
            Some(Self { first, last })
        } else {
            None
        }
    }

    /// How many ports it holds, 1 to 65,536.
    #[must_use]
    pub const fn size(self) -> u32 {
        self.last as u32 - self.first as u32 + 1
    }

    /// Whether `port` lies in it.
    #[must_use]
    pub const fn contains(self, port: u16) -> bool {
        self.first <= port && port <= self.last
    }
}

impl fmt::Display for PortRange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}", self.first, self.last)
    }
}
