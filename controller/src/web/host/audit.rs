//! The part of a host's page that shows how it is configured: what deserves a look first, all facts by topic below.

use askama::Template;
use tidemark_model::Timestamp;
use tidemark_model::audit::view::{FactView, HostAuditView};

use crate::web::words;

/// How a host is configured.
#[derive(Template)]
#[template(path = "audit.html")]
pub(super) struct Configuration {
    /// When it was read; `None` before the first audit.
    taken: Option<(String, i64)>,
    unread: Vec<(String, String)>,
    concerns: Vec<FactRow>,
    topics: Vec<TopicRows>,
}

/// The facts of one topic.
struct TopicRows {
    name: String,
    facts: Vec<FactRow>,
}

/// A fact as a line.
#[derive(Clone)]
struct FactRow {
    name: String,
    item: String,
    /// `known`, `absent` or `unknown`.
    state: String,
    value: String,
    since: String,
    since_ms: Option<i64>,
    concern: String,
}

impl Configuration {
    /// The configuration as seen at `now`.
    pub(super) fn of(audit: HostAuditView, now: Timestamp) -> Self {
        let moment = |ms| words::moment(Timestamp::from_unix_ms(ms), now);
        let mut topics: Vec<TopicRows> = Vec::new();
        for fact in audit.facts {
            let name = fact.topic.replace('_', " ");
            let row = FactRow::new(fact, moment);
            match topics.last_mut().filter(|topic| topic.name == name) {
                Some(topic) => topic.facts.push(row),
                None => topics.push(TopicRows {
                    name,
                    facts: vec![row],
                }),
            }
        }
        Self {
            taken: audit.taken_ms.map(|ms| (moment(ms), ms)),
            unread: audit.unread.into_iter().collect(),
            concerns: topics
                .iter()
                .flat_map(|topic| &topic.facts)
                .filter(|fact| !fact.concern.is_empty())
                .cloned()
                .collect(),
            topics,
        }
    }
}

impl FactRow {
    fn new(fact: FactView, moment: impl Fn(i64) -> String) -> Self {
        let value = match (&fact.value, &fact.reason) {
            (Some(value), _) => value.clone(),
            (None, Some(reason)) => match &fact.last_read {
                Some(last) => format!("unknown: {reason}; was {last}"),
                None => format!("unknown: {reason}"),
            },
            (None, None) => fact.state.clone(),
        };
        Self {
            name: fact.name.replace('_', " "),
            item: fact.item.unwrap_or_default(),
            state: fact.state,
            value,
            since: fact.since_ms.map(moment).unwrap_or_default(),
            since_ms: fact.since_ms,
            concern: fact.concern.unwrap_or_default(),
        }
    }
}
