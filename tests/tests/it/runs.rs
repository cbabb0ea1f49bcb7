//! Maintenance runs over hundreds of hosts that carry their orders out: in waves, never two of a cluster at once, stopped at
//! the failures that may be, and taken up again by a controller that was killed. What happened is what the hosts saw.

use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, ensure};
use serde_json::{Value, json};
use tidemark_model::run::{RunHostState, RunState};
use tidemark_model::view::{JoinTokenCreated, RunDetail, RunHostView};
use tidemark_tests::fleetsim::agent::DeliverySettings;
use tidemark_tests::fleetsim::orders::{Deed, Fails, OrderPlan};
use tidemark_tests::fleetsim::progress::Progress;
use tidemark_tests::fleetsim::run::RunPlan;
use tidemark_tests::fleetsim::scenario::Scenario;
use tidemark_tests::fleetsim::{Fleet, FleetSettings, limits};
use tidemark_tests::harness::{Controller, Machine, Up, on_own_network, until};
use tokio_util::sync::CancellationToken;

/// A slow machine that builds something beside this takes its time.
const PATIENCE: Duration = Duration::from_secs(120);
const CONCURRENCY: usize = 40;

/// Limits and times as an operator may set them, short for this test; what is watched holds a sample of each host.
const SETTINGS: &str = "[remediation]\nown_host = \"none\"\nhold = \"3s\"\ncooldown = \"1s\"\nconcurrent_max = 100\nper_hour_max = 10000\n";

/// A fleet of hosts in clusters of `cluster` each.
struct Hosts {
    count: usize,
    cluster: usize,
    fails: Fails,
}

impl Hosts {
    fn plan(&self) -> anyhow::Result<RunPlan> {
        Ok(RunPlan {
            hosts: self.count,
            scenario: Scenario::open("idle")?,
            interval: Duration::from_secs(2),
            duration: Duration::from_secs(600),
            seed: 1,
        })
    }

    /// Enrols them, and keeps them sampling while `story` goes on; answers what they saw.
    async fn live_through(
        self,
        controller: Controller,
        story: impl AsyncFnOnce(Controller, &Fleet, &OrderPlan) -> anyhow::Result<()>,
    ) -> anyhow::Result<Vec<Deed>> {
        limits::raise_open_files(self.count)?;
        let uses = self.count.to_string();
        let token: JoinTokenCreated = controller
            .cli_json(&["token", "create", "--uses", &uses])
            .await?;
        let plan = self.plan()?;
        let mut facts = plan.facts();
        for (place, host) in facts.iter_mut().enumerate() {
            let cluster = format!("c-{}", place / self.cluster);
            host.labels.insert("cluster".to_owned(), cluster);
        }
        let orders = Arc::new(OrderPlan::new(self.fails));
        let settings = FleetSettings {
            controller: token.controller.parse()?,
            token: token.token.parse()?,
            enrol_per_second: 100,
            delivery: DeliverySettings {
                reconnect_max: Duration::from_secs(2),
                ..DeliverySettings::default()
            },
            orders: Some(Arc::clone(&orders)),
        };
        let (hidden, never) = (Progress::hidden(), CancellationToken::new());
        let fleet = Fleet::enrol(settings, facts, &hidden, &never).await?;
        ensure!(fleet.refused == 0, "refused: {:?}", fleet.refusals);
        fleet.connect(PATIENCE, &hidden).await;
        let stop = CancellationToken::new();
        let telling = async {
            let _stop_on_return = stop.clone().drop_guard();
            let all = self.count;
            until("every host to be sampled", PATIENCE, async || {
                Ok((fleet.meter().acked.get() >= all as u64).then_some(()))
            })
            .await?;
            story(controller, &fleet, &orders).await
        };
        let (told, ()) = tokio::join!(telling, plan.produce(&fleet, &hidden, &stop));
        told?;
        fleet.close().await;
        Ok(orders.deeds())
    }
}

