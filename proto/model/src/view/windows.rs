//! Maintenance windows as the API answers them, and how hosts and incidents stand to theirs.

use serde::{Deserialize, Serialize};

use crate::Timestamp;
use crate::window::{Occurrence, WindowSpec};

/// One maintenance window.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct WindowView {
    /// What was applied.
    pub spec: WindowSpec,
    /// Counts what was applied under its name, from 1, deletions included.
    pub version: u64,
    /// Who applied it.
    pub applied_by: String,
    /// When.
    pub applied_ms: i64,
    /// Hosts that it is for.
    pub hosts: u64,
    /// Those of them whose time zone it needs and nobody knows: it never comes for them.
    pub hosts_without_zone: u64,
    /// Those of them on which ports will not, or may not, last until the next maintenance window that they are in.
    pub hosts_in_danger: u64,
    /// When it is open on any of its hosts, or will be; the soonest. `null` when it does not come again.
    pub next: Option<OccurrenceView>,
}

/// One window with what was ever applied under its name.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct WindowDetail {
    /// As it stands; `null` when it was deleted.
    pub window: Option<WindowView>,
    /// Its versions, newest first; 100 at most.
    pub versions: Vec<WindowVersionView>,
}

/// One version of a window.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct WindowVersionView {
    /// Its number.
    pub version: u64,
    /// When it was applied.
    pub applied_ms: i64,
    /// Who applied it.
    pub applied_by: String,
    /// What was applied; `null` for the deletion.
    pub spec: Option<WindowSpec>,
}

/// One time that a window is open.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct OccurrenceView {
    /// When it begins.
    pub starts_ms: i64,
    /// When it is over.
    pub ends_ms: i64,
    /// Its beginning by the clock on the wall, as in `Sat 2026-12-05 02:00 +01:00`.
    pub starts_local: String,
    /// The time zone of that clock.
    pub time_zone: String,
}

/// When a window comes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct WindowTimes {
    /// Its name.
    pub window: String,
    /// In each time zone that it has, that of most hosts first; 50 at most.
    pub zones: Vec<ZoneTimes>,
    /// Zones that found no room.
    pub zones_left_out: u64,
    /// Its hosts whose time zone it needs and nobody knows.
    pub hosts_without_zone: u64,
}

/// When a window comes in one time zone.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct ZoneTimes {
    /// IANA name of the zone.
    pub time_zone: String,
    /// Hosts of the window in it.
    pub hosts: u64,
    /// The next times, soonest first; one that is open comes first.
    pub occurrences: Vec<OccurrenceView>,
}

/// Windows to apply: those of a name that is there are changed, others are made; none is deleted.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct WindowsRequest {
    /// 1 to 500 windows with names of their own.
    pub window: Vec<WindowSpec>,
}

/// What applying windows did, or would do.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct WindowsApplied {
    /// Whether nothing was stored, because only the outcome was asked for.
    pub dry_run: bool,
    /// One for each window, in the request's order.
    pub windows: Vec<WindowChange>,
}

/// What became of one window.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct WindowChange {
    /// Its name.
    pub name: String,
    /// `created`, `changed` or `unchanged`.
    pub outcome: String,
    /// Its version afterwards.
    pub version: u64,
    /// Hosts that it is for.
    pub hosts: u64,
    /// When it comes.
    pub times: WindowTimes,
}

/// The window that counts for a host or an incident: one that is open, else the next.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct WindowStanding {
    /// Its name.
    pub name: String,
    /// When it begins.
    pub starts_ms: i64,
    /// When it is over.
    pub ends_ms: i64,
    /// Whether it is open.
    pub is_open: bool,
    /// Whether ports last until it begins, or while it is open until it is over: `will`, `may` (they may run out before) or
    /// `will_not`; `null` while nothing is known of them.
    pub survives: Option<String>,
}

impl WindowStanding {
    /// When.
    #[must_use]
    pub const fn at(&self) -> Occurrence {
        Occurrence {
            start: Timestamp::from_unix_ms(self.starts_ms),
            end: Timestamp::from_unix_ms(self.ends_ms),
        }
    }
}

/// What keeps an incident from receivers for a while.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct SilencedByWindow {
    /// The window that is open.
    pub name: String,
    /// Until when; if the incident still stands then, receivers are told.
    pub until_ms: i64,
}
