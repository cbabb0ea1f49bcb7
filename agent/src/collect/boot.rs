//! When the host booted, by its own clock: steady while the clock runs, read again when the clock was set.

use std::time::Duration;

use tidemark_model::Timestamp;
use tidemark_platform::{ReadError, host, own};

/// A clock that moved against the time since boot by more than this was set, not read late.
const CLOCK_SET_MS: i64 = 2_000;

/// The boot time and the clock by which it was read.
#[derive(Clone, Copy, Debug)]
pub(super) struct BootClock {
    booted_at: Timestamp,
    /// What the clock showed less the time since boot.
    offset: Timestamp,
}

impl BootClock {
    pub(super) fn read(now: Timestamp) -> Result<Self, ReadError> {
        Ok(Self {
            booted_at: Timestamp::EPOCH.saturating_add(host::boot_time()?),
            offset: now.saturating_sub(own::time_since_boot()),
        })
    }

    /// When the host booted.
    pub(super) const fn booted_at(&self) -> Timestamp {
        self.booted_at
    }

    /// Whether the clock was set since this was read.
    pub(super) fn was_set(&self, now: Timestamp, since_boot: Duration) -> bool {
        let offset = now.saturating_sub(since_boot);
        offset.ms_since(self.offset).saturating_abs() > CLOCK_SET_MS
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_clock_that_runs_was_not_set_and_one_that_jumps_was() {
        let clock = BootClock {
            booted_at: Timestamp::from_unix_ms(1_000_000),
            offset: Timestamp::from_unix_ms(1_000_400),
        };
        let at = |unix_ms| Timestamp::from_unix_ms(unix_ms);
        let later = Duration::from_mins(10);
        assert!(!clock.was_set(at(1_600_900), later));
        assert!(clock.was_set(at(5_600_900), later));
        assert!(clock.was_set(at(-5_600_900), later));
    }
}
