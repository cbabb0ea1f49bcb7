//! The controller's database: one [`Store`] over SQLite and Postgres, one file an aggregate.
//!
//! All SQL of the controller is in this crate, and no business rule is. Bodies of `recent` and `segments` are opaque
//! here. Every query runs in a [`Tx`]: a write transaction from [`Store::begin`], a snapshot from [`Store::read`].

mod action_steps;
mod actions;
mod api_tokens;
mod audit_log;
mod audit_witnesses;
mod backup;
mod batch;
mod bodies;
mod brought;
mod browser_sessions;
mod columns;
mod controllers;
mod cursors;
mod database_url;
mod documents;
mod entities;
mod error;
mod events;
mod grants;
mod heads;
mod host_audits;
mod host_changes;
mod host_hourly;
mod host_policies;
mod host_rows;
mod host_sessions;
mod hosts;
mod incarnation;
mod incident_entries;
mod incidents;
mod join_tokens;
mod key_statements;
mod leases;
mod lockdowns;
mod news;
mod notices;
mod notification_groups;
mod notifications;
mod open;
mod policy_cases;
mod recent;
mod releases;
mod run_orders;
mod runs;
mod salvage;
mod segments;
mod settings;
mod silences;
mod span;
mod store;
mod tx;
mod upgrade_reports;
mod upgrades;
mod users;

#[cfg(any(test, feature = "test-support"))]
pub mod testing;

#[cfg(test)]
mod contract;

pub use action_steps::SentFor;
pub use actions::{ActionQuery, SentAction};
pub use api_tokens::{ApiToken, NewApiToken};
pub use audit_log::{AuditQuery, Kept};
pub use audit_witnesses::{StoredCheckpoint, Witness, WitnessCount};
pub use backup::{CopyError, LibpqPlace};
pub use browser_sessions::{BrowserSession, SessionOwner};
pub use controllers::ControllerSeen;
pub use cursors::Cursor;
pub use database_url::{DatabaseUrl, InvalidDatabaseUrl};
pub use documents::{DocumentKind, DocumentVersion};
pub use entities::EntityRow;
pub use error::StoreError;
pub use events::{EventQuery, NewEvent, RecordXml, StoredEvent};
pub use grants::{GrantRecord, GrantsStamp};
pub use heads::{HistoryHeads, RecentHead, SegmentHead};
pub use host_audits::{DriftQuery, StoredDrift};
pub use host_hourly::HourlyRow;
pub use host_policies::ToldPolicy;
pub use host_sessions::HostSession;
pub use hosts::{Host, HostCertificate, NewHost};
pub use incarnation::Ended;
pub use incidents::{IncidentQuery, Standing};
pub use join_tokens::{BurnOutcome, JoinTokenRecord, JoinTokenUse, NewJoinToken};
pub use key_statements::{KeyStatementsStamp, KeyUse, StoredKeyStatement};
pub use leases::{Lease, Term};
pub use lockdowns::LockdownTurn;
pub use news::{IncidentNews, Listener, News};
pub use notices::{NewNotice, NoticeQuery, NoticeStart};
pub use notification_groups::NotificationGroup;
pub use notifications::{
    NewNotification, Notification, NotificationCount, NotificationQuery, NotificationState,
};
pub use open::{OpenError, REPAIR_NOTE, Schema, discard_sqlite};
pub use policy_cases::PolicyFirings;
pub use recent::{NewRecent, Recent, RecentId};
pub use releases::ReleaseRecord;
pub use run_orders::{RunOrder, RunOrderCount};
pub use runs::{RunApproval, RunQuery};
pub use salvage::{
    HistoryPiece, Judge, LostHistory, Salvage, SalvageError, Salvaged, SalvagedLog, SalvagedTable,
};
pub use segments::{NewSegment, Replacement, Segment, SegmentDay, SegmentId, Tier};
pub use settings::Setting;
pub use span::Span;
pub use store::{Backend, Store};
pub use tx::Tx;
pub use upgrade_reports::{ProgramTotals, RunningCount, TextCount};
pub use upgrades::{Upgrade, UpgradeHost};
pub use users::{NewUser, OidcSubject, User};
