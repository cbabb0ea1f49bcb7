//! The words of Tidemark as types: ids, units, states, samples, metrics and the error taxonomy.
//!
//! Pure data and the rules that hold for it. Knows no IO, no clock, no wire format and no database.

pub mod action;
pub mod audit;
pub mod budget;
mod by_text;
pub mod delivery;
pub mod duration;
pub mod entity;
pub mod error_code;
pub mod event;
pub mod finding;
pub mod forecast;
pub mod grant;
pub mod host;
pub mod ids;
pub mod incident;
pub mod key_statement;
mod kinds;
pub mod metric;
pub mod notice;
pub mod pattern;
pub mod policy;
pub mod port;
pub mod problem;
pub mod role;
pub mod run;
pub mod sample;
pub mod scope;
pub mod secret;
pub mod signing;
pub mod silence;
pub mod tcp;
pub mod tcpip_fault;
pub mod time;
pub mod token;
pub mod view;
pub mod watch;
pub mod window;

pub use action::{ActionId, ActionKind, ActionReport, ActionSpec, ActionState, Order};
pub use audit::HostAudit;
pub use delivery::{GapReason, RecordGap, SpoolCounts};
pub use entity::Entity;
pub use error_code::ErrorCode;
pub use event::LogRecord;
pub use finding::Finding;
pub use host::{HostFacts, HostState};
pub use ids::{Epoch, HostId, Seq, SessionId};
pub use metric::Metric;
pub use port::{PortRange, PortSpaceKey, Protocol};
pub use role::Role;
pub use sample::Sample;
pub use scope::HostScope;
pub use secret::Secret;
pub use time::Timestamp;
pub use token::JoinToken;
