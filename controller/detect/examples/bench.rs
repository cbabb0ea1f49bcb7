//! What detection costs: a sample, a tick of a fleet with its memory, and the sweep for common causes.
//!
//! `cargo run --release -p tidemark-detect --example bench -- [HOSTS]` (100,000 hosts without it; their state needs 2.5 GB)

use std::collections::BTreeMap;
use std::error::Error;
use std::io::{self, Write};
use std::sync::Arc;
use std::time::SystemTime;

use tidemark_detect::causes::{Fleet, FleetHost, LeakSeen};
use tidemark_detect::{
    DestinationReading, DetectorSettings, Observation, OwnerReading, SpaceDetector,
};
use tidemark_model::Timestamp;

const START_MS: i64 = 1_767_571_200_000;
/// Hosts of the fleet unless it is told otherwise.
const HOSTS: usize = 100_000;
/// Readings of each of the fleet's detectors: 28 days in quarter hours.
const QUARTERS: i64 = 28 * 96;

fn main() -> Result<(), Box<dyn Error>> {
    let hosts = std::env::args()
        .nth(1)
        .map_or(Ok(HOSTS), |text| text.parse())?;
    let mut output = io::stdout().lock();
    writeln!(
        output,
        "interval  days  leak      us/sample  forecast us  state bytes"
    )?;
    for (interval_s, days) in [(1, 2), (30, 28), (300, 28)] {
        for leaks in [0.0, 20.0] {
            let (cost, forecast, bytes) = run(interval_s, days, leaks)?;
            writeln!(
                output,
                "{interval_s:>6} s {days:>5}  {leaks:>4} /h {cost:>10.2} {forecast:>12.2} {bytes:>12}"
            )?;
        }
    }
    fleet_tick(hosts, &mut output)?;
    for attributes in [15, 60] {
        sweep((hosts, attributes), &mut output)?;
    }
    Ok(())
}

/// Ports of a workload with a day, and a jitter of its own.
fn load(seconds: i64) -> u32 {
    let hour = (seconds % 86_400) as f64 / 3_600.0;
    let jitter = (seconds.wrapping_mul(2_654_435_761) >> 7).rem_euclid(97) as f64;
    (1_500.0 + 900.0 * (std::f64::consts::TAU * (hour - 9.0) / 24.0).sin() + jitter) as u32
}

/// Feeds one reading of a host with ten processes and eight destinations.
fn observe(detector: &mut SpaceDetector, names: &[String], seconds: i64, leaked: u32) {
    let work = load(seconds);
    let owners: Vec<OwnerReading<'_>> = names
        .iter()
        .enumerate()
        .map(|(number, name)| OwnerReading {
            name,
            incarnation: Some(1),
            ports: work / (number as u32 + 3) + if number == 2 { leaked } else { 0 },
            handles: Some(1_000 + work),
        })
        .collect();
    let destinations: Vec<DestinationReading> = (1..9u8)
        .map(|last| DestinationReading {
            remote: ([10, 0, 0, last], 443).into(),
            ports: work / 20,
            time_wait: work / 40,
        })
        .collect();
    let strong = work + leaked;
    detector.observe(&Observation {
        at: Timestamp::from_unix_ms(START_MS + seconds * 1_000),
        booted_at: Timestamp::from_unix_ms(START_MS - 3_600_000),
        capacity: 64_510,
        in_use: strong + work / 3,
        strong,
        bound: Some(40),
        peak: None,
        opens_milli_per_s: Some(9_000),
        exhaustion_events: 0,
        owners: &owners,
        unlisted_ports_max: work / 12,
        destinations: &destinations,
    });
}

fn process_names() -> Vec<String> {
    (0..10)
        .map(|number| format!("process-{number}.exe"))
        .collect()
}

fn run(
    interval_s: i64,
    days: i64,
    leaked_an_hour: f64,
) -> Result<(f64, f64, usize), Box<dyn Error>> {
    let mut detector = SpaceDetector::new(DetectorSettings::windows());
    let names = process_names();
    let samples = days * 86_400 / interval_s;
    let begin = clock()?;
    for sample in 0..samples {
        let seconds = sample * interval_s;
        let leaked = (leaked_an_hour * seconds as f64 / 3_600.0) as u32;
        observe(&mut detector, &names, seconds, leaked);
    }
    let cost = (clock()? - begin) / samples as f64;
    let end = Timestamp::from_unix_ms(START_MS + days * 86_400_000);
    let begin = clock()?;
    for _ in 0..1_000 {
        std::hint::black_box(detector.forecast(end));
    }
    let forecast = (clock()? - begin) / 1_000.0;
    Ok((cost, forecast, detector.state_bytes()))
}

