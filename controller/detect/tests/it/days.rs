//! Leaks over days under a daily profile, and days that only look like it. History replayed from stored rows.

use std::f64::consts::TAU;
use std::time::Duration;

use tidemark_detect::{DetectorSettings, Extent, OwnerReading, Rollup, SpaceDetector};
use tidemark_model::Timestamp;
use tidemark_model::forecast::Road;

use crate::simulation::{Dice, Host, Load, assert_date, assert_no_alarm, at};

const DAY: f64 = 86_400.0;

/// Ports of a workload that peaks at two in the afternoon, with quiet weekends.
fn office(seconds: f64, dice: &mut Dice) -> f64 {
    let day = (seconds / DAY).floor() as i64 % 7;
    let peak = if day >= 5 { 1_200.0 } else { 3_000.0 };
    let shape = (1.0 + (TAU * (seconds / DAY - 14.0 / 24.0)).cos()) / 2.0;
    800.0 + peak * shape * (1.0 + 0.04 * dice.normal())
}

#[test]
fn a_leak_of_days_is_dated_under_a_daily_profile() {
    let mut dice = Dice::new(3);
    let mut host = Host::new(16_384);
    let (begin, rate) = (7.0 * DAY, 90.0 / 3_600.0);
    // Full when the leak meets the weekday peak at two in the afternoon.
    let full = (begin..30.0 * DAY)
        .step(300.0)
        .find(|seconds| {
            let work = office(*seconds, &mut Dice::new(3));
            // TIME_WAIT takes ports too.
            1.2 * work + rate * (seconds - begin) >= 16_384.0
        })
        .expect("it fills within a month");
    let now = full - 48.0 * 3_600.0;
    let mut seconds = 0.0;
    while seconds <= now {
        let load = Load {
            worker: office(seconds, &mut dice),
            leaked: rate * (seconds - begin).max(0.0),
            time_wait: 0.2 * office(seconds, &mut dice),
            ..Load::default()
        };
        host.feed(seconds, &load);
        seconds += 300.0;
    }
    let forecast = host.forecast(now);
    assert_date(&forecast, now, full, (Road::Leak, 0.25));
    assert_eq!(
        forecast.culprit.as_deref(),
        Some("leaky-app"),
        "{}",
        forecast.explanation
    );
}

/// Steps of a range of seconds.
trait Steps {
    fn step(self, width: f64) -> impl Iterator<Item = f64>;
}

impl Steps for std::ops::Range<f64> {
    fn step(self, width: f64) -> impl Iterator<Item = f64> {
        let count = ((self.end - self.start) / width) as u32;
        (0..count).map(move |index| self.start + f64::from(index) * width)
    }
}

#[test]
fn days_and_weeks_without_a_leak_raise_no_alarm() {
    for seed in 0..3 {
        let mut dice = Dice::new(seed);
        assert_no_alarm(Host::new(16_384), 300.0, 21 * 288, |seconds| Load {
            worker: office(seconds, &mut dice),
            time_wait: 0.3 * office(seconds, &mut dice),
            ..Load::default()
        });
    }
}

#[test]
fn a_deploy_a_nightly_batch_and_a_plateau_raise_no_alarm() {
    let mut dice = Dice::new(11);
    assert_no_alarm(Host::new(16_384), 300.0, 14 * 288, |seconds| Load {
        worker: office(seconds, &mut dice) + if seconds > 9.4 * DAY { 3_500.0 } else { 0.0 },
        ..Load::default()
    });
    assert_no_alarm(Host::new(16_384), 300.0, 14 * 288, |seconds| {
        let hour = seconds % DAY / 3_600.0;
        let batch = 4_000.0 * ((hour - 1.0).clamp(0.0, 1.5) - (hour - 3.0).clamp(0.0, 1.5)) / 1.5;
        Load {
            worker: office(seconds, &mut dice) + batch,
            ..Load::default()
        }
    });
    assert_no_alarm(Host::new(16_384), 300.0, 14 * 288, |seconds| {
        let grown = 2_500.0 * (1.0 - (-(seconds - 6.0 * DAY).max(0.0) / (1.2 * DAY)).exp());
        Load {
            worker: office(seconds, &mut dice) + grown,
            ..Load::default()
        }
    });
}

