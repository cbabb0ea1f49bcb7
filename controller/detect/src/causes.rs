//! What leaking hosts have in common: the attribute value that they share and that hosts which run the same process and
//! do not leak lack.
//!
//! Pure: the caller brings hosts, their attributes as a map, and what changed on them. Knows no one attribute by name.

mod sweep;
mod tail;
mod witnesses;

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use serde::Serialize;
use tidemark_model::Timestamp;

use sweep::Sweep;
pub use witnesses::Witnesses;

/// Fewer leaking hosts than this have nothing in common that chance would not give them.
pub const HOSTS_LEAST: usize = 3;
/// Attributes of one host that are looked at; the rest are left out and counted.
pub const ATTRIBUTES_MAX: usize = 256;

/// A leak of one host.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LeakSeen {
    /// The process that holds the ports.
    pub culprit: Arc<str>,
    /// When it began, on the controller's clock.
    pub since: Timestamp,
}

/// An attribute that took a value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AttributeChange {
    /// When, on the controller's clock.
    pub at: Timestamp,
    /// Which attribute.
    pub attribute: String,
    /// Its value from then on.
    pub value: String,
}

/// One host as the sweep sees it.
#[derive(Clone, Debug)]
pub struct FleetHost<'a> {
    /// What it is called in the answer.
    pub name: &'a str,
    /// Whatever is known of it, by name and value: labels, versions, builds, drivers, racks.
    pub attributes: Vec<(&'a str, &'a str)>,
    /// The processes that it runs, as far as they are known.
    pub processes: Vec<&'a str>,
    /// Its leak, of this day or of the last fortnight.
    pub leak: Option<LeakSeen>,
    /// What changed on it.
    pub changes: &'a [AttributeChange],
}

/// An attribute value that explains leaks.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct CommonCause {
    /// Which attribute.
    pub attribute: String,
    /// Which value.
    pub value: String,
    /// The process that leaks.
    pub culprit: String,
    /// The hosts with that value that leak, by name.
    pub hosts: Vec<String>,
    /// Since when the first of them does.
    pub since: Timestamp,
    /// Hosts compared: those that run the process, or the fleet.
    pub compared: usize,
    /// Whether `compared` are only hosts that run the process.
    pub is_among_runners: bool,
    /// Of those, how many have the value.
    pub having: usize,
    /// Of those compared, how many leak, with the value or without.
    pub leaking: usize,
    /// Power of ten of the chance that this is one, corrected for all that was tried.
    pub chance_power: f64,
    /// Values and processes that were tried.
    pub tried: usize,
    /// On how many of `hosts` a change to that value came before the leak.
    pub changed_before: usize,
    /// Other values that explain the same as well.
    pub alike: Vec<(String, String)>,
}

impl CommonCause {
    /// The counts both ways, for an operator to check by hand.
    #[must_use]
    pub fn text(&self) -> String {
        let with = self.hosts.len();
        let others = self.compared.saturating_sub(self.having);
        let leaking_others = self.leaking.saturating_sub(with);
        let whose = if self.is_among_runners {
            format!("hosts that run {}", self.culprit)
        } else {
            "hosts of the fleet".to_owned()
        };
        let change = match self.changed_before {
            0 => String::new(),
            count => format!("; the change came before on {count} of them"),
        };
        let alike = alike_text(
            self.alike
                .iter()
                .map(|(attribute, value)| (&**attribute, &**value)),
        );
        format!(
            "{} leaks on {with} of {} hosts with {} {} and on {leaking_others} of {others} other {whose} (chance below 1 in 10^{:.0} \
             after {} comparisons){change}{alike}",
            self.culprit,
            self.having,
            self.attribute,
            self.value,
            (-self.chance_power).floor().max(0.0),
            self.tried,
        )
    }
}

/// What the sentence of a cause ends with: other values that would explain the same. Empty without any.
pub fn alike_text<'a>(alike: impl Iterator<Item = (&'a str, &'a str)>) -> String {
    let names: Vec<String> = alike
        .map(|(attribute, value)| format!("{attribute} {value}"))
        .collect();
    if names.is_empty() {
        return String::new();
    }
    format!("; {} would explain the same", names.join(", "))
}

#[derive(Clone, Debug)]
struct Member {
    name: Arc<str>,
    /// Numbers of its attribute values.
    values: Vec<u32>,
    /// Hashes of its processes' names.
    processes: Vec<u64>,
    leak: Option<LeakSeen>,
    /// What it changed to, and when.
    changes: Vec<(u32, Timestamp)>,
}

