//! What a group of incidents is told next: pure, from what it was told and what is. News waits for more of it, what does
//! not change is repeated, the end is told once.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use tidemark_model::Timestamp;
use tidemark_model::incident::{Incident, IncidentState};
use tidemark_model::problem::Severity;
use tidemark_model::silence::Labels;
use tidemark_model::time::duration_ms;

use super::message::Reason;

/// How a group's receiver wants to be told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Terms {
    /// How long news waits for more of it.
    pub group_wait: Duration,
    /// After how long what has not changed is told again; `None` for never.
    pub repeat_interval: Option<Duration>,
    /// What else than the problem itself is told.
    pub also: Also,
}

/// What else than the problem itself a receiver is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Also {
    /// That it is over.
    pub resolved: bool,
    /// That somebody takes care of it.
    pub acknowledged: bool,
    /// That its labels are others, where they make it another alert.
    pub relabelled: bool,
}

/// What a group was told, as the store keeps it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Group {
    /// Name of its receiver.
    pub receiver: String,
    /// What its incidents have in common.
    pub labels: Labels,
    /// When it began: with the sequence it makes the messages' keys.
    pub begun_at: Timestamp,
    /// Messages so far.
    pub sequence: u32,
    /// Since when there is news that was not told.
    pub changed_at: Option<Timestamp>,
    /// When the last message was queued.
    pub last_sent_at: Option<Timestamp>,
    /// What it was told of each incident that is not over, by number.
    pub told: BTreeMap<i64, ToldAs>,
}

/// What was told of an incident.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ToldAs {
    /// How much it mattered.
    pub severity: Severity,
    /// How often it had been opened again.
    pub reopened: u32,
    /// Whether somebody took care of it.
    pub is_acknowledged: bool,
    /// With which labels.
    pub labels: Labels,
}

impl Group {
    /// A group that was told nothing.
    #[must_use]
    pub fn new(receiver: &str, labels: Labels, now: Timestamp) -> Self {
        Self {
            receiver: receiver.to_owned(),
            labels,
            begun_at: now,
            sequence: 0,
            changed_at: None,
            last_sent_at: None,
            told: BTreeMap::new(),
        }
    }
}

/// An incident of a group at this moment.
#[derive(Clone, Copy, Debug)]
pub struct Member<'a> {
    /// The incident.
    pub incident: &'a Incident,
    /// What its hosts have in common.
    pub labels: &'a Labels,
    /// Whether a silence covers it, or a maintenance window that silences its hosts.
    pub is_silenced: bool,
}

/// What is to be done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Plan {
    /// Nothing.
    Nothing,
    /// Keep what is known of the group, and wait.
    Keep(Group),
    /// Tell it.
    Send(Sending),
    /// The group has nothing more to be told.
    Forget,
}

/// A message to be made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sending {
    /// The group after it.
    pub group: Group,
    /// Why.
    pub reason: Reason,
    /// Incidents that are not over, by number.
    pub firing: Vec<i64>,
    /// Incidents that are over.
    pub resolved: Vec<i64>,
}

