//! How long to wait after a failed try: full jitter over a range that doubles, or what the receiver asks for.

use std::time::Duration;

use tidemark_runtime::Entropy;

/// Range of the first wait.
const FIRST: Duration = Duration::from_secs(1);

/// Largest range.
const LONGEST: Duration = Duration::from_secs(300);

/// Longest that a receiver is obeyed when it asks to wait.
const ASKED_MAX: Duration = Duration::from_secs(3_600);

/// The wait after `attempts` tries, of which the last failed and the receiver `asked` to wait.
#[must_use]
pub fn wait_after(attempts: u32, asked: Option<Duration>, entropy: &Entropy) -> Duration {
    let doublings = attempts.saturating_sub(1).min(16);
    let range = FIRST.saturating_mul(1 << doublings).min(LONGEST);
    let range_ms = u64::try_from(range.as_millis()).unwrap_or(u64::MAX);
    let jitter = Duration::from_millis(entropy.below(range_ms.saturating_add(1)));
    // The receiver's own wish is a lower bound; the jitter on top keeps senders apart that were sent away together.
    match asked {
        Some(asked) => asked.min(ASKED_MAX).saturating_add(jitter.min(FIRST)),
        None => jitter,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_grow_to_a_limit_and_are_spread_over_the_whole_range() {
        let entropy = Entropy::seeded(7);
        for (attempts, range_s) in [
            (1, 1),
            (2, 2),
            (5, 16),
            (9, 256),
            (10, 300),
            (1_000_000, 300),
        ] {
            let range = Duration::from_secs(range_s);
            let waits: Vec<_> = (0..200)
                .map(|_| wait_after(attempts, None, &entropy))
                .collect();
            assert!(waits.iter().all(|wait| *wait <= range), "{attempts}");
            assert!(waits.iter().any(|wait| *wait < range / 4), "{attempts}");
            assert!(waits.iter().any(|wait| *wait > range / 4 * 3), "{attempts}");
        }
    }

    #[test]
    fn a_receiver_that_asks_to_wait_is_obeyed_within_reason() {
        let entropy = Entropy::seeded(7);
        for (asked, least, most) in [(30, 30, 31), (86_400, 3_600, 3_601)] {
            let wait = wait_after(8, Some(Duration::from_secs(asked)), &entropy);
            assert!(wait >= Duration::from_secs(least) && wait <= Duration::from_secs(most));
        }
    }
}
