//! What is kept of a host's audits: the newest state of every fact, since when it holds, and what changed.
//!
//! That something could not be read is no change of the host: the setting that was last read stands until another is.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::{FACTS_MAX, FactKey, FactState, FactValue, HostAudit, Topic, TopicState};
use crate::time::Timestamp;

/// Facts of things that were seen once and are not now which are kept, those that hold since lately.
const UNSEEN_MAX: usize = 96;

/// How a fact was set when it was last read.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Setting {
    /// To this value.
    Value(FactValue),
    /// Not at all.
    Absent,
}

/// As people read it: the value, or `absent`.
impl fmt::Display for Setting {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Value(value) => write!(f, "{value}"),
            Self::Absent => f.write_str("absent"),
        }
    }
}

/// One fact, over all audits of the host.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct StandingFact {
    /// Which.
    #[serde(flatten)]
    pub key: FactKey,
    /// How it was set when it was last read; `None` when it never could be.
    pub setting: Option<Setting>,
    /// The first audit that found it like this. A figure that moves by itself: the newest audit that read it.
    pub since: Timestamp,
    /// Why the newest audit could not read it; `None` when it could.
    pub unknown: Option<Arc<str>>,
}

/// Every fact of a host, ordered by key.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct StandingFacts {
    /// When the newest audit was taken.
    pub taken_at: Timestamp,
    /// Topics of the newest audit that could not be read, and why.
    pub unread: BTreeMap<Topic, Arc<str>>,
    /// The facts.
    pub facts: Vec<StandingFact>,
}

/// A fact that is set differently than before.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Drift {
    /// Which.
    pub key: FactKey,
    /// How it was set.
    pub from: Setting,
    /// How it is set.
    pub to: Setting,
}

impl StandingFacts {
    /// What the first audit of a host says.
    #[must_use]
    pub fn first(audit: &HostAudit) -> Self {
        Self::none(audit.taken_at).followed_by(audit).0
    }

    /// What stands after another audit, and what it changed. Times are the audit's, so correct its clock first.
    #[must_use]
    pub fn followed_by(self, audit: &HostAudit) -> (Self, Vec<Drift>) {
        let first_of = self.topics_seen();
        let mut before: BTreeMap<FactKey, StandingFact> = self
            .facts
            .into_iter()
            .map(|fact| (fact.key.clone(), fact))
            .collect();
        let (mut facts, mut drifts) = (Vec::new(), Vec::new());
        for fact in &audit.facts {
            let earlier = before.remove(&fact.key).or_else(|| {
                let appeared = first_of.contains(&fact.key.name.topic());
                let is_news = fact.key.item.is_some() && !fact.key.name.is_of_things_seen();
                (is_news && appeared).then(|| fact_not_there(&fact.key))
            });
            facts.push(step(&fact.key, earlier, &fact.state, audit, &mut drifts));
        }
        let mut unseen = Vec::new();
        for (key, earlier) in before {
            let state = match audit.topics.get(&key.name.topic()) {
                Some(TopicState::Read) if key.name.is_of_things_seen() => {
                    unseen.push(earlier);
                    continue;
                }
                Some(TopicState::Read) => FactState::Absent,
                Some(TopicState::Unread(reason)) => FactState::Unknown(Arc::clone(reason)),
                None => FactState::unknown("not reported any more"),
            };
            let gone = key.item.is_some() && state == FactState::Absent;
            let fact = step(&key, Some(earlier), &state, audit, &mut drifts);
            // What is gone is told by its drift; kept, it would stand in every list for ever.
            if !gone && facts.len() < FACTS_MAX {
                facts.push(fact);
            }
        }
        keep_unseen(unseen, &mut facts);
        facts.sort_by(|one, other| one.key.cmp(&other.key));
        let standing = Self {
            taken_at: audit.taken_at,
            unread: unread(audit),
            facts,
        };
        (standing, drifts)
    }

