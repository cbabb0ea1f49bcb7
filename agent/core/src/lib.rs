//! The agent's session as a state machine: messages and time in, actions out; no IO, no runtime, no OS.
//!
//! Beside it what else an agent decides by itself: when to reconnect, when to renew its certificate, how often to sample.

pub mod backoff;
pub mod certificate;
pub mod interval;
pub mod session;

pub use backoff::{Backoff, BackoffConfig};
pub use certificate::{CertificatePlan, CertificateStep};
pub use interval::{InvalidInterval, SamplingInterval};
pub use session::{
    Action, DisconnectCause, DisconnectReason, Incoming, OutboxView, Sent, Session, SessionConfig,
    SessionState, Settings, Welcome,
};

/// Gives 64 random bits a call; all values alike.
pub type Draw = Box<dyn FnMut() -> u64 + Send>;
