//! Rates from counters: differences over the time that really passed.

use std::time::Duration;

use tidemark_model::sample::CounterRates;
use tidemark_platform::counters::ProtocolCounters;

/// Readings closer than this say nothing about a rate.
const ELAPSED_MIN: Duration = Duration::from_millis(100);

/// A reading of the counters and when it was taken, as time since boot: no clock change touches it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Reading {
    pub(super) counters: ProtocolCounters,
    pub(super) since_boot: Duration,
}

/// Rates between two readings. A counter that went back was reset and has no rate.
pub(super) fn rates(before: &Reading, after: &Reading) -> CounterRates {
    let elapsed = after.since_boot.saturating_sub(before.since_boot);
    if elapsed < ELAPSED_MIN {
        return CounterRates::default();
    }
    let elapsed_us = elapsed.as_micros();
    let rate = |counter: fn(&ProtocolCounters) -> Option<u64>| {
        let difference = counter(&after.counters)?.checked_sub(counter(&before.counters)?)?;
        let thousandths = u128::from(difference) * 1_000_000_000 / elapsed_us;
        u64::try_from(thousandths).ok()
    };
    CounterRates {
        tcp_active_opens: rate(|c| c.tcp_active_opens),
        tcp_passive_opens: rate(|c| c.tcp_passive_opens),
        tcp_attempt_fails: rate(|c| c.tcp_attempt_fails),
        tcp_estab_resets: rate(|c| c.tcp_estab_resets),
        tcp_in_segs: rate(|c| c.tcp_in_segs),
        tcp_out_segs: rate(|c| c.tcp_out_segs),
        tcp_retrans_segs: rate(|c| c.tcp_retrans_segs),
        tcp_out_rsts: rate(|c| c.tcp_out_rsts),
        tcp_time_wait_overflow: rate(|c| c.tcp_time_wait_overflow),
        udp_in_datagrams: rate(|c| c.udp_in_datagrams),
        udp_out_datagrams: rate(|c| c.udp_out_datagrams),
        udp_in_errors: rate(|c| c.udp_in_errors),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reading(opens: Option<u64>, errors: Option<u64>, since_boot_ms: u64) -> Reading {
        Reading {
            counters: ProtocolCounters {
                tcp_active_opens: opens,
                udp_in_errors: errors,
                ..ProtocolCounters::default()
            },
            since_boot: Duration::from_millis(since_boot_ms),
        }
    }

    #[test]
    fn a_rate_is_thousandths_of_an_event_a_second() {
        let rates = rates(
            &reading(Some(100), Some(7), 1_000),
            &reading(Some(145), Some(7), 31_000),
        );
        assert_eq!(rates.tcp_active_opens, Some(1_500));
        assert_eq!(rates.udp_in_errors, Some(0));
        assert_eq!(rates.tcp_in_segs, None);
    }

    #[test]
    fn a_reset_counter_has_no_rate_rather_than_a_spike() {
        let rates = rates(
            &reading(Some(100), None, 1_000),
            &reading(Some(3), Some(7), 31_000),
        );
        assert_eq!(rates, CounterRates::default());
    }

    #[test]
    fn readings_at_the_same_moment_have_no_rate() {
        let rates = rates(
            &reading(Some(1), None, 1_000),
            &reading(Some(9), None, 1_000),
        );
        assert_eq!(rates, CounterRates::default());
    }
}
