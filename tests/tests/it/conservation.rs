//! Nothing is lost: every record that an agent produced is stored once, counted as dropped, or still in its spool,
//! whatever happens to the controller in between.

use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::{Context as _, ensure};
use tidemark_model::view::{HistoryView, JoinTokenCreated};
use tidemark_store::testing::postgres_url;
use tidemark_tests::fleetsim::agent::{DeliverySettings, HostOutcome};
use tidemark_tests::fleetsim::progress::Progress;
use tidemark_tests::fleetsim::report::disagreements_of;
use tidemark_tests::fleetsim::run::RunPlan;
use tidemark_tests::fleetsim::scenario::Scenario;
use tidemark_tests::fleetsim::{Fleet, FleetSettings, limits};
use tidemark_tests::harness::{Controller, Machine, Up, on_own_network, until};
use tokio_util::sync::CancellationToken;

const HOSTS: usize = 200;
const KILLS: u32 = 5;
/// Acked between two kills: some seconds of the fleet's samples, so that each life of the controller stored something.
const ACKED_A_LIFE: u64 = 5 * HOSTS as u64;
/// Waiting in the spools before the controller comes back: two samples a host that it has to catch up on.
const HELD_A_DEATH: u64 = 2 * HOSTS as u64;
/// A slow machine that builds something beside this takes its time.
const PATIENCE: Duration = Duration::from_secs(120);
/// The shipped minute would make agents come back too late for the next kill; much less would bring all of them at once.
const RECONNECT_MAX: Duration = Duration::from_secs(5);

mod nothing_is_lost_when_the_controller_is_killed_five_times {
    use super::*;

    #[test]
    fn on_sqlite() -> anyhow::Result<()> {
        on_own_network(async |machine: &Machine| kill_and_account(machine, Up::alone()).await)
    }

    #[test]
    fn on_postgres() -> anyhow::Result<()> {
        on_own_network(async |machine: &Machine| {
            let url = reachable_text(&postgres_url().await.to_string())?;
            let up = Up::alone().arg("--database").arg(url);
            kill_and_account(machine, up).await
        })
    }
}

async fn kill_and_account(machine: &Machine, up: Up) -> anyhow::Result<()> {
    limits::raise_open_files(HOSTS)?;
    let controller = Controller::up(machine, &up).await?;
    let uses = HOSTS.to_string();
    let token: JoinTokenCreated = controller
        .cli_json(&["token", "create", "--uses", &uses])
        .await?;
    let plan = RunPlan {
        hosts: HOSTS,
        scenario: Scenario::open("mixed")?,
        interval: Duration::from_secs(1),
        duration: Duration::from_secs(600),
        seed: 1,
    };
    let never = CancellationToken::new();
    let hidden = Progress::hidden();
    let fleet = Fleet::enrol(settings(&token)?, plan.facts(), &hidden, &never).await?;
    ensure!(fleet.refused == 0, "refused: {:?}", fleet.refusals);
    fleet.connect(PATIENCE, &hidden).await;

    let stop = CancellationToken::new();
    let killing = async {
        let _stop_on_return = stop.clone().drop_guard();
        kill_repeatedly(machine, &up, controller, &fleet).await
    };
    let (controller, ()) = tokio::join!(killing, plan.produce(&fleet, &hidden, &stop));
    let controller = controller?;

    let held = fleet.settle(PATIENCE, &hidden).await;
    let outcomes = fleet.close().await;
    ensure!(
        held == 0,
        "{held} records were not acked after {PATIENCE:?}"
    );
    ensure!(
        fleet.meter().reconnects.get() >= HOSTS as u64,
        "the kills were hardly noticed"
    );
    account(&controller, &outcomes).await
}

