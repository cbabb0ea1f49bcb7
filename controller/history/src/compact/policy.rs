//! How long history is kept and when it is made coarser.

use std::time::Duration;

use tidemark_model::time::duration_ms;
use tidemark_model::{ErrorCode, Timestamp, error_code::ApiError};

use crate::Tier;

const MINUTE: Duration = Duration::from_secs(60);
const HOUR: Duration = Duration::from_secs(3_600);
const DAY: Duration = Duration::from_secs(86_400);

/// How long, and in how many bytes, each tier is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Retention {
    /// Age of raw points; 2 days at least, because roll-ups are made of whole days.
    pub raw: Duration,
    /// Age of five-minute buckets.
    pub five_minutes: Duration,
    /// Age of hour buckets.
    pub hour: Duration,
    /// Bytes of all hosts' raw segments together; the oldest days go first. `None` for no limit.
    pub raw_bytes_max: Option<u64>,
    /// The same for five-minute buckets.
    pub five_minutes_bytes_max: Option<u64>,
    /// The same for hour buckets.
    pub hour_bytes_max: Option<u64>,
}

impl Default for Retention {
    /// Raw 14 days, five minutes 90 days, hours two years, no limits by bytes.
    fn default() -> Self {
        Self {
            raw: 14 * DAY,
            five_minutes: 90 * DAY,
            hour: 730 * DAY,
            raw_bytes_max: None,
            five_minutes_bytes_max: None,
            hour_bytes_max: None,
        }
    }
}

/// A retention that cannot be kept.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum PolicyError {
    /// Raw points would go before they can be rolled up.
    #[error("raw history is kept {} h, but at least 48 h are needed to roll it up; raise the raw retention", .kept.as_secs() / 3_600)]
    RawTooShort {
        /// What was asked for.
        kept: Duration,
    },
    /// A coarser tier would end before the finer one.
    #[error("tier {coarser} is kept {} h, less than the finer {finer}; raise the retention of {coarser}", .kept.as_secs() / 3_600)]
    CoarserShorter {
        /// The tier that is kept too short.
        coarser: Tier,
        /// The finer tier that is kept longer.
        finer: Tier,
        /// What was asked for.
        kept: Duration,
    },
    /// Windows would cross the borders of days.
    #[error("a window of {} s does not divide a day into hours or more; choose a divisor", .length.as_secs())]
    Uneven {
        /// Its length.
        length: Duration,
    },
}

impl ApiError for PolicyError {
    fn code(&self) -> ErrorCode {
        ErrorCode::InvalidArgument
    }
}

/// Bytes of one tier's segments of all hosts that end on one day.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DayBytes {
    /// Which tier.
    pub tier: Tier,
    /// End of the segments' windows, rounded up to a day.
    pub until: Timestamp,
    /// Their bytes.
    pub bytes: u64,
}

/// Before when each tier's history has expired.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cutoffs {
    /// For raw points.
    pub raw: Timestamp,
    /// For five-minute buckets.
    pub five_minutes: Timestamp,
    /// For hour buckets.
    pub hour: Timestamp,
}

impl Cutoffs {
    /// Before when `tier`'s history has expired.
    #[must_use]
    pub const fn of(self, tier: Tier) -> Timestamp {
        match tier {
            Tier::Raw => self.raw,
            Tier::FiveMinutes => self.five_minutes,
            Tier::Hour => self.hour,
        }
    }
}

impl Retention {
    /// Whether it can be kept.
    ///
    /// # Errors
    /// When raw points would go before they are rolled up, or a coarser tier before a finer one.
    pub fn check(&self) -> Result<(), PolicyError> {
        if self.raw < 2 * DAY {
            return Err(PolicyError::RawTooShort { kept: self.raw });
        }
        if self.five_minutes < self.raw {
            return Err(PolicyError::CoarserShorter {
                coarser: Tier::FiveMinutes,
                finer: Tier::Raw,
                kept: self.five_minutes,
            });
        }
        if self.hour < self.five_minutes {
            return Err(PolicyError::CoarserShorter {
                coarser: Tier::Hour,
                finer: Tier::FiveMinutes,
                kept: self.hour,
            });
        }
        Ok(())
    }

    /// Whether a tier has a limit by bytes.
    #[must_use]
    pub const fn is_by_bytes(&self) -> bool {
        self.raw_bytes_max.is_some()
            || self.five_minutes_bytes_max.is_some()
            || self.hour_bytes_max.is_some()
    }

