//! Leaks that do not keep their pace: they speed up, rest at week-ends, pause, or come back by themselves.

use tidemark_model::forecast::Road;

use crate::simulation::{Dice, Host, Load, assert_date};

const DAY: f64 = 86_400.0;
const STEP: f64 = 300.0;
const CAPACITY: u32 = 16_384;

/// A workload so even that only the leak decides the date.
fn even(dice: &mut Dice) -> f64 {
    1_500.0 * (1.0 + 0.02 * dice.normal())
}

/// What leaked by each step of 36 days, at so many ports a day by the time.
fn leaked(rate: impl Fn(f64) -> f64) -> Vec<f64> {
    let mut sum = 0.0;
    (0..36 * 288)
        .map(|step| {
            sum += rate(f64::from(step) * STEP) * STEP / DAY;
            sum
        })
        .collect()
}

/// When the leak on the workload meets capacity.
fn full(leaked: &[f64]) -> f64 {
    let met = leaked
        .iter()
        .position(|leaked| leaked + 1_530.0 >= f64::from(CAPACITY));
    met.expect("it fills") as f64 * STEP
}

fn host_at(leaked: &[f64], now: f64) -> Host {
    let mut host = Host::new(CAPACITY);
    let mut dice = Dice::new(17);
    for (step, leaked) in leaked.iter().enumerate() {
        let seconds = step as f64 * STEP;
        if seconds > now {
            break;
        }
        let load = Load {
            worker: even(&mut dice),
            leaked: *leaked,
            ..Load::default()
        };
        host.feed(seconds, &load);
    }
    host
}

/// The date `hours` before the end lies within `tolerance` of what is left.
fn assert_dated(rate: impl Fn(f64) -> f64, hours: f64, tolerance: f64) {
    let leaked = leaked(rate);
    let truth = full(&leaked);
    let now = truth - hours * 3_600.0;
    let host = host_at(&leaked, now);
    assert_date(&host.forecast(now), now, truth, (Road::Leak, tolerance));
}

#[test]
fn a_leak_that_speeds_up_is_dated_by_its_speed_to_come() {
    // A tenth of the rate is added each day: a line through the past would be two days late.
    assert_dated(|seconds| 150.0 * (seconds / DAY - 5.0).max(0.0), 72.0, 0.15);
}

#[test]
fn a_leak_that_rests_at_week_ends_is_dated_across_the_next() {
    // Midnight of a Monday is 0; from Thursday of the third week on the end lies beyond the week-end.
    let weekdays = |seconds: f64| {
        let day = (seconds / DAY) as i64;
        if day >= 3 && day % 7 < 5 {
            1_150.0
        } else {
            0.0
        }
    };
    assert_dated(weekdays, 96.0, 0.12);
}

#[test]
fn a_pause_that_is_over_does_not_delay_the_date() {
    let paused = |seconds: f64| {
        let day = seconds / DAY;
        if day < 4.0 || (7.0..8.6).contains(&day) {
            0.0
        } else {
            1_500.0
        }
    };
    // Over all its days it gained two thirds of its pace: by those it would be half as late again.
    assert_dated(paused, 72.0, 0.25);
}

#[test]
fn a_leak_that_slowed_down_is_dated_by_its_new_pace() {
    let slowed = |seconds: f64| match seconds / DAY {
        ..4.0 => 0.0,
        4.0..7.0 => 2_000.0,
        _ => 900.0,
    };
    assert_dated(slowed, 72.0, 0.15);
}

/// A pool that climbs for a day and is given back without a restart, every week.
#[test]
fn a_climb_that_comes_back_by_itself_is_not_told_when_it_comes_again() {
    let mut host = Host::new(CAPACITY);
    let mut dice = Dice::new(29);
    let mut told = [0; 4];
    for step in 0..28 * 288 {
        let seconds = f64::from(step) * STEP;
        let day = seconds / DAY % 7.0;
        let climbed = if (4.0..5.0).contains(&day) {
            8_000.0 * (day - 4.0)
        } else {
            0.0
        };
        let load = Load {
            worker: even(&mut dice),
            leaked: climbed,
            ..Load::default()
        };
        host.feed(seconds, &load);
        if host.forecast(seconds).eta.is_some() {
            told[(seconds / DAY / 7.0) as usize] += 1;
        }
    }
    assert!(told[0] > 0, "the first may well be a leak");
    assert_eq!(told[1..], [0, 0, 0], "the host has done so before");
}