    /// The newest audit as it is known, for rules: what could not be read again stands as unknown.
    #[must_use]
    pub fn audit(&self) -> HostAudit {
        let mut audit = HostAudit::empty(self.taken_at);
        for fact in &self.facts {
            audit
                .topics
                .entry(fact.key.name.topic())
                .or_insert(TopicState::Read);
            audit.facts.push(super::AuditFact {
                key: fact.key.clone(),
                state: match (&fact.unknown, &fact.setting) {
                    (Some(reason), _) => FactState::Unknown(Arc::clone(reason)),
                    (None, Some(Setting::Value(value))) => FactState::Known(value.clone()),
                    (None, Some(Setting::Absent)) => FactState::Absent,
                    (None, None) => FactState::unknown("never read"),
                },
            });
        }
        for (topic, reason) in &self.unread {
            let state = TopicState::Unread(Arc::clone(reason));
            audit.topics.insert(*topic, state);
        }
        audit
    }

    const fn none(taken_at: Timestamp) -> Self {
        Self {
            taken_at,
            unread: BTreeMap::new(),
            facts: Vec::new(),
        }
    }

    /// Topics of which a thing that appears is new on the host, rather than new to the reader.
    fn topics_seen(&self) -> BTreeSet<Topic> {
        self.facts
            .iter()
            .map(|fact| fact.key.name.topic())
            .filter(|topic| !self.unread.contains_key(topic))
            .collect()
    }
}

/// Keeps what was read last of things that are not seen now: they come back, and a service that was stopped for a deploy is
/// to be compared with itself.
fn keep_unseen(mut unseen: Vec<StandingFact>, facts: &mut Vec<StandingFact>) {
    let room = FACTS_MAX.saturating_sub(facts.len()).min(UNSEEN_MAX);
    unseen.sort_by_key(|fact| std::cmp::Reverse(fact.since));
    facts.extend(unseen.into_iter().take(room).map(|fact| StandingFact {
        unknown: Some("nothing of that name holds many ports now".into()),
        ..fact
    }));
}

/// One fact after an audit. A change is added to `drifts`.
fn step(
    key: &FactKey,
    earlier: Option<StandingFact>,
    state: &FactState,
    audit: &HostAudit,
    drifts: &mut Vec<Drift>,
) -> StandingFact {
    let now = match state {
        FactState::Known(value) => Setting::Value(value.clone()),
        FactState::Absent => Setting::Absent,
        FactState::Unknown(reason) => {
            return StandingFact {
                key: key.clone(),
                setting: earlier.as_ref().and_then(|fact| fact.setting.clone()),
                since: earlier.map_or(audit.taken_at, |fact| fact.since),
                unknown: Some(Arc::clone(reason)),
            };
        }
    };
    let since = match earlier {
        Some(StandingFact {
            setting: Some(before),
            since,
            ..
        }) => {
            if before == now && !key.name.is_reading() {
                since
            } else {
                if !key.name.is_reading() {
                    drifts.push(Drift {
                        key: key.clone(),
                        from: before,
                        to: now.clone(),
                    });
                }
                audit.taken_at
            }
        }
        Some(_) | None => audit.taken_at,
    };
    StandingFact {
        key: key.clone(),
        setting: Some(now),
        since,
        unknown: None,
    }
}

/// A thing that the last audit would have listed, had it been there.
fn fact_not_there(key: &FactKey) -> StandingFact {
    StandingFact {
        key: key.clone(),
        setting: Some(Setting::Absent),
        since: Timestamp::EPOCH,
        unknown: None,
    }
}

fn unread(audit: &HostAudit) -> BTreeMap<Topic, Arc<str>> {
    let unread = audit.topics.iter().filter_map(|(topic, state)| {
        let TopicState::Unread(reason) = state else {
            return None;
        };
        Some((*topic, Arc::clone(reason)))
    });
    unread.collect()
}
