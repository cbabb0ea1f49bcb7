//! What operators do with incidents: acknowledge, resolve, note. Each is one transaction, checked by generation.

use tidemark_model::ErrorCode;
use tidemark_model::audit_log::Deed as Logged;
use tidemark_model::error_code::ApiError;
use tidemark_model::incident::{Entry, EntryKind, Incident, InvalidStep};
use tidemark_store::StoreError;

use super::text::clean;
use crate::access::Horizon;
use crate::access::horizon::BeyondScope;

/// Longest note, in characters.
pub const NOTE_CHARS_MAX: usize = 4_000;

/// What an operator does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Deed {
    /// Takes care of it.
    Acknowledge,
    /// Says that it is over.
    Resolve,
    /// Writes something down.
    Note,
}

impl Deed {
    /// The deed of that name, as addresses and forms have it.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        match name {
            "acknowledge" => Some(Self::Acknowledge),
            "resolve" => Some(Self::Resolve),
            "note" => Some(Self::Note),
            _ => None,
        }
    }
}

/// Why it is not done.
#[derive(Debug, thiserror::Error)]
pub enum OperateError {
    /// There is no such incident.
    #[error("there is no incident {0}; the list of incidents has their numbers")]
    Unknown(i64),
    /// It stands elsewhere.
    #[error("incident {id}: {step}")]
    Step {
        /// Which.
        id: i64,
        /// Why.
        step: InvalidStep,
    },
    /// The note is empty or too long.
    #[error("text must be 1 to {NOTE_CHARS_MAX} characters; it has {0}")]
    Note(usize),
    /// It has hosts that are not the caller's.
    #[error(transparent)]
    Beyond(#[from] BeyondScope),
    /// What the database says.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl ApiError for OperateError {
    fn code(&self) -> ErrorCode {
        match self {
            Self::Unknown(_) => ErrorCode::NotFound,
            Self::Step { .. } => ErrorCode::Precondition,
            Self::Note(_) => ErrorCode::InvalidArgument,
            Self::Beyond(error) => error.code(),
            Self::Store(error) => error.code(),
        }
    }
}

/// Does it in the name of `by`, with a text that a note must have; answers the incident as it is then. It is done only by
/// whoever sees all hosts of the incident, and whoever sees none of them is told that there is none.
///
/// # Errors
/// [`OperateError`]; nothing is changed then.
pub async fn operate(
    horizon: &Horizon,
    id: i64,
    (deed, by): (Deed, &str),
    text: Option<&str>,
) -> Result<Incident, OperateError> {
    let text = text.map(str::trim).filter(|text| !text.is_empty());
    let length = text.map_or(0, |text| text.chars().count());
    if length > NOTE_CHARS_MAX || (length == 0 && deed == Deed::Note) {
        return Err(OperateError::Note(length));
    }
    let app = horizon.app();
    let now = app.clock.now();
    let mut tx = app.store.begin().await?;
    let found = tx.incident_find(id).await?;
    let incident = found.ok_or(OperateError::Unknown(id))?;
    let hosts = &incident.problem.hosts;
    if !horizon.sees_any(hosts) {
        return Err(OperateError::Unknown(id));
    }
    horizon.allow(hosts)?;
    let (state, kind) = match deed {
        Deed::Acknowledge => (
            incident.state.clone().acknowledge(by, now),
            EntryKind::Acknowledged,
        ),
        Deed::Resolve => (incident.state.clone().resolve(by, now), EntryKind::Resolved),
        Deed::Note => (Ok(incident.state.clone()), EntryKind::Note),
    };
    let state = state.map_err(|step| OperateError::Step { id, step })?;
    let changed = Incident { state, ..incident };
    tx.incident_update(&changed).await?;
    let entry = Entry {
        at: now,
        kind,
        by: Some(clean(by)),
        // Line breaks are a note's own; other control characters are nobody's.
        text: text
            .unwrap_or_default()
            .chars()
            .filter(|c| *c == '\n' || !c.is_control())
            .collect(),
    };
    let record = app.record(Logged::IncidentOperate, "incidents", id);
    let record = record.with("deed", kind.as_str()).with("text", &entry.text);
    tx.incident_entries_append(id, &[entry]).await?;
    record.keep(&mut tx).await?;
    tx.commit().await?;
    app.incidents_changed.notify_one();
    app.live.announce_incidents(&changed.problem.hosts);
    Ok(Incident {
        generation: changed.generation.saturating_add(1),
        ..changed
    })
}