/// Decides what `group` is told of `members` at `now`.
#[must_use]
pub fn plan(terms: Terms, group: Group, members: &[Member<'_>], now: Timestamp) -> Plan {
    let standing = Standing::of(terms, &group, members);
    if group.told.is_empty() && standing.current.is_empty() {
        return if group.sequence == 0 && group.changed_at.is_none() {
            Plan::Nothing
        } else {
            Plan::Forget
        };
    }
    if !standing.has_news() {
        return standing.without_news(terms, group, members, now);
    }
    let changed_at = group.changed_at.unwrap_or(now);
    if now.ms_since(changed_at) < duration_ms(terms.group_wait) {
        return if group.changed_at.is_some() {
            Plan::Nothing
        } else {
            Plan::Keep(Group {
                changed_at: Some(changed_at),
                ..group
            })
        };
    }
    let resolved = if terms.also.resolved {
        standing.ended
    } else {
        vec![]
    };
    if !standing.is_changed && resolved.is_empty() {
        // Something ended, and nobody wants to hear of it.
        return keep_or_forget(Group {
            told: standing.current,
            changed_at: None,
            ..group
        });
    }
    Plan::Send(Sending {
        reason: Reason::News,
        firing: standing.current.keys().copied().collect(),
        resolved,
        group: Group {
            sequence: group.sequence.saturating_add(1),
            changed_at: None,
            last_sent_at: Some(now),
            told: standing.current,
            ..group
        },
    })
}

fn keep_or_forget(group: Group) -> Plan {
    if group.told.is_empty() {
        Plan::Forget
    } else {
        Plan::Keep(group)
    }
}

/// What is, compared with what was told.
struct Standing {
    /// What would be told of the incidents that are not over.
    current: BTreeMap<i64, ToldAs>,
    /// Incidents that were told and are over.
    ended: Vec<i64>,
    /// Whether an incident is new, or other than it was told.
    is_changed: bool,
    /// Whether an incident that was told is not known any more.
    is_shrunk: bool,
}

impl Standing {
    fn of(terms: Terms, group: &Group, members: &[Member<'_>]) -> Self {
        let mut standing = Self {
            current: BTreeMap::new(),
            ended: Vec::new(),
            is_changed: false,
            is_shrunk: false,
        };
        for member in members {
            let id = member.incident.id;
            let told = group.told.get(&id);
            if member.incident.state.resolved_at().is_some() {
                standing.ended.extend(told.map(|_| id));
                continue;
            }
            match told {
                // What was told before a silence stays as it was told until it is over.
                Some(told) if member.is_silenced => {
                    standing.current.insert(id, told.clone());
                }
                None if member.is_silenced => {}
                told => {
                    let as_now = told_as(member);
                    let is_other = told.is_none_or(|told| is_other(terms, told, &as_now));
                    standing.is_changed |= is_other;
                    // Labels that were told are kept until the next message, which can then end them.
                    let keep = told.filter(|_| !is_other).cloned();
                    standing.current.insert(id, keep.unwrap_or(as_now));
                }
            }
        }
        let is_known = |id: &i64| standing.current.contains_key(id) || standing.ended.contains(id);
        standing.is_shrunk = !group.told.keys().all(is_known);
        standing
    }

    fn has_news(&self) -> bool {
        self.is_changed || !self.ended.is_empty()
    }

    fn without_news(
        self,
        terms: Terms,
        group: Group,
        members: &[Member<'_>],
        now: Timestamp,
    ) -> Plan {
        if self.is_shrunk {
            return keep_or_forget(Group {
                told: self.current,
                ..group
            });
        }
        let is_repeated = |member: &&Member<'_>| {
            !member.is_silenced && matches!(member.incident.state, IncidentState::Open { .. })
        };
        let repeated: Vec<i64> = members
            .iter()
            .filter(is_repeated)
            .map(|member| member.incident.id)
            .collect();
        let is_due = group
            .last_sent_at
            .zip(terms.repeat_interval)
            .is_some_and(|(last, interval)| now.ms_since(last) >= duration_ms(interval));
        if is_due && !repeated.is_empty() {
            return Plan::Send(Sending {
                reason: Reason::Repeat,
                firing: repeated,
                resolved: vec![],
                group: Group {
                    sequence: group.sequence.saturating_add(1),
                    changed_at: None,
                    last_sent_at: Some(now),
                    ..group
                },
            });
        }
        // What changed went back to what was told before anybody heard of it.
        if group.changed_at.is_some() {
            return Plan::Keep(Group {
                changed_at: None,
                ..group
            });
        }
        Plan::Nothing
    }
}

fn told_as(member: &Member<'_>) -> ToldAs {
    ToldAs {
        severity: member.incident.severity,
        reopened: member.incident.reopened,
        is_acknowledged: matches!(member.incident.state, IncidentState::Acknowledged { .. }),
        labels: member.labels.clone(),
    }
}

/// Whether people must hear of the difference. Others take the labels along when they change.
fn is_other(terms: Terms, told: &ToldAs, now: &ToldAs) -> bool {
    now.severity > told.severity
        || now.reopened > told.reopened
        || (terms.also.acknowledged && now.is_acknowledged != told.is_acknowledged)
        || told.labels.get("culprit") != now.labels.get("culprit")
        || (terms.also.relabelled && told.labels != now.labels)
}

#[cfg(test)]
mod tests;