/// A fleet at one time.
#[derive(Clone, Debug, Default)]
pub struct Fleet {
    numbers: HashMap<Arc<str>, HashMap<Arc<str>, u32>>,
    /// Attribute and value of each number.
    values: Vec<(Arc<str>, Arc<str>)>,
    members: Vec<Member>,
    attributes_left_out: u64,
}

impl Fleet {
    /// Adds a host.
    pub fn add(&mut self, host: &FleetHost<'_>) {
        let taken = host.attributes.iter().take(ATTRIBUTES_MAX);
        let values = taken
            .map(|(attribute, value)| self.number(attribute, value))
            .collect();
        let left_out = host.attributes.len().saturating_sub(ATTRIBUTES_MAX);
        self.attributes_left_out = self.attributes_left_out.saturating_add(left_out as u64);
        let changes = if host.leak.is_some() {
            host.changes
                .iter()
                .map(|change| (self.number(&change.attribute, &change.value), change.at))
                .collect()
        } else {
            Vec::new()
        };
        let mut processes: Vec<u64> = host.processes.iter().map(|name| hash(name)).collect();
        if let Some(leak) = &host.leak {
            processes.push(hash(&leak.culprit));
        }
        self.members.push(Member {
            name: Arc::from(host.name),
            values,
            processes,
            leak: host.leak.clone(),
            changes,
        });
    }

    /// Hosts that were added.
    #[must_use]
    pub const fn len(&self) -> usize {
        self.members.len()
    }

    /// Whether no host was added.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.members.is_empty()
    }

    /// Attributes beyond [`ATTRIBUTES_MAX`] of a host; they were not looked at.
    #[must_use]
    pub const fn attributes_left_out(&self) -> u64 {
        self.attributes_left_out
    }

    fn number(&mut self, attribute: &str, value: &str) -> u32 {
        if let Some(number) = self
            .numbers
            .get(attribute)
            .and_then(|values| values.get(value))
        {
            return *number;
        }
        let number = u32::try_from(self.values.len()).unwrap_or(u32::MAX);
        let (attribute, value): (Arc<str>, Arc<str>) = (Arc::from(attribute), Arc::from(value));
        self.values
            .push((Arc::clone(&attribute), Arc::clone(&value)));
        self.numbers
            .entry(attribute)
            .or_default()
            .insert(value, number);
        number
    }

    /// The causes, the most certain first.
    #[must_use]
    pub fn causes(&self) -> Vec<CommonCause> {
        let mut leaking: BTreeMap<&str, Vec<usize>> = BTreeMap::new();
        for (position, member) in self.members.iter().enumerate() {
            if let Some(leak) = &member.leak {
                leaking.entry(&leak.culprit).or_default().push(position);
            }
        }
        leaking.retain(|_, hosts| hosts.len() >= HOSTS_LEAST);
        if leaking.is_empty() {
            return Vec::new();
        }
        let runners = self.runners(leaking.keys().copied());
        let sweep = Sweep::new(self, leaking.len());
        let mut causes: Vec<CommonCause> = leaking
            .iter()
            .flat_map(|(culprit, hosts)| {
                let running = runners
                    .get(&hash(culprit))
                    .map_or(&[][..], |(_, running)| running);
                sweep.causes_of(culprit, hosts, running)
            })
            .collect();
        causes.sort_by(|one, other| one.chance_power.total_cmp(&other.chance_power));
        causes
    }

    /// The hosts that run each of these processes.
    fn runners<'a>(
        &self,
        culprits: impl Iterator<Item = &'a str>,
    ) -> HashMap<u64, (&'a str, Vec<usize>)> {
        let mut runners: HashMap<u64, (&str, Vec<usize>)> = culprits
            .map(|culprit| (hash(culprit), (culprit, Vec::new())))
            .collect();
        for (position, member) in self.members.iter().enumerate() {
            for process in &member.processes {
                if let Some((_, running)) = runners.get_mut(process)
                    && running.last() != Some(&position)
                {
                    running.push(position);
                }
            }
        }
        runners
    }
}

/// FNV-1a (draft-eastlake-fnv): two names of one fleet do not meet in 64 bits.
fn hash(name: &str) -> u64 {
    name.bytes().fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
    })
}
