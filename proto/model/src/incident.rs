//! Incidents: what operators are told about, as a state machine. Pure: the caller brings the time and what it sees.
//!
//! ```text
//!          acknowledge
//!   open ---------------> acknowledged
//!    |  ^                      |
//!    |  | reopen               | resolve, or clear for long enough
//!    v  |                      v
//!   resolved <-----------------+
//! ```

#[cfg(test)]
mod tests;

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::Timestamp;
use crate::kinds::kinds;
use crate::problem::{Fingerprint, Problem, Severity};
use crate::time::duration_ms;

/// Where an incident stands, with what belongs to it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "is")]
pub enum IncidentState {
    /// Nobody has taken it yet.
    Open {
        /// Since when the problem is not seen any more; `None` while it is.
        clear_since: Option<Timestamp>,
    },
    /// Somebody takes care of it.
    Acknowledged {
        /// Who.
        by: String,
        /// Since when.
        at: Timestamp,
        /// Since when the problem is not seen any more; `None` while it is.
        clear_since: Option<Timestamp>,
    },
    /// It is over.
    Resolved {
        /// Since when.
        at: Timestamp,
        /// How that came.
        how: Resolution,
    },
}

/// How an incident came to be resolved.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "how")]
pub enum Resolution {
    /// The problem was not seen for long enough.
    Cleared,
    /// An operator said so.
    Operator {
        /// Who.
        by: String,
        /// Whether the problem has gone away since. Until then the operator's word stands, and the incident is reopened
        /// only when it gets worse.
        is_gone: bool,
    },
    /// It became part of an incident for the cause.
    Grouped {
        /// That incident.
        into: i64,
    },
    /// Its host was shut out.
    HostGone,
}

/// A step that the state does not allow.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("an incident that is {from} cannot be {action}")]
pub struct InvalidStep {
    /// Where it stands.
    pub from: &'static str,
    /// What was asked.
    pub action: &'static str,
}

impl IncidentState {
    /// Names of the states, as they are stored.
    pub const NAMES: [&'static str; 3] = ["open", "acknowledged", "resolved"];

    /// A new incident's.
    #[must_use]
    pub const fn new() -> Self {
        Self::Open { clear_since: None }
    }

    /// The stored name.
    #[must_use]
    pub const fn as_str(&self) -> &'static str {
        match self {
            Self::Open { .. } => "open",
            Self::Acknowledged { .. } => "acknowledged",
            Self::Resolved { .. } => "resolved",
        }
    }

    /// Since when it is over; `None` while it is not.
    #[must_use]
    pub const fn resolved_at(&self) -> Option<Timestamp> {
        match self {
            Self::Open { .. } | Self::Acknowledged { .. } => None,
            Self::Resolved { at, .. } => Some(*at),
        }
    }

    /// The incident that it became part of; `None` when it is not over, or ended otherwise.
    #[must_use]
    pub const fn grouped_into(&self) -> Option<i64> {
        match self {
            Self::Resolved {
                how: Resolution::Grouped { into },
                ..
            } => Some(*into),
            Self::Open { .. } | Self::Acknowledged { .. } | Self::Resolved { .. } => None,
        }
    }

    /// Since when the problem is not seen, while the incident waits to be resolved.
    #[must_use]
    pub const fn clear_since(&self) -> Option<Timestamp> {
        match self {
            Self::Open { clear_since } | Self::Acknowledged { clear_since, .. } => *clear_since,
            Self::Resolved { .. } => None,
        }
    }

    /// Somebody takes care of it.
    ///
    /// # Errors
    /// When somebody does already, or it is over.
    pub fn acknowledge(self, by: &str, at: Timestamp) -> Result<Self, InvalidStep> {
        match self {
            Self::Open { clear_since } => Ok(Self::Acknowledged {
                by: by.to_owned(),
                at,
                clear_since,
            }),
            from @ (Self::Acknowledged { .. } | Self::Resolved { .. }) => {
                Err(from.forbids("acknowledged"))
            }
        }
    }

