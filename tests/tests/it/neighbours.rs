//! Programs beside Tidemark: a real Prometheus with the rules and dashboards of `deploy`, and Grafana's queries on Postgres.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use serde_json::Value;
use tidemark_tests::harness::postgres::Postgres;
use tidemark_tests::harness::prometheus::Prometheus;
use tidemark_tests::harness::{
    Controller, Finished, Machine, SOON, STARTING, Up, on_own_network, until,
};
use tokio::process::Command;

fn deploy(folder: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../deploy")
        .join(folder)
}

/// The configuration as it is shipped, with a shorter patience.
async fn configured(machine: &Machine, controller: &Controller) -> anyhow::Result<PathBuf> {
    let folder = machine.folder().join("prometheus-configuration");
    fs::create_dir(&folder)?;
    let shipped = deploy("prometheus");
    fs::copy(
        shipped.join("tidemark.rules.yml"),
        folder.join("tidemark.rules.yml"),
    )?;
    let text = fs::read_to_string(shipped.join("prometheus.yml"))?
        .replace("scrape_interval: 1m", "scrape_interval: 1s")
        .replace("scrape_timeout: 30s", "scrape_timeout: 1s");
    let quick = "global: { scrape_interval: 1s, scrape_timeout: 1s, evaluation_interval: 1s }\n";
    fs::write(folder.join("prometheus.yml"), format!("{quick}{text}"))?;
    let token = controller.token_of("prometheus", "viewer").await?;
    fs::write(folder.join("tidemark.token"), token)?;
    Ok(folder.join("prometheus.yml"))
}

/// Every query of a dashboard, by its field.
fn queries(name: &str, field: &str) -> anyhow::Result<Vec<String>> {
    let text = fs::read_to_string(deploy("grafana").join(format!("{name}.json")))?;
    let board: Value = serde_json::from_str(&text).with_context(|| name.to_owned())?;
    let panels = board["panels"].as_array().into_iter().flatten();
    let targets = panels.flat_map(|panel| panel["targets"].as_array().into_iter().flatten());
    let found: Vec<String> = targets
        .filter_map(|target| target[field].as_str().map(str::to_owned))
        .collect();
    anyhow::ensure!(!found.is_empty(), "{name} asks nothing");
    Ok(found)
}

/// The metrics that an expression names.
fn metrics_of(expression: &str) -> impl Iterator<Item = &str> {
    expression
        .split(|c: char| !(c.is_ascii_alphanumeric() || c == '_' || c == ':'))
        .filter(|word| word.starts_with("tidemark_"))
}

#[test]
fn prometheus_scrapes_a_controller_and_dashboards_and_rules_find_what_they_ask_for()
-> anyhow::Result<()> {
    // Nothing leaks here: `controller/tests/it` shows that one has it.
    const ABSENT: [&str; 1] = ["tidemark_port_exhaustion_eta_seconds"];
    on_own_network(async |machine| {
        let controller = Controller::up(machine, &Up::with_agent()).await?;
        let host = controller.first_sample(SOON).await?.name;
        let configuration = configured(machine, &controller).await?;
        let prometheus = Prometheus::start(machine, &configuration).await?;
        until("both jobs", STARTING, async || {
            let up = prometheus.query("count(up == 1) == 2").await?;
            let hosts = prometheus.query("tidemark_ports_used").await?;
            Ok((!up.is_empty() && !hosts.is_empty()).then_some(()))
        })
        .await?;
        let mut named = BTreeSet::new();
        for board in ["fleet", "host", "controller"] {
            for expression in queries(board, "expr")? {
                let asked = expression.replace("$host", &host);
                prometheus.query(&asked).await.context(board)?;
                named.extend(metrics_of(&expression).map(str::to_owned));
            }
        }
        let rules = prometheus.ask("rules", &[]).await?;
        let groups = rules["groups"].as_array().context("groups")?;
        for rule in groups
            .iter()
            .flat_map(|group| group["rules"].as_array().into_iter().flatten())
        {
            assert_ne!(rule["health"], "err", "{rule}");
            let expression = rule["query"].as_str().context("an expression")?;
            named.extend(metrics_of(expression).map(str::to_owned));
        }
        for metric in named.iter().filter(|name| !ABSENT.contains(&&***name)) {
            let series = prometheus.query(metric).await?;
            assert!(!series.is_empty(), "nobody exposes {metric}");
        }
        Ok(())
    })
}

#[test]
fn the_rules_for_prometheus_wake_somebody_when_they_should() -> anyhow::Result<()> {
    on_own_network(async |_| {
        let mut promtool = Command::new("promtool");
        promtool
            .current_dir(deploy("prometheus"))
            .args(["test", "rules", "tidemark.rules.test.yml"])
            .kill_on_drop(true);
        let said = Finished::of(promtool).await?.succeeded()?;
        assert!(said.contains("SUCCESS"), "{said}");
        Ok(())
    })
}

/// Runs SQL as a person with psql does: rows of values, separated by `|`.
async fn psql(url: &str, sql: &str) -> anyhow::Result<String> {
    let mut psql = Command::new("psql");
    psql.args([
        "--no-psqlrc",
        "--tuples-only",
        "--no-align",
        "-v",
        "ON_ERROR_STOP=1",
    ])
    .args(["--command", sql, url])
    .kill_on_drop(true);
    Finished::of(psql).await?.succeeded()
}

#[test]
fn grafanas_months_are_read_from_postgres_by_a_user_who_may_only_read() -> anyhow::Result<()> {
    const HOURS: &str = "INSERT INTO host_hourly SELECT 'h' || host, hour * 3600000::bigint, 'tcp', 'default', 1000, 10, \
        host * 100, host * 200, 100, 100, 5, NULL FROM generate_series(1, 3) AS host, generate_series(496632, 496823) AS hour";
    const READER: &str = "CREATE ROLE grafana LOGIN; GRANT SELECT ON host_hourly, hosts TO grafana";
    on_own_network(async |machine| {
        let postgres = Postgres::start(machine).await?;
        let up = Up::alone().arg("--database").arg(postgres.url());
        let controller = Controller::up(machine, &up).await?;
        assert_eq!(controller.status().await?.database, "postgres");
        let url = postgres.url();
        psql(&url, HOURS).await?;
        psql(&url, READER).await?;
        for sql in queries("hourly", "rawSql")? {
            let asked = sql
                .replace("$__unixEpochFrom()", "1788480000")
                .replace("$__unixEpochTo()", "1788998400");
            let asked = format!("SET ROLE grafana; {asked}");
            let rows = psql(&url, &asked).await.with_context(|| sql.clone())?;
            let count = rows.lines().filter(|line| line.contains('|')).count();
            assert!(count > 0, "no row: {sql}\n{rows}");
        }
        let full = psql(&url, "SET ROLE grafana; DELETE FROM host_hourly").await;
        assert!(full.is_err(), "a reader must not write");
        Ok(())
    })
}
