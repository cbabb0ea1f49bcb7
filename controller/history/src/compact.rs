//! Which of a host's rows and segments to compact, merge, roll up and delete, and the work itself on bytes.
//!
//! Pure: the caller reads what a [`Job`] names, runs it, and replaces the sources by the outcome in one transaction. A pass
//! plans only jobs that share no source; what depends on their outcome is planned by the next pass.

mod plan;
mod policy;
mod work;

pub use plan::plan;
pub use policy::{CompactPolicy, Cutoffs, DayBytes, PolicyError, Retention};
pub use work::{CompactError, Compacted, Leftover, NewSegment, compact_window, merge, roll_up};

use crate::{Tier, Window};

/// One piece of work on one host. Ids are the store's.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Job {
    /// [`compact_window`]: rows of `recent` and the raw segments inside `window` become one raw segment of `window`.
    /// All sources go; samples of `recent` outside the window come back as a [`Leftover`].
    Compact {
        /// Window of the segment to write.
        window: Window,
        /// Rows to take, in the order of arrival.
        recent: Vec<i64>,
        /// Raw segments to take.
        segments: Vec<i64>,
    },
    /// [`merge`]: segments inside `window` become one of `window`. The sources go.
    Merge {
        /// Tier of all of them.
        tier: Tier,
        /// Window of the segment to write.
        window: Window,
        /// Segments to take.
        segments: Vec<i64>,
    },
    /// [`roll_up`]: the buckets of `tier` for raw segments. The raw segments stay; `into` goes.
    RollUp {
        /// Tier to write.
        tier: Tier,
        /// Window of the segment to write.
        window: Window,
        /// Raw segments to read.
        raw: Vec<i64>,
        /// Segments of `tier` that the outcome replaces, whose other buckets it keeps.
        into: Vec<i64>,
    },
    /// Segments that retention has reached.
    Delete {
        /// Segments to delete.
        segments: Vec<i64>,
    },
    /// Rows that came later than raw history is kept: delete them and count their samples as dropped.
    Discard {
        /// Rows to delete.
        recent: Vec<i64>,
    },
}

#[cfg(test)]
mod tests;
