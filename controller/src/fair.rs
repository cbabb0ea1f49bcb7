//! Shares among those who ask: nobody, and no network, takes what others need.

pub mod queue;
pub mod rates;
pub mod turnstile;

use std::net::{IpAddr, Ipv6Addr};

pub use queue::FairQueue;
pub use rates::Rates;
pub use turnstile::{Place, Turnstile, TurnstileLimits};

/// Who counts as one: an IPv4 address, or the /64 that an IPv6 host is given whole (RFC 6177) and may take any address of.
#[must_use]
pub fn network_of(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V4(address) => IpAddr::V4(address),
        IpAddr::V6(address) => {
            let prefix = address.to_bits() >> 64 << 64;
            IpAddr::V6(Ipv6Addr::from_bits(prefix))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_addresses_that_a_host_may_take_count_as_one() {
        let network = |text: &str| network_of(text.parse().unwrap()).to_string();
        assert_eq!(network("192.0.2.7"), "192.0.2.7");
        assert_eq!(network("::ffff:192.0.2.7"), "192.0.2.7");
        assert_eq!(network("2001:db8:1:2:3:4:5:6"), "2001:db8:1:2::");
        assert_ne!(network("2001:db8:1:2::1"), network("2001:db8:1:3::1"));
    }
}