    /// An operator says that it is over.
    ///
    /// # Errors
    /// When it is over already.
    pub fn resolve(self, by: &str, at: Timestamp) -> Result<Self, InvalidStep> {
        let how = Resolution::Operator {
            by: by.to_owned(),
            is_gone: false,
        };
        self.end(how, at)
    }

    /// It is over for another reason than that its problem cleared.
    ///
    /// # Errors
    /// When it is over already.
    pub fn end(self, how: Resolution, at: Timestamp) -> Result<Self, InvalidStep> {
        match self {
            Self::Open { .. } | Self::Acknowledged { .. } => Ok(Self::Resolved { at, how }),
            from @ Self::Resolved { .. } => Err(from.forbids("resolved")),
        }
    }

    /// The problem is back.
    ///
    /// # Errors
    /// When it is not over.
    pub fn reopen(self) -> Result<Self, InvalidStep> {
        match self {
            Self::Resolved { .. } => Ok(Self::new()),
            from @ (Self::Open { .. } | Self::Acknowledged { .. }) => Err(from.forbids("reopened")),
        }
    }

    /// The problem is seen: what waited to be resolved waits no more. What is over stays so; see [`Self::reopen`].
    #[must_use]
    pub fn seen(self) -> Self {
        match self {
            Self::Open { .. } => Self::Open { clear_since: None },
            Self::Acknowledged { by, at, .. } => Self::Acknowledged {
                by,
                at,
                clear_since: None,
            },
            over @ Self::Resolved { .. } => over,
        }
    }

    /// The problem is known not to be there: after `patience` of that the incident is over.
    #[must_use]
    pub fn clear(self, now: Timestamp, patience: Duration) -> Self {
        let is_over = |since: Timestamp| now.ms_since(since) >= duration_ms(patience);
        match self {
            Self::Open {
                clear_since: Some(since),
            }
            | Self::Acknowledged {
                clear_since: Some(since),
                ..
            } if is_over(since) => Self::Resolved {
                at: now,
                how: Resolution::Cleared,
            },
            Self::Open { clear_since } => Self::Open {
                clear_since: clear_since.or(Some(now)),
            },
            Self::Acknowledged {
                by,
                at,
                clear_since,
            } => Self::Acknowledged {
                by,
                at,
                clear_since: clear_since.or(Some(now)),
            },
            Self::Resolved {
                at,
                how: Resolution::Operator { by, .. },
            } => Self::Resolved {
                at,
                how: Resolution::Operator { by, is_gone: true },
            },
            over @ Self::Resolved { .. } => over,
        }
    }

    /// Whether somebody must go on looking at the problem: it is not over, or an operator's word stands against it.
    #[must_use]
    pub const fn is_watched(&self) -> bool {
        match self {
            Self::Open { .. } | Self::Acknowledged { .. } => true,
            Self::Resolved { how, .. } => {
                matches!(how, Resolution::Operator { is_gone: false, .. })
            }
        }
    }

    const fn forbids(&self, action: &'static str) -> InvalidStep {
        InvalidStep {
            from: self.as_str(),
            action,
        }
    }
}

impl Default for IncidentState {
    fn default() -> Self {
        Self::new()
    }
}

/// An incident: a problem that operators are told about.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Incident {
    /// Its number, ascending; 0 before it is stored.
    pub id: i64,
    /// Counts its changes in the store, from 1; 0 before it is stored.
    pub generation: u64,
    /// Its problem's name.
    pub fingerprint: Fingerprint,
    /// Where it stands.
    pub state: IncidentState,
    /// The highest since it was last opened: while it is open it only rises, lest it flap.
    pub severity: Severity,
    /// When it was first opened.
    pub opened_at: Timestamp,
    /// How often it was opened again.
    pub reopened: u32,
    /// When the problem was last seen.
    pub seen_at: Timestamp,
    /// The problem as it was last seen.
    pub problem: Problem,
}

