//! What the hosts of a simulated fleet are like: which share leaks, which churns, and how fast.

use std::fmt;
use std::path::Path;

use serde::{Deserialize, Serialize};

/// Largest share of a port space that a simulated host uses by day, so that only leaks and churn exhaust it.
const LEVEL_MAX: f64 = 0.9;

/// What kinds of hosts there are, and how many of each. Hosts that no kind claims are idle.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Scenario {
    /// The kinds, each with its share.
    #[serde(default)]
    pub hosts: Vec<HostKind>,
}

/// One kind of host.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct HostKind {
    /// How its ports go.
    pub behaviour: Behaviour,
    /// Share of all hosts, 0 to 1.
    pub share: f64,
    /// Size of the dynamic range, 256 to 64,512 ports.
    #[serde(default = "capacity_default")]
    pub capacity: u16,
    /// Share of the range in use at the busiest time of a day, 0 to 0.9.
    #[serde(default = "level_default")]
    pub level: f64,
    /// How fast a leak grows.
    #[serde(default = "ports_per_hour_default")]
    pub ports_per_hour: f64,
    /// Connections a second that churn opens to one destination; each leaves a port in TIME_WAIT for 60 s.
    #[serde(default = "connections_per_second_default")]
    pub connections_per_second: f64,
}

/// How a simulated host's ports go.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Behaviour {
    /// Follows its day.
    Idle,
    /// And one process binds sockets that it never connects or closes.
    Leak,
    /// And one process opens short connections to one destination, more and more of them.
    Churn,
}

/// Why there is no scenario.
#[derive(Debug, thiserror::Error)]
pub enum ScenarioError {
    /// Neither a name nor a file.
    #[error(
        "{name:?} is no scenario; use idle, leak, churn, mixed, or the path of a TOML file (docs/FLEETSIM.md)"
    )]
    Unknown {
        /// What was given.
        name: String,
    },
    /// The file cannot be read.
    #[error("the scenario {path} cannot be read")]
    Unreadable {
        /// Which file.
        path: String,
        /// Why not.
        #[source]
        source: std::io::Error,
    },
    /// The file is no scenario.
    #[error("the scenario {path} is malformed")]
    Malformed {
        /// Which file.
        path: String,
        /// Where in it.
        #[source]
        source: Box<toml::de::Error>,
    },
    /// A value is out of limits.
    #[error("hosts[{index}].{field} is {value}; it must be {limit}")]
    OutOfLimits {
        /// Which kind, counted from 0.
        index: usize,
        /// Which of its fields.
        field: &'static str,
        /// What it is.
        value: f64,
        /// What is legal.
        limit: &'static str,
    },
    /// More than all hosts.
    #[error("the shares of hosts add up to {sum}; they may add up to at most 1")]
    TooManyShares {
        /// Their sum.
        sum: f64,
    },
}

impl Scenario {
    /// The scenario of that name, or in the TOML file at that path.
    ///
    /// # Errors
    /// [`ScenarioError`], with what would be legal.
    pub fn open(name_or_path: &str) -> Result<Self, ScenarioError> {
        let kinds = match name_or_path {
            "idle" => vec![],
            "leak" => vec![kind(Behaviour::Leak, 1.0)],
            "churn" => vec![kind(Behaviour::Churn, 1.0)],
            "mixed" => vec![kind(Behaviour::Leak, 0.05), kind(Behaviour::Churn, 0.05)],
            path => return Self::read(path),
        };
        Ok(Self { hosts: kinds })
    }

    fn read(path: &str) -> Result<Self, ScenarioError> {
        if Path::new(path)
            .extension()
            .is_none_or(|extension| extension != "toml")
        {
            return Err(ScenarioError::Unknown {
                name: path.chars().take(64).collect(),
            });
        }
        let text = std::fs::read_to_string(path).map_err(|source| ScenarioError::Unreadable {
            path: path.to_owned(),
            source,
        })?;
        Self::parse(path, &text)
    }

    fn parse(path: &str, text: &str) -> Result<Self, ScenarioError> {
        let scenario: Self = toml::from_str(text).map_err(|source| ScenarioError::Malformed {
            path: path.to_owned(),
            source: Box::new(source),
        })?;
        scenario.check()?;
        Ok(scenario)
    }

    fn check(&self) -> Result<(), ScenarioError> {
        for (index, kind) in self.hosts.iter().enumerate() {
            kind.check()
                .map_err(|(field, value, limit)| ScenarioError::OutOfLimits {
                    index,
                    field,
                    value,
                    limit,
                })?;
        }
        let sum: f64 = self.hosts.iter().map(|kind| kind.share).sum();
        if sum > 1.0 + f64::EPSILON {
            return Err(ScenarioError::TooManyShares { sum });
        }
        Ok(())
    }

