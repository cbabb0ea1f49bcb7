//! Hosts as callers name, filter and page them. Shared by the API and the pages; knows live state, not HTTP.

use data_encoding::BASE64URL_NOPAD;
use tidemark_model::error_code::ApiError;
use tidemark_model::view::HostView;
use tidemark_model::{ErrorCode, HostId, HostScope, Timestamp};

use super::params::{ParamError, Params, invalid};
use crate::access::Horizon;
use crate::app::App;
use crate::live::HostLive;

/// Names of a host's states, as filters take them.
pub const STATES: [&str; 5] = ["online", "stale", "offline", "quarantined", "revoked"];

/// Ids that an ambiguous name is answered with.
const AMBIGUOUS_IDS_MAX: usize = 10;

/// Why a name stands for no one host.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum HostLookupError {
    /// Nobody has it.
    #[error("there is no host {name:?}; use a name or an id from the list of hosts")]
    Unknown {
        /// What was asked for, cut.
        name: String,
    },
    /// More than one host has it.
    #[error("{count} hosts are named {name:?}; use an id: {}{}", .ids.join(", "), if .count > &.ids.len() { ", ..." } else { "" })]
    Ambiguous {
        /// What was asked for, cut.
        name: String,
        /// How many.
        count: usize,
        /// Their ids, the first ten.
        ids: Vec<String>,
    },
}

impl ApiError for HostLookupError {
    fn code(&self) -> ErrorCode {
        match self {
            Self::Unknown { .. } => ErrorCode::NotFound,
            Self::Ambiguous { .. } => ErrorCode::Conflict,
        }
    }
}

/// The host that an id or a name stands for. One that the caller does not see is unknown.
///
/// # Errors
/// [`HostLookupError`] when there is none, or more than one.
pub fn find_host(horizon: &Horizon, id_or_name: &str) -> Result<HostId, HostLookupError> {
    look_up(horizon.app(), id_or_name, |host| horizon.sees(host))
}

/// The same of the whole fleet, for whom sees all of it.
///
/// # Errors
/// [`HostLookupError`] when there is none, or more than one.
pub fn find_in_fleet(app: &App, id_or_name: &str) -> Result<HostId, HostLookupError> {
    find_within(app, &HostScope::All, id_or_name)
}

/// The same of the hosts in a scope: others are unknown.
///
/// # Errors
/// [`HostLookupError`] when there is none, or more than one.
pub fn find_within(
    app: &App,
    scope: &HostScope,
    id_or_name: &str,
) -> Result<HostId, HostLookupError> {
    look_up(app, id_or_name, |host| app.live.is_within(host, scope))
}

fn look_up(
    app: &App,
    id_or_name: &str,
    sees: impl Fn(HostId) -> bool,
) -> Result<HostId, HostLookupError> {
    if let Ok(id) = id_or_name.parse::<HostId>()
        && app.live.read(id, |_| ()).is_some()
        && sees(id)
    {
        return Ok(id);
    }
    let name = || id_or_name.chars().take(64).collect();
    let mut ids = app.live.named(id_or_name);
    ids.retain(|id| sees(*id));
    match ids.as_slice() {
        [] => Err(HostLookupError::Unknown { name: name() }),
        [id] => Ok(*id),
        several => Err(HostLookupError::Ambiguous {
            name: name(),
            count: several.len(),
            ids: several
                .iter()
                .take(AMBIGUOUS_IDS_MAX)
                .map(ToString::to_string)
                .collect(),
        }),
    }
}

/// The hosts that the parameter `host` names; `None` when it names none and so means all.
///
/// # Errors
/// [`HostLookupError`] for the first name that stands for no one host.
pub fn named_hosts(
    horizon: &Horizon,
    params: &Params,
) -> Result<Option<Vec<HostId>>, HostLookupError> {
    let mut ids = params
        .many("host")
        .map(|name| find_host(horizon, name))
        .collect::<Result<Vec<_>, _>>()?;
    ids.sort_unstable();
    ids.dedup();
    Ok(Some(ids).filter(|ids| !ids.is_empty()))
}

/// Which hosts of the fleet.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct HostFilter {
    text: Option<String>,
    states: Vec<&'static str>,
    labels: Vec<(String, String)>,
}

impl HostFilter {
    /// Names of the parameters that make a filter.
    pub const PARAMS: [&str; 3] = ["text", "state", "label"];

    /// From `text`, `state` and `label`.
    ///
    /// # Errors
    /// [`ParamError`] for a state or label that cannot be.
    pub fn of(params: &Params) -> Result<Self, ParamError> {
        Ok(Self {
            text: params.one("text")?.map(str::to_lowercase),
            states: params
                .many("state")
                .map(state_named)
                .collect::<Result<_, _>>()?,
            labels: labels_of(params)?,
        })
    }