impl Incident {
    /// A new one for a problem that is seen at `now`.
    #[must_use]
    pub fn open(problem: Problem, severity: Severity, now: Timestamp) -> Self {
        Self {
            id: 0,
            generation: 0,
            fingerprint: problem.key.fingerprint(),
            state: IncidentState::new(),
            severity,
            opened_at: now,
            reopened: 0,
            seen_at: now,
            problem,
        }
    }
}

/// From when on a date is close, and how long a problem must be gone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct IncidentRules {
    /// Critical when ports run out within this.
    pub critical_within: Duration,
    /// At least a warning when they may run out within this.
    pub warning_within: Duration,
    /// An incident is resolved when its problem was gone for this long.
    pub clear_after: Duration,
    /// A problem that comes back within this opens the same incident again.
    pub reopen_within: Duration,
    /// A finding is a problem when the rules found it at every look for this long.
    pub raise_after: Duration,
}

impl Default for IncidentRules {
    fn default() -> Self {
        Self {
            critical_within: Duration::from_secs(8 * 3_600),
            warning_within: Duration::from_secs(72 * 3_600),
            clear_after: Duration::from_secs(600),
            reopen_within: Duration::from_secs(86_400),
            raise_after: Duration::from_secs(120),
        }
    }
}

impl IncidentRules {
    /// How much a problem matters at `now`, on a host whose next maintenance window begins at `window`, or is open until then.
    ///
    /// | the ports | severity |
    /// |---|---|
    /// | are exhausted | critical |
    /// | run out (median) within `critical_within`, and before the window | critical |
    /// | may run out (the early end of the interval) within `warning_within`, and before the window | warning |
    /// | last longer than that, or to the window, or nothing says when | info |
    ///
    /// Never less than the problem's source says.
    #[must_use]
    pub fn severity(
        &self,
        problem: &Problem,
        window: Option<Timestamp>,
        now: Timestamp,
    ) -> Severity {
        let is_before_window = |at: Timestamp| window.is_none_or(|window| at < window);
        let is_within = |at: Timestamp, reach: Duration| {
            at <= now.saturating_add(reach) && is_before_window(at)
        };
        let by_date = match problem.eta {
            _ if problem.is_exhausted => Severity::Critical,
            Some(eta) if is_within(eta.at, self.critical_within) => Severity::Critical,
            Some(eta) if is_within(eta.earliest, self.warning_within) => Severity::Warning,
            Some(_) | None => Severity::Info,
        };
        by_date.max(problem.at_least)
    }
}

kinds! {
    /// What a line of an incident's time line says. Stored by name: never rename one.
    EntryKind

    /// It was opened.
    Opened = "opened",
    /// Its severity rose.
    Escalated = "escalated",
    /// What is known of it changed: its kind, its culprit, its hosts.
    Changed = "changed",
    /// Somebody takes care of it.
    Acknowledged = "acknowledged",
    /// Somebody wrote something down.
    Note = "note",
    /// It is over.
    Resolved = "resolved",
    /// The problem came back.
    Reopened = "reopened",
    /// A receiver was told.
    Notified = "notified",
    /// A receiver could not be told.
    NotifyFailed = "notify_failed",
}

/// A line of an incident's time line, to be stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// When.
    pub at: Timestamp,
    /// What kind of thing.
    pub kind: EntryKind,
    /// Who did it; `None` for the controller itself.
    pub by: Option<String>,
    /// One sentence.
    pub text: String,
}

impl Entry {
    /// A line of the controller's own.
    #[must_use]
    pub fn own(at: Timestamp, kind: EntryKind, text: impl Into<String>) -> Self {
        Self {
            at,
            kind,
            by: None,
            text: text.into(),
        }
    }
}
