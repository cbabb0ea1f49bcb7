//! When the next sample and the next light count are due: at multiples of their intervals by the wall clock, so that the
//! samples of all hosts can be compared; robust against a clock that is set.

use std::time::Duration;

use tidemark_model::Timestamp;
use tidemark_model::time::duration_ms;

/// Shortest interval, in milliseconds; keeps the arithmetic legal whatever is asked.
const INTERVAL_MS_MIN: i64 = 100;

/// The times of one sampler.
#[derive(Clone, Copy, Debug)]
pub struct Schedule {
    sample_ms: i64,
    light_ms: i64,
    next_sample: Timestamp,
    next_light: Timestamp,
}

/// What is to be done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Due {
    /// A sample; before it this many were missed.
    Sample {
        /// Samples whose time passed unused.
        missed: u64,
    },
    /// A light count.
    Light,
    /// Nothing for so long.
    Nothing(Duration),
}

impl Schedule {
    /// A schedule whose first sample is due at once.
    #[must_use]
    pub const fn new(now: Timestamp) -> Self {
        Self {
            sample_ms: INTERVAL_MS_MIN,
            light_ms: INTERVAL_MS_MIN,
            next_sample: now,
            next_light: now,
        }
    }

    /// Sets the intervals; a sample that is due later than the new interval allows comes earlier.
    pub fn set_intervals(&mut self, sample: Duration, light: Duration) {
        self.light_ms = duration_ms(light).max(INTERVAL_MS_MIN);
        let sample_ms = duration_ms(sample).max(INTERVAL_MS_MIN);
        if sample_ms != self.sample_ms {
            self.sample_ms = sample_ms;
            self.next_sample = self.next_sample.floor_to(sample_ms);
        }
    }

    /// What is due at `now`. What it says is due is taken for done.
    pub fn due(&mut self, now: Timestamp) -> Due {
        // Further away than one interval: the clock was set back.
        if self.next_sample.ms_since(now) > self.sample_ms {
            self.next_sample = after(now, self.sample_ms);
        }
        if self.next_light.ms_since(now) > self.light_ms {
            self.next_light = after(now, self.light_ms);
        }
        if now >= self.next_sample {
            let late_ms = now.ms_since(self.next_sample);
            self.next_sample = after(now, self.sample_ms);
            self.next_light = after(now, self.light_ms);
            return Due::Sample {
                missed: u64::try_from(late_ms / self.sample_ms).unwrap_or(0),
            };
        }
        if now >= self.next_light {
            self.next_light = after(now, self.light_ms);
            return Due::Light;
        }
        let wait_ms = self.next_sample.min(self.next_light).ms_since(now);
        Due::Nothing(Duration::from_millis(u64::try_from(wait_ms).unwrap_or(0)))
    }
}

/// The first multiple of `interval_ms` after `now`.
fn after(now: Timestamp, interval_ms: i64) -> Timestamp {
    let floor = now.floor_to(interval_ms);
    Timestamp::from_unix_ms(floor.unix_ms().saturating_add(interval_ms))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn at(ms: i64) -> Timestamp {
        Timestamp::from_unix_ms(ms)
    }

    fn schedule(now: i64) -> Schedule {
        let mut schedule = Schedule::new(at(now));
        schedule.set_intervals(Duration::from_secs(30), Duration::from_secs(5));
        schedule
    }

    #[test]
    fn samples_are_aligned_with_light_counts_between_them() {
        let mut schedule = schedule(61_234);
        assert_eq!(schedule.due(at(61_234)), Due::Sample { missed: 0 });
        let mut now = 61_234;
        let mut done = Vec::new();
        while now < 121_000 {
            match schedule.due(at(now)) {
                Due::Nothing(wait) => now += wait.as_millis() as i64,
                due @ (Due::Sample { .. } | Due::Light) => done.push((now, due)),
            }
        }
        let sample_times: Vec<i64> = done
            .iter()
            .filter(|(_, due)| *due == Due::Sample { missed: 0 })
            .map(|(now, _)| *now)
            .collect();
        assert_eq!(sample_times, [90_000, 120_000]);
        assert_eq!(done.first(), Some(&(65_000, Due::Light)));
        assert_eq!(done.len(), 2 + 10);
    }

    #[test]
    fn a_late_sample_is_taken_once_and_the_missed_ones_are_counted() {
        let mut schedule = schedule(60_000);
        schedule.due(at(60_000));
        assert_eq!(schedule.due(at(185_000)), Due::Sample { missed: 3 });
        assert!(
            matches!(schedule.due(at(185_000)), Due::Nothing(wait) if wait.as_millis() == 5_000)
        );
    }

    #[test]
    fn a_clock_that_is_set_back_does_not_stop_sampling() {
        let mut schedule = schedule(1_000_000_000);
        schedule.due(at(1_000_000_000));
        let Due::Nothing(wait) = schedule.due(at(1_000)) else {
            panic!("nothing is due yet");
        };
        assert!(wait <= Duration::from_secs(5), "{wait:?}");
        assert_eq!(schedule.due(at(30_000)), Due::Sample { missed: 0 });
    }

    #[test]
    fn a_shorter_interval_takes_effect_before_the_longer_one_is_over() {
        let mut schedule = schedule(60_000);
        schedule.set_intervals(Duration::from_secs(300), Duration::from_secs(5));
        schedule.due(at(60_000));
        schedule.set_intervals(Duration::from_secs(1), Duration::from_secs(1));
        assert!(matches!(schedule.due(at(60_500)), Due::Nothing(wait) if wait.as_millis() == 500));
    }

    proptest! {
        #[test]
        fn no_clock_makes_it_wait_longer_than_its_interval(
            times in proptest::collection::vec(any::<i64>(), 1..20), sample in 1..400_u64, light in 0..10_u64,
        ) {
            let mut schedule = Schedule::new(at(times[0]));
            let interval = Duration::from_secs(sample);
            schedule.set_intervals(interval, Duration::from_secs(light));
            for now in times {
                for _ in 0..3 {
                    if let Due::Nothing(wait) = schedule.due(at(now)) {
                        prop_assert!(wait <= interval, "{wait:?}");
                    }
                }
            }
        }
    }
}
