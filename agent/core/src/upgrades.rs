//! Which release of the agent a host takes, the fetching of its file, and the switch from one version to the next.
//!
//! Pure: the disk, the processes and the session are the agent's. Nothing that the controller says can make a host take what
//! its own policy, its own memory of releases and the signatures do not allow.

pub mod fetch;
pub mod judge;
pub mod switch;

pub use fetch::{Fetch, FetchRefusal, Fetched, Piece};
pub use judge::{Approved, Judged, Refusal, SeenRelease, judge};
pub use switch::{FailedTrial, Launch, Staged, Switch};
