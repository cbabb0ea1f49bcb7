//! A controller with a made-up fleet, to look at the pages: `cargo run -p tidemark-controller --example gallery`.
//! Prints the link to open; Ctrl-C ends it, and nothing is kept.

#[path = "../tests/it/made_up.rs"]
#[expect(
    clippy::unwrap_used,
    dead_code,
    reason = "made for tests, where an unwrap is an assertion"
)]
mod made_up;
#[path = "gallery/roll_out.rs"]
#[expect(clippy::unwrap_used, reason = "an example that fails says so at once")]
mod roll_out;

use std::collections::BTreeMap;
use std::f64::consts::TAU;
use std::net::SocketAddr;
use std::time::Duration;

use made_up::{MadeUp, sample};
use tidemark_model::{HostId, Sample, Timestamp};

/// Time between two samples, and how far back they go.
const INTERVAL_S: u64 = 30;
const SAMPLES: u64 = 480;

/// How a made-up host behaves.
#[derive(Clone, Copy)]
enum Habit {
    /// Day and night, and nothing else.
    Steady(f64),
    /// Ports that are not given back, so many an hour.
    Leak(f64, f64),
    /// Steady until 40 minutes ago, and since then so many ports a minute that are not given back.
    Runaway(f64, f64),
    /// TIME_WAIT from connections that open and close fast.
    Churn(f64),
}

const FLEET: [(&str, &str, Habit); 13] = [
    (
        "ex-mail-02",
        "Windows Server 2019 (17763.5122)",
        Habit::Runaway(4_100.0, 150.0),
    ),
    (
        "ex-mail-01",
        "Windows Server 2019 (17763.5122)",
        Habit::Leak(7_400.0, 310.0),
    ),
    (
        "app-prod-11",
        "Windows Server 2016 (14393.6709)",
        Habit::Churn(13_200.0),
    ),
    (
        "app-prod-12",
        "Windows Server 2016 (14393.6709)",
        Habit::Steady(3_100.0),
    ),
    (
        "sql-east-1",
        "Windows Server 2022 (20348.2227)",
        Habit::Steady(1_180.0),
    ),
    (
        "sql-east-2",
        "Windows Server 2022 (20348.2227)",
        Habit::Leak(2_600.0, 42.0),
    ),
    ("web-01", "Linux 6.18 (Debian 12)", Habit::Steady(5_900.0)),
    ("web-02", "Linux 6.18 (Debian 12)", Habit::Steady(6_050.0)),
    ("web-03", "Linux 6.18 (Debian 12)", Habit::Churn(8_800.0)),
    ("cache-a", "Linux 6.1 (Debian 12)", Habit::Steady(412.0)),
    ("cache-b", "Linux 6.1 (Debian 12)", Habit::Steady(398.0)),
    (
        "dc-frankfurt-01.corp.example",
        "Windows Server 2012 R2 (9600.21620)",
        Habit::Steady(2_300.0),
    ),
    ("build-7", "Linux 6.18 (Fedora 43)", Habit::Leak(120.0, 3.0)),
];

#[tokio::main]
#[expect(clippy::print_stdout, reason = "an example talks to whoever runs it")]
async fn main() {
    let port = std::env::args().nth(1).and_then(|port| port.parse().ok());
    let http = SocketAddr::from(([127, 0, 0, 1], port.unwrap_or(0)));
    let fleet = MadeUp::start_at(http).await;
    let mut hosts = Vec::new();
    for (name, os, habit) in FLEET {
        let labels = BTreeMap::from([("site".to_owned(), "fra".to_owned())]);
        let id = fleet.host_with(name, os, labels).await;
        fleet.deliver(id, past(&fleet, habit)).await;
        if name != "cache-b" {
            fleet.connect(id);
        }
        hosts.push((id, habit));
    }
    fleet.connect(fleet.host("new-01").await);
    let ids: Vec<HostId> = hosts.iter().map(|(id, _)| *id).collect();
    roll_out::make_up(&fleet, &ids).await;
    let code = fleet.started.app.login_codes.make_code();
    println!("{}", fleet.url(&format!("/login?code={code}")));
    tokio::select! {
        _ = tokio::signal::ctrl_c() => {}
        () = go_on(&fleet, &hosts) => {}
    }
}

fn past(fleet: &MadeUp, habit: Habit) -> Vec<Sample> {
    let now = fleet.started.app.clock.now();
    let at = |back: u64| now.saturating_sub(Duration::from_secs(back * INTERVAL_S));
    // Half an hour of some is missing, as after an outage.
    let is_known = |back: &u64| !matches!(habit, Habit::Steady(_)) || !(200..260).contains(back);
    (0..SAMPLES)
        .rev()
        .filter(is_known)
        .map(|back| habit_at(habit, at(back), back as f64 * INTERVAL_S as f64 / 3_600.0))
        .collect()
}

fn habit_at(habit: Habit, at: Timestamp, hours_back: f64) -> Sample {
    let seconds = at.unix_ms() as f64 / 1_000.0;
    let noise = (seconds / 97.0).sin() * 0.5 + (seconds / 41.0).sin() * 0.3;
    let day = (seconds / 5_400.0 * TAU / 4.0).sin();
    let ports = |value: f64| value.max(0.0) as u32;
    match habit {
        Habit::Steady(level) => sample(
            at,
            ports(level * (1.0 + day * 0.08 + noise * 0.02)),
            ports(level * 0.12 * (1.0 + noise)),
        ),
        Habit::Leak(level, an_hour) => sample(
            at,
            ports(level - an_hour * hours_back + noise * 30.0),
            ports(level * 0.06 * (1.0 + noise)),
        ),
        Habit::Runaway(level, a_minute) => {
            let leaked = (40.0 - hours_back * 60.0).max(0.0) * a_minute;
            sample(at, ports(level + leaked + noise * 9.0), ports(level * 0.05))
        }
        Habit::Churn(level) => sample(
            at,
            ports(level * 0.18),
            ports(level * 0.82 * (1.0 + day * 0.03) - 260.0 * hours_back),
        ),
    }
}

/// Samples as time goes on, each host once in a while.
async fn go_on(fleet: &MadeUp, hosts: &[(HostId, Habit)]) {
    loop {
        for (id, habit) in hosts {
            tokio::time::sleep(Duration::from_millis(300)).await;
            let now = fleet.started.app.clock.now();
            fleet.deliver(*id, vec![habit_at(*habit, now, 0.0)]).await;
        }
    }
}
