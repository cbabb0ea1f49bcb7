//! A host's configuration and what changed of it, as the operators' API answers.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::concern::concerns;
use super::drift::{StandingFact, StandingFacts};

/// How a host is configured.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct HostAuditView {
    /// Host id.
    pub host: String,
    /// Host name; hostile text.
    pub host_name: String,
    /// When the newest audit that said anything new was taken, on the controller's clock; `null` before the first.
    pub taken_ms: Option<i64>,
    /// Topics that the newest audit could not read, and why.
    pub unread: BTreeMap<String, String>,
    /// The facts, by topic.
    pub facts: Vec<FactView>,
}

/// One fact of a host.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct FactView {
    /// What it is read with, as in `ports`.
    pub topic: String,
    /// Its name, as in `dynamic_range`.
    pub name: String,
    /// Of which of several things, as of which network card; `null` where the host has one.
    pub item: Option<String>,
    /// `known`, `absent` (not set, or not on this system: its default holds) or `unknown`.
    pub state: String,
    /// Its value as text; `null` unless it is known.
    pub value: Option<String>,
    /// Why it is unknown.
    pub reason: Option<String>,
    /// Its value, or `absent`, when it was last read; `null` unless it is unknown and was read before.
    pub last_read: Option<String>,
    /// The first audit that found it like this, on the controller's clock; `null` when it was never read.
    pub since_ms: Option<i64>,
    /// Why it deserves a look.
    pub concern: Option<String>,
}

/// A fact that changed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct DriftView {
    /// Its number, ascending in the order of arrival.
    pub id: i64,
    /// When the audit that found it was taken, on the controller's clock.
    pub at_ms: i64,
    /// Host id.
    pub host: String,
    /// Host name; hostile text.
    pub host_name: Option<String>,
    /// Name of the fact, as in `dynamic_range`.
    pub fact: String,
    /// Of which of several things.
    pub item: Option<String>,
    /// How it was set; `absent` when it was not.
    pub from: String,
    /// How it is set.
    pub to: String,
}

impl HostAuditView {
    /// The view of what is known of a host; `None` before its first audit.
    #[must_use]
    pub fn new(host: String, host_name: String, standing: Option<&StandingFacts>) -> Self {
        Self {
            host,
            host_name,
            taken_ms: standing.map(|standing| standing.taken_at.unix_ms()),
            unread: standing
                .iter()
                .flat_map(|standing| &standing.unread)
                .map(|(topic, reason)| (topic.to_string(), reason.to_string()))
                .collect(),
            facts: standing.map(facts_of).unwrap_or_default(),
        }
    }
}

fn facts_of(standing: &StandingFacts) -> Vec<FactView> {
    let mut concerns: BTreeMap<_, _> = concerns(&standing.audit())
        .into_iter()
        .map(|concern| (concern.key, concern.text))
        .collect();
    let mut facts: Vec<&StandingFact> = standing.facts.iter().collect();
    // All that is known of one card or template stands together.
    facts.sort_by_key(|fact| (fact.key.name.topic(), &fact.key.item, fact.key.name));
    facts
        .into_iter()
        .map(|fact| FactView::new(fact, concerns.remove(&fact.key)))
        .collect()
}

impl FactView {
    fn new(fact: &StandingFact, concern: Option<String>) -> Self {
        use super::drift::Setting;
        let setting = fact.setting.as_ref();
        let (state, value) = match (&fact.unknown, setting) {
            (None, Some(Setting::Value(value))) => ("known", Some(value.to_string())),
            (None, Some(Setting::Absent)) => ("absent", None),
            (Some(_), _) | (None, None) => ("unknown", None),
        };
        Self {
            topic: fact.key.name.topic().to_string(),
            name: fact.key.name.to_string(),
            item: fact.key.item.as_ref().map(ToString::to_string),
            state: state.to_owned(),
            value,
            reason: fact.unknown.as_ref().map(ToString::to_string),
            last_read: fact
                .unknown
                .as_ref()
                .and_then(|_| setting.map(ToString::to_string)),
            since_ms: setting.map(|_| fact.since.unix_ms()),
            concern,
        }
    }
}
