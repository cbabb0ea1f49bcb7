//! The points that the controller's `ingest_cost` stores, as bodies of Prometheus' remote write (version 1), so that other
//! engines take in the same data.
//!
//! `cargo run --release -p tidemark-history --example remote_write -- --folder F [--hosts N --hours H]`
//!
//! One file is one request; they are to be sent in the order of their names. `tests/bench/run` does.
#![expect(clippy::print_stdout, reason = "a benchmark's output is its purpose")]

#[path = "../../examples/ingest_cost/load.rs"]
mod load;

use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;

use anyhow::Context as _;
use clap::Parser;
use prost::Message as _;
use tidemark_history::flatten::flatten;
use tidemark_model::{Entity, Metric, Timestamp};

use load::{INTERVAL, Load, ROUND, START, host_name};

/// Hosts whose series share a request.
const HOSTS_A_REQUEST: usize = 10;

#[derive(Debug, Parser)]
struct Args {
    /// Hosts in the fleet
    #[arg(long, default_value_t = 1_000)]
    hosts: usize,
    /// Hours that pass
    #[arg(long, default_value_t = 24)]
    hours: u32,
    /// Where the requests go; made if need be
    #[arg(long)]
    folder: PathBuf,
}

/// `prometheus.WriteRequest`.
#[derive(Clone, PartialEq, prost::Message)]
struct WriteRequest {
    #[prost(message, repeated, tag = "1")]
    timeseries: Vec<TimeSeries>,
}

/// `prometheus.TimeSeries`.
#[derive(Clone, PartialEq, prost::Message)]
struct TimeSeries {
    #[prost(message, repeated, tag = "1")]
    labels: Vec<Label>,
    #[prost(message, repeated, tag = "2")]
    samples: Vec<Sample>,
}

/// `prometheus.Label`.
#[derive(Clone, PartialEq, prost::Message)]
struct Label {
    #[prost(string, tag = "1")]
    name: String,
    #[prost(string, tag = "2")]
    value: String,
}

/// `prometheus.Sample`.
#[derive(Clone, PartialEq, prost::Message)]
struct Sample {
    #[prost(double, tag = "1")]
    value: f64,
    #[prost(int64, tag = "2")]
    timestamp: i64,
}

/// What was written.
#[derive(Debug, Default, serde::Serialize)]
struct Written {
    points: u64,
    requests: u64,
    bytes: u64,
    start_s: i64,
    end_s: i64,
}

fn main() -> anyhow::Result<()> {
    let args = Args::parse();
    fs::create_dir_all(&args.folder)
        .with_context(|| format!("cannot make {}", args.folder.display()))?;
    let mut loads: Vec<Load> = (0..args.hosts)
        .map(|number| Load::new(number as u64))
        .collect();
    let mut written = Written {
        start_s: START.unix_ms() / 1_000,
        ..Written::default()
    };
    let rounds = u64::from(args.hours) * 3_600 / ROUND.as_secs();
    let mut at = START;
    for _ in 0..rounds {
        for (group, hosts) in loads.chunks_mut(HOSTS_A_REQUEST).enumerate() {
            let request = request_of(group * HOSTS_A_REQUEST, hosts, at);
            write(&args, &request, &mut written)?;
        }
        at = at.saturating_add(ROUND);
    }
    written.end_s = at.unix_ms() / 1_000;
    println!("{}", serde_json::to_string(&written)?);
    Ok(())
}

/// A round of some hosts, the first of which has the number `first`.
fn request_of(first: usize, hosts: &mut [Load], round_start: Timestamp) -> WriteRequest {
    let mut timeseries = Vec::new();
    for (offset, load) in hosts.iter_mut().enumerate() {
        let host = host_name(first + offset);
        let mut series: BTreeMap<(String, Metric), TimeSeries> = BTreeMap::new();
        let mut at = round_start;
        for _ in 0..ROUND.as_secs() / INTERVAL.as_secs() {
            at = at.saturating_add(INTERVAL);
            let sample = load.sample(at);
            flatten(&sample, &mut |entity, metrics| {
                let entity = entity.to_entity();
                for (metric, value) in metrics {
                    let one = series
                        .entry((entity.to_text(), *metric))
                        .or_insert_with(|| series_of(&host, &entity, *metric));
                    one.samples.push(Sample {
                        value: *value as f64,
                        timestamp: at.unix_ms(),
                    });
                }
            });
        }
        timeseries.extend(series.into_values());
    }
    WriteRequest { timeseries }
}

/// Labels in the order of their names, as the protocol demands.
fn series_of(host: &str, entity: &Entity, metric: Metric) -> TimeSeries {
    let label = |name: &str, value: String| Label {
        name: name.to_owned(),
        value,
    };
    TimeSeries {
        labels: vec![
            label("__name__", metric.as_str().to_owned()),
            label("entity", entity.to_text()),
            label("host", host.to_owned()),
        ],
        samples: Vec::new(),
    }
}

fn write(args: &Args, request: &WriteRequest, written: &mut Written) -> anyhow::Result<()> {
    let body = snap::raw::Encoder::new().compress_vec(&request.encode_to_vec())?;
    let path = args.folder.join(format!("{:07}.rw", written.requests));
    fs::write(&path, &body).with_context(|| format!("cannot write {}", path.display()))?;
    written.requests += 1;
    written.bytes += body.len() as u64;
    written.points += request
        .timeseries
        .iter()
        .map(|series| series.samples.len() as u64)
        .sum::<u64>();
    Ok(())
}
