//! Port budgets: what a process, a service or a watch group may hold of a host's ports, and for how long it may hold more.

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use crate::duration::format_duration;
use crate::kinds::kinds;
use crate::pattern::is_like;
use crate::problem::Severity;
use crate::silence::{Labels, Matcher};
use crate::view::{Allowed, BudgetSpec};
use crate::{PortSpaceKey, Protocol};

/// What one subject may hold in each port space of that kind, on each host that the matchers choose.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Budget {
    /// Its name, as [`is_name`] allows.
    pub name: String,
    /// Choose the hosts by label; all must match, and none chooses every host.
    pub hosts: Vec<Matcher>,
    /// Whose ports are counted.
    pub subject: Subject,
    /// Which of a host's port spaces.
    pub protocol: Protocol,
    /// Which namespaces; `*` stands for any text. Each namespace is judged by itself.
    pub namespace: String,
    /// What may be held, at least one.
    pub allow: BTreeMap<Quantity, Allowance>,
    /// For how long more may be held without a break.
    pub hold: Duration,
    /// How much it matters when it is exceeded.
    pub severity: Severity,
    /// What to do then.
    pub advice: Option<String>,
}

/// Whose ports a budget is about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Subject {
    /// Processes whose name or executable is like this; `*` stands for any text.
    Process(String),
    /// Processes of the systemd units or Windows services like this.
    Service(String),
    /// Connections of the watch group of that name.
    WatchGroup(String),
}

impl Subject {
    /// `process`, `service` or `watch_group`: the field of a budget that names it.
    #[must_use]
    pub const fn field(&self) -> &'static str {
        match self {
            Self::Process(_) => "process",
            Self::Service(_) => "service",
            Self::WatchGroup(_) => "watch_group",
        }
    }

    /// Its name or pattern.
    #[must_use]
    pub fn pattern(&self) -> &str {
        match self {
            Self::Process(pattern) | Self::Service(pattern) | Self::WatchGroup(pattern) => pattern,
        }
    }
}

impl fmt::Display for Subject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.field().replace('_', " "), self.pattern())
    }
}

kinds! {
    /// What a budget limits. Stored by name: never rename one.
    #[derive(PartialOrd, Ord)]
    Quantity

    /// Distinct dynamic local ports.
    Ports = "ports",
    /// Of those, ports of bound-but-unconnected sockets alone.
    Bound = "bound",
    /// Sockets in CLOSE_WAIT.
    CloseWait = "close_wait",
    /// Sockets in any state.
    Sockets = "sockets",
    /// Connections of a watch group, in any state but TIME_WAIT.
    Connections = "connections",
    /// Connections of a watch group in TIME_WAIT.
    TimeWait = "time_wait",
}

impl Quantity {
    /// Whether a sample carries it for that subject and protocol.
    #[must_use]
    pub const fn is_of(self, subject: &Subject, protocol: Protocol) -> bool {
        match (self, subject) {
            (
                Self::Ports | Self::Bound | Self::Sockets,
                Subject::Process(_) | Subject::Service(_),
            ) => true,
            (Self::CloseWait, Subject::Process(_) | Subject::Service(_)) => {
                matches!(protocol, Protocol::Tcp)
            }
            (Self::Connections | Self::TimeWait, Subject::WatchGroup(_)) => {
                matches!(protocol, Protocol::Tcp)
            }
            (Self::Connections | Self::TimeWait, Subject::Process(_) | Subject::Service(_))
            | (
                Self::Ports | Self::Bound | Self::CloseWait | Self::Sockets,
                Subject::WatchGroup(_),
            ) => false,
        }
    }
}

/// How much of a quantity is allowed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Allowance {
    /// So many.
    Count(u32),
    /// So many thousandths of the port space's capacity, 1 to 1,000.
    Permille(u16),
}

impl Allowance {
    /// Largest count: more than any host has sockets.
    pub const COUNT_MAX: u32 = 10_000_000;

    /// How many that is in a port space; `None` where a share is asked for and the capacity is unknown.
    #[must_use]
    pub fn in_space(self, capacity: u32) -> Option<u32> {
        match self {
            Self::Count(count) => Some(count),
            Self::Permille(_) if capacity == 0 => None,
            Self::Permille(permille) => {
                let share = u64::from(capacity) * u64::from(permille) / 1_000;
                Some(u32::try_from(share).unwrap_or(u32::MAX))
            }
        }
    }
}

impl fmt::Display for Allowance {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Count(count) => write!(f, "{count}"),
            Self::Permille(permille) if permille % 10 == 0 => write!(f, "{}%", permille / 10),
            Self::Permille(permille) => write!(f, "{}.{}%", permille / 10, permille % 10),
        }
    }
}

/// A text that is no share.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "a share is written as a percentage of 0.1% to 100% with at most one decimal, as in \"12.5%\""
)]
pub struct InvalidShare;

impl FromStr for Allowance {
    type Err = InvalidShare;

