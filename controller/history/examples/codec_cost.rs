//! What history costs: bytes and CPU time a point, on a fleet of 1,000 hosts with 20 series over a day at 30 s.
//!
//! `cargo run --release -p tidemark-history --example codec_cost [-- --hosts N] [--seed N] [--runs N] [--json FILE]`
//! The committed run is `benches/codec_cost.json`; times depend on the machine, bytes do not.
#![expect(clippy::print_stdout, reason = "a benchmark's output is its purpose")]

#[path = "codec_cost/fleet.rs"]
mod fleet;
#[path = "codec_cost/queries.rs"]
mod queries;

use std::time::Duration;

use rustix::time::{ClockId, clock_gettime};

use fleet::{DAY_MS, Fleet, SERIES};
use tidemark_history::compact::{compact_window, merge, roll_up};
use tidemark_history::{EntityInterner, Row, SegmentReader, Tier, Window, encode_recent};

/// What one step of the pipeline cost.
struct Measured {
    step: &'static str,
    points: u64,
    bytes: u64,
    took: Duration,
}

impl Measured {
    fn bytes_a_point(&self) -> f64 {
        self.bytes as f64 / self.points.max(1) as f64
    }

    fn seconds_a_million(&self) -> f64 {
        self.took.as_secs_f64() * 1e6 / self.points.max(1) as f64
    }

    fn json(&self) -> serde_json::Value {
        serde_json::json!({
            "step": self.step,
            "points": self.points,
            "bytes": self.bytes,
            "bytes_a_point": self.bytes_a_point(),
            "cpu_s_a_million": self.seconds_a_million(),
        })
    }
}

/// The stages of a host's day, summed over the fleet.
struct Stages {
    recent: Measured,
    window: Measured,
    day: Measured,
    hour: Measured,
    five_minutes: Measured,
    decode: Measured,
}

fn stage(step: &'static str) -> Measured {
    Measured {
        step,
        points: 0,
        bytes: 0,
        took: Duration::ZERO,
    }
}

impl Stages {
    fn new() -> Self {
        Self {
            recent: stage("encode recent"),
            window: stage("segment 1 h"),
            day: stage("segment 1 d"),
            hour: stage("tier 1h, of 1 d"),
            five_minutes: stage("tier 5m, of 1 d"),
            decode: stage("decode 1 d"),
        }
    }

    fn all(&self) -> [&Measured; 6] {
        [
            &self.recent,
            &self.window,
            &self.day,
            &self.hour,
            &self.five_minutes,
            &self.decode,
        ]
    }

    /// Takes one host's day through all stages; its day segment.
    fn host(&mut self, rows: &[Row]) -> Vec<u8> {
        let points: u64 = rows.iter().map(|row| row.points.len() as u64).sum();
        let mut recent = Vec::with_capacity(rows.len());
        timed(&mut self.recent, points, || {
            for row in rows {
                recent.push(encode_recent(std::slice::from_ref(row)).expect("a sample fits"));
            }
            recent.iter().map(|bytes| bytes.len() as u64).sum()
        });
        let mut windows: Vec<Vec<u8>> = Vec::new();
        timed(&mut self.window, points, || {
            for (window, rows) in (0..).zip(recent.chunks(rows.len() / 24)) {
                let window = Window::of_ms(window * DAY_MS / 24, (window + 1) * DAY_MS / 24);
                windows.push(compacted(window, rows));
            }
            windows.iter().map(|bytes| bytes.len() as u64).sum()
        });
        let day = Window::of_ms(0, DAY_MS);
        let windows: Vec<&[u8]> = windows.iter().map(Vec::as_slice).collect();
        let mut segment = Vec::new();
        timed(&mut self.day, points, || {
            segment = merge(Tier::Raw, day, &windows).expect("a day fits").bytes;
            segment.len() as u64
        });
        for (measured, tier) in [
            (&mut self.hour, Tier::Hour),
            (&mut self.five_minutes, Tier::FiveMinutes),
        ] {
            timed(measured, points, || {
                let rolled = roll_up(tier, day, &[&segment], &[]);
                rolled.expect("a day fits").bytes.len() as u64
            });
        }
        timed(&mut self.decode, points, || {
            let reader = SegmentReader::open(&segment).expect("it was just written");
            let cells = reader.table::<i64>().map(|table| table.cells());
            assert_eq!(cells.expect("it was just written"), points);
            segment.len() as u64
        });
        segment
    }
}

fn compacted(window: Window, recent: &[Vec<u8>]) -> Vec<u8> {
    let recent: Vec<&[u8]> = recent.iter().map(Vec::as_slice).collect();
    let compacted = compact_window(window, &recent, &[]).expect("a window fits");
    compacted.segment.expect("there are samples").bytes
}

/// CPU time of this process, which other load on the machine does not lengthen as it does wall time.
fn cpu_time() -> Duration {
    let time = clock_gettime(ClockId::ProcessCPUTime);
    Duration::new(
        time.tv_sec.unsigned_abs(),
        u32::try_from(time.tv_nsec).unwrap_or(0),
    )
}

fn timed(measured: &mut Measured, points: u64, work: impl FnOnce() -> u64) {
    let start = cpu_time();
    measured.bytes += work();
    measured.took += cpu_time() - start;
    measured.points += points;
}

fn flatten_cost(fleet: &Fleet) -> Measured {
    let mut measured = stage("flatten samples");
    let samples = fleet.samples(0, 2_000);
    let mut interner = EntityInterner::new();
    let start = cpu_time();
    for sample in &samples {
        measured.points += interner.flatten(sample).points.len() as u64;
    }
    measured.took = cpu_time() - start;
    measured
}

fn argument(name: &str) -> Option<String> {
    let mut arguments = std::env::args().skip_while(|argument| argument != name);
    arguments.nth(1)
}

fn main() {
    let number = |name, default| {
        argument(name)
            .and_then(|text| text.parse().ok())
            .unwrap_or(default)
    };
    let fleet = Fleet {
        hosts: number("--hosts", 1_000),
        seed: u64::from(number("--seed", 1)),
    };
    let mut stages = Stages::new();
    let days: Vec<Vec<u8>> = (0..fleet.hosts)
        .map(|host| stages.host(&fleet.rows(host)))
        .collect();
    let flatten = flatten_cost(&fleet);

    println!(
        "{} hosts x {SERIES} series x 24 h at 30 s, seed {}",
        fleet.hosts, fleet.seed
    );
    println!(
        "{:<18} {:>12} {:>14} {:>14} {:>14}",
        "step", "points", "bytes/point", "M points/s", "CPU s/M points"
    );
    let mut report = Vec::new();
    for measured in stages.all().into_iter().chain([&flatten]) {
        println!(
            "{:<18} {:>12} {:>14.3} {:>14.2} {:>14.4}",
            measured.step,
            measured.points,
            measured.bytes_a_point(),
            1.0 / measured.seconds_a_million(),
            measured.seconds_a_million()
        );
        report.push(measured.json());
    }
    let mut queries = Vec::new();
    for (name, took_ms, points_read) in queries::measure(&fleet, &days, number("--runs", 9)) {
        println!("{name:<58} {took_ms:>9.3} ms {points_read:>10} points");
        queries.push(
            serde_json::json!({"query": name, "median_cpu_ms": took_ms, "points_read": points_read}),
        );
    }
    if let Some(file) = argument("--json") {
        let report = serde_json::json!({
            "hosts": fleet.hosts, "series": SERIES, "seed": fleet.seed, "steps": report, "queries": queries,
        });
        std::fs::write(&file, format!("{report:#}\n")).expect("the report's file can be written");
    }
}
