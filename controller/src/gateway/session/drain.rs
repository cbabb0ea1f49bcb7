//! Over how long the agents of a controller that ends are to come back.

use std::sync::OnceLock;

/// 200 agents a second, a tenth of the handshakes that a core does: 10,000 take 50 s, well within the 120 s in which a fleet is
/// to be back after a restart. A lone agent waits for nobody.
const MS_PER_SESSION: u64 = 5;
const MS_MAX: u32 = 300_000;

/// One time for all sessions of a controller.
///
/// The first that asks settles it: sessions end while others are still to be told, and were each told of those that are left,
/// the last would all come back within a moment.
#[derive(Debug, Default)]
pub struct DrainSpread(OnceLock<u32>);

impl DrainSpread {
    /// The time in milliseconds; `open` sessions are open.
    pub fn ms(&self, open: u64) -> u32 {
        *self.0.get_or_init(|| {
            let ms = open.saturating_mul(MS_PER_SESSION);
            u32::try_from(ms).unwrap_or(MS_MAX).min(MS_MAX)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn those_that_are_told_last_are_spread_as_far_as_the_first() {
        let spread = DrainSpread::default();
        let told: Vec<u32> = (1..=5_000).rev().map(|open| spread.ms(open)).collect();
        assert!(told.iter().all(|ms| *ms == 25_000), "{told:?}");
    }

    #[test]
    fn a_lone_agent_hardly_waits_and_nobody_longer_than_five_minutes() {
        assert_eq!(DrainSpread::default().ms(1), 5);
        assert_eq!(DrainSpread::default().ms(u64::MAX), 300_000);
    }
}
