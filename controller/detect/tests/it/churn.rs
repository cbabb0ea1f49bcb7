//! TIME_WAIT that outgrows the range, and TIME_WAIT that does not.

use tidemark_model::forecast::Road;

use crate::simulation::{Dice, Host, Load, assert_date, assert_no_alarm};

/// TIME_WAIT after `seconds` when closes begin at 30 s, at `rate` a second, each kept for 60 s.
fn time_wait(rate: f64, seconds: f64, dice: &mut Dice) -> f64 {
    let held = rate * (seconds - 30.0).clamp(0.0, 60.0);
    held + held.sqrt() * dice.normal() * 0.3
}

#[test]
fn churn_to_one_destination_is_dated_at_half_way() {
    for seed in 0..12 {
        for rate in [20.0, 25.0, 30.0] {
            let mut dice = Dice::new(seed);
            let mut host = Host::new(1_000);
            let full = 30.0 + (1_000.0 - 30.0) / rate;
            let half = f64::midpoint(30.0, full).floor();
            for second in 0..=half as i32 {
                let seconds = f64::from(second);
                let load = Load {
                    worker: 30.0 + 2.0 * dice.normal(),
                    time_wait: time_wait(rate, seconds, &mut dice),
                    ..Load::default()
                };
                host.feed(seconds, &load);
            }
            let forecast = host.forecast(half);
            assert_date(&forecast, half, full, (Road::Churn, 0.2));
            assert_eq!(
                forecast.culprit.as_deref(),
                Some("10.0.0.9:1433"),
                "{}",
                forecast.explanation
            );
        }
    }
}

#[test]
fn churn_is_dated_in_time_from_samples_of_ten_seconds() {
    let mut host = Host::new(16_384);
    let mut dice = Dice::new(3);
    let rate = 330.0;
    let full = 30.0 + (16_384.0 - 300.0) / rate;
    let mut seconds = 0.0;
    while seconds < 30.0 + 0.7 * (full - 30.0) {
        host.feed(
            seconds,
            &Load {
                worker: 300.0,
                time_wait: time_wait(rate, seconds, &mut dice),
                ..Load::default()
            },
        );
        seconds += 10.0;
    }
    let now = seconds - 10.0;
    assert_date(&host.forecast(now), now, full, (Road::Churn, 0.2));
}

#[test]
fn a_plateau_below_capacity_raises_no_alarm() {
    for rate in [4.0, 9.0, 14.0] {
        let mut dice = Dice::new(5);
        assert_no_alarm(Host::new(1_000), 1.0, 600, |seconds| Load {
            worker: 60.0,
            time_wait: time_wait(rate, seconds, &mut dice),
            ..Load::default()
        });
    }
}

#[test]
fn a_burst_of_connections_raises_no_alarm() {
    let mut dice = Dice::new(8);
    assert_no_alarm(Host::new(1_000), 1.0, 600, |seconds| {
        let into = seconds % 120.0;
        let held = 60.0 * into.min(4.0) - 60.0 * (into - 60.0).clamp(0.0, 4.0);
        Load {
            worker: 60.0 + dice.normal(),
            time_wait: held,
            ..Load::default()
        }
    });
}

#[test]
fn the_alarm_ends_with_the_churn() {
    let mut host = Host::new(1_000);
    let mut dice = Dice::new(1);
    for second in 0..50 {
        let seconds = f64::from(second);
        host.feed(
            seconds,
            &Load {
                worker: 30.0,
                time_wait: time_wait(25.0, seconds, &mut dice),
                ..Load::default()
            },
        );
    }
    assert!(host.forecast(49.0).eta.is_some());
    for second in 50..170 {
        let held = 25.0 * (20.0 - (f64::from(second) - 90.0).clamp(0.0, 20.0));
        host.feed(
            f64::from(second),
            &Load {
                worker: 30.0,
                time_wait: held,
                ..Load::default()
            },
        );
    }
    let forecast = host.forecast(170.0);
    assert_eq!(forecast.eta, None, "{}", forecast.explanation);
}