/// Kills the controller and starts it again on the same ports and data, again and again.
async fn kill_repeatedly(
    machine: &Machine,
    up: &Up,
    mut controller: Controller,
    fleet: &Fleet,
) -> anyhow::Result<Controller> {
    for kill in 1..=KILLS {
        wait_for_acks(fleet)
            .await
            .with_context(|| format!("before kill {kill}: {}", controller.process.said()))?;
        controller.process.kill().await?;
        until("samples to wait in the spools", PATIENCE, async || {
            let held: u64 = fleet.agents().iter().map(|agent| agent.counts().held).sum();
            Ok((held >= HELD_A_DEATH).then_some(()))
        })
        .await?;
        controller = Controller::up(machine, up).await?;
    }
    wait_for_acks(fleet).await.context("after the last kill")?;
    Ok(controller)
}

async fn wait_for_acks(fleet: &Fleet) -> anyhow::Result<()> {
    let meter = fleet.meter();
    let before = meter.acked.get();
    until("acks", PATIENCE, async || {
        Ok((meter.acked.get() >= before + ACKED_A_LIFE).then_some(()))
    })
    .await
    .with_context(|| {
        let (acked, connected) = (meter.acked.get() - before, meter.connected.get());
        let lost = meter.disconnects();
        format!("{acked} acked, {connected} of {HOSTS} agents connected; lost: {lost:?}")
    })
}

/// For every host: produced = stored + dropped + in spool, and history holds a point for each sample that is stored.
async fn account(controller: &Controller, outcomes: &[HostOutcome]) -> anyhow::Result<()> {
    let points = points_by_host(controller).await?;
    let mut wrong = Vec::new();
    for outcome in outcomes {
        let delivery = controller.host(&outcome.host.to_string()).await?.delivery;
        let dropped: u64 = delivery.dropped.values().sum();
        let in_history = points.get(&outcome.host.to_string()).copied().unwrap_or(0);
        let sum = delivery.stored + dropped + outcome.counts.held;
        if outcome.produced != sum || in_history != delivery.stored {
            wrong.push(format!(
                "{}: produced {}, stored {}, dropped {dropped}, in spool {}, in history {in_history}, duplicates {}",
                outcome.name,
                outcome.produced,
                delivery.stored,
                outcome.counts.held,
                delivery.duplicates
            ));
        }
        let word = BTreeMap::from([(outcome.host, delivery)]);
        wrong.extend(disagreements_of(outcome, Some(&word)));
    }
    ensure!(
        wrong.is_empty(),
        "{} of {} hosts: {:#?}",
        wrong.len(),
        outcomes.len(),
        wrong.iter().take(20).collect::<Vec<_>>()
    );
    ensure!(outcomes.len() == HOSTS, "{} hosts", outcomes.len());
    Ok(())
}

/// Points of ports in use over TCP in history, by host id.
async fn points_by_host(controller: &Controller) -> anyhow::Result<BTreeMap<String, u64>> {
    let query =
        "/api/v1/history?metric=in_use&protocol=tcp&agg=count&group_by=host&step_ms=3600000";
    let view: HistoryView = controller.get(query).await?;
    ensure!(view.series_left_out == 0, "series were left out");
    view.series
        .into_iter()
        .map(|series| {
            let host = series.host.context("a series of no host")?;
            let points: f64 = series.points.iter().filter_map(|(_, count)| *count).sum();
            Ok((host, points.round() as u64))
        })
        .collect()
}

fn settings(token: &JoinTokenCreated) -> anyhow::Result<FleetSettings> {
    Ok(FleetSettings {
        controller: token.controller.parse()?,
        token: token.token.parse()?,
        enrol_per_second: 100,
        delivery: DeliverySettings {
            reconnect_max: RECONNECT_MAX,
            ..DeliverySettings::default()
        },
        orders: None,
    })
}

/// A socket's folder as the controller takes it on its command line.
fn reachable_text(shown: &str) -> anyhow::Result<String> {
    let (user, place) = shown.split_once('@').context("no user in the URL")?;
    let (socket, name) = place.rsplit_once('/').context("no database in the URL")?;
    Ok(format!("{user}@localhost/{name}?host={socket}"))
}
