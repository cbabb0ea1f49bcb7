//! Lives of a small fleet, each decided by a number: the agent's spool on a disk that fails, its session, the frames, the
//! gateway's order, ingest and a real database, with time, network and faults of this file's making.
//!
//! One number gives the same life again: `SIMULATE=4711 cargo test -p tidemark-controller --lib simulation`, with
//! `SIMULATE_TRACE=1` step by step, with `SIMULATE_COUNT=100000` as many from there on. Each life draws which faults it has at all, since faults that always
//! come together hide each other ("swarm testing", Groce et al., ISSTA 2012).

mod agent;
mod checks;
mod fleet;
mod network;
mod plan;
mod side;

use tempfile::TempDir;
use tidemark_store::{DatabaseUrl, Store};

use fleet::Fleet;

/// Lives of each test.
const LIVES: u64 = 500;

/// Lives from `first` on, `LIVES` of them, or those that the environment asks for.
async fn simulate(first: u64) {
    let number = |name| std::env::var(name).ok().and_then(|text| text.parse().ok());
    let first: u64 = number("SIMULATE").unwrap_or(first);
    let lives = number("SIMULATE_COUNT").unwrap_or(if number("SIMULATE").is_some() {
        1
    } else {
        LIVES
    });
    // In memory where that can be had: thousands of commits a test.
    let folder = TempDir::new_in("/dev/shm")
        .or_else(|_| TempDir::new())
        .unwrap();
    let url = DatabaseUrl::sqlite(folder.path().join("test.db"));
    let store = Store::open(&url).await.unwrap();
    let mut told = checks::Told::default();
    for seed in first..first + lives {
        let life = Fleet::live(seed, store.clone()).await;
        match life {
            Ok(what) => told.add(&what),
            Err(broken) => panic!("life {seed}: {broken}\nSIMULATE={seed} gives it again"),
        }
    }
    println!("{told}");
    if lives >= LIVES {
        told.assert_everything_happened();
    }
    store.close().await;
}

#[tokio::test]
async fn no_record_is_lost_or_stored_twice_in_lives_1_to_500() {
    simulate(1).await;
}

#[tokio::test]
async fn no_record_is_lost_or_stored_twice_in_lives_501_to_1000() {
    simulate(501).await;
}

#[tokio::test]
async fn no_record_is_lost_or_stored_twice_in_lives_1001_to_1500() {
    simulate(1_001).await;
}

#[tokio::test]
async fn no_record_is_lost_or_stored_twice_in_lives_1501_to_2000() {
    simulate(1_501).await;
}