    /// Whether it lets every host pass.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// Whether the host passes: its state is among the states, it has all labels, and the text is part of its name,
    /// id, system, labels or culprits, in any case.
    #[must_use]
    pub fn takes(&self, host: &HostLive, now: Timestamp) -> bool {
        let has_label =
            |(key, value): &(String, String)| host.profile.labels.get(key) == Some(value);
        (self.states.is_empty() || self.states.contains(&host.state(now)))
            && self.labels.iter().all(has_label)
            && self.text.as_ref().is_none_or(|text| mentions(host, text))
    }
}

/// Labels of the parameter `label`, each `KEY=VALUE`.
///
/// # Errors
/// [`ParamError`] for a value without `=`.
fn labels_of(params: &Params) -> Result<Vec<(String, String)>, ParamError> {
    let parse = |text: &str| {
        text.split_once('=')
            .map(|(key, value)| (key.to_owned(), value.to_owned()))
            .ok_or_else(|| invalid("label", text, "KEY=VALUE"))
    };
    params.many("label").map(parse).collect()
}

fn state_named(text: &str) -> Result<&'static str, ParamError> {
    STATES
        .into_iter()
        .find(|state| *state == text)
        .ok_or_else(|| invalid("state", text, format!("one of {}", STATES.join(", "))))
}

fn mentions(host: &HostLive, text: &str) -> bool {
    let profile = &host.profile;
    let has = |words: &str| words.to_lowercase().contains(text);
    has(&profile.name)
        || has(&profile.os)
        || profile.id.to_string().contains(text)
        || profile
            .labels
            .iter()
            .any(|(key, value)| has(&format!("{key}={value}")))
        || host
            .spaces
            .values()
            .filter_map(|space| space.forecast.culprit.as_ref())
            .any(|culprit| has(culprit))
}

/// The hosts that a caller sees and a filter lets pass, each with its place in a list, by whatever `key` says.
pub fn select<K>(
    horizon: &Horizon,
    filter: &HostFilter,
    key: impl Fn(&HostLive) -> K,
) -> Vec<(K, HostId)> {
    let app = horizon.app();
    let now = app.clock.now();
    horizon
        .hosts()
        .into_iter()
        .filter_map(|id| {
            let look = |host: &HostLive| filter.takes(host, now).then(|| key(host));
            app.live.read(id, look).flatten().map(|key| (key, id))
        })
        .collect()
}

/// The views of hosts, in that order; one that went away meanwhile, or that the caller does not see, is left out.
#[must_use]
pub fn views(horizon: &Horizon, ids: impl IntoIterator<Item = HostId>) -> Vec<HostView> {
    let app = horizon.app();
    let now = app.clock.now();
    ids.into_iter()
        .filter(|id| horizon.sees(*id))
        .filter_map(|id| app.live.read(id, |host| host.view(now)))
        .collect()
}

/// A place in the list of hosts by name, as cursors carry it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct NamePlace {
    /// The name, in lower case.
    pub name: String,
    /// The id, because names need not be unique.
    pub id: HostId,
}

impl NamePlace {
    /// The cursor for the rows after this place.
    #[must_use]
    pub fn cursor(&self) -> String {
        BASE64URL_NOPAD.encode(format!("{}|{}", self.id, self.name).as_bytes())
    }

    /// The place that a cursor stands for.
    #[must_use]
    pub fn of_cursor(cursor: &str) -> Option<Self> {
        let bytes = BASE64URL_NOPAD.decode(cursor.as_bytes()).ok()?;
        let text = String::from_utf8(bytes).ok()?;
        let (id, name) = text.split_once('|')?;
        Some(Self {
            name: name.to_owned(),
            id: id.parse().ok()?,
        })
    }
}

/// What a cursor must be.
pub fn cursor_limit() -> String {
    "the next_cursor of an answer to the same question".to_owned()
}

/// The cursor to what comes after these rows; `None` when they are fewer than were asked for, so that nothing does.
pub fn cursor_after<R>(
    rows: &[R],
    limit: usize,
    cursor: impl FnOnce(&R) -> String,
) -> Option<String> {
    rows.last().filter(|_| rows.len() >= limit).map(cursor)
}

/// The place in a list by time that a cursor of the form `TIME.ID` names.
#[must_use]
pub fn place_of_cursor(cursor: &str) -> Option<(Timestamp, i64)> {
    let (at, id) = cursor.split_once('.')?;
    Some((Timestamp::from_unix_ms(at.parse().ok()?), id.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn a_place_survives_its_cursor(name in ".*", key in proptest::collection::vec(any::<u8>(), 4)) {
            let place = NamePlace { name, id: HostId::of_identity_spki(&key) };
            prop_assert_eq!(NamePlace::of_cursor(&place.cursor()), Some(place));
        }

        #[test]
        fn a_made_up_cursor_is_refused_without_a_panic(text in ".*") {
            if let Some(place) = NamePlace::of_cursor(&text) {
                prop_assert_eq!(place.cursor(), text);
            }
        }
    }
}
