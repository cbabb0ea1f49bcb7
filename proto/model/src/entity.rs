//! What a series is about: the host, a port space, a process image, a service, a remote endpoint or a watch group.

use std::fmt;
use std::net::IpAddr;
use std::sync::Arc;

use crate::sample::ProbeKind;
use crate::{PortSpaceKey, Protocol};

/// What a series is about, within one host. Interned in the store's dictionary by [`Entity::to_text`].
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Entity {
    /// The host as a whole.
    Host,
    /// One port space.
    PortSpace(PortSpaceKey),
    /// All processes of one image name in a port space.
    Process {
        /// Where it holds ports.
        space: PortSpaceKey,
        /// Image name.
        name: Arc<str>,
    },
    /// What the processes outside the top hold in a port space.
    OtherProcesses(PortSpaceKey),
    /// All processes of one service in a port space.
    Service {
        /// Where it holds ports.
        space: PortSpaceKey,
        /// Service or unit name.
        name: Arc<str>,
    },
    /// One remote endpoint.
    Destination {
        /// Whose local ports are occupied.
        space: PortSpaceKey,
        /// Remote address.
        address: IpAddr,
        /// Remote port.
        port: u16,
    },
    /// One watch group in a port space.
    WatchGroup {
        /// Where its connections are.
        space: PortSpaceKey,
        /// Group name.
        name: Arc<str>,
    },
    /// One probe.
    Probe(ProbeKind),
}

/// The kinds of [`Entity`], for filters and grouping.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[expect(missing_docs, reason = "each is the variant of Entity with its name")]
pub enum EntityKind {
    Host,
    PortSpace,
    Process,
    OtherProcesses,
    Service,
    Destination,
    WatchGroup,
    Probe,
}

impl EntityKind {
    /// Every kind, in display order.
    pub const ALL: [Self; 8] = [
        Self::Host,
        Self::PortSpace,
        Self::Process,
        Self::OtherProcesses,
        Self::Service,
        Self::Destination,
        Self::WatchGroup,
        Self::Probe,
    ];

    /// The lower-case name used in texts, queries and tables.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Host => "host",
            Self::PortSpace => "port_space",
            Self::Process => "process",
            Self::OtherProcesses => "other_processes",
            Self::Service => "service",
            Self::Destination => "destination",
            Self::WatchGroup => "watch_group",
            Self::Probe => "probe",
        }
    }

    /// The kind of that name.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.as_str() == name)
    }
}

/// Longest text form of an entity, in bytes; names are cut to fit.
pub const ENTITY_TEXT_BYTES_MAX: usize = 512;

impl Entity {
    /// Which kind it is.
    #[must_use]
    pub const fn kind(&self) -> EntityKind {
        match self {
            Self::Host => EntityKind::Host,
            Self::PortSpace(_) => EntityKind::PortSpace,
            Self::Process { .. } => EntityKind::Process,
            Self::OtherProcesses(_) => EntityKind::OtherProcesses,
            Self::Service { .. } => EntityKind::Service,
            Self::Destination { .. } => EntityKind::Destination,
            Self::WatchGroup { .. } => EntityKind::WatchGroup,
            Self::Probe(_) => EntityKind::Probe,
        }
    }

    /// The port space it lies in; `None` for what concerns the whole host.
    #[must_use]
    pub const fn space(&self) -> Option<&PortSpaceKey> {
        match self {
            Self::Host | Self::Probe(_) => None,
            Self::PortSpace(space) | Self::OtherProcesses(space) => Some(space),
            Self::Process { space, .. }
            | Self::Service { space, .. }
            | Self::Destination { space, .. }
            | Self::WatchGroup { space, .. } => Some(space),
        }
    }

    /// The text that names it within its host: `kind`, then `|protocol|namespace`, then `|name`, as far as they apply.
    /// The name comes last and may hold any character.
    #[must_use]
    pub fn to_text(&self) -> String {
        let kind = self.kind().as_str();
        match self {
            Self::Host => kind.to_owned(),
            Self::Probe(probe) => format!("{kind}|{}", probe.as_str()),
            Self::PortSpace(space) | Self::OtherProcesses(space) => with_space(kind, space),
            Self::Process { space, name }
            | Self::Service { space, name }
            | Self::WatchGroup { space, name } => {
                format!("{}|{name}", with_space(kind, space))
            }
            Self::Destination {
                space,
                address,
                port,
            } => {
                format!("{}|{}", with_space(kind, space), Endpoint(*address, *port))
            }
        }
    }

