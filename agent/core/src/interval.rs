//! How often an agent samples: its own setting, the controller's wish, and what the spool can still take.

use std::time::Duration;

/// Time between two samples, 1 to 300 s.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct SamplingInterval(Duration);

/// An interval outside its limits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the sampling interval is {given:?}; it lies between 1 s and 300 s")]
pub struct InvalidInterval {
    /// What was asked for.
    pub given: Duration,
}

impl SamplingInterval {
    /// Shortest interval.
    pub const MIN: Self = Self(Duration::from_secs(1));
    /// Longest interval.
    pub const MAX: Self = Self(Duration::from_secs(300));

    /// An interval of that length.
    ///
    /// # Errors
    /// When it is shorter than 1 s or longer than 300 s.
    pub fn new(given: Duration) -> Result<Self, InvalidInterval> {
        let interval = Self(given);
        if interval < Self::MIN || interval > Self::MAX {
            return Err(InvalidInterval { given });
        }
        Ok(interval)
    }

    /// Its length.
    #[must_use]
    pub const fn get(self) -> Duration {
        self.0
    }

    /// What the controller's settings make of this agent's own interval: 0 leaves it alone.
    ///
    /// # Errors
    /// When the wish is outside the limits; the own interval stays.
    pub fn with_settings(self, wish_ms: u32) -> Result<Self, InvalidInterval> {
        if wish_ms == 0 {
            return Ok(self);
        }
        Self::new(Duration::from_millis(wish_ms.into()))
    }

    /// Slower as the spool fills, so that an outage costs detail before it costs samples: twice at half full, four times
    /// at three quarters, eight times at nine tenths; never beyond [`SamplingInterval::MAX`].
    #[must_use]
    pub fn slowed_for(self, held_bytes: u64, limit_bytes: u64) -> Self {
        let tenths = held_bytes
            .saturating_mul(20)
            .checked_div(limit_bytes)
            .unwrap_or(u64::MAX);
        let factor = match tenths {
            0..10 => 1,
            10..15 => 2,
            15..18 => 4,
            18.. => 8,
        };
        Self(self.0 * factor).min(Self::MAX)
    }
}

impl Default for SamplingInterval {
    /// 30 s.
    fn default() -> Self {
        Self(Duration::from_secs(30))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_1_to_300_seconds_are_intervals() {
        for (given_ms, legal) in [
            (0, false),
            (999, false),
            (1_000, true),
            (300_000, true),
            (300_001, false),
        ] {
            let given = Duration::from_millis(given_ms);
            assert_eq!(SamplingInterval::new(given).is_ok(), legal, "{given:?}");
        }
    }

    #[test]
    fn a_wish_of_0_leaves_the_own_interval_and_an_illegal_one_is_refused() {
        let own = SamplingInterval::default();
        assert_eq!(own.with_settings(0), Ok(own));
        assert_eq!(
            own.with_settings(5_000).map(SamplingInterval::get),
            Ok(Duration::from_secs(5))
        );
        assert_eq!(
            own.with_settings(5).unwrap_err().to_string(),
            "the sampling interval is 5ms; it lies between 1 s and 300 s"
        );
    }

    #[test]
    fn a_filling_spool_slows_sampling_down() {
        let own = SamplingInterval::default();
        let seconds = |held, limit| own.slowed_for(held, limit).get().as_secs();
        assert_eq!(seconds(0, 100), 30);
        assert_eq!(seconds(49, 100), 30);
        assert_eq!(seconds(50, 100), 60);
        assert_eq!(seconds(75, 100), 120);
        assert_eq!(seconds(90, 100), 240);
        assert_eq!(seconds(u64::MAX, 0), 240);
        let slowest = SamplingInterval::MAX.slowed_for(95, 100);
        assert_eq!(slowest, SamplingInterval::MAX);
    }
}
