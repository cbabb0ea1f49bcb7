//! The steps of a query: equal spans of time, aligned to the Unix epoch, so that they know no daylight saving time.

use std::time::Duration;

use tidemark_model::Timestamp;
use tidemark_model::time::duration_ms;

use super::QueryError;
use crate::{Tier, Window};

/// Most steps of one series, whatever the limits say.
const STEPS_MAX: u64 = 100_000;

/// Steps that a chart is drawn with.
const STEPS_OF_A_CHART: i64 = 300;

/// Widths that people read easily, in milliseconds.
const ROUND_MS: [i64; 17] = [
    1_000,
    5_000,
    10_000,
    30_000,
    60_000,
    120_000,
    300_000,
    600_000,
    900_000,
    1_800_000,
    3_600_000,
    7_200_000,
    10_800_000,
    21_600_000,
    43_200_000,
    86_400_000,
    604_800_000,
];

/// How long a step is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// A round width that gives at most 300 steps.
    Auto,
    /// The whole range is one step.
    Whole,
    /// This long; 1 ms at least.
    Of(Duration),
}

/// The steps of a query.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Steps {
    /// Start of the first to end of the last step.
    pub range: Window,
    /// Length of each.
    pub step_ms: i64,
    /// How many.
    pub count: usize,
}

impl Steps {
    /// The steps that cover `range`.
    ///
    /// # Errors
    /// When the range is empty, the step zero, or there are more steps than `limit`.
    pub fn new(range: Window, step: Step, limit: u64) -> Result<Self, QueryError> {
        let length = range.length_ms();
        if length <= 0 {
            return Err(QueryError::EmptyRange);
        }
        let step_ms = match step {
            Step::Whole => {
                return Ok(Self {
                    range,
                    step_ms: length,
                    count: 1,
                });
            }
            Step::Auto => auto_step(length),
            Step::Of(step) => duration_ms(step),
        };
        if step_ms < 1 {
            return Err(QueryError::ZeroStep);
        }
        let range = Window {
            from: range.from.floor_to(step_ms),
            to: ceil_to(range.to, step_ms),
        };
        let limit = limit.min(STEPS_MAX);
        let steps = range.length_ms().unsigned_abs() / step_ms.unsigned_abs();
        let too_many = || {
            let limit_ms = i64::try_from(limit.max(1))
                .unwrap_or(i64::MAX)
                .saturating_mul(1_000);
            QueryError::TooManySteps {
                steps,
                limit,
                // One step more than fits may be needed, because both ends are rounded outwards.
                step_ms_min: (length / limit_ms + 2).saturating_mul(1_000),
            }
        };
        if steps > limit {
            return Err(too_many());
        }
        Ok(Self {
            range,
            step_ms,
            count: usize::try_from(steps).map_err(|_| too_many())?,
        })
    }

    /// The same range in steps that are multiples of `tier`'s buckets.
    pub(super) fn coarsened(&self, tier: Tier, limit: u64) -> Result<Self, QueryError> {
        let resolution = tier.resolution_ms();
        let step_ms =
            (self.step_ms.saturating_add(resolution - 1) / resolution).saturating_mul(resolution);
        let step = Duration::from_millis(step_ms.unsigned_abs());
        Self::new(self.range, Step::Of(step), limit)
    }

    /// Whether buckets of `tier` never cross the border of two steps.
    pub(super) const fn fit(&self, tier: Tier) -> bool {
        self.count == 1 || self.step_ms % tier.resolution_ms() == 0
    }

    /// Which step `at` lies in; `None` outside the range.
    pub(super) fn index_of(&self, at: i64) -> Option<usize> {
        let offset = at.checked_sub(self.range.from.unix_ms())?;
        let index = usize::try_from(offset.checked_div_euclid(self.step_ms)?).ok()?;
        (index < self.count).then_some(index)
    }

    /// Where step `index` begins, in Unix milliseconds.
    pub(super) fn start_of(&self, index: usize) -> i64 {
        let offset = i64::try_from(index)
            .unwrap_or(i64::MAX)
            .saturating_mul(self.step_ms);
        self.range.from.unix_ms().saturating_add(offset)
    }

    /// The same steps so much earlier.
    pub(super) fn earlier(&self, offset: Duration) -> Self {
        Self {
            range: Window {
                from: self.range.from.saturating_sub(offset),
                to: self.range.to.saturating_sub(offset),
            },
            ..*self
        }
    }
}

fn auto_step(length: i64) -> i64 {
    let mut round = ROUND_MS.into_iter();
    round
        .find(|step| length / step < STEPS_OF_A_CHART)
        .unwrap_or(4 * 604_800_000)
}

/// The first multiple of `width` that is not before `at`.
pub(super) const fn ceil_to(at: Timestamp, width: i64) -> Timestamp {
    let floor = at.floor_to(width);
    if floor.unix_ms() == at.unix_ms() {
        floor
    } else {
        Timestamp::from_unix_ms(floor.unix_ms().saturating_add(width))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const WEEK: Window = Window::of_ms(1_000, 604_801_000);

    #[test]
    fn steps_are_aligned_and_cover_the_range() {
        let steps = Steps::new(WEEK, Step::Of(Duration::from_secs(3_600)), 1_000).unwrap();
        assert_eq!(steps.range, Window::of_ms(0, 608_400_000));
        assert_eq!(steps.count, 169);
        assert_eq!(steps.index_of(3_600_000), Some(1));
        assert_eq!(steps.index_of(-1), None);
        assert_eq!(steps.index_of(608_400_000), None);
        assert_eq!(steps.start_of(168), 604_800_000);
    }

    #[test]
    fn the_step_that_the_error_names_is_accepted() {
        for limit in [1u64, 7, 300] {
            let refused = Steps::new(WEEK, Step::Of(Duration::from_millis(10)), limit);
            let Err(QueryError::TooManySteps { step_ms_min, .. }) = refused else {
                panic!("{refused:?}");
            };
            if limit > 1 {
                let step = Step::Of(Duration::from_millis(step_ms_min.unsigned_abs()));
                assert!(Steps::new(WEEK, step, limit).is_ok(), "{limit}: {step:?}");
            }
        }
    }

    #[test]
    fn an_automatic_step_is_round_and_gives_at_most_three_hundred() {
        for length in [1_000i64, 3_600_000, 86_400_000, 604_800_000, 63_072_000_000] {
            let steps = Steps::new(Window::of_ms(0, length), Step::Auto, 1_000).unwrap();
            assert!((1..=301).contains(&steps.count), "{length}: {steps:?}");
        }
    }

    #[test]
    fn extreme_ranges_neither_panic_nor_wrap() {
        let all = Window::of_ms(i64::MIN, i64::MAX);
        assert!(Steps::new(all, Step::Of(Duration::from_millis(1)), u64::MAX).is_err());
        assert!(Steps::new(all, Step::Of(Duration::MAX), u64::MAX).is_ok());
        assert!(matches!(
            Steps::new(Window::of_ms(5, 5), Step::Auto, 9),
            Err(QueryError::EmptyRange)
        ));
        assert!(matches!(
            Steps::new(WEEK, Step::Of(Duration::ZERO), 9),
            Err(QueryError::ZeroStep)
        ));
    }
}
