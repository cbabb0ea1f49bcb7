//! Where the controller is: `host:port` as configured, and the addresses it was last reached at.

use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::str::FromStr;
use std::sync::{Mutex, MutexGuard, PoisonError};

use tidemark_runtime::Entropy;

use super::LinkFailure;

/// Most addresses of one name that are tried.
const ADDRESSES_MAX: usize = 8;

/// `host:port` of the controller with the addresses that answered last.
#[derive(Debug)]
pub struct ControllerAddress {
    host: String,
    port: u16,
    cached: Mutex<Vec<SocketAddr>>,
}

/// A text that is not `host:port`.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "{text:?} is not host:port; write a name or address and a port, as in controller.example:7443 or [::1]:7443"
)]
pub struct InvalidAddress {
    /// What was given, cut to 100 characters.
    pub text: String,
}

impl FromStr for ControllerAddress {
    type Err = InvalidAddress;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (host, port) = split(text.trim()).ok_or_else(|| InvalidAddress {
            text: text.chars().take(100).collect(),
        })?;
        Ok(Self {
            host: host.to_owned(),
            port,
            cached: Mutex::default(),
        })
    }
}

fn split(text: &str) -> Option<(&str, u16)> {
    let (host, port) = text.rsplit_once(':')?;
    let port = port.parse().ok().filter(|port| *port != 0)?;
    let bare = host
        .strip_prefix('[')
        .map_or(Some(host), |rest| rest.strip_suffix(']'))?;
    let is_v6 = bare.contains(':');
    let is_legal = !bare.is_empty()
        && bare.len() <= 253
        && bare
            .chars()
            .all(|letter| letter.is_ascii_alphanumeric() || ".-_:%".contains(letter))
        && is_v6 == host.starts_with('[');
    is_legal.then_some((bare, port))
}

impl fmt::Display for ControllerAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.host.contains(':') {
            write!(f, "[{}]:{}", self.host, self.port)
        } else {
            write!(f, "{}:{}", self.host, self.port)
        }
    }
}

impl Clone for ControllerAddress {
    fn clone(&self) -> Self {
        Self {
            host: self.host.clone(),
            port: self.port,
            cached: Mutex::new(self.cached().clone()),
        }
    }
}

impl ControllerAddress {
    /// The addresses to try, the one that answered last first and those that did not answer last. Asks the resolver only
    /// when nothing is cached. The resolver's order is the same on every host, so each host draws its own: else all of them
    /// would go to the first of several controllers.
    ///
    /// # Errors
    /// [`LinkFailure::Resolve`] when the name has no address.
    pub(super) async fn resolve(&self, entropy: &Entropy) -> Result<Vec<SocketAddr>, LinkFailure> {
        if let Ok(address) = self.host.parse::<IpAddr>() {
            return Ok(vec![SocketAddr::new(address, self.port)]);
        }
        let cached = self.cached().clone();
        if !cached.is_empty() {
            return Ok(cached);
        }
        let found = tokio::net::lookup_host((self.host.as_str(), self.port))
            .await
            .map_err(|source| LinkFailure::Resolve {
                name: self.host.clone(),
                source,
            })?;
        let mut addresses: Vec<SocketAddr> = found.take(ADDRESSES_MAX).collect();
        shuffle(&mut addresses, entropy);
        self.cached().clone_from(&addresses);
        Ok(addresses)
    }

    /// `address` answered: it comes first next time.
    pub(super) fn remember(&self, address: SocketAddr) {
        self.cached().sort_by_key(|candidate| *candidate != address);
    }

    /// `address` is tried: unless it answers it comes last next time, also when the attempt is given up on the way. One that
    /// swallows everything would else use up the time of every attempt.
    pub(super) fn doubt(&self, address: SocketAddr) {
        self.cached().sort_by_key(|candidate| *candidate == address);
    }

    /// None answered: the name is resolved anew next time.
    pub(super) fn forget(&self) {
        self.cached().clear();
    }

    /// A name that was resolved to these addresses.
    #[cfg(test)]
    pub(super) fn of_name(addresses: impl IntoIterator<Item = SocketAddr>) -> Self {
        Self {
            host: "controllers.example".to_owned(),
            port: 7443,
            cached: Mutex::new(addresses.into_iter().collect()),
        }
    }

    fn cached(&self) -> MutexGuard<'_, Vec<SocketAddr>> {
        self.cached.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// An order by chance; the family that the resolver prefers stays before the other.
fn shuffle(addresses: &mut [SocketAddr], entropy: &Entropy) {
    let Some(preferred) = addresses.first().map(SocketAddr::is_ipv4) else {
        return;
    };
    for last in (1..addresses.len()).rev() {
        let chosen = entropy.below(last as u64 + 1);
        addresses.swap(last, usize::try_from(chosen).unwrap_or(last));
    }
    addresses.sort_by_key(|address| address.is_ipv4() != preferred);
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    #[test]
    fn hosts_spread_over_the_addresses_of_a_name_and_keep_to_the_preferred_family() {
        let all = ["[fe80::1]:1", "[fe80::2]:1", "[fe80::3]:1", "10.0.0.1:1"];
        let all = all.map(|text| text.parse::<SocketAddr>().unwrap());
        let mut firsts = BTreeSet::new();
        for _ in 0..200 {
            let mut drawn = all;
            shuffle(&mut drawn, &Entropy::System);
            assert_eq!(drawn[3], all[3]);
            firsts.insert(drawn[0]);
        }
        assert_eq!(firsts, BTreeSet::from([all[0], all[1], all[2]]));
    }

    #[tokio::test]
    async fn an_address_that_swallows_everything_is_not_tried_first_again() {
        let known = ["10.0.0.1:1", "10.0.0.2:1", "10.0.0.3:1"];
        let address = ControllerAddress::of_name(known.map(|text| text.parse().unwrap()));
        let order = address.resolve(&Entropy::System).await.unwrap();
        // The first is tried, and the attempt given up on the way.
        address.doubt(order[0]);
        let next = address.resolve(&Entropy::System).await.unwrap();
        assert_eq!(next, [order[1], order[2], order[0]]);
        address.doubt(next[0]);
        address.remember(next[0]);
        assert_eq!(address.resolve(&Entropy::System).await.unwrap(), next);
    }

    #[test]
    fn names_and_both_families_are_understood() {
        for text in [
            "controller.example:7443",
            "10.0.0.1:1",
            "[fe80::1%eth0]:7443",
        ] {
            assert_eq!(text.parse::<ControllerAddress>().unwrap().to_string(), text);
        }
        for text in [
            "",
            "host",
            "host:0",
            "host:70000",
            ":1",
            "::1:7443",
            "https://host:1",
            "[::1:7443",
            "a b:1",
        ] {
            assert!(text.parse::<ControllerAddress>().is_err(), "{text}");
        }
    }

    proptest! {
        #[test]
        fn hostile_addresses_are_refused_without_a_panic(text in ".{0,300}") {
            if let Ok(address) = text.parse::<ControllerAddress>() {
                prop_assert_eq!(address.to_string(), text.trim());
            }
        }
    }
}