fn weekly(more: Value) -> Value {
    let mut spec = json!({
        "name": "weekly-reboot", "reason": "patches", "hosts": ["fleetsim=idle"],
        "actions": [{"action": "reboot", "grace_s": 0, "reason": "patches", "force": true}],
        "waves": ["1", "10%", "rest"], "spread": "cluster", "concurrency": CONCURRENCY,
        "needs_effect": false, "max_failed": 3,
    });
    for (key, value) in more.as_object().into_iter().flatten() {
        spec[key] = value.clone();
    }
    spec
}

/// Plans a run as Ann, and has its plan approved by two others; nobody approves their own.
async fn approved(controller: &Controller, spec: &Value) -> anyhow::Result<i64> {
    let ann = controller.token_of("ann", "approver").await?;
    let (status, answer) = controller.post_as(&ann, "/api/v1/runs", spec).await?;
    ensure!(status == 201, "{status}: {answer}");
    let planned: RunDetail = serde_json::from_value(answer)?;
    let number = planned.run.number;
    let path = format!("/api/v1/runs/{number}/approve");
    let yes = json!({"plan_hash": planned.plan.hash});
    let (status, answer) = controller.post_as(&ann, &path, &yes).await?;
    ensure!(status == 403, "her own: {status}: {answer}");
    for name in ["bob", "cy"] {
        let token = controller.token_of(name, "approver").await?;
        let other = json!({"plan_hash": "0000"});
        let (status, answer) = controller.post_as(&token, &path, &other).await?;
        ensure!(status == 409, "another plan: {status}: {answer}");
        let (status, answer) = controller.post_as(&token, &path, &yes).await?;
        ensure!(status == 200, "{status}: {answer}");
    }
    Ok(number)
}

async fn run_of(controller: &Controller, number: i64) -> anyhow::Result<RunDetail> {
    controller.get(&format!("/api/v1/runs/{number}")).await
}

async fn ended(controller: &Controller, number: i64) -> anyhow::Result<RunDetail> {
    let ended = until("the end of the run", PATIENCE, async || {
        let run = run_of(controller, number).await?;
        Ok(run.run.state.is_final().then_some(run))
    })
    .await;
    if ended.is_err() {
        let run = run_of(controller, number).await?;
        anyhow::bail!(
            "{:#?} {:?}",
            run.run,
            run.hosts.iter().find(|host| !host.state.is_final())
        );
    }
    ended
}

/// What must hold of every run, by the hosts' own account.
fn check_deeds(deeds: &[Deed]) -> anyhow::Result<()> {
    let mut hosts = HashSet::new();
    for deed in deeds {
        ensure!(
            hosts.insert(&deed.host),
            "{} was restarted twice",
            deed.host
        );
        ensure!(deed.ended.is_some(), "{} was not left to finish", deed.host);
    }
    let mut clusters: BTreeMap<&str, Vec<&Deed>> = BTreeMap::new();
    for deed in deeds {
        let cluster = deed
            .labels
            .get("cluster")
            .context("a host without cluster")?;
        clusters.entry(cluster).or_default().push(deed);
    }
    for (cluster, mut deeds) in clusters {
        deeds.sort_by_key(|deed| deed.begun);
        for pair in deeds.windows(2) {
            let [first, second] = pair else { continue };
            ensure!(
                first.ended <= Some(second.begun),
                "{} and {} of {cluster} were down at once",
                first.host,
                second.host
            );
        }
    }
    for deed in deeds {
        let at_once = deeds
            .iter()
            .filter(|one| one.begun <= deed.begun && one.ended > Some(deed.begun));
        let count = at_once.count();
        ensure!(count <= CONCURRENCY, "{count} hosts at once");
    }
    Ok(())
}

fn of(run: &RunDetail, is: impl Fn(&RunHostView) -> bool) -> usize {
    run.hosts.iter().filter(|host| is(host)).count()
}

