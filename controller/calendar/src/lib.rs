//! When maintenance windows are: what a window may be, its occurrences in a time zone, and the calendar feed.
//!
//! Pure: the caller brings the time. Knows no clock, no store and no host but the labels that matchers look at.

mod feed;
mod recurrence;
mod window;
mod zone;

pub use feed::{FeedEvent, feed};
pub use recurrence::COUNT_MAX;
pub use window::{
    DURATION_MAX, DURATION_MIN, NEXT_WITHIN_YEARS, Times, Window, WindowError, open_until,
};
pub use zone::{WindowZone, Zone};
