//! What a fleet's day costs the controller: CPU per million points from the wire's bytes to compacted history, bytes a
//! point on disk, and three queries over it.
//!
//! `cargo run --release -p tidemark-controller --example ingest_cost [-- --hosts N --hours H --database URL --json FILE]`
//!
//! Everything behind the TLS socket runs as in the product: decoding, validation, dedupe, dictionaries, group commits,
//! live state with its detectors, compaction. Making and encoding the samples is not counted.
#![expect(clippy::print_stdout, reason = "a benchmark's output is its purpose")]

#[path = "ingest_cost/fleet.rs"]
mod fleet;
#[path = "ingest_cost/load.rs"]
mod load;
#[path = "ingest_cost/queries.rs"]
mod queries;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use clap::Parser;
use tidemark_controller::app::App;
use tidemark_controller::boot::{Foundation, assemble};
use tidemark_controller::pki::Authority;
use tidemark_controller::tasks::compact::Compactor;
use tidemark_history::compact::Retention;
use tidemark_runtime::{Clock, Entropy, Lifecycle};
use tidemark_store::{DatabaseUrl, Store};

use fleet::Fleet;
use load::{ROUND, START};

#[derive(Debug, Parser)]
struct Args {
    /// Hosts in the fleet
    #[arg(long, default_value_t = 1_000)]
    hosts: usize,
    /// Hours that pass
    #[arg(long, default_value_t = 24)]
    hours: u32,
    /// Database; SQLite in a temporary folder unless it is given
    #[arg(long)]
    database: Option<String>,
    /// Where the figures go as JSON
    #[arg(long)]
    json: Option<PathBuf>,
}

#[derive(Debug, Default, serde::Serialize)]
struct Figures {
    hosts: usize,
    hours: u32,
    samples: u64,
    points: u64,
    points_a_sample: f64,
    wire_bytes_a_sample: f64,
    ingest_cpu_s: f64,
    compact_cpu_s: f64,
    cpu_s_a_million_points: f64,
    disk_bytes: u64,
    disk_bytes_a_point: f64,
    peak_resident_mb: f64,
    queries: Vec<queries::Timed>,
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let args = Args::parse();
    let folder = tempfile::tempdir()?;
    let url: DatabaseUrl = match &args.database {
        Some(url) => url.parse()?,
        None => DatabaseUrl::sqlite(folder.path().join("bench.db")),
    };
    let clock = Clock::manual(START);
    let life = Lifecycle::new(Duration::from_secs(60));
    let store = Store::open(&url).await?;
    let authority = Authority::open(&folder.path().join("pki"), START, &Entropy::System)?;
    let app = assemble(Foundation {
        life: life.clone(),
        ..Foundation::unconfigured(store, authority, clock.clone())
    })
    .await?;
    let mut figures = measure(&args, &app, &clock).await?;
    life.stop();
    life.run_until(std::future::pending(), std::future::pending())
        .await;
    // SQLite's write-ahead log has a fixed size and is folded in at the end.
    let before = app.store.bytes_on_disk().await?;
    app.store.close().await;
    let file = std::fs::metadata(folder.path().join("bench.db")).map(|file| file.len());
    figures.disk_bytes = file.unwrap_or(before);
    figures.disk_bytes_a_point = figures.disk_bytes as f64 / figures.points.max(1) as f64;
    report(&args, &figures)
}

async fn measure(args: &Args, app: &Arc<App>, clock: &Clock) -> anyhow::Result<Figures> {
    let mut fleet = Fleet::enrol(app, args.hosts, START).await?;
    let mut compactor = Compactor::new(Arc::clone(app), Retention::default());
    let rounds = u64::from(args.hours) * 3_600 / ROUND.as_secs();
    let mut figures = Figures {
        hosts: args.hosts,
        hours: args.hours,
        ..Figures::default()
    };
    for round in 0..rounds {
        let batches = fleet.encode_round(ROUND)?;
        clock.advance(ROUND);
        let before = cpu_seconds()?;
        fleet.deliver(app, batches).await?;
        let between = cpu_seconds()?;
        compactor.activate().await?;
        let after = cpu_seconds()?;
        figures.ingest_cpu_s += between - before;
        figures.compact_cpu_s += after - between;
        if (round + 1) % 6 == 0 {
            println!(
                "{:>3} h: {:.1} CPU s so far",
                (round + 1) / 6,
                figures.ingest_cpu_s + figures.compact_cpu_s
            );
        }
    }
    settle(&mut compactor, clock, &mut figures).await?;
    figures.samples = fleet.samples;
    figures.points = app.metrics.points_stored.get();
    figures.points_a_sample = figures.points as f64 / figures.samples.max(1) as f64;
    figures.wire_bytes_a_sample = fleet.wire_bytes as f64 / figures.samples.max(1) as f64;
    let million = figures.points as f64 / 1e6;
    figures.cpu_s_a_million_points = (figures.ingest_cpu_s + figures.compact_cpu_s) / million;
    while app.store.shrink().await? > 0 {}
    figures.queries = queries::run(app, &fleet, START, args.hours).await?;
    figures.peak_resident_mb = peak_resident_mb()?;
    Ok(figures)
}

/// The day is over: its last windows close, and it is merged and rolled up.
async fn settle(
    compactor: &mut Compactor,
    clock: &Clock,
    figures: &mut Figures,
) -> anyhow::Result<()> {
    let before = cpu_seconds()?;
    for _ in 0..30 {
        clock.advance(Duration::from_secs(3_600));
        compactor.activate().await?;
    }
    figures.compact_cpu_s += cpu_seconds()? - before;
    Ok(())
}

fn report(args: &Args, figures: &Figures) -> anyhow::Result<()> {
    let json = serde_json::to_string_pretty(figures)?;
    println!("{json}");
    if let Some(path) = &args.json {
        std::fs::write(path, format!("{json}\n"))
            .with_context(|| format!("cannot write {}", path.display()))?;
    }
    Ok(())
}

/// User and system time of this process. Ticks are 10 ms on every Linux (USER_HZ = 100).
fn cpu_seconds() -> anyhow::Result<f64> {
    let stat = std::fs::read_to_string("/proc/self/stat")?;
    let (_, fields) = stat.rsplit_once(')').context("no process state")?;
    let ticks = fields
        .split_whitespace()
        .skip(11)
        .take(2)
        .map(str::parse::<u64>)
        .sum::<Result<u64, _>>()?;
    Ok(ticks as f64 / 100.0)
}

fn peak_resident_mb() -> anyhow::Result<f64> {
    let status = std::fs::read_to_string("/proc/self/status")?;
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix("VmHWM:"))
        .context("no peak of resident memory")?;
    let kib: f64 = line.trim().trim_end_matches("kB").trim().parse()?;
    Ok(kib / 1_024.0)
}