#[test]
fn five_hundred_hosts_go_in_waves_until_three_have_failed() -> anyhow::Result<()> {
    on_own_network(async |machine: &Machine| {
        let controller = Controller::up(machine, &Up::configured(machine, SETTINGS)?).await?;
        // Two in the second wave, and one at the beginning of the third.
        let bad = ["sim-idle-00017", "sim-idle-00033", "sim-idle-00061"].map(str::to_owned);
        let hosts = Hosts {
            count: 500,
            cluster: 4,
            fails: Fails::Named(HashSet::from(bad.clone())),
        };
        let deeds = hosts
            .live_through(controller, async |controller, _, orders| {
                let number = approved(&controller, &weekly(json!({}))).await?;
                let run = ended(&controller, number).await?;
                ensure!(run.run.state == RunState::Failed, "{:#?}", run.run);
                let why = &run.run.why;
                ensure!(why.starts_with("3 failed, and max_failed is 3"), "{why}");
                let failed: HashSet<String> = run
                    .hosts
                    .iter()
                    .filter(|host| host.state == RunHostState::Failed)
                    .map(|host| host.name.clone())
                    .collect();
                ensure!(failed == HashSet::from(bad), "{failed:?}");
                let sizes: Vec<u64> = run.waves.iter().map(|wave| wave.hosts).collect();
                ensure!(sizes == [1, 50, 449], "{sizes:?}");
                let verified = of(&run, |host| host.state == RunHostState::Verified);
                let skipped = of(&run, |host| host.state == RunHostState::Skipped);
                ensure!(verified + skipped == 497, "{verified} and {skipped}");
                ensure!(skipped > 300, "it stopped late: {skipped} were skipped");
                let seen = orders.deeds().len();
                ensure!(
                    seen == verified + 3,
                    "{seen} hosts saw orders, {verified} are verified"
                );
                the_command_line_shows_it(&controller, number).await
            })
            .await?;
        let first = deeds.first().context("nothing was done")?;
        let second = deeds.get(1).context("one thing was done")?;
        ensure!(
            first.ended <= Some(second.begun),
            "the canary was not waited for"
        );
        check_deeds(&deeds)
    })
}

async fn the_command_line_shows_it(controller: &Controller, number: i64) -> anyhow::Result<()> {
    let number = number.to_string();
    let shown = controller
        .cli(&["describe", "run", &number])
        .await?
        .succeeded()?;
    ensure!(shown.contains("max_failed is 3"), "{shown}");
    let listed = controller.cli(&["get", "runs"]).await?.succeeded()?;
    ensure!(listed.contains("weekly-reboot"), "{listed}");
    Ok(())
}

#[test]
fn a_controller_that_is_killed_midway_takes_the_run_up_again() -> anyhow::Result<()> {
    on_own_network(async |machine: &Machine| {
        let up = Up::configured(machine, SETTINGS)?;
        let controller = Controller::up(machine, &up).await?;
        let hosts = Hosts {
            count: 120,
            cluster: 3,
            fails: Fails::Named(HashSet::new()),
        };
        let deeds = hosts
            .live_through(controller, async |mut controller, _, orders| {
                let spec = weekly(json!({"waves": ["1", "20%"], "gate_timeout": "5m"}));
                let number = approved(&controller, &spec).await?;
                for seen in [10, 70] {
                    until("hosts to be restarted", PATIENCE, async || {
                        Ok((orders.deeds().len() >= seen).then_some(()))
                    })
                    .await?;
                    controller = killed_and_started(machine, &up, controller).await?;
                }
                let run = ended(&controller, number).await?;
                ensure!(run.run.state == RunState::Finished, "{:#?}", run.run);
                let verified = of(&run, |host| host.state == RunHostState::Verified);
                let odd: Vec<_> = run
                    .hosts
                    .iter()
                    .filter(|host| host.state != RunHostState::Verified)
                    .map(|host| (&host.name, host.state, &host.why))
                    .collect();
                ensure!(verified == 120, "{verified} are verified, and {odd:?}");
                Ok(())
            })
            .await?;
        ensure!(deeds.len() == 120, "{} hosts saw orders", deeds.len());
        check_deeds(&deeds)
    })
}

async fn killed_and_started(
    machine: &Machine,
    up: &Up,
    mut controller: Controller,
) -> anyhow::Result<Controller> {
    controller.process.kill().await?;
    Controller::up(machine, up).await
}
