//! Where the controller is: `host:port` as configured, and the addresses it was last reached at.

use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::str::FromStr;
use std::sync::{Mutex, MutexGuard, PoisonError};

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
    /// The addresses to try, the one that answered last first. Asks the resolver only when nothing is cached.
    ///
    /// # Errors
    /// [`LinkFailure::Resolve`] when the name has no address.
    pub(super) async fn resolve(&self) -> Result<Vec<SocketAddr>, LinkFailure> {
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
        let addresses: Vec<SocketAddr> = found.take(ADDRESSES_MAX).collect();
        self.cached().clone_from(&addresses);
        Ok(addresses)
    }

    /// `address` answered: it comes first next time.
    pub(super) fn remember(&self, address: SocketAddr) {
        self.cached().sort_by_key(|candidate| *candidate != address);
    }

    /// None answered: the name is resolved anew next time.
    pub(super) fn forget(&self) {
        self.cached().clear();
    }

    fn cached(&self) -> MutexGuard<'_, Vec<SocketAddr>> {
        self.cached.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

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
