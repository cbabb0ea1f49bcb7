//! Proxies before the controller: who asks is then in the request's head, and believed only from proxies that the operator named.

use std::net::{IpAddr, SocketAddr};

use http::{HeaderMap, HeaderName, header};
use ipnet::IpNet;

use super::connection::{Peer, Transport, Via};

const FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
const FORWARDED_PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");

/// What proxies add to a head; any of them says that a connection is not the asker's own.
const TRACES: [HeaderName; 4] = [
    FORWARDED_FOR,
    FORWARDED_PROTO,
    header::FORWARDED,
    header::VIA,
];

/// The proxies whose word is taken.
#[derive(Clone, Debug, Default)]
pub struct Proxies(Vec<IpNet>);

impl Proxies {
    /// Those at these addresses.
    #[must_use]
    pub const fn new(networks: Vec<IpNet>) -> Self {
        Self(networks)
    }

    /// Whether that is the address of one of them.
    #[must_use]
    pub fn trusts(&self, address: IpAddr) -> bool {
        let address = address.to_canonical();
        self.0.iter().any(|network| network.contains(&address))
    }

    /// Who asks, of a request that came by a connection of `peer`.
    pub fn asker(&self, peer: Peer, headers: &HeaderMap) -> Peer {
        if !TRACES.iter().any(|name| headers.contains_key(name)) {
            return peer;
        }
        if !self.trusts(peer.address.ip()) {
            return Peer {
                via: Via::UnknownProxy,
                ..peer
            };
        }
        let hops = values(headers, &FORWARDED_FOR);
        let transport = match values(headers, &FORWARDED_PROTO).last() {
            Some(&"https") => Transport::Tls,
            Some(_) => Transport::Plain,
            None => peer.transport,
        };
        Peer {
            address: self.nearest_stranger(peer.address, &hops),
            transport,
            via: Via::NamedProxy,
        }
    }

    /// The first that is no proxy, from the controller outwards: each proxy adds at the end whom it heard, and what stands before
    /// is the word of whoever that was.
    fn nearest_stranger(&self, peer: SocketAddr, hops: &[&str]) -> SocketAddr {
        let mut nearest = peer;
        for hop in hops.iter().rev() {
            let Some(address) = address_of(hop) else {
                return nearest;
            };
            nearest = address;
            if !self.trusts(address.ip()) {
                return nearest;
            }
        }
        nearest
    }
}

/// The values of a list that may stand in several lines.
fn values<'h>(headers: &'h HeaderMap, name: &HeaderName) -> Vec<&'h str> {
    let lines = headers.get_all(name).iter();
    lines
        .filter_map(|line| line.to_str().ok())
        .flat_map(|line| line.split(','))
        .map(str::trim)
        .collect()
}

/// An address, which some proxies write with the port.
fn address_of(hop: &str) -> Option<SocketAddr> {
    let bare = hop.trim_start_matches('[').trim_end_matches(']');
    let without_port = |ip: IpAddr| SocketAddr::new(ip, 0);
    bare.parse().map(without_port).or_else(|_| hop.parse()).ok()
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    fn proxies() -> Proxies {
        Proxies::new(vec![
            "127.0.0.1/32".parse().unwrap(),
            "10.1.0.0/16".parse().unwrap(),
            "2001:db8::/32".parse().unwrap(),
        ])
    }

    fn asked(from: &str, pairs: &[(HeaderName, &'static str)]) -> Peer {
        let mut headers = HeaderMap::new();
        for (name, value) in pairs {
            headers.append(name, HeaderValue::from_static(value));
        }
        let address = SocketAddr::new(from.parse().unwrap(), 4_000);
        proxies().asker(Peer::direct(address, Transport::Plain), &headers)
    }

    fn ip_of(peer: Peer) -> String {
        peer.address.ip().to_string()
    }

    #[test]
    fn the_nearest_that_is_no_proxy_asks() {
        let way = |value| (FORWARDED_FOR, value);
        for (hops, asker) in [
            (vec![way("192.0.2.7")], "192.0.2.7"),
            // Whoever asks can write what they like before it.
            (vec![way("127.0.0.1, 192.0.2.7")], "192.0.2.7"),
            (
                vec![way("1.2.3.4"), way("192.0.2.7, 10.1.2.3")],
                "192.0.2.7",
            ),
            (vec![way("[2001:db8::1]:443")], "2001:db8::1"),
            (vec![way("192.0.2.7:51000")], "192.0.2.7"),
            (vec![way("::ffff:192.0.2.7")], "::ffff:192.0.2.7"),
            (vec![way("unknown, 10.1.2.3")], "10.1.2.3"),
            (vec![way("")], "127.0.0.1"),
        ] {
            let peer = asked("127.0.0.1", &hops);
            assert_eq!(ip_of(peer), asker, "{hops:?}");
            assert!(
                peer.via == Via::NamedProxy && !peer.is_loopback(),
                "{hops:?}"
            );
        }
    }

    #[test]
    fn nobody_else_says_who_asks_and_is_no_neighbour_by_it() {
        let claims = [(FORWARDED_FOR, "127.0.0.1"), (FORWARDED_PROTO, "https")];
        let peer = asked("192.0.2.9", &claims);
        assert_eq!(ip_of(peer), "192.0.2.9");
        assert_eq!(peer.transport, Transport::Plain);
        assert_eq!(peer.via, Via::UnknownProxy);
        // A proxy on this machine that nobody named.
        let none = Proxies::default();
        let mut headers = HeaderMap::new();
        headers.insert(header::VIA, HeaderValue::from_static("1.1 proxy"));
        let address = SocketAddr::from(([127, 0, 0, 1], 4_000));
        let direct = Peer::direct(address, Transport::Plain);
        assert!(direct.is_loopback());
        assert!(!none.asker(direct, &headers).is_loopback());
    }

    #[test]
    fn the_proxy_says_whether_the_way_to_it_was_encrypted() {
        let proto = |value| asked("10.1.0.1", &[(FORWARDED_PROTO, value)]).transport;
        assert_eq!(proto("https"), Transport::Tls);
        assert_eq!(proto("https, http"), Transport::Plain, "the nearest counts");
        assert_eq!(proto("http"), Transport::Plain);
        let none = asked("10.1.0.1", &[(FORWARDED_FOR, "192.0.2.7")]);
        assert_eq!(none.transport, Transport::Plain);
    }
}