    /// What has expired at `now`, by age and, given the bytes of each tier and day, by bytes.
    #[must_use]
    pub fn cutoffs(&self, now: Timestamp, days: &[DayBytes]) -> Cutoffs {
        let of = |tier, age, bytes_max: Option<u64>| {
            let by_age = now.saturating_sub(age);
            let by_bytes = bytes_max.and_then(|limit| newest_over(tier, limit, days));
            by_bytes.map_or(by_age, |cutoff| by_age.max(cutoff))
        };
        Cutoffs {
            raw: of(Tier::Raw, self.raw, self.raw_bytes_max),
            five_minutes: of(
                Tier::FiveMinutes,
                self.five_minutes,
                self.five_minutes_bytes_max,
            ),
            hour: of(Tier::Hour, self.hour, self.hour_bytes_max),
        }
    }
}

/// The newest day that does not fit in `limit` together with all newer ones.
fn newest_over(tier: Tier, limit: u64, days: &[DayBytes]) -> Option<Timestamp> {
    let mut newest_first: Vec<&DayBytes> = days.iter().filter(|day| day.tier == tier).collect();
    newest_first.sort_by_key(|day| std::cmp::Reverse(day.until));
    let mut sum = 0u64;
    newest_first.into_iter().find_map(|day| {
        sum = sum.saturating_add(day.bytes);
        (sum > limit).then_some(day.until)
    })
}

/// When rows become segments and segments become coarser.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CompactPolicy {
    /// What is kept how long.
    pub retention: Retention,
    /// Length of the first segments: whole hours, because hours are summed up from them.
    pub window: Duration,
    /// How long after its end a window is still waited for.
    pub grace: Duration,
    /// How long after its end a day is rolled up into five-minute buckets. Until then raw points answer, faster than
    /// the buckets would be worth their bytes.
    pub five_minutes_after: Duration,
    /// The same for hour buckets.
    pub hour_after: Duration,
    /// Days are joined to windows of this many days in the five-minute tier.
    pub five_minutes_days: u32,
    /// The same in the hour tier.
    pub hour_days: u32,
    /// Segments with more bytes together than this are not joined; bounds the memory of a merge.
    pub merge_bytes_max: u64,
    /// A closed day with at most so many rows becomes one segment without becoming windows first.
    pub day_rows_max: usize,
    /// Most jobs in one pass over one host.
    pub jobs_max: usize,
}

impl Default for CompactPolicy {
    /// Windows of an hour, days; ten minutes of grace.
    fn default() -> Self {
        Self {
            retention: Retention::default(),
            window: HOUR,
            grace: 10 * MINUTE,
            five_minutes_after: 7 * DAY,
            hour_after: DAY,
            five_minutes_days: 7,
            hour_days: 28,
            merge_bytes_max: 4 << 20,
            day_rows_max: 10_000,
            jobs_max: 64,
        }
    }
}

impl CompactPolicy {
    /// Whether it can be followed.
    ///
    /// # Errors
    /// When the retention cannot be kept, or windows do not divide a day.
    pub fn check(&self) -> Result<(), PolicyError> {
        self.retention.check()?;
        if DAY_MS % self.window_ms() != 0 || self.window < HOUR {
            return Err(PolicyError::Uneven {
                length: self.window,
            });
        }
        Ok(())
    }

    pub(super) fn window_ms(&self) -> i64 {
        duration_ms(self.window).max(1)
    }

    /// When a day is rolled up into `tier`, after its end; `None` for raw.
    pub(super) const fn roll_up_after(&self, tier: Tier) -> Option<Duration> {
        match tier {
            Tier::Raw => None,
            Tier::FiveMinutes => Some(self.five_minutes_after),
            Tier::Hour => Some(self.hour_after),
        }
    }

    /// The longest window of `tier` in milliseconds.
    pub(super) fn longest_ms(&self, tier: Tier) -> i64 {
        let days = match tier {
            Tier::Raw => 1,
            Tier::FiveMinutes => self.five_minutes_days.max(1),
            Tier::Hour => self.hour_days.max(1),
        };
        i64::from(days).saturating_mul(DAY_MS)
    }
}

/// A day in milliseconds; days of history are those of UTC, which have no daylight saving time.
pub(super) const DAY_MS: i64 = 86_400_000;
