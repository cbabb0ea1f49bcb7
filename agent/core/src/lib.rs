//! What an agent decides, as state machines: messages and time in, actions out; no IO, no runtime, no OS.
//!
//! Its session with the controller, when to reconnect and to renew its certificate, how often to sample, what it lets be
//! done to its host, and which release of itself it takes.

pub mod actions;
pub mod backoff;
pub mod certificate;
pub mod interval;
pub mod session;
pub mod upgrades;

pub use backoff::{Backoff, BackoffConfig};
pub use certificate::{CertificatePlan, CertificateStep};
pub use interval::{InvalidInterval, SamplingInterval};
pub use session::{
    Action, DisconnectCause, DisconnectReason, Incoming, OutboxView, Sent, Session, SessionConfig,
    SessionState, Settings, Welcome,
};

/// Gives 64 random bits a call; all values alike.
pub type Draw = Box<dyn FnMut() -> u64 + Send>;
