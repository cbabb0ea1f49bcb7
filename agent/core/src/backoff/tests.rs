//! A fleet that loses its controller comes back spread out, however long the outage was.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use proptest::prelude::*;

use super::*;

const AGENTS: usize = 10_000;
/// TLS handshakes that a controller takes a second; others are turned away.
const ACCEPTED_PER_S: usize = 500;

/// Random bits that are the same in each run (SplitMix64).
struct Bits(u64);

impl Bits {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut bits = self.0;
        bits = (bits ^ (bits >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        bits = (bits ^ (bits >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        bits ^ (bits >> 31)
    }
}

/// What the controller sees after it was away for some time.
struct Return {
    /// Attempts in each second since it is back.
    attempts: Vec<usize>,
    /// When each agent was back, in ms since the controller is, ascending.
    back_ms: Vec<u64>,
}

fn come_back(outage: Duration) -> Return {
    let mut bits = Bits(42);
    let mut agents: Vec<Backoff> = (0..AGENTS)
        .map(|_| Backoff::new(BackoffConfig::default()))
        .collect();
    let healthy = Duration::from_secs(3_600);
    let mut queue: BinaryHeap<Reverse<(u64, usize)>> = agents
        .iter_mut()
        .enumerate()
        .map(|(agent, backoff)| {
            Reverse((
                backoff.after_loss(healthy, bits.next()).as_millis() as u64,
                agent,
            ))
        })
        .collect();
    let outage_ms = outage.as_millis() as u64;
    let mut seen = Return {
        attempts: Vec::new(),
        back_ms: Vec::new(),
    };
    while let Some(Reverse((at_ms, agent))) = queue.pop() {
        if let Some(since_ms) = at_ms.checked_sub(outage_ms) {
            let second = (since_ms / 1_000) as usize;
            seen.attempts.resize(seen.attempts.len().max(second + 1), 0);
            seen.attempts[second] += 1;
            if seen.attempts[second] <= ACCEPTED_PER_S {
                seen.back_ms.push(since_ms);
                continue;
            }
        }
        let wait = agents[agent].after_failure(bits.next());
        queue.push(Reverse((at_ms + wait.as_millis() as u64, agent)));
    }
    seen
}

#[test]
fn ten_thousand_agents_are_back_within_two_minutes_without_a_second_peak() {
    for outage_s in [0, 2, 30, 600] {
        let seen = come_back(Duration::from_secs(outage_s));
        assert_eq!(seen.back_ms.len(), AGENTS);
        let nearly_all_ms = seen.back_ms[AGENTS * 99 / 100];
        assert!(
            nearly_all_ms <= 120_000,
            "after {outage_s} s: 99 % took {nearly_all_ms} ms"
        );
        // Means over 5 s, so that chance does not look like a peak.
        let load: Vec<usize> = seen
            .attempts
            .chunks(5)
            .map(|seconds| seconds.iter().sum::<usize>() / 5)
            .collect();
        let (peak_at, peak) = load
            .iter()
            .copied()
            .enumerate()
            .max_by_key(|(_, load)| *load)
            .unwrap();
        assert!(peak <= 700, "after {outage_s} s: {peak} attempts a second");
        let mut lowest = peak;
        for later in &load[peak_at..] {
            assert!(
                *later <= lowest + peak / 5,
                "after {outage_s} s, a second peak: {load:?}"
            );
            lowest = lowest.min(*later);
        }
    }
}

#[test]
fn waits_at_the_cap_are_spread_over_all_of_it() {
    let mut bits = Bits(7);
    let mut backoff = Backoff::new(BackoffConfig::default());
    let waits: Vec<u64> = (0..20_000)
        .map(|_| backoff.after_failure(bits.next()).as_secs())
        .skip(20)
        .collect();
    let mut by_tenth = [0_usize; 10];
    for wait in &waits {
        by_tenth[(*wait as usize / 6).min(9)] += 1;
    }
    for tenth in by_tenth {
        assert!((1_800..2_200).contains(&tenth), "{by_tenth:?}");
    }
}

#[test]
fn the_longest_wait_doubles_to_the_cap_and_starts_anew_after_a_healthy_session() {
    let mut backoff = Backoff::new(BackoffConfig::default());
    let longest: Vec<u128> = (0..9)
        .map(|_| backoff.after_failure(u64::MAX).as_millis())
        .collect();
    assert_eq!(
        longest,
        [
            500, 1_000, 2_000, 4_000, 8_000, 16_000, 32_000, 60_000, 60_000
        ]
    );
    let unhealthy = backoff.after_loss(Duration::from_secs(59), u64::MAX);
    assert_eq!(unhealthy.as_secs(), 60);
    let lost = backoff.after_loss(Duration::from_secs(60), u64::MAX);
    assert_eq!(lost.as_secs(), 30);
    assert_eq!(backoff.after_failure(u64::MAX).as_secs(), 32);
}

proptest! {
    #[test]
    fn waits_stay_within_their_bounds(draw: u64, max_ms in 0..u64::MAX) {
        let max = Duration::from_millis(max_ms);
        prop_assert!(uniform(draw, max) <= max);
    }
}
