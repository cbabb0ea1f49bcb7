//! What the API answers about controllers.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::DeliveryView;

/// The controller about itself.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct StatusView {
    /// Version of the controller.
    pub version: String,
    /// When it started.
    pub started_ms: i64,
    /// Its clock.
    pub clock_ms: i64,
    /// `sqlite` or `postgres`.
    pub database: String,
    /// Whether the database answers.
    pub database_ready: bool,
    /// Which incarnation of the fleet the database is of: 1, unless it was restored.
    #[serde(default)]
    pub incarnation: u64,
    /// Which controller leads.
    #[serde(default)]
    pub leader: LeaderView,
    /// The controllers of this database that are there, by name; none with SQLite, where there is one.
    #[serde(default)]
    pub controllers: Vec<ControllerView>,
    /// The hosts that the caller sees; `null` for all. What follows is about those.
    #[serde(default)]
    pub scope: Option<String>,
    /// Hosts by state.
    pub hosts: BTreeMap<String, u64>,
    /// Open sessions of the controller that answers.
    pub sessions: u64,
    /// What became of all hosts' records since their epochs began.
    pub delivery: DeliveryView,
    /// Points stored since the start.
    pub points_stored: u64,
    /// Commits since the start.
    pub commits: u64,
    /// Time of the last group commit, in microseconds.
    pub commit_us: Option<u64>,
}

/// One of the controllers of one database.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct ControllerView {
    /// As `MACHINE/RANDOM`: another one after each start.
    pub name: String,
    /// Its version.
    pub version: String,
    /// When it started, by its own clock.
    pub started_ms: i64,
    /// Whether it is the one that answers.
    pub is_this: bool,
    /// Whether it leads.
    pub leads: bool,
}

/// Which of the controllers of one database leads: compacts and deletes history, queues notifications, takes roll-outs further.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct LeaderView {
    /// Whether it is the one that answers.
    pub is_this: bool,
    /// The one that leads, as `MACHINE/RANDOM`; `null` when nobody does, or nobody knows.
    pub holder: Option<String>,
    /// The term, which rises by one with each; `null` when the database has not said it for 10 s.
    pub epoch: Option<u64>,
    /// When the term began.
    pub since_ms: Option<i64>,
}
