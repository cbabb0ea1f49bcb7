//! Wall-clock time as Unix milliseconds: the one representation in the wire, the tables and the code.

use std::time::Duration;

use serde::{Deserialize, Serialize};

/// Milliseconds since the Unix epoch, UTC. Negative values are legal (clocks of sick hosts go anywhere).
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
#[serde(transparent)]
pub struct Timestamp(i64);

impl Timestamp {
    /// The Unix epoch itself; stands for "never" nowhere (use `Option`).
    pub const EPOCH: Self = Self(0);

    /// From Unix milliseconds.
    #[must_use]
    pub const fn from_unix_ms(unix_ms: i64) -> Self {
        Self(unix_ms)
    }

    /// As Unix milliseconds.
    #[must_use]
    pub const fn unix_ms(self) -> i64 {
        self.0
    }

    /// Later by `duration`; saturates at the ends of the range.
    #[must_use]
    pub fn saturating_add(self, duration: Duration) -> Self {
        Self(self.0.saturating_add(duration_ms(duration)))
    }

    /// Earlier by `duration`; saturates at the ends of the range.
    #[must_use]
    pub fn saturating_sub(self, duration: Duration) -> Self {
        Self(self.0.saturating_sub(duration_ms(duration)))
    }

    /// Milliseconds from `earlier` to `self`; negative when `earlier` is later.
    #[must_use]
    pub const fn ms_since(self, earlier: Self) -> i64 {
        self.0.saturating_sub(earlier.0)
    }

    /// The start of the bucket of `step_ms` that holds this instant; buckets are aligned to the Unix epoch.
    ///
    /// # Panics
    /// When `step_ms` is not positive.
    #[must_use]
    pub const fn floor_to(self, step_ms: i64) -> Self {
        assert!(step_ms > 0, "a bucket has a positive width");
        Self(self.0.saturating_sub(self.0.rem_euclid(step_ms)))
    }
}

/// Whole milliseconds of `duration`, saturating at `i64::MAX`.
#[must_use]
pub fn duration_ms(duration: Duration) -> i64 {
    i64::try_from(duration.as_millis()).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn buckets_are_aligned_to_the_epoch_on_both_sides_of_it() {
        assert_eq!(
            Timestamp::from_unix_ms(61_500).floor_to(60_000).unix_ms(),
            60_000
        );
        assert_eq!(
            Timestamp::from_unix_ms(-1).floor_to(60_000).unix_ms(),
            -60_000
        );
        assert_eq!(
            Timestamp::from_unix_ms(60_000).floor_to(60_000).unix_ms(),
            60_000
        );
    }

    #[test]
    fn arithmetic_saturates_instead_of_wrapping() {
        let end = Timestamp::from_unix_ms(i64::MAX);
        assert_eq!(end.saturating_add(Duration::from_secs(1)), end);
        assert_eq!(Timestamp::from_unix_ms(i64::MIN).ms_since(end), i64::MIN);
    }
}
