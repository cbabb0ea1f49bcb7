//! What a host lets be done to it: its policy, the judgement of an order, and the ledger of what was begun.
//!
//! Pure: the file, the clock, the journal on disk and the doing are the agent's.

pub mod grants;
pub mod judge;
pub mod keys;
pub mod ledger;
pub mod policy;
pub mod protected;
pub mod undo;

pub use judge::{Circumstances, Judgement, Obstacle};
pub use keys::{HeldKeys, KeyChanges};
pub use ledger::{Entry, JournalRecord, Ledger};
pub use policy::{HostPolicy, InvalidPolicy, TrustedKey};
