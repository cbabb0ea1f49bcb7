//! How a host is configured: facts that an agent read, each known, absent or unknown, and what changed between two readings.
//!
//! All text in it is hostile; the limits here hold in the agent, on the wire and in the store.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::port::{PortRange, Protocol};
use crate::time::Timestamp;

pub mod concern;
pub mod drift;
pub mod fact;

pub use drift::{Drift, StandingFact, StandingFacts};
pub use fact::{FactName, Shape, Topic};

/// Facts that one audit may hold.
pub const FACTS_MAX: usize = 2_048;
/// Things of one kind (cards, hotfixes, templates, addresses) that are kept of a topic.
pub const ITEMS_MAX: usize = 256;
/// Characters of an item's name that are kept.
pub const ITEM_CHARS_MAX: usize = 128;
/// Characters of a text that are kept.
pub const TEXT_CHARS_MAX: usize = 256;
/// Characters of the reason why something is unknown that are kept.
pub const REASON_CHARS_MAX: usize = 128;
/// Ranges of one fact that are kept.
pub const RANGES_MAX: usize = 256;

/// One reading of a host's configuration.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct HostAudit {
    /// When it was finished, by the host's clock.
    pub taken_at: Timestamp,
    /// What was asked for, and whether it could be read. A topic that this system does not have is not in it.
    pub topics: BTreeMap<Topic, TopicState>,
    /// The facts of the topics that were read. A fact of a single thing that is not in it was not asked for.
    pub facts: Vec<AuditFact>,
}

/// Whether a topic could be read.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TopicState {
    /// It was: a thing of the topic that has no facts is not on the host.
    Read,
    /// It was not: why.
    Unread(Arc<str>),
}

/// A fact and how it stands.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AuditFact {
    /// Which.
    #[serde(flatten)]
    pub key: FactKey,
    /// How it stands.
    pub state: FactState,
}

/// Names one fact of a host.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct FactKey {
    /// What it tells.
    pub name: FactName,
    /// Of which of several things (a card, a template, a hotfix); `None` where the host has one.
    pub item: Option<Arc<str>>,
}

/// `max_user_port`, or `nic_rss[Ethernet 2]`.
impl fmt::Display for FactKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.item {
            Some(item) => write!(f, "{}[{item}]", self.name),
            None => write!(f, "{}", self.name),
        }
    }
}

/// How a fact stands.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FactState {
    /// It has this value.
    Known(FactValue),
    /// It is not set, or this system or version does not have it: its default holds.
    Absent,
    /// It could not be read: why.
    Unknown(Arc<str>),
}

/// Value of a fact, of the [`Shape`] that its name has.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FactValue {
    /// A count or a measure, in the unit that ends the fact's name.
    Number(u64),
    /// On or off.
    Flag(bool),
    /// A name or a version.
    Text(Arc<str>),
    /// One range of ports.
    Range(PortRange),
    /// Several ranges of ports, ascending; empty is "none".
    Ranges(Vec<PortRange>),
}

impl FactValue {
    /// A text, cut to what is kept, with NULs replaced because databases cannot hold them.
    #[must_use]
    pub fn text(text: &str) -> Self {
        Self::Text(kept(text, TEXT_CHARS_MAX))
    }

    /// Its shape.
    #[must_use]
    pub const fn shape(&self) -> Shape {
        match self {
            Self::Number(_) => Shape::Number,
            Self::Flag(_) => Shape::Flag,
            Self::Text(_) => Shape::Text,
            Self::Range(_) => Shape::Range,
            Self::Ranges(_) => Shape::Ranges,
        }
    }
}

/// As people read it: `30`, `on`, `12.15.22.3`, `49152-65535`, `none`.
impl fmt::Display for FactValue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Number(number) => write!(f, "{number}"),
            Self::Flag(true) => f.write_str("on"),
            Self::Flag(false) => f.write_str("off"),
            Self::Text(text) => f.write_str(text),
            Self::Range(range) => write!(f, "{range}"),
            Self::Ranges(ranges) if ranges.is_empty() => f.write_str("none"),
            Self::Ranges(ranges) => {
                for (position, range) in ranges.iter().enumerate() {
                    let separator = if position == 0 { "" } else { ", " };
                    write!(f, "{separator}{range}")?;
                }
                Ok(())
            }
        }
    }
}

impl HostAudit {
    /// An audit that holds nothing yet.
    #[must_use]
    pub const fn empty(taken_at: Timestamp) -> Self {
        Self {
            taken_at,
            topics: BTreeMap::new(),
            facts: Vec::new(),
        }
    }

    /// How a fact of a single thing stands; `None` when it was not asked for or its topic could not be read.
    #[must_use]
    pub fn state(&self, name: FactName) -> Option<&FactState> {
        self.state_of(name, None)
    }

