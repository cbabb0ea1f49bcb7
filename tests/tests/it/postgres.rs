//! The quick start on Postgres: the same as on SQLite, and a database that dies under it.

use anyhow::Context as _;
use tidemark_model::audit::view::{DriftView, HostAuditView};
use tidemark_model::view::{HistoryView, Page};
use tidemark_tests::harness::postgres::Postgres;
use tidemark_tests::harness::{
    AgentFolder, Controller, Process, SOON, STARTING, Up, on_own_network, until,
};

#[test]
fn the_quick_start_keeps_its_history_in_postgres_across_restarts() -> anyhow::Result<()> {
    on_own_network(async |machine| {
        let postgres = Postgres::start(machine).await?;
        let up = Up::with_agent().arg("--database").arg(postgres.url());
        let controller = Controller::up(machine, &up).await?;
        assert_eq!(controller.status().await?.database, "postgres");
        let host = until("a few samples", SOON, async || {
            let host = controller.only_host().await?;
            let stored = controller.host(&host.id).await?.delivery.stored;
            Ok((stored >= 3).then_some(host))
        })
        .await?;
        let before = points(&controller, &host.id).await?;
        assert!(before >= 3, "{before} points");
        let no_file = up.data_dir(machine).join("tidemark.db");
        assert!(!no_file.try_exists()?, "nothing is kept in SQLite");
        assert_eq!(controller.stop().await?.code(), Some(0));

        let again = Controller::up(machine, &up).await?;
        assert_eq!(again.only_host().await?.id, host.id);
        assert!(points(&again, &host.id).await? >= before);
        for look in ["get events", "forecast", "describe host", "get tokens"] {
            let mut args: Vec<&str> = look.split(' ').collect();
            if look.starts_with("describe") {
                args.push(&host.id);
            }
            again.cli(&args).await?.succeeded().context(look)?;
        }
        assert_eq!(again.stop().await?.code(), Some(0));
        Ok(())
    })
}

#[test]
fn a_database_that_is_killed_while_samples_flow_costs_none_of_them() -> anyhow::Result<()> {
    on_own_network(async |machine| {
        let mut postgres = Postgres::start(machine).await?;
        let up = Up::alone().arg("--database").arg(postgres.url());
        let controller = Controller::up(machine, &up).await?;
        let token = controller.join_token().await?;
        let folder = AgentFolder::create(machine, "agent", &token.controller, &token.token)?;
        folder.add_config("audit.interval = \"1s\"")?;
        machine.set_dynamic_ports(32_768, 60_999)?;
        let mut agent = folder.run()?;
        let stored = until_stored(&controller, 2).await?;
        until("the first audit", SOON, async || {
            let host = controller.only_host().await?.id;
            let audit: HostAuditView = controller
                .get(&format!("/api/v1/hosts/{host}/audit"))
                .await?;
            Ok(audit.taken_ms)
        })
        .await?;
        let operator = controller.sign_in().await?;
        let name = controller.only_host().await?.name;
        postgres.kill().await?;
        until("the outage is told", STARTING, async || {
            let (status, _) = controller.get_as_stranger("/readyz").await?;
            Ok((status == 503).then_some(()))
        })
        .await?;
        let page = operator.get("/").await?;
        assert!(page.contains("The database does not answer"), "{page}");
        assert!(page.contains(&name), "what is known is shown");
        let asked = controller.cli(&["get", "hosts"]).await?;
        asked.succeeded().context("what is known is told")?;
        let described = controller.cli(&["describe", "host", &name]).await?;
        let described = described.succeeded().context("and described")?;
        assert!(described.contains("Unknown: "), "{described}");
        machine.set_dynamic_ports(20_000, 29_999)?;
        let refused = controller.cli(&["token", "create"]).await?;
        assert_eq!(refused.code, Some(1), "{refused:?}");
        assert!(refused.stderr.contains("database"), "{}", refused.stderr);
        assert!(agent.ended()?.is_none(), "{}", agent.said());
        postgres.restart().await?;
        until_stored(&controller, stored + 3).await?;
        until("the setting that changed meanwhile", STARTING, async || {
            let page: Page<DriftView> = controller.get("/api/v1/drift").await?;
            let has_changed = page.items.iter().any(|drift| drift.to == "20000-29999");
            Ok(has_changed.then_some(()))
        })
        .await?;
        assert_nothing_lost(&controller, &folder, &mut agent).await?;
        assert_eq!(controller.stop().await?.code(), Some(0));
        Ok(())
    })
}

async fn until_stored(controller: &Controller, records: u64) -> anyhow::Result<u64> {
    until("samples in the database", STARTING, async || {
        let stored = controller.status().await?.delivery.stored;
        Ok((stored >= records).then_some(stored))
    })
    .await
}

/// The agent sends what it holds and ends; then every sample it ever took is in the database.
async fn assert_nothing_lost(
    controller: &Controller,
    folder: &AgentFolder,
    agent: &mut Process,
) -> anyhow::Result<()> {
    let spool = folder.end(agent).await?;
    assert_eq!(spool.held, 0, "{spool:?}");
    assert_eq!(spool.dropped, 0, "{spool:?}");
    let host = controller.only_host().await?;
    let delivery = controller.host(&host.id).await?.delivery;
    assert_eq!(spool.produced, delivery.stored, "{delivery:?}");
    let kept = points(controller, &host.id).await?;
    assert_eq!(kept, delivery.stored, "what is counted can be read");
    Ok(())
}

/// How many samples of the last hour the history has.
async fn points(controller: &Controller, id: &str) -> anyhow::Result<u64> {
    let asked = "history ID --metric in_use --since 1h --step 1h --agg count".replace("ID", id);
    let args: Vec<&str> = asked.split(' ').collect();
    let history: HistoryView = controller.cli_json(&args).await?;
    let counts = history.series.iter().flat_map(|series| &series.points);
    let counted: f64 = counts.filter_map(|(_, count)| *count).sum();
    Ok(counted.round() as u64)
}
