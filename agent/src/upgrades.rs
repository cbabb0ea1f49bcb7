//! Upgrades of the agent by itself: what is offered is judged here, fetched over the session, put on disk, and switched to by the
//! supervisor, a process of the version before.
//!
//! The desk runs beside the session on a thread of its own; the supervisor is `commands/supervise.rs`.

mod desk;
mod feed;
pub(crate) mod memory;
pub(crate) mod said;
pub(crate) mod versions;

pub(crate) use desk::{Desk, DeskParts};
pub use feed::UpgradeFeed;
pub(crate) use feed::UpgradeMessage;
