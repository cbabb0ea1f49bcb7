//! What a host's audits say that other hosts may share, as attributes, and what of it changed lately. Bounded, whatever an
//! agent reports.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};

use tidemark_detect::causes::AttributeChange;
use tidemark_model::Timestamp;
use tidemark_model::audit::drift::Setting;
use tidemark_model::audit::{Drift, FactKey, FactName, StandingFact, StandingFacts, Topic};
use tidemark_store::StoredDrift;

/// Attributes of one host; beyond them the oldest hotfixes go first.
pub const ATTRIBUTES_MAX: usize = 96;
/// Characters of a value that are kept.
const VALUE_CHARS_MAX: usize = 128;
/// Changes of one host that are kept, the newest.
pub const CHANGES_MAX: u32 = 32;

/// What is known of a host by its audits.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct KnownFacts {
    /// When the newest audit was taken.
    taken_at: Option<Timestamp>,
    /// Ordered by name.
    attributes: Vec<Attribute>,
    /// Oldest first.
    changes: Vec<AttributeChange>,
    /// When something of a topic changed last.
    changed_at: BTreeMap<Topic, Timestamp>,
}

/// A name and a value.
type Attribute = (Cow<'static, str>, Box<str>);

impl KnownFacts {
    /// What is stored of a host: its facts and its newest changes, in any order.
    #[must_use]
    pub fn of_store(standing: &StandingFacts, drifts: &[StoredDrift]) -> Self {
        let mut known = Self::default();
        let names = |name: &str| FactName::ALL.iter().find(|fact| fact.as_str() == name);
        let mut drifts: Vec<&StoredDrift> = drifts.iter().collect();
        drifts.sort_by_key(|drift| (drift.at, drift.id));
        for drift in drifts {
            // A fact of another release is none that is known here.
            let Some(name) = names(&drift.fact) else {
                continue;
            };
            let key = FactKey {
                name: *name,
                item: drift.item.as_deref().map(Into::into),
            };
            known.changed(drift.at, &key, &drift.became, standing);
        }
        known.stand(standing);
        known
    }

    /// Takes an audit in, with what it changed.
    pub fn follow(&mut self, standing: &StandingFacts, drifts: &[Drift]) {
        for Drift { key, to, .. } in drifts {
            self.changed(standing.taken_at, key, &to.to_string(), standing);
        }
        self.stand(standing);
    }

    /// Takes in what was stored before this one began, unless an audit has come since.
    pub fn restore(&mut self, stored: Self) {
        if self.taken_at > stored.taken_at {
            let mut changes = stored.changes;
            changes.retain(|change| !self.changes.contains(change));
            changes.append(&mut self.changes);
            changes.drain(..changes.len().saturating_sub(CHANGES_MAX as usize));
            self.changes = changes;
            for (topic, at) in stored.changed_at {
                self.changed_at.entry(topic).or_insert(at);
            }
        } else {
            *self = stored;
        }
    }

    /// When the newest audit was taken; `None` before the first.
    #[must_use]
    pub const fn audited_at(&self) -> Option<Timestamp> {
        self.taken_at
    }

    /// Names and values, ordered by name; no name comes twice.
    pub fn attributes(&self) -> impl Iterator<Item = (&str, &str)> {
        self.attributes
            .iter()
            .map(|(name, value)| (&**name, &**value))
    }

    /// What changed lately, on the controller's clock.
    #[must_use]
    pub fn changes(&self) -> &[AttributeChange] {
        &self.changes
    }

    fn changed(&mut self, at: Timestamp, key: &FactKey, value: &str, standing: &StandingFacts) {
        self.changed_at.insert(key.name.topic(), at);
        let is_gone = key.item.is_some() && value == Setting::Absent.to_string();
        let attribute = attribute_of(key, value, &drivers(standing));
        let Some((attribute, value)) = attribute.filter(|_| !is_gone) else {
            return;
        };
        if self.changes.len() >= CHANGES_MAX as usize {
            self.changes.remove(0);
        }
        self.changes.push(AttributeChange {
            at,
            attribute: attribute.into_owned(),
            value: value.into(),
        });
    }

    fn stand(&mut self, standing: &StandingFacts) {
        let drivers = drivers(standing);
        let digested = digested(standing);
        let mut found: Vec<(u8, Attribute)> = Vec::new();
        for fact in &standing.facts {
            // It names the same file, and where that is too large to digest, it alone does.
            let is_twice = fact.key.name == FactName::ImageBuildId
                && fact
                    .key
                    .item
                    .as_deref()
                    .is_some_and(|item| digested.contains(item));
            if is_twice {
                continue;
            }
            let absent = || fact.key.item.is_none().then(|| Setting::Absent.to_string());
            let value = match &fact.setting {
                Some(Setting::Value(value)) => Some(value.to_string()),
                Some(Setting::Absent) => absent(),
                None => None,
            };
            let attribute = value.and_then(|value| attribute_of(&fact.key, &value, &drivers));
            found.extend(attribute.map(|attribute| (rank(fact), attribute)));
        }
        for (topic, at) in &self.changed_at {
            found.extend(day(*at).map(|day| (0, (format!("changed[{topic}]").into(), day))));
        }
        // The highest number of a hotfix is the newest.
        found.sort_by(|(rank, one), (other_rank, other)| {
            rank.cmp(other_rank).then_with(|| other.0.cmp(&one.0))
        });
        // Two cards with one driver, set differently: one of them speaks.
        found.dedup_by(|(_, one), (_, other)| one.0 == other.0);
        found.truncate(ATTRIBUTES_MAX);
        self.attributes = found.into_iter().map(|(_, attribute)| attribute).collect();
        self.attributes.sort_unstable();
        self.attributes.shrink_to_fit();
        self.taken_at = Some(standing.taken_at);
    }
}

/// What goes last when there is too much: first what a host has one of, what its programs and products for endpoint protection
/// are, then cards and the like.
fn rank(fact: &StandingFact) -> u8 {
    let name = fact.key.name;
    let is_gone = name.is_of_things_seen() && fact.unknown.is_some();
    let is_of_software = matches!(name.topic(), Topic::Programs | Topic::EndpointProtection);
    if is_gone || matches!(name.topic(), Topic::Hotfixes) {
        2
    } else if name.is_of_items() && (name.is_digest() || !is_of_software) {
        1
    } else {
        0
    }
}

/// Programs whose file was digested.
fn digested(standing: &StandingFacts) -> BTreeSet<&str> {
    let facts = standing.facts.iter();
    facts
        .filter(|fact| fact.key.name == FactName::ImageSha256 && fact.setting.is_some())
        .filter_map(|fact| fact.key.item.as_deref())
        .collect()
}

/// Whether the values of an attribute are digests: of those that explain leaks as well, people want to read another.
#[must_use]
pub fn is_digest(attribute: &str) -> bool {
    let mut digests = FactName::ALL.iter().filter(|name| name.is_digest());
    digests.any(|name| {
        attribute
            .strip_prefix(name.as_str())
            .is_some_and(|item| item.starts_with('['))
    })
}

/// The driver of each card.
fn drivers(standing: &StandingFacts) -> BTreeMap<&str, String> {
    let cards = standing
        .facts
        .iter()
        .filter(|fact| fact.key.name == FactName::NicDriver);
    cards
        .filter_map(|fact| match &fact.setting {
            Some(Setting::Value(driver)) => Some((fact.key.item.as_deref()?, driver.to_string())),
            Some(Setting::Absent) | None => None,
        })
        .collect()
}

/// A fact as an attribute that hosts can share; `None` for one that says nothing of the kind, or that moves by itself. Cards
/// go by their driver: what they are called differs from host to host.
fn attribute_of(key: &FactKey, value: &str, drivers: &BTreeMap<&str, String>) -> Option<Attribute> {
    let is_a_hosts_own = matches!(
        key.name,
        FactName::MemoryBytes
            | FactName::FileMax
            | FactName::NicDescription
            | FactName::NicDriver
            | FactName::NicDeviceId
    );
    if key.name.is_reading() || is_a_hosts_own {
        return None;
    }
    let cut = |text: &str| text.chars().take(VALUE_CHARS_MAX).collect::<Box<str>>();
    Some(match (&key.item, key.name.topic()) {
        (None, _) => (key.name.as_str().into(), cut(value)),
        (Some(card), Topic::Nics) => {
            let driver = drivers.get(&**card)?;
            (format!("{}[{driver}]", key.name).into(), cut(value))
        }
        // When it was installed is no trait to share.
        (Some(update), Topic::Hotfixes) => (format!("hotfix[{update}]").into(), "installed".into()),
        (Some(_), _) => (key.to_string().into(), cut(value)),
    })
}

/// The day of a time, as in `2026-01-19`, by UTC.
fn day(at: Timestamp) -> Option<Box<str>> {
    let at = jiff::Timestamp::from_millisecond(at.unix_ms()).ok()?;
    Some(at.strftime("%Y-%m-%d").to_string().into())
}

#[cfg(test)]
mod tests;