/// A fleet whose detectors hold four weeks: CPU and memory of a host at one more reading with its forecast.
fn fleet_tick(hosts: usize, output: &mut impl Write) -> Result<(), Box<dyn Error>> {
    let names = process_names();
    let mut grown = SpaceDetector::new(DetectorSettings::windows());
    for quarter in 0..QUARTERS {
        observe(&mut grown, &names, quarter * 900, 0);
    }
    // Copies are as large and as costly as detectors that grew up by themselves.
    let mut fleet = vec![grown; hosts];
    let bytes: usize = fleet.iter().map(SpaceDetector::state_bytes).sum();
    let ticks = 4;
    let begin = clock()?;
    for tick in 0..ticks {
        let seconds = (QUARTERS + tick) * 900;
        let at = Timestamp::from_unix_ms(START_MS + seconds * 1_000);
        for detector in &mut fleet {
            observe(detector, &names, seconds, 0);
            std::hint::black_box(detector.forecast(at));
        }
    }
    let each = (clock()? - begin) / (ticks as f64 * hosts as f64);
    writeln!(
        output,
        "fleet of {hosts}: a reading and a forecast a quarter hour {each:.1} us a host, the whole fleet {:.2} s; {} bytes a host, \
         {:.2} GB",
        each * hosts as f64 / 1e6,
        bytes / hosts.max(1),
        bytes as f64 / 1e9
    )?;
    Ok(())
}

/// The finaliser of SplitMix64 (Steele, Lea and Flood 2014).
const fn mixed(number: usize) -> usize {
    let mut state = number as u64;
    state = (state ^ (state >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    state = (state ^ (state >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    (state ^ (state >> 31)) as usize
}

/// Some thousand values, twelve leaking processes, one true cause for each. Facts beyond the first fifteen attributes have
/// few values each, as settings do.
fn sweep(
    (hosts, attributes_each): (usize, usize),
    output: &mut impl Write,
) -> Result<(), Box<dyn Error>> {
    let names: Vec<String> = (0..40)
        .map(|number| format!("service-{number}.exe"))
        .collect();
    let attributes: Vec<BTreeMap<String, String>> = (0..hosts)
        .map(|host| {
            (0..attributes_each)
                .map(|attribute| {
                    let values = if attribute < 15 {
                        3 + 17 * attribute * attribute
                    } else {
                        attribute % 7 + 1
                    };
                    let value = mixed(host * 64 + attribute) % values;
                    (format!("attribute-{attribute}"), format!("value-{value}"))
                })
                .collect()
        })
        .collect();
    let host_names: Vec<String> = (0..hosts).map(|host| format!("host-{host}")).collect();
    let begin = clock()?;
    let mut fleet = Fleet::default();
    for (host, (name, attributes)) in host_names.iter().zip(&attributes).enumerate() {
        let process = host % 12;
        let is_struck = attributes
            .get("attribute-9")
            .is_some_and(|value| *value == format!("value-{}", process * 3));
        fleet.add(&FleetHost {
            name,
            attributes: attributes
                .iter()
                .map(|(name, value)| (&**name, &**value))
                .collect(),
            processes: (0..6)
                .filter_map(|offset| names.get((process + offset * 5) % names.len()))
                .map(String::as_str)
                .collect(),
            leak: (is_struck || host % 997 == 0).then(|| LeakSeen {
                culprit: Arc::from(names.get(process).map_or("", String::as_str)),
                since: Timestamp::from_unix_ms(START_MS),
            }),
            changes: &[],
        });
    }
    let filled = clock()?;
    let causes = fleet.causes();
    let end = clock()?;
    writeln!(
        output,
        "sweep of {hosts} hosts x {attributes_each} attributes: {:.0} ms to take them in, {:.0} ms to compare, {} causes",
        (filled - begin) / 1e3,
        (end - filled) / 1e3,
        causes.len()
    )?;
    Ok(())
}

/// Microseconds of wall time.
#[expect(
    clippy::disallowed_methods,
    reason = "a benchmark measures real time; the crate itself has no clock"
)]
fn clock() -> Result<f64, Box<dyn Error>> {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH)?;
    Ok(since.as_secs_f64() * 1e6)
}