    /// The entity that a text from [`Entity::to_text`] names; `None` for any other text.
    #[must_use]
    pub fn from_text(text: &str) -> Option<Self> {
        let (kind, rest) = text
            .split_once('|')
            .map_or((text, ""), |(kind, rest)| (kind, rest));
        match EntityKind::from_name(kind)? {
            EntityKind::Host => rest.is_empty().then_some(Self::Host),
            EntityKind::Probe => ProbeKind::ALL
                .into_iter()
                .find(|probe| probe.as_str() == rest)
                .map(Self::Probe),
            EntityKind::PortSpace => space_of(rest)
                .filter(|(_, name)| name.is_empty())
                .map(|(s, _)| Self::PortSpace(s)),
            EntityKind::OtherProcesses => space_of(rest)
                .filter(|(_, name)| name.is_empty())
                .map(|(s, _)| Self::OtherProcesses(s)),
            EntityKind::Process => space_of(rest).map(|(space, name)| Self::Process {
                space,
                name: name.into(),
            }),
            EntityKind::Service => space_of(rest).map(|(space, name)| Self::Service {
                space,
                name: name.into(),
            }),
            EntityKind::WatchGroup => space_of(rest).map(|(space, name)| Self::WatchGroup {
                space,
                name: name.into(),
            }),
            EntityKind::Destination => {
                let (space, endpoint) = space_of(rest)?;
                let (address, port) = endpoint.rsplit_once(':')?;
                let address = address
                    .trim_start_matches('[')
                    .trim_end_matches(']')
                    .parse()
                    .ok()?;
                Some(Self::Destination {
                    space,
                    address,
                    port: port.parse().ok()?,
                })
            }
        }
    }
}

impl fmt::Display for Entity {
    /// What a person reads: the name alone where there is one.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Host => f.write_str("host"),
            Self::PortSpace(space) => write!(f, "{space}"),
            Self::OtherProcesses(_) => f.write_str("other processes"),
            Self::Process { name, .. }
            | Self::Service { name, .. }
            | Self::WatchGroup { name, .. } => f.write_str(name),
            Self::Destination { address, port, .. } => Endpoint(*address, *port).fmt(f),
            Self::Probe(probe) => f.write_str(probe.as_str()),
        }
    }
}

struct Endpoint(IpAddr, u16);

impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            IpAddr::V4(address) => write!(f, "{address}:{}", self.1),
            IpAddr::V6(address) => write!(f, "[{address}]:{}", self.1),
        }
    }
}

fn with_space(kind: &str, space: &PortSpaceKey) -> String {
    format!("{kind}|{}|{}", space.protocol, space.namespace)
}

fn space_of(rest: &str) -> Option<(PortSpaceKey, &str)> {
    let mut parts = rest.splitn(3, '|');
    let protocol: Protocol = parts.next()?.parse().ok()?;
    let namespace = parts.next()?;
    Some((
        PortSpaceKey {
            protocol,
            namespace: namespace.into(),
        },
        parts.next().unwrap_or(""),
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn one_of_each() -> Vec<Entity> {
        let space = PortSpaceKey {
            protocol: Protocol::Udp,
            namespace: "blue".into(),
        };
        vec![
            Entity::Host,
            Entity::PortSpace(space.clone()),
            Entity::OtherProcesses(space.clone()),
            Entity::Process {
                space: space.clone(),
                name: "odd|name: [x]".into(),
            },
            Entity::Service {
                space: space.clone(),
                name: "ssh.service".into(),
            },
            Entity::Destination {
                space: space.clone(),
                address: "10.0.0.1".parse().unwrap(),
                port: 443,
            },
            Entity::Destination {
                space: space.clone(),
                address: "fe80::1".parse().unwrap(),
                port: 1,
            },
            Entity::WatchGroup {
                space,
                name: "sql".into(),
            },
            Entity::Probe(ProbeKind::BindBurst),
        ]
    }

    #[test]
    fn every_kind_survives_its_text_form() {
        for entity in one_of_each() {
            assert_eq!(Entity::from_text(&entity.to_text()), Some(entity));
        }
    }

    #[test]
    fn texts_of_no_entity_are_refused() {
        for text in [
            "",
            "host|x",
            "port_space|icmp|default",
            "destination|tcp|default|nonsense",
            "probe|none",
        ] {
            assert_eq!(Entity::from_text(text), None, "{text}");
        }
    }
}
