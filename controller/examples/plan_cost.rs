//! What planning a maintenance run costs: choosing its hosts, ordering them, and playing the whole run ahead of time. Two
//! fleets in turn in one process, so that their ratio holds on a busy machine, too.
//!
//! `cargo run --release -p tidemark-controller --example plan_cost`
#![expect(clippy::print_stdout, reason = "a benchmark's output is its purpose")]

#[path = "../tests/it/made_up.rs"]
#[expect(
    clippy::unwrap_used,
    dead_code,
    reason = "made for tests, where an unwrap is an assertion"
)]
mod made_up;

use std::collections::BTreeMap;
use std::fs;

use anyhow::Context as _;
use futures::{StreamExt as _, stream};
use made_up::{MadeUp, sample};
use serde_json::json;
use tidemark_controller::access::users::By;
use tidemark_controller::maintain::run::{create, preview};
use tidemark_model::action::{HostKey, HostPolicyView, KeyStanding, Profile, Tier};
use tidemark_model::run::RunSpec;
use tidemark_model::signing::PrivateKey;
use tidemark_model::{ActionKind, HostScope};

/// Hosts of the two fleets; the second is as many as one run may have.
const FLEETS: [usize; 2] = [500, 5_000];
/// Hosts of a cluster, of which never two are worked on at once.
const CLUSTER: usize = 4;
/// How often each is measured; the median counts.
const ROUNDS: usize = 9;

/// CPU of one step, in milliseconds: median over the rounds.
#[derive(Debug, Default)]
struct Cost {
    planned: Vec<f64>,
    stored: Vec<f64>,
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let mut fleets = Vec::new();
    for count in FLEETS {
        fleets.push((fleet(count).await?, count, Cost::default()));
    }
    let ann = By {
        name: "ann".to_owned(),
        scope: HostScope::All,
    };
    for round in 0..ROUNDS {
        for (fleet, count, cost) in &mut fleets {
            let app = &fleet.started.app;
            let before = cpu_ms()?;
            let run = preview(app, spec(round)?, &ann).await?;
            let between = cpu_ms()?;
            anyhow::ensure!(run.hosts.len() == *count, "{} hosts", run.hosts.len());
            create(app, spec(round)?, &ann).await?;
            cost.planned.push(between - before);
            cost.stored.push(cpu_ms()? - between);
        }
    }
    let mut first = None;
    for (_, count, mut cost) in fleets {
        let (planned, stored) = (median(&mut cost.planned)?, median(&mut cost.stored)?);
        let (small, small_stored) = *first.get_or_insert((planned, stored));
        println!(
            "{count} hosts: planned in {planned:.1} ms ({:.1} times), and stored with its orders in {stored:.1} ms ({:.1} times)",
            planned / small,
            stored / small_stored
        );
    }
    Ok(())
}

/// Hosts with a sample each, in clusters, that want signatures.
async fn fleet(count: usize) -> anyhow::Result<MadeUp> {
    let fleet = MadeUp::start().await;
    let app = &fleet.started.app;
    let policy = HostPolicyView {
        profile: Some(Profile::Full),
        all_keys: vec![HostKey {
            name: "ann".to_owned(),
            public: PrivateKey::from_seed([1; 32]).public(),
            tier_max: Tier::Reboot,
            standing: KeyStanding::Holds,
            rotated_from: None,
            why: String::new(),
        }],
        allowed: ActionKind::ALL.to_vec(),
        keys: vec![PrivateKey::from_seed([1; 32]).public().id()],
        undoes: true,
        ..HostPolicyView::default()
    };
    // Each waits until it is durable; many at once share their commits.
    let made = stream::iter(0..count).map(async |number| {
        let cluster = format!("c-{}", number / CLUSTER);
        let labels = BTreeMap::from([("cluster".to_owned(), cluster)]);
        let name = format!("web-{number}");
        let id = fleet.host_with(&name, "Windows Server 2019", labels).await;
        let now = app.clock.now();
        fleet.deliver(id, vec![sample(now, 500, 20)]).await;
        let mut tx = app.store.begin().await?;
        tx.host_policy_put(id, now, &policy).await?;
        Ok(tx.commit().await?)
    });
    let made: Vec<anyhow::Result<()>> = made.buffer_unordered(200).collect().await;
    made.into_iter().collect::<anyhow::Result<()>>()?;
    Ok(fleet)
}

fn spec(round: usize) -> anyhow::Result<RunSpec> {
    Ok(serde_json::from_value(json!({
        "name": format!("weekly-{round}"), "reason": "patches", "hosts": ["host=*"],
        "actions": [{"action": "reboot", "grace_s": 0, "reason": "patches", "force": true}],
        "waves": ["1", "10%", "rest"], "spread": "cluster", "concurrency": 40,
        "needs_effect": false, "max_failed": 3, "stop_after": "7d",
    }))?)
}

fn median(rounds: &mut [f64]) -> anyhow::Result<f64> {
    rounds.sort_by(f64::total_cmp);
    rounds
        .get(rounds.len() / 2)
        .copied()
        .context("no round was measured")
}

/// CPU time of this process in milliseconds, from the scheduler's own nanoseconds.
fn cpu_ms() -> anyhow::Result<f64> {
    let mut nanoseconds = 0;
    for task in fs::read_dir("/proc/self/task")? {
        let stat = fs::read_to_string(task?.path().join("schedstat"))?;
        let spent = stat.split_whitespace().next().context("no CPU time")?;
        nanoseconds += spent.parse::<u64>()?;
    }
    Ok(nanoseconds as f64 / 1e6)
}
