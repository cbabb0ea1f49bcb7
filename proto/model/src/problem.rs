//! A problem as a source sees it: what is wrong where, since when, until when, how sure, and what to do. The one input of
//! incidents: forecasts, findings and common causes are all told in it.

use std::fmt;
use std::str::FromStr;

use data_encoding::HEXLOWER;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::forecast::Eta;
use crate::{HostId, PortSpaceKey, Timestamp};

/// How much it matters, from the least to the most.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Severity {
    /// Worth knowing; there is time.
    Info,
    /// Somebody should look during the day.
    Warning,
    /// Somebody must act before it is too late.
    Critical,
}

impl Severity {
    /// Every severity, the least first.
    pub const ALL: [Self; 3] = [Self::Info, Self::Warning, Self::Critical];

    /// The stored name.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Info => "info",
            Self::Warning => "warning",
            Self::Critical => "critical",
        }
    }

    /// The severity of that name.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|one| one.as_str() == name)
    }
}

/// What makes a problem the same problem, whoever sees it and whenever.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "of")]
pub enum ProblemKey {
    /// A port space of a host runs out. Which process does it is not part of the key: it may be named only later.
    Ports {
        /// Whose.
        host: HostId,
        /// Which.
        space: PortSpaceKey,
    },
    /// A diagnosed cause on one host.
    Finding {
        /// Whose.
        host: HostId,
        /// Id of the rule.
        rule: String,
        /// What of the host it is about, as in a process's name; may be empty.
        subject: String,
    },
    /// One cause over several hosts.
    Cause {
        /// What they have in common, as in `image_hash=ab12`.
        common: String,
    },
    /// A port space of a host in which more is held than a budget allows.
    Budget {
        /// Whose.
        host: HostId,
        /// Name of the budget.
        budget: String,
        /// Which.
        space: PortSpaceKey,
    },
}

impl ProblemKey {
    /// The host it is about; `None` when it is about several.
    #[must_use]
    pub const fn host(&self) -> Option<HostId> {
        match self {
            Self::Ports { host, .. } | Self::Finding { host, .. } | Self::Budget { host, .. } => {
                Some(*host)
            }
            Self::Cause { .. } => None,
        }
    }

    /// Its fingerprint: the same on every controller and after every restart.
    #[must_use]
    pub fn fingerprint(&self) -> Fingerprint {
        let mut hash = Sha256::new();
        // Every part is preceded by its length, so that no two keys make the same bytes.
        let mut part = |text: &str| {
            hash.update((text.len() as u64).to_be_bytes());
            hash.update(text);
        };
        match self {
            Self::Ports { host, space } => {
                part("ports");
                part(&host.to_string());
                part(space.protocol.as_str());
                part(&space.namespace);
            }
            Self::Finding {
                host,
                rule,
                subject,
            } => {
                part("finding");
                part(&host.to_string());
                part(rule);
                part(subject);
            }
            Self::Cause { common } => {
                part("cause");
                part(common);
            }
            Self::Budget {
                host,
                budget,
                space,
            } => {
                part("budget");
                part(&host.to_string());
                part(budget);
                part(space.protocol.as_str());
                part(&space.namespace);
            }
        }
        let mut bytes = [0; Fingerprint::BYTES];
        for (to, from) in bytes.iter_mut().zip(hash.finalize().iter()) {
            *to = *from;
        }
        Fingerprint(bytes)
    }
}

/// Names a problem: 128 bits of a hash over its key. Text form: 32 lower-case hexadecimal digits.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Fingerprint([u8; Self::BYTES]);

/// A text that is no fingerprint.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a fingerprint is 32 lower-case hexadecimal digits")]
pub struct InvalidFingerprint;

impl Fingerprint {
    const BYTES: usize = 16;
}

impl fmt::Display for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&HEXLOWER.encode(&self.0))
    }
}

impl fmt::Debug for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Fingerprint({self})")
    }
}

impl Serialize for Fingerprint {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Fingerprint {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

impl FromStr for Fingerprint {
    type Err = InvalidFingerprint;

    fn from_str(text: &str) -> Result<Self, InvalidFingerprint> {
        let bytes = HEXLOWER
            .decode(text.as_bytes())
            .map_err(|_| InvalidFingerprint)?;
        bytes.try_into().map(Self).map_err(|_| InvalidFingerprint)
    }
}

/// How sure a source is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Sureness {
    /// It is measured, not inferred.
    Measured,
    /// The date is a forecast with an 80 % interval.
    Interval,
    /// Inferred, with this confidence in percent.
    Percent(u8),
    /// The source cannot say.
    Unknown,
}

/// What a diagnosis rule says of why a problem is there.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reason {
    /// Id of the rule.
    pub rule: String,
    /// What is wrong, in one sentence; hostile text.
    pub title: String,
    /// How sure the rule is, in percent.
    pub percent: u8,
}

/// A problem at one time.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Problem {
    /// What makes it the same problem.
    pub key: ProblemKey,
    /// Its kind: a road, a rule's id, `common_cause` or `budget`.
    pub kind: String,
    /// Hosts that have it, in the order of their ids; at least one.
    pub hosts: Vec<HostId>,
    /// Process or remote endpoint to blame, when it is known; hostile text.
    pub culprit: Option<String>,
    /// What goes on, as a clause: `port_eater takes ports and does not give them back`.
    pub cause: String,
    /// Figures that an operator can check by hand, one sentence each.
    pub evidence: Vec<String>,
    /// What to do, one sentence each, the least disruptive first.
    pub advice: Vec<String>,
    /// Since when.
    pub since: Timestamp,
    /// Whether there are no ports left already.
    pub is_exhausted: bool,
    /// When ports run out, when anything says so.
    pub eta: Option<Eta>,
    /// The least severity that its source gives it, whatever the date.
    pub at_least: Severity,
    /// How sure that is.
    pub sure: Sureness,
    /// What the diagnosis says of it, when its source is another one.
    #[serde(default)]
    pub reason: Option<Reason>,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Protocol;

    #[test]
    fn a_fingerprint_names_a_problem_for_good() {
        let host = HostId::of_identity_spki(b"web-1");
        let ports = ProblemKey::Ports {
            host,
            space: PortSpaceKey::own(Protocol::Tcp),
        };
        // A stored one must be found again by a later release: this text never changes.
        assert_eq!(
            ports.fingerprint().to_string(),
            "66336e67840c224c8d089fe7b8a0b1d4"
        );
        let stored = serde_json::to_string(&ports).unwrap();
        let read: ProblemKey = serde_json::from_str(&stored).unwrap();
        assert_eq!(read.fingerprint(), ports.fingerprint());
        assert_eq!(
            ports.fingerprint().to_string().parse(),
            Ok(ports.fingerprint())
        );
    }

    #[test]
    fn parts_do_not_run_into_one_another() {
        let host = HostId::of_identity_spki(b"web-1");
        let finding = |rule: &str, subject: &str| {
            ProblemKey::Finding {
                host,
                rule: rule.to_owned(),
                subject: subject.to_owned(),
            }
            .fingerprint()
        };
        assert_ne!(finding("a", "bc"), finding("ab", "c"));
        assert_ne!(finding("a", ""), finding("", "a"));
    }

    #[test]
    fn texts_that_are_no_fingerprint_are_refused() {
        for text in ["", "zz", "0F6b3c0d53c9b6e1d2ad1fd9a2b6fb8e", "00"] {
            assert_eq!(text.parse::<Fingerprint>(), Err(InvalidFingerprint));
        }
    }
}
