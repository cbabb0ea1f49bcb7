//! Actions on this host: orders in, judged by the host's own policy, journaled, carried out one at a time, reported until
//! the controller has stored the report.
//!
//! The desk judges and remembers; the hands do. Neither knows the session, which reads an [`ActionFeed`].

pub(crate) mod beforehand;
mod confirm;
mod desk;
mod feed;
pub mod grants;
mod hands;
mod journal;
pub(crate) mod keys;
mod line;
pub(crate) mod lockdown;
mod overflow;
pub(crate) mod policy_file;

pub use desk::{Desk, DeskError, DeskParts};
pub use feed::{ActionFeed, Message, PlayedDesk};
pub use grants::{Witness, Witnessed};
