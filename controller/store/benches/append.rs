//! How fast the group commit's transaction is: `recent` rows and cursors, on SQLite and on Postgres.
//!
//! `cargo bench -p tidemark-store --features test-support`; one JSON object a line. The Postgres of the test harness
//! does not wait for its disk, so compare its CPU time, not its commit time.

#![expect(clippy::print_stdout, reason = "the results are its output")]

use std::collections::BTreeMap;

use tidemark_model::{Epoch, HostId, Seq, Timestamp};
use tidemark_store::testing::{new_host, on_postgres, on_sqlite};
use tidemark_store::{Cursor, NewRecent, Store};
use tokio::time::Instant;

/// Hosts of the fleet; each commit holds one row of each of `BATCH` of them.
const HOSTS: u32 = 2_000;
const BATCH: u32 = 500;
const COMMITS: u32 = 400;
/// A sample of a busy server, as the history crate encodes it.
const BODY_BYTES: usize = 300;
const POINTS: u32 = 60;

fn main() {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .expect("a runtime starts");
    runtime.block_on(async {
        on_sqlite(measure).await;
        on_postgres(measure).await;
    });
}

async fn measure(store: Store) {
    let hosts = enrol(&store).await;
    let cpu_before = cpu_seconds();
    let started = Instant::now();
    let mut commits = Vec::new();
    for round in 0..COMMITS {
        let begun = Instant::now();
        commit(&store, &hosts, round).await;
        commits.push(begun.elapsed().as_micros());
    }
    let seconds = started.elapsed().as_secs_f64();
    commits.sort_unstable();
    let rows = f64::from(COMMITS * BATCH);
    println!(
        "{{\"bench\":\"append\",\"backend\":\"{}\",\"rows\":{rows},\"rows_per_s\":{:.0},\"points_per_s\":{:.0},\
         \"own_cpu_s_per_million_points\":{:.3},\"commit_p50_us\":{},\"commit_max_us\":{},\"bytes_per_row\":{:.0}}}",
        store.backend_name(),
        rows / seconds,
        rows * f64::from(POINTS) / seconds,
        (cpu_seconds() - cpu_before) / (rows * f64::from(POINTS)) * 1e6,
        commits.get(commits.len() / 2).copied().unwrap_or_default(),
        commits.last().copied().unwrap_or_default(),
        store.bytes_on_disk().await.expect("the store answers") as f64 / rows,
    );
}

async fn commit(store: &Store, hosts: &[HostId], round: u32) {
    let at = |host: usize| {
        let place = i64::try_from(host).unwrap_or_default();
        Timestamp::from_unix_ms(1_700_000_000_000 + i64::from(round) * 7_500 + place)
    };
    let first = (round * BATCH % HOSTS) as usize;
    let of_this_round = hosts.iter().enumerate().skip(first).take(BATCH as usize);
    let (rows, cursors): (Vec<_>, Vec<_>) = of_this_round
        .map(|(place, host)| {
            let row = NewRecent {
                host: *host,
                first_at: at(place),
                last_at: at(place),
                points: POINTS,
                body: vec![0x5a; BODY_BYTES],
            };
            let cursor = Cursor {
                host: *host,
                epoch: Epoch::new(1),
                through_seq: Seq::new(u64::from(round)),
                previous_seq: Seq::new(u64::from(round).saturating_sub(1)),
                stored: u64::from(round),
                duplicates: 0,
                dropped: BTreeMap::new(),
                updated_at: at(place),
            };
            (row, cursor)
        })
        .unzip();
    let mut tx = store.begin().await.expect("the store is open");
    tx.recent_append(&rows).await.expect("rows are appended");
    tx.cursors_save(&cursors).await.expect("cursors are saved");
    tx.commit().await.expect("the disk takes it");
}

async fn enrol(store: &Store) -> Vec<HostId> {
    let mut tx = store.begin().await.expect("the store is open");
    let mut hosts = Vec::new();
    for number in 0..HOSTS {
        let host = new_host(&number.to_be_bytes(), &format!("host-{number}"));
        tx.host_insert(&host).await.expect("the host is new");
        hosts.push(host.id);
    }
    tx.commit().await.expect("the disk takes it");
    hosts
}

/// CPU time of this process so far: fields 14 and 15 of `/proc/self/stat`, in hundredths of a second.
fn cpu_seconds() -> f64 {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap_or_default();
    let after_name = stat.rsplit_once(')').map_or("", |(_, rest)| rest);
    let ticks: f64 = after_name
        .split_whitespace()
        .skip(11)
        .take(2)
        .filter_map(|field| field.parse::<f64>().ok())
        .sum();
    ticks / 100.0
}
