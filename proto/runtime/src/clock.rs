//! The one source of wall-clock time. Tests hold the hands of a [`Clock::manual`] themselves.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::{Duration, UNIX_EPOCH};

use tidemark_model::Timestamp;
use tidemark_model::time::duration_ms;

/// Says what time it is.
#[derive(Clone, Debug, Default)]
pub enum Clock {
    /// The system's clock; it may jump.
    #[default]
    System,
    /// Stands still until it is moved; shared by its clones.
    Manual(Arc<AtomicI64>),
}

impl Clock {
    /// A clock that stands at `at`.
    #[must_use]
    pub fn manual(at: Timestamp) -> Self {
        Self::Manual(Arc::new(AtomicI64::new(at.unix_ms())))
    }

    /// The time; the epoch when the system's clock stands before 1970.
    #[must_use]
    #[expect(
        clippy::disallowed_methods,
        reason = "this is the seam that the ban points to"
    )]
    pub fn now(&self) -> Timestamp {
        match self {
            Self::System => std::time::SystemTime::now()
                .duration_since(UNIX_EPOCH)
                .map_or(Timestamp::EPOCH, |since| {
                    Timestamp::from_unix_ms(duration_ms(since))
                }),
            Self::Manual(unix_ms) => Timestamp::from_unix_ms(unix_ms.load(Ordering::Acquire)),
        }
    }

    /// Moves a manual clock forward; the system's clock moves by itself.
    pub fn advance(&self, by: Duration) {
        if let Self::Manual(unix_ms) = self {
            unix_ms.fetch_add(duration_ms(by), Ordering::AcqRel);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_manual_clock_moves_only_when_told() {
        let clock = Clock::manual(Timestamp::from_unix_ms(1_000));
        let sibling = clock.clone();
        clock.advance(Duration::from_millis(250));
        assert_eq!(sibling.now(), Timestamp::from_unix_ms(1_250));
    }

    #[test]
    fn the_system_clock_is_past_2025() {
        assert!(Clock::System.now() > Timestamp::from_unix_ms(1_735_689_600_000));
    }
}
