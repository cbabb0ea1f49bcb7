//! What names a series within a host, its points, and the windows that history is cut into.

use std::fmt;

use tidemark_model::{Metric, Timestamp};

/// Number of an entity in its host's dictionary: 1, 2, 3, ... in the order of appearance, never used for another entity.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct EntityNumber(u32);

impl EntityNumber {
    /// From its number.
    #[must_use]
    pub const fn new(number: u32) -> Self {
        Self(number)
    }

    /// Its number.
    #[must_use]
    pub const fn get(self) -> u32 {
        self.0
    }
}

impl fmt::Display for EntityNumber {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)
    }
}

/// Names one series within its host. Ordered by entity, then metric, as stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SeriesKey {
    /// What it is about.
    pub entity: EntityNumber,
    /// [`Metric::code`] of what is measured; a code that this build does not know is kept as it is.
    pub metric: u16,
}

impl SeriesKey {
    /// The series of `metric` of `entity`.
    #[must_use]
    pub const fn new(entity: EntityNumber, metric: Metric) -> Self {
        Self {
            entity,
            metric: metric.code(),
        }
    }
}

/// One measured value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Point {
    /// Which series.
    pub key: SeriesKey,
    /// Its value, in the metric's unit.
    pub value: i64,
}

/// The points of one sample.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Row {
    /// When the sample was taken, on the clock that history is kept in.
    pub at: Timestamp,
    /// Its points. When a series occurs twice, the last one counts.
    pub points: Vec<Point>,
}

/// A span of time: `from` included, `to` excluded, `from < to`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Window {
    /// Start, included.
    pub from: Timestamp,
    /// End, excluded.
    pub to: Timestamp,
}

impl Window {
    /// The window from `from_ms` to `to_ms` in Unix milliseconds.
    #[must_use]
    pub const fn of_ms(from_ms: i64, to_ms: i64) -> Self {
        Self {
            from: Timestamp::from_unix_ms(from_ms),
            to: Timestamp::from_unix_ms(to_ms),
        }
    }

    /// The window of `length_ms` (positive) that holds `at`; windows are aligned to the Unix epoch.
    #[must_use]
    pub const fn holding(at: Timestamp, length_ms: i64) -> Self {
        let from = at.floor_to(length_ms);
        Self {
            from,
            to: Timestamp::from_unix_ms(from.unix_ms().saturating_add(length_ms)),
        }
    }

    /// Its length in milliseconds.
    #[must_use]
    pub const fn length_ms(self) -> i64 {
        self.to.ms_since(self.from)
    }

    /// Whether `at` lies in it.
    #[must_use]
    pub fn contains(self, at: Timestamp) -> bool {
        self.from <= at && at < self.to
    }

    /// Whether all of `other` lies in it.
    #[must_use]
    pub fn covers(self, other: Self) -> bool {
        self.from <= other.from && other.to <= self.to
    }

    /// Whether both have an instant in common.
    #[must_use]
    pub fn overlaps(self, other: Self) -> bool {
        self.from < other.to && other.from < self.to
    }

    /// What both have in common.
    #[must_use]
    pub fn intersection(self, other: Self) -> Option<Self> {
        let (from, to) = (self.from.max(other.from), self.to.min(other.to));
        (from < to).then_some(Self { from, to })
    }
}
