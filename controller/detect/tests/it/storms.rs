//! Nightly storms of short connections that grow until they fill the range, made by a job that is listed only while it runs.

use tidemark_detect::{DetectorSettings, Observation, OwnerReading, SpaceDetector};
use tidemark_model::forecast::Road;

use crate::simulation::{Dice, at};

const DAY: f64 = 86_400.0;
const CAPACITY: u32 = 16_384;
/// Holders of every hour, the smallest of which makes room for a job in the list.
const HOLDERS: [(&str, f64); 6] = [
    ("web", 420.0),
    ("db", 330.0),
    ("mail", 260.0),
    ("agent", 220.0),
    ("cache", 180.0),
    ("shell", 150.0),
];

/// How much of a job that runs between two hours of the day is going on.
fn running(seconds: f64, (from, to): (f64, f64)) -> f64 {
    let hour = seconds % DAY / 3_600.0;
    f64::from(u8::from(hour >= from && hour < to))
}

/// Feeds the reading of a host whose storm from two to half past three at night takes 450 ports more each day.
fn feed(detector: &mut SpaceDetector, seconds: f64, dice: &mut Dice) {
    let storm = (7_000.0 + 450.0 * (seconds / DAY)) * running(seconds, (2.0, 3.5));
    let jobs = [
        ("nightly-export", 0.12 * storm),
        ("indexer", 900.0 * running(seconds, (9.0, 18.0))),
    ];
    let noise = 1.0 + 0.1 * dice.normal();
    let held = HOLDERS.map(|(name, ports)| (name, ports * noise));
    let mut listed: Vec<(&str, f64)> = held.into_iter().chain(jobs).collect();
    listed.retain(|(_, ports)| *ports > 0.0);
    listed.sort_by(|one, other| other.1.total_cmp(&one.1));
    listed.truncate(6);
    let owners: Vec<OwnerReading<'_>> = listed
        .iter()
        .map(|(name, ports)| OwnerReading {
            name,
            incarnation: Some(1),
            ports: *ports as u32,
            handles: None,
        })
        .collect();
    let strong: f64 = owners.iter().map(|owner| f64::from(owner.ports)).sum();
    let in_use = strong + 300.0 + 0.88 * storm;
    detector.observe(&Observation {
        at: at(seconds),
        booted_at: at(-3_600.0),
        capacity: CAPACITY,
        in_use: (in_use as u32).min(CAPACITY),
        strong: strong as u32,
        bound: None,
        peak: None,
        opens_milli_per_s: None,
        exhaustion_events: 0,
        unlisted_ports_max: owners.iter().map(|owner| owner.ports).min().unwrap_or(0),
        owners: &owners,
        destinations: &[],
    });
}

/// The culprit of the storm that is foreseen at an hour of the day, on the newest of `days`.
fn culprit_at(days: i32, hour: f64) -> Option<String> {
    let mut detector = SpaceDetector::new(DetectorSettings::windows());
    let mut dice = Dice::new(2);
    let now = f64::from(days - 1) * DAY + hour * 3_600.0;
    let mut seconds = 0.0;
    while seconds <= now {
        feed(&mut detector, seconds, &mut dice);
        seconds += 300.0;
    }
    let forecast = detector.forecast(at(now));
    assert_eq!(forecast.road, Some(Road::Churn), "{}", forecast.explanation);
    forecast.culprit.as_deref().map(str::to_owned)
}

#[test]
fn a_storm_is_blamed_on_the_job_that_ran_in_it_and_not_on_a_usual_holder() {
    assert_eq!(culprit_at(15, 3.4).as_deref(), Some("nightly-export"));
}

#[test]
fn a_storm_is_blamed_on_its_job_when_that_has_long_ended() {
    assert_eq!(culprit_at(14, 17.0).as_deref(), Some("nightly-export"));
}
