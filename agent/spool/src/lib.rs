//! The agent's store-and-forward spool: bounded segments on disk, each record with a checksum.
//!
//! At all times `produced = acked + dropped + held`, also across crashes; what is lost becomes a gap with a reason. Knows
//! neither the wire nor what a record says.
//!
//! # What goes first
//! Beyond its limits the oldest records go, ordinary ones before lasting ones: a host that was away for a week must not
//! lose the few events that say why among the samples that say it again. Age takes both.
//!
//! # What survives what
//! A record may be read, and so be sent, only once it is synced to disk ([`Spool::newest`]): at the first append of each
//! second, on [`Spool::flush`], and when a segment is closed. A crash loses what was appended since, which nobody has seen,
//! so that its seqs can be given out again. Where that cannot be known to hold (the end of the newest segment is damaged,
//! or the controller has acked more than there is), a new epoch begins with all that is held.

mod error;
mod frame;
mod gaps;
mod limits;
mod log;
mod meta;
mod recovery;
mod scan;
mod segment;
mod spool;
mod thin;

pub use error::SpoolError;
pub use limits::{RECORD_BYTES_MAX, SpoolLimits};
pub use recovery::Recovery;
pub use spool::{Appended, Item, Spool, SpoolStatus};
