//! Addresses as the tables hold them: one 16-byte form for both families.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// Address family of a socket. A v6 socket with a mapped v4 address is of family v6.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Family {
    /// Internet Protocol version 4.
    V4,
    /// Internet Protocol version 6.
    V6,
}

/// An address in its v6 form; v4 addresses are mapped (RFC 4291, section 2.5.5.2), so that a v4 socket and a
/// dual-stack socket towards the same peer compare equal.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Address([u8; 16]);

impl Address {
    /// From the four octets of a v4 address.
    #[must_use]
    pub const fn from_v4(octets: [u8; 4]) -> Self {
        let [a, b, c, d] = octets;
        Self([0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, a, b, c, d])
    }

    /// From the sixteen octets of a v6 address.
    #[must_use]
    pub const fn from_v6(octets: [u8; 16]) -> Self {
        Self(octets)
    }

    /// The sixteen octets.
    #[must_use]
    pub const fn octets(self) -> [u8; 16] {
        self.0
    }

    /// As the standard library has it; a mapped address comes out as v4.
    #[must_use]
    pub const fn ip(self) -> IpAddr {
        Ipv6Addr::from_octets(self.0).to_canonical()
    }
}

impl From<Ipv4Addr> for Address {
    fn from(address: Ipv4Addr) -> Self {
        Self::from_v4(address.octets())
    }
}

impl From<Ipv6Addr> for Address {
    fn from(address: Ipv6Addr) -> Self {
        Self::from_v6(address.octets())
    }
}

impl From<IpAddr> for Address {
    fn from(address: IpAddr) -> Self {
        match address {
            IpAddr::V4(v4) => v4.into(),
            IpAddr::V6(v6) => v6.into(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mapped_address_is_the_v4_address() {
        let v4: Address = Ipv4Addr::new(192, 0, 2, 7).into();
        let mapped: Address = Ipv4Addr::new(192, 0, 2, 7).to_ipv6_mapped().into();
        assert_eq!(v4, mapped);
        assert_eq!(v4.ip(), IpAddr::V4(Ipv4Addr::new(192, 0, 2, 7)));
        let v6 = Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 1);
        assert_eq!(Address::from(v6).ip(), IpAddr::V6(v6));
    }
}