/// A leak that a nightly restart always puts right.
#[test]
fn restarts_in_time_raise_no_alarm() {
    let mut host = Host::new(16_384);
    let mut dice = Dice::new(5);
    for step in 0..14 * 288 {
        let seconds = f64::from(step) * 300.0;
        host.leaky_incarnation = (seconds / DAY).floor() as i64;
        let load = Load {
            worker: office(seconds, &mut dice),
            leaked: 5_000.0 * (seconds % DAY) / DAY,
            ..Load::default()
        };
        host.feed(seconds, &load);
        let forecast = host.forecast(seconds);
        assert_eq!(
            forecast.eta,
            None,
            "day {:.2}: {}",
            seconds / DAY,
            forecast.explanation
        );
    }
}

/// The same leak told in stored rows of five minutes gives the same date as live readings.
#[test]
fn history_from_storage_brings_the_verdict_back() {
    let mut live = Host::new(16_384);
    let mut replayed = SpaceDetector::new(DetectorSettings::linux());
    let mut dice = Dice::new(21);
    for step in 0..12 * 288 {
        let seconds = f64::from(step) * 300.0;
        let load = Load {
            worker: office(seconds, &mut dice).round(),
            leaked: (90.0 / 3_600.0 * (seconds - 7.0 * DAY).max(0.0)).round(),
            ..Load::default()
        };
        live.feed(seconds, &load);
        let strong = (load.worker + load.leaked) as u32;
        let extent = Extent {
            least: strong,
            greatest: strong,
            last: strong,
        };
        let owner = |name, ports: f64| OwnerReading {
            name,
            incarnation: None,
            ports: ports as u32,
            handles: None,
        };
        replayed.observe_rollup(&Rollup {
            from: at(seconds),
            to: at(seconds).saturating_add(Duration::from_secs(300)),
            booted_at: Some(live.booted_at),
            capacity: 16_384,
            in_use: extent,
            strong: extent,
            bound: None,
            exhaustion_events: 0,
            owners: &[
                owner("worker", load.worker),
                owner("leaky-app", load.leaked + 1.0),
            ],
            unlisted_ports_max: 0,
        });
    }
    let now = at(12.0 * DAY);
    let rest = |detector: &SpaceDetector, now: Timestamp| {
        let forecast = detector.forecast(now);
        assert_eq!(
            forecast.culprit.as_deref(),
            Some("leaky-app"),
            "{}",
            forecast.explanation
        );
        forecast
            .eta
            .map(|eta| eta.at.ms_since(now) as f64)
            .expect("a date")
    };
    let (one, other) = (rest(&live.detector, now), rest(&replayed, now));
    assert!((one - other).abs() <= 0.1 * one, "{one} {other}");
}

/// By the hours of the day the climb of days looks as if it came to its end, while that of hours goes on.
#[test]
fn a_leak_whose_longest_climb_flattens_is_found_by_a_shorter_one() {
    for (seed, begin_days) in [(5, 7.625), (20, 7.5)] {
        let mut dice = Dice::new(seed);
        let mut host = Host::new(16_384);
        let (begin, rate) = (begin_days * DAY, 230.0 / 3_600.0);
        let now = begin + 29.0 * 3_600.0;
        for seconds in (0.0..now).step(300.0) {
            let load = Load {
                worker: office(seconds, &mut dice),
                leaked: rate * (seconds - begin).max(0.0),
                time_wait: 0.2 * office(seconds, &mut dice),
                ..Load::default()
            };
            host.feed(seconds, &load);
        }
        let forecast = host.forecast(now);
        assert_eq!(
            forecast.road,
            Some(Road::Leak),
            "{seed}: {}",
            forecast.explanation
        );
    }
}
