//! Leaks that exhaust a host within minutes, and rises that do not.

use tidemark_model::forecast::Road;

use crate::simulation::{Dice, Host, Load, assert_date, assert_no_alarm};

/// A leak of `rate` ports a second that begins after `quiet` seconds, with short-lived sockets around it.
fn leak_until_half(capacity: u32, rate: f64, step: f64, seed: u64) -> (Host, f64, f64) {
    let mut dice = Dice::new(seed);
    let mut host = Host::new(capacity);
    let quiet = 60.0;
    let noise = 0.02 * f64::from(capacity);
    let full = quiet + (f64::from(capacity) - 3.0 * noise) / rate;
    let half = quiet + (full - quiet) / 2.0;
    let mut seconds = 0.0;
    while seconds <= half {
        let load = Load {
            worker: noise * (1.0 + 0.3 * dice.normal()),
            leaked: rate * (seconds - quiet).max(0.0),
            hidden: seed % 2 == 1,
            time_wait: 2.0 * noise * (1.0 + 0.2 * dice.normal()),
        };
        host.feed(seconds, &load);
        seconds += step;
    }
    (host, seconds - step, full)
}

#[test]
fn a_leak_of_minutes_has_a_date_within_a_fifth_at_half_way() {
    for seed in 0..12 {
        for rate in [2.0, 3.0, 5.0] {
            let (host, now, full) = leak_until_half(1_000, rate, 1.0, seed);
            let forecast = host.forecast(now);
            assert_date(&forecast, now, full, (Road::Leak, 0.2));
            assert_eq!(
                forecast.culprit.as_deref(),
                Some("leaky-app"),
                "{}",
                forecast.explanation
            );
        }
    }
}

#[test]
fn a_leak_is_dated_at_the_usual_interval_too() {
    for seed in 0..6 {
        let (host, now, full) = leak_until_half(16_384, 8.0, 30.0, seed);
        assert_date(&host.forecast(now), now, full, (Road::Leak, 0.2));
        let (host, now, full) = leak_until_half(28_232, 20.0, 10.0, seed);
        assert_date(&host.forecast(now), now, full, (Road::Leak, 0.2));
    }
}

#[test]
fn the_sentence_has_figures_to_check() {
    let (host, now, _) = leak_until_half(1_000, 3.0, 1.0, 4);
    let sentence = host.forecast(now).explanation;
    for part in [
        "floor rose from",
        "a second",
        "leaky-app holds",
        "1,000 ports are gone in",
    ] {
        assert!(sentence.contains(part), "{sentence}");
    }
}

#[test]
fn the_alarm_ends_when_the_leak_is_put_right() {
    let (mut host, now, _) = leak_until_half(1_000, 4.0, 1.0, 2);
    assert!(host.forecast(now).eta.is_some());
    for second in 1..60 {
        host.feed(
            now + f64::from(second),
            &Load {
                worker: 20.0,
                ..Load::default()
            },
        );
    }
    let forecast = host.forecast(now + 60.0);
    assert_eq!(forecast.eta, None, "{}", forecast.explanation);
}

#[test]
fn the_alarm_ends_when_the_leak_stalls() {
    let (mut host, now, _) = leak_until_half(1_000, 4.0, 1.0, 2);
    let leaked = 4.0 * (now - 60.0);
    for second in 1..240 {
        host.feed(
            now + f64::from(second),
            &Load {
                worker: 20.0,
                leaked,
                ..Load::default()
            },
        );
    }
    let forecast = host.forecast(now + 240.0);
    assert_eq!(forecast.eta, None, "{}", forecast.explanation);
}

#[test]
fn the_alarm_is_held_until_the_ports_are_gone_and_while_they_are() {
    let mut host = Host::new(1_000);
    let mut raised = false;
    for second in 0..400 {
        let seconds = f64::from(second);
        let load = Load {
            worker: 20.0,
            leaked: (4.0 * (seconds - 30.0).max(0.0)).min(980.0),
            ..Load::default()
        };
        host.feed(seconds, &load);
        let forecast = host.forecast(seconds);
        assert!(
            forecast.eta.is_some() || !raised,
            "dropped after {second} s: {}",
            forecast.explanation
        );
        raised |= forecast.eta.is_some();
        if second > 290 {
            assert_eq!(forecast.road, Some(Road::Saturated));
            assert_eq!(forecast.culprit.as_deref(), Some("leaky-app"));
        }
    }
    assert!(raised);
}

#[test]
fn idle_and_noisy_hosts_raise_no_alarm() {
    for seed in 0..3 {
        let mut dice = Dice::new(seed);
        assert_no_alarm(Host::new(1_000), 1.0, 1_800, |_| Load {
            worker: 120.0,
            ..Load::default()
        });
        assert_no_alarm(Host::new(1_000), 1.0, 1_800, |_| Load {
            worker: 200.0 + 60.0 * dice.normal(),
            time_wait: 150.0 + 40.0 * dice.normal(),
            ..Load::default()
        });
        let mut wander = 0.0;
        let mut dice = Dice::new(seed + 100);
        assert_no_alarm(Host::new(16_384), 30.0, 6_000, |_| {
            wander = 0.99 * wander + 0.14 * dice.normal();
            Load {
                worker: 3_000.0 + 800.0 * wander,
                ..Load::default()
            }
        });
    }
}

#[test]
fn a_step_a_burst_and_a_plateau_raise_no_alarm() {
    for seed in 0..6 {
        let mut dice = Dice::new(seed);
        assert_no_alarm(Host::new(1_000), 1.0, 1_800, |seconds| Load {
            worker: if seconds < 600.0 { 80.0 } else { 430.0 } + 8.0 * dice.normal(),
            ..Load::default()
        });
        let mut dice = Dice::new(seed);
        assert_no_alarm(Host::new(1_000), 1.0, 3_600, |seconds| {
            let into = seconds % 1_200.0;
            let burst =
                (into - 300.0).clamp(0.0, 90.0) * 3.0 - (into - 450.0).clamp(0.0, 90.0) * 3.0;
            Load {
                worker: 100.0 + burst + 8.0 * dice.normal(),
                ..Load::default()
            }
        });
        let mut dice = Dice::new(seed);
        assert_no_alarm(Host::new(1_000), 1.0, 3_600, |seconds| Load {
            worker: 100.0
                + 500.0 * (1.0 - (-(seconds - 300.0).max(0.0) / 200.0).exp())
                + 8.0 * dice.normal(),
            ..Load::default()
        });
    }
}
