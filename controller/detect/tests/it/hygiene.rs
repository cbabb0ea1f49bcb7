//! Whatever arrives, the detector stays bounded, deterministic and upright.

use proptest::prelude::*;
use tidemark_detect::{
    DestinationReading, DetectorSettings, HostDetector, Observation, OwnerReading, SpaceDetector,
};
use tidemark_model::forecast::Road;
use tidemark_model::{PortSpaceKey, Protocol, Timestamp};

use crate::simulation::{Dice, Host, Load, at};

#[derive(Clone, Debug)]
struct Reading {
    at: i64,
    booted_at: i64,
    counts: [u32; 4],
    owner: (u8, u32, Option<u32>),
}

fn feed(detector: &mut SpaceDetector, reading: &Reading) {
    observe(reading, |observation| detector.observe(observation));
}

fn observe(reading: &Reading, mut take: impl FnMut(&Observation<'_>)) {
    let name = format!("process-{}", reading.owner.0);
    let [capacity, in_use, strong, bound] = reading.counts;
    take(&Observation {
        at: Timestamp::from_unix_ms(reading.at),
        booted_at: Timestamp::from_unix_ms(reading.booted_at),
        capacity,
        in_use,
        strong,
        bound: (bound % 2 == 0).then_some(bound),
        peak: (bound % 3 == 0).then_some(in_use.saturating_add(bound)),
        opens_milli_per_s: None,
        exhaustion_events: u32::from(bound % 97 == 0),
        owners: &[OwnerReading {
            name: &name,
            incarnation: (!reading.owner.1.is_multiple_of(5))
                .then_some(i64::from(reading.owner.1 % 3)),
            ports: reading.owner.1,
            handles: reading.owner.2,
        }],
        unlisted_ports_max: bound,
        destinations: &[DestinationReading {
            remote: ([127, 0, 0, 1], 80).into(),
            ports: in_use,
            time_wait: in_use.saturating_sub(strong),
        }],
    });
}

fn reading(
    at: impl Strategy<Value = i64>,
    count: impl Strategy<Value = u32> + Clone,
) -> impl Strategy<Value = Reading> {
    let counts = [count.clone(), count.clone(), count.clone(), count.clone()];
    (
        at,
        any::<i64>(),
        counts,
        (any::<u8>(), count, any::<Option<u32>>()),
    )
        .prop_map(|(at, booted_at, counts, owner)| Reading {
            at,
            booted_at,
            counts,
            owner,
        })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    #[test]
    fn no_sequence_of_readings_makes_it_panic(readings in proptest::collection::vec(reading(any::<i64>(), any::<u32>()), 1..60)) {
        let mut detector = SpaceDetector::new(DetectorSettings::linux());
        for reading in &readings {
            feed(&mut detector, reading);
            let forecast = detector.forecast(Timestamp::from_unix_ms(reading.at));
            prop_assert!(forecast.eta.is_none_or(|eta| eta.earliest <= eta.at));
        }
    }

    #[test]
    fn the_same_readings_give_the_same_words(readings in proptest::collection::vec(reading(0i64..600_000, 0u32..1_200), 1..120)) {
        let run = || {
            let mut detector = SpaceDetector::new(DetectorSettings::linux());
            readings.iter().for_each(|reading| feed(&mut detector, reading));
            detector.forecast(Timestamp::from_unix_ms(600_000))
        };
        prop_assert_eq!(run(), run());
    }
}

/// Readings of a leak, some repeated and some late, still give the date of the straight series within a tenth.
#[test]
fn repeated_and_late_readings_hardly_move_the_date() {
    let load = |second: i32| Load {
        worker: 25.0 + f64::from(second % 5),
        leaked: 3.0 * f64::from(second),
        ..Load::default()
    };
    let mut straight = Host::new(1_000);
    let mut shuffled = Host::new(1_000);
    let mut dice = Dice::new(77);
    let mut late: Vec<i32> = Vec::new();
    for second in 0..170 {
        straight.feed(f64::from(second), &load(second));
        if dice.unit() < 0.2 {
            late.push(second);
        } else {
            shuffled.feed(f64::from(second), &load(second));
            shuffled.feed(f64::from(second), &load(second));
        }
        if late.len() > 5 {
            for second in late.drain(..).rev() {
                shuffled.feed(f64::from(second), &load(second));
            }
        }
    }
    let rest = |host: &Host| host.forecast(170.0).eta.unwrap().at.ms_since(at(170.0)) as f64;
    let (one, other) = (rest(&straight), rest(&shuffled));
    assert!((one - other).abs() <= 0.1 * one, "{one} {other}");
}

#[test]
fn a_boot_ends_a_leak_and_starts_the_floor_anew() {
    let mut host = Host::new(1_000);
    for second in 0..120 {
        let leaked = 4.0 * f64::from(second);
        host.feed(
            f64::from(second),
            &Load {
                worker: 20.0,
                leaked,
                ..Load::default()
            },
        );
    }
    assert!(host.forecast(120.0).eta.is_some());
    host.booted_at = at(150.0);
    host.feed(
        170.0,
        &Load {
            worker: 20.0,
            leaked: 400.0,
            ..Load::default()
        },
    );
    let forecast = host.forecast(171.0);
    assert_eq!(forecast.eta, None, "{}", forecast.explanation);
}

#[test]
fn an_event_of_exhaustion_is_believed_at_any_level() {
    let mut detector = SpaceDetector::new(DetectorSettings::windows());
    feed(
        &mut detector,
        &Reading {
            at: 1_000,
            booted_at: 0,
            counts: [16_384, 9_000, 9_000, 97 * 2],
            owner: (1, 5, None),
        },
    );
    let forecast = detector.forecast(Timestamp::from_unix_ms(2_000));
    assert_eq!(forecast.road, Some(Road::Saturated));
    assert_eq!(forecast.eta.unwrap().at, Timestamp::from_unix_ms(2_000));
}

#[test]
fn a_high_level_without_a_trend_is_said_but_not_dated() {
    let mut host = Host::new(1_000);
    for second in 0..300 {
        host.feed(
            f64::from(second),
            &Load {
                worker: 850.0,
                ..Load::default()
            },
        );
    }
    let forecast = host.forecast(300.0);
    assert_eq!(forecast.eta, None);
    assert!(
        forecast.explanation.contains("above the 80 % line"),
        "{}",
        forecast.explanation
    );
}

#[test]
fn a_few_ports_of_many_are_not_called_none() {
    let mut host = Host::new(10_000);
    let few = Load {
        worker: 20.0,
        ..Load::default()
    };
    host.feed(0.0, &few);
    let told = host.forecast(1.0).explanation;
    assert!(
        told.starts_with("20 of 10,000 ports in use (<1 %)"),
        "{told}"
    );
}

/// A month of a busy host, with twice as many processes as are remembered, over TCP and UDP.
#[test]
fn a_month_of_a_busy_host_stays_within_its_budget() {
    let mut host = HostDetector::new(DetectorSettings::windows());
    let mut dice = Dice::new(9);
    let quarters = (0..30 * 96).map(|quarter| f64::from(quarter) * 900.0);
    let seconds = (0..3_600).map(|second| 30.0 * 86_400.0 + f64::from(second));
    for time in quarters.chain(seconds) {
        let owner = (
            (dice.unit() * 12.0) as u8,
            (dice.unit() * 3_000.0) as u32,
            Some(9_000),
        );
        let reading = Reading {
            at: at(time).unix_ms(),
            booted_at: at(-500.0).unix_ms(),
            counts: [16_384, 5_000, 4_000, 6],
            owner,
        };
        for protocol in Protocol::ALL {
            observe(&reading, |observation| {
                host.observe(&PortSpaceKey::own(protocol), observation)
            });
        }
    }
    assert!(
        host.state_bytes() <= 40 * 1_024,
        "{} bytes",
        host.state_bytes()
    );
}