    /// The kind of host `index` out of `hosts`. Kinds are spread evenly over the fleet, the same way each time.
    #[must_use]
    pub fn kind_of(&self, index: usize, hosts: usize) -> HostKind {
        // The golden ratio's multiples fill [0, 1) evenly in any prefix.
        const STEP: f64 = 0.618_033_988_749_895;
        let place = if hosts <= 1 {
            0.0
        } else {
            (index as f64 * STEP).fract()
        };
        let mut through = 0.0;
        for kind in &self.hosts {
            through += kind.share;
            if place < through {
                return kind.clone();
            }
        }
        kind(Behaviour::Idle, 1.0)
    }
}

impl HostKind {
    fn check(&self) -> Result<(), (&'static str, f64, &'static str)> {
        let rules = [
            ("share", self.share, 0.0, 1.0, "0 to 1"),
            (
                "capacity",
                f64::from(self.capacity),
                256.0,
                64_512.0,
                "256 to 64512 ports",
            ),
            ("level", self.level, 0.0, LEVEL_MAX, "0 to 0.9"),
            (
                "ports_per_hour",
                self.ports_per_hour,
                0.0,
                1e9,
                "0 to 1000000000",
            ),
            (
                "connections_per_second",
                self.connections_per_second,
                0.0,
                1e6,
                "0 to 1000000",
            ),
        ];
        match rules
            .into_iter()
            .find(|(_, value, min, max, _)| !(*min..=*max).contains(value))
        {
            Some((field, value, _, _, limit)) => Err((field, value, limit)),
            None => Ok(()),
        }
    }
}

impl fmt::Display for Behaviour {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Idle => "idle",
            Self::Leak => "leak",
            Self::Churn => "churn",
        })
    }
}

fn kind(behaviour: Behaviour, share: f64) -> HostKind {
    HostKind {
        behaviour,
        share,
        capacity: capacity_default(),
        level: level_default(),
        ports_per_hour: ports_per_hour_default(),
        connections_per_second: connections_per_second_default(),
    }
}

/// Windows Server's default dynamic range, 49152-65535.
const fn capacity_default() -> u16 {
    16_384
}

const fn level_default() -> f64 {
    0.25
}

/// Exhausts the default range in some 6 hours, so that a forecast appears within minutes.
const fn ports_per_hour_default() -> f64 {
    2_000.0
}

/// Holds 3,000 ports in TIME_WAIT after a minute.
const fn connections_per_second_default() -> f64 {
    50.0
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(text: &str) -> Result<Scenario, ScenarioError> {
        Scenario::parse("scenario.toml", text)
    }

    #[test]
    fn a_mixed_fleet_has_its_shares() {
        let scenario = Scenario::open("mixed").unwrap();
        let count = |behaviour| {
            (0..1_000)
                .filter(|index| scenario.kind_of(*index, 1_000).behaviour == behaviour)
                .count()
        };
        let (leaks, churns) = (count(Behaviour::Leak), count(Behaviour::Churn));
        assert!((45..=55).contains(&leaks), "{leaks}");
        assert!((45..=55).contains(&churns), "{churns}");
    }

    #[test]
    fn a_lone_host_is_of_the_first_kind() {
        let scenario = Scenario::open("mixed").unwrap();
        assert_eq!(scenario.kind_of(0, 1).behaviour, Behaviour::Leak);
    }

    #[test]
    fn a_file_says_what_hosts_are_like() {
        let scenario =
            written("[[hosts]]\nbehaviour = \"leak\"\nshare = 1\ncapacity = 1000\n").unwrap();
        let host = scenario.kind_of(7, 20);
        assert_eq!((host.behaviour, host.capacity), (Behaviour::Leak, 1_000));
    }

    #[test]
    fn what_is_wrong_is_named() {
        let text = |result: Result<Scenario, ScenarioError>| result.unwrap_err().to_string();
        assert!(text(Scenario::open("busy")).contains("idle, leak, churn, mixed"));
        assert!(text(Scenario::open("/nowhere/at/all.toml")).contains("cannot be read"));
        assert!(text(written("hosts = 3")).contains("malformed"));
        assert!(
            text(written("[[hosts]]\nbehaviour=\"leak\"\nshare=0.5\nspeed=1"))
                .contains("malformed")
        );
        assert!(
            text(written("[[hosts]]\nbehaviour=\"leak\"\nshare=7")).contains("hosts[0].share is 7")
        );
        let twice = "[[hosts]]\nbehaviour=\"leak\"\nshare=0.8\n".repeat(2);
        assert!(text(written(&twice)).contains("at most 1"));
    }
}