    /// How a fact of one of several things stands.
    #[must_use]
    pub fn state_of(&self, name: FactName, item: Option<&str>) -> Option<&FactState> {
        let found = self
            .facts
            .iter()
            .find(|fact| fact.key.name == name && fact.key.item.as_deref() == item);
        found.map(|fact| &fact.state)
    }

    /// Every thing that has a fact of that name, with how it stands.
    pub fn items(&self, name: FactName) -> impl Iterator<Item = (&str, &FactState)> {
        self.facts
            .iter()
            .filter(move |fact| fact.key.name == name)
            .filter_map(|fact| Some((fact.key.item.as_deref()?, &fact.state)))
    }

    /// The number that a fact is known to have.
    #[must_use]
    pub fn number(&self, name: FactName) -> Option<u64> {
        self.state(name)?.number()
    }

    /// Whether something is known to be on.
    #[must_use]
    pub fn flag(&self, name: FactName) -> Option<bool> {
        self.state(name)?.flag()
    }

    /// The text that a fact is known to have.
    #[must_use]
    pub fn text(&self, name: FactName) -> Option<&str> {
        self.state(name)?.text()
    }

    /// The ranges that a fact is known to have.
    #[must_use]
    pub fn ranges(&self, name: FactName) -> Option<&[PortRange]> {
        self.state(name)?.ranges()
    }

    /// The dynamic range of a protocol, where it is known.
    #[must_use]
    pub fn dynamic_range(&self, protocol: Protocol) -> Option<PortRange> {
        let of_windows = match protocol {
            Protocol::Tcp => FactName::DynamicRangeTcpV4,
            Protocol::Udp => FactName::DynamicRangeUdpV4,
        };
        let range = |name| match self.ranges(name)? {
            [range] => Some(*range),
            _ => None,
        };
        range(FactName::DynamicRange).or_else(|| range(of_windows))
    }

    /// Whether both say the same of how the host is set: figures that move by themselves do not count.
    #[must_use]
    pub fn same_settings(&self, other: &Self) -> bool {
        let settings = |audit: &'_ Self| -> Vec<AuditFact> {
            let facts = audit.facts.iter();
            facts
                .filter(|fact| !fact.key.name.is_reading())
                .cloned()
                .collect()
        };
        self.topics == other.topics && settings(self) == settings(other)
    }
}

impl FactState {
    /// The number, when that is what is known.
    #[must_use]
    pub const fn number(&self) -> Option<u64> {
        match self {
            Self::Known(FactValue::Number(number)) => Some(*number),
            Self::Known(_) | Self::Absent | Self::Unknown(_) => None,
        }
    }

    /// Whether it is on, when that is what is known.
    #[must_use]
    pub const fn flag(&self) -> Option<bool> {
        match self {
            Self::Known(FactValue::Flag(flag)) => Some(*flag),
            Self::Known(_) | Self::Absent | Self::Unknown(_) => None,
        }
    }

    /// The text, when that is what is known.
    #[must_use]
    pub fn text(&self) -> Option<&str> {
        match self {
            Self::Known(FactValue::Text(text)) => Some(text),
            Self::Known(_) | Self::Absent | Self::Unknown(_) => None,
        }
    }

    /// The ranges, when that is what is known; one for a single range.
    #[must_use]
    pub fn ranges(&self) -> Option<&[PortRange]> {
        match self {
            Self::Known(FactValue::Range(range)) => Some(std::slice::from_ref(range)),
            Self::Known(FactValue::Ranges(ranges)) => Some(ranges),
            Self::Known(_) | Self::Absent | Self::Unknown(_) => None,
        }
    }

    /// Unknown for that reason, which is cut to what is kept.
    #[must_use]
    pub fn unknown(reason: &str) -> Self {
        Self::Unknown(kept(reason, REASON_CHARS_MAX))
    }
}

impl TopicState {
    /// Not read for that reason, which is cut to what is kept.
    #[must_use]
    pub fn unread(reason: &str) -> Self {
        Self::Unread(kept(reason, REASON_CHARS_MAX))
    }
}

impl FactKey {
    /// The fact of the single thing.
    #[must_use]
    pub const fn of(name: FactName) -> Self {
        Self { name, item: None }
    }

    /// The fact of one of several things, whose name is cut to what is kept.
    #[must_use]
    pub fn of_item(name: FactName, item: &str) -> Self {
        Self {
            name,
            item: Some(kept(item, ITEM_CHARS_MAX)),
        }
    }
}

/// The first characters of a text, without NULs, which databases cannot hold.
fn kept(text: &str, chars_max: usize) -> Arc<str> {
    let kept: String = text
        .chars()
        .take(chars_max)
        .map(|letter| if letter == '\0' { '?' } else { letter })
        .collect();
    kept.into()
}

#[cfg(test)]
mod tests;