    /// Reads a share, as in `12.5%` or `20 %`.
    fn from_str(text: &str) -> Result<Self, InvalidShare> {
        let number = text
            .trim()
            .strip_suffix('%')
            .ok_or(InvalidShare)?
            .trim_end();
        let (whole, tenths) = number.split_once('.').unwrap_or((number, "0"));
        let digits = |text: &str, most: usize| {
            (1..=most).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_digit())
        };
        if !digits(whole, 3) || !digits(tenths, 1) {
            return Err(InvalidShare);
        }
        let number = |text: &str| text.parse::<u16>().map_err(|_| InvalidShare);
        let permille = number(whole)?
            .saturating_mul(10)
            .saturating_add(number(tenths)?);
        (1..=1_000)
            .contains(&permille)
            .then_some(Self::Permille(permille))
            .ok_or(InvalidShare)
    }
}

/// Longest name of a budget, in characters.
pub const NAME_CHARS_MAX: usize = 64;

/// Whether a text may name a budget: 1 to 64 characters of `a-z 0-9 - _ .`, a letter or digit first.
#[must_use]
pub fn is_name(text: &str) -> bool {
    let is_plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
    text.len() <= NAME_CHARS_MAX
        && text.bytes().next().is_some_and(is_plain)
        && text
            .bytes()
            .all(|byte| is_plain(byte) || matches!(byte, b'-' | b'_' | b'.'))
}

impl Budget {
    /// Whether it is about the host with these labels, `host` and `host_id` among them.
    #[must_use]
    pub fn is_for_host(&self, labels: &Labels) -> bool {
        self.hosts.iter().all(|matcher| matcher.takes(labels))
    }

    /// Whether it is about that port space of a host.
    #[must_use]
    pub fn is_for_space(&self, space: &PortSpaceKey) -> bool {
        self.protocol == space.protocol && is_like(&space.namespace, &self.namespace)
    }

    /// As files and the API write it: reading it gives this budget again.
    #[must_use]
    pub fn spec(&self) -> BudgetSpec {
        let named = |field: &str| {
            (self.subject.field() == field).then(|| self.subject.pattern().to_owned())
        };
        let allow = self.allow.iter().map(|(quantity, allowance)| {
            let allowed = match allowance {
                Allowance::Count(count) => Allowed::Count(*count),
                share @ Allowance::Permille(_) => Allowed::Share(share.to_string()),
            };
            (quantity.as_str().to_owned(), allowed)
        });
        BudgetSpec {
            name: self.name.clone(),
            hosts: self.hosts.iter().map(ToString::to_string).collect(),
            process: named("process"),
            service: named("service"),
            watch_group: named("watch_group"),
            protocol: self.protocol.as_str().to_owned(),
            namespace: self.namespace.clone(),
            allow: allow.collect(),
            hold: exact(self.hold),
            severity: self.severity.as_str().to_owned(),
            advice: self.advice.clone(),
        }
    }
}

/// A duration as it is read again without loss: in words where they say all of it.
fn exact(duration: Duration) -> String {
    let words = format_duration(duration).replace(' ', "");
    match crate::duration::parse_duration(&words) {
        Ok(read) if read == duration => words,
        Ok(_) | Err(_) => format!("{}ms", duration.as_millis()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_share_is_of_the_capacity_and_written_as_it_is_read() {
        for (text, permille, of_1000) in [("20%", 200, 200), ("12.5 %", 125, 125), ("0.1%", 1, 1)] {
            let share: Allowance = text.parse().unwrap();
            assert_eq!(share, Allowance::Permille(permille), "{text}");
            assert_eq!(share.in_space(1_000), Some(of_1000));
            assert_eq!(share.in_space(0), None, "unknown, not none");
            assert_eq!(share.to_string().parse(), Ok(share));
        }
        for text in [
            "", "%", "20", "0%", "100.1%", "1000%", "-1%", "1.25%", "1.%", "é%",
        ] {
            assert_eq!(text.parse::<Allowance>(), Err(InvalidShare), "{text}");
        }
        assert_eq!(Allowance::Count(7).in_space(0), Some(7));
    }

    #[test]
    fn names_are_plain() {
        for name in ["a", "billing-2", "9_x.y", &"x".repeat(64)] {
            assert!(is_name(name), "{name}");
        }
        for name in ["", "-a", "A", "a b", "a/b", "ä", &"x".repeat(65)] {
            assert!(!is_name(name), "{name}");
        }
    }

    #[test]
    fn a_duration_keeps_every_part() {
        for ms in [0, 1, 90_000, 3_661_000, 86_400_000, 90_061_001] {
            let duration = Duration::from_millis(ms);
            assert_eq!(
                crate::duration::parse_duration(&exact(duration)),
                Ok(duration)
            );
        }
    }

    #[test]
    fn only_what_a_sample_carries_can_be_limited() {
        let process = Subject::Process("x".to_owned());
        let group = Subject::WatchGroup("sql".to_owned());
        let allowed = |subject: &Subject, protocol| -> Vec<&str> {
            let of = Quantity::ALL
                .iter()
                .filter(|one| one.is_of(subject, protocol));
            of.map(|one| one.as_str()).collect()
        };
        assert_eq!(
            allowed(&process, Protocol::Tcp),
            ["ports", "bound", "close_wait", "sockets"]
        );
        assert_eq!(
            allowed(&process, Protocol::Udp),
            ["ports", "bound", "sockets"]
        );
        assert_eq!(allowed(&group, Protocol::Tcp), ["connections", "time_wait"]);
        assert!(allowed(&group, Protocol::Udp).is_empty());
    }
}
