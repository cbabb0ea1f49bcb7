//! The local port of the agent's own connection: outside the dynamic range where that is possible, so that the agent
//! survives the exhaustion it reports.

use std::io::{self, ErrorKind};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use tidemark_model::{PortRange, Protocol};
use tidemark_platform::{connection, ports};
use tidemark_runtime::Entropy;
use tokio::net::{TcpSocket, TcpStream};

/// How many ports outside the range are tried before the choice is left to the kernel.
const ATTEMPTS_MAX: u16 = 16;
/// How wide a strip beside the dynamic range the walk uses: wide enough for several agents, too narrow to sit on a port
/// that a service further away wants to listen on.
const STRIP_PORTS: u16 = 1024;
/// No port below is taken: they belong to privileged services.
const PORT_MIN: u16 = 1024;
/// RFC 6335, and the default of Windows since Vista: where the system does not tell its range.
const IANA_RANGE: PortRange = PortRange {
    first: 49152,
    last: u16::MAX,
};

/// Where the local port of a connection comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SourcePorts {
    /// Beside the dynamic range, which is the one given here or else the system's; the kernel chooses when no port is to
    /// be had there.
    OutsideDynamicRange(Option<PortRange>),
    /// The kernel chooses: for thousands of simulated hosts in one process.
    KernelChoice,
}

impl SourcePorts {
    /// Connects to `remote`.
    pub(super) async fn connect(
        self,
        remote: SocketAddr,
        entropy: &Entropy,
    ) -> io::Result<TcpStream> {
        match self {
            Self::KernelChoice => socket_for(remote)?.connect(remote).await,
            Self::OutsideDynamicRange(stated) => {
                let range = stated.unwrap_or_else(dynamic_range);
                connect_outside(remote, range, entropy).await
            }
        }
    }
}

/// The dynamic range of TCP in the network namespace that this process lives in.
#[must_use]
pub fn dynamic_range() -> PortRange {
    ports::known_range(Protocol::Tcp).unwrap_or(IANA_RANGE)
}

async fn connect_outside(
    remote: SocketAddr,
    range: PortRange,
    entropy: &Entropy,
) -> io::Result<TcpStream> {
    for port in candidates(range, entropy) {
        let socket = socket_for(remote)?;
        // Without this a port in TIME_WAIT from the last connection could not be bound again.
        socket.set_reuseaddr(connection::REUSE_IS_SAFE)?;
        let attempt = match socket.bind(unspecified(remote, port)) {
            Ok(()) => socket.connect(remote).await,
            Err(error) => Err(error),
        };
        match attempt {
            Err(error) if is_port_taken(&error) => {}
            connected_or_failed => return connected_or_failed,
        }
    }
    tracing::warn!(
        dynamic_range = %range,
        "no source port outside the dynamic range is free; the kernel chooses one inside it"
    );
    socket_for(remote)?.connect(remote).await
}

/// A random walk through the strip below the range, or the one above it when there is no room below.
fn candidates(range: PortRange, entropy: &Entropy) -> impl Iterator<Item = u16> + use<> {
    let below = range.first.saturating_sub(STRIP_PORTS).max(PORT_MIN)..range.first;
    let above = range.last.saturating_add(1).max(PORT_MIN)..range.last.saturating_add(STRIP_PORTS);
    let strip = if below.is_empty() { above } else { below };
    let width = u16::try_from(strip.len()).unwrap_or(STRIP_PORTS);
    let start = u16::try_from(entropy.below(u64::from(width))).unwrap_or(0);
    // Steps of 7 leave the ports that the last attempt's neighbours may hold; 16 of them stay within any useful strip.
    (0..ATTEMPTS_MAX.min(width)).map(move |step| {
        let offset = (u32::from(start) + u32::from(step) * 7) % u32::from(width.max(1));
        strip
            .start
            .saturating_add(u16::try_from(offset).unwrap_or(0))
    })
}

/// The port is held by a listener, or this very pair of endpoints is still in TIME_WAIT.
fn is_port_taken(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        ErrorKind::AddrInUse | ErrorKind::AddrNotAvailable | ErrorKind::PermissionDenied
    )
}

fn socket_for(remote: SocketAddr) -> io::Result<TcpSocket> {
    match remote {
        SocketAddr::V4(_) => TcpSocket::new_v4(),
        SocketAddr::V6(_) => TcpSocket::new_v6(),
    }
}

const fn unspecified(remote: SocketAddr, port: u16) -> SocketAddr {
    let address = match remote {
        SocketAddr::V4(_) => IpAddr::V4(Ipv4Addr::UNSPECIFIED),
        SocketAddr::V6(_) => IpAddr::V6(Ipv6Addr::UNSPECIFIED),
    };
    SocketAddr::new(address, port)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;
    use tokio::net::TcpListener;

    use super::*;

    proptest! {
        #[test]
        fn no_candidate_lies_in_the_dynamic_range(first: u16, size in 0..u16::MAX, seed: u64) {
            let range = PortRange { first, last: first.saturating_add(size) };
            let ports: Vec<u16> = candidates(range, &Entropy::seeded(seed)).collect();
            prop_assert!(ports.iter().all(|port| !range.contains(*port) && *port >= PORT_MIN));
            prop_assert!(ports.len() <= usize::from(ATTEMPTS_MAX));
        }
    }

    #[test]
    fn the_walk_does_not_visit_a_port_twice() {
        let range = PortRange::new(32_768, 60_999).unwrap();
        let ports: Vec<u16> = candidates(range, &Entropy::seeded(3)).collect();
        assert_eq!(ports.iter().collect::<BTreeSet<_>>().len(), ports.len());
        assert_eq!(ports.len(), usize::from(ATTEMPTS_MAX));
    }

    #[tokio::test]
    async fn connections_of_both_families_start_outside_the_dynamic_range() {
        for local in ["127.0.0.1:0", "[::1]:0"] {
            let Ok(listener) = TcpListener::bind(local).await else {
                assert!(local.starts_with('['), "IPv4 loopback is always there");
                continue;
            };
            let remote = listener.local_addr().unwrap();
            let stream = SourcePorts::OutsideDynamicRange(None)
                .connect(remote, &Entropy::System)
                .await
                .unwrap();
            let port = stream.local_addr().unwrap().port();
            assert!(!dynamic_range().contains(port), "{port}");
        }
    }

    #[tokio::test]
    async fn the_kernel_chooses_when_nothing_outside_the_range_is_free() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let remote = listener.local_addr().unwrap();
        let whole = PortRange::new(0, u16::MAX).unwrap();
        let stream = connect_outside(remote, whole, &Entropy::seeded(1)).await;
        assert_eq!(stream.unwrap().peer_addr().unwrap(), remote);
    }
}
