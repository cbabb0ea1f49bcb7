//! What a sample costs: a month of one host at an interval, quiet or leaking, in microseconds a sample.
//!
//! `cargo run --release -p tidemark-detect --example bench`

use std::error::Error;
use std::io::{self, Write};
use std::time::SystemTime;

use tidemark_detect::{
    DestinationReading, DetectorSettings, Observation, OwnerReading, SpaceDetector,
};
use tidemark_model::Timestamp;

const START_MS: i64 = 1_767_571_200_000;

fn main() -> Result<(), Box<dyn Error>> {
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
    Ok(())
}

/// Ports of a workload with a day, and a jitter of its own.
fn load(seconds: i64) -> u32 {
    let hour = (seconds % 86_400) as f64 / 3_600.0;
    let jitter = (seconds.wrapping_mul(2_654_435_761) >> 7).rem_euclid(97) as f64;
    (1_500.0 + 900.0 * (std::f64::consts::TAU * (hour - 9.0) / 24.0).sin() + jitter) as u32
}

fn run(
    interval_s: i64,
    days: i64,
    leaked_an_hour: f64,
) -> Result<(f64, f64, usize), Box<dyn Error>> {
    let mut detector = SpaceDetector::new(DetectorSettings::windows());
    let names: Vec<String> = (0..10)
        .map(|number| format!("process-{number}.exe"))
        .collect();
    let samples = days * 86_400 / interval_s;
    let begin = clock()?;
    for sample in 0..samples {
        let seconds = sample * interval_s;
        let at = Timestamp::from_unix_ms(START_MS + seconds * 1_000);
        let leaked = (leaked_an_hour * seconds as f64 / 3_600.0) as u32;
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
            at,
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
    let cost = (clock()? - begin) / samples as f64;
    let end = Timestamp::from_unix_ms(START_MS + days * 86_400_000);
    let begin = clock()?;
    for _ in 0..1_000 {
        std::hint::black_box(detector.forecast(end));
    }
    let forecast = (clock()? - begin) / 1_000.0;
    Ok((cost, forecast, detector.state_bytes()))
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
