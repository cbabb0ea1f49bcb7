//! How far a host's clock is from the controller's, by the smallest delay that its samples arrived with.
//!
//! Knows no clock of its own: the caller brings both times.

use tidemark_model::Timestamp;

/// Delays are remembered per quarter hour of receipt ...
const SPAN_MS: i64 = 900_000;
/// ... for this many of them: two hours, so that a clock that was set is followed.
const SPANS_MAX: usize = 8;

/// The clock error of one host.
#[derive(Clone, Debug, Default)]
pub struct HostClock {
    /// Quarter hour of receipt, and the smallest of receipt less sampling in it; ascending.
    delays: Vec<(i64, i64)>,
}

impl HostClock {
    /// When a sample was taken on the controller's clock, given when by the host's clock and when it was received.
    pub fn controller_time(&mut self, sampled_at: Timestamp, received_at: Timestamp) -> Timestamp {
        let delay = received_at.ms_since(sampled_at);
        let span = received_at.unix_ms().div_euclid(SPAN_MS);
        match self.delays.iter_mut().find(|(known, _)| *known == span) {
            Some((_, least)) => *least = delay.min(*least),
            None => {
                self.delays.push((span, delay));
                self.delays.sort_unstable();
                if self.delays.len() > SPANS_MAX {
                    self.delays.remove(0);
                }
            }
        }
        let error = self
            .delays
            .iter()
            .map(|(_, least)| *least)
            .min()
            .unwrap_or(delay);
        Timestamp::from_unix_ms(sampled_at.unix_ms().saturating_add(error))
    }

    /// Bytes on the heap.
    #[must_use]
    pub fn heap_bytes(&self) -> usize {
        self.delays.capacity() * size_of::<(i64, i64)>()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_late_sample_is_put_where_the_prompt_ones_say() {
        let mut clock = HostClock::default();
        let minute = |minutes: i64| Timestamp::from_unix_ms(minutes * 60_000);
        // The host is five minutes slow and its samples take no time.
        assert_eq!(clock.controller_time(minute(0), minute(5)), minute(5));
        assert_eq!(clock.controller_time(minute(2), minute(90)), minute(7));
        // Two hours after it was set right, it is believed.
        for received in (100..400).step_by(5) {
            clock.controller_time(minute(received), minute(received));
        }
        assert_eq!(clock.controller_time(minute(400), minute(400)), minute(400));
    }
}
