//! `tidemark check` as a monitoring system runs it, and a budget that a real process exceeds and keeps again.

use std::fs;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::Context as _;
use serde_json::Value;
use tidemark_model::view::{BudgetStanding, HostView, IncidentView, Page};
use tidemark_tests::harness::site::Site;
use tidemark_tests::harness::{
    AgentFolder, Controller, Finished, Machine, SOON, Up, on_own_network, until,
};

/// An excess of 3 s, and an incident that ends 2 s after it, with much patience.
const SOON_SEEN: Duration = Duration::from_secs(90);

const RULES: &str = "[incidents]\nclear_after = \"2s\"\n";

fn budget(machine: &Machine, severity: &str, ports: u32) -> anyhow::Result<String> {
    let path = machine.folder().join("budgets.toml");
    let text = format!(
        "[[budget]]\nname = \"eaters\"\nhosts = [\"role=web\"]\nprocess = \"port_eater\"\nallow = {{ ports = {ports} }}\n\
         for = \"3s\"\nseverity = \"{severity}\"\nadvice = \"stop the eater\"\n"
    );
    fs::write(&path, text)?;
    Ok(path.display().to_string())
}

/// The check, when it ends with that code.
async fn checked(controller: &Controller, host: &str, code: i32) -> anyhow::Result<Finished> {
    until(&format!("an exit code of {code}"), SOON_SEEN, async || {
        let finished = controller.cli(&["check", host]).await?;
        anyhow::ensure!(
            finished.stdout.starts_with("TIDEMARK "),
            "{}{}",
            finished.stdout,
            finished.stderr
        );
        Ok((finished.code == Some(code)).then_some(finished))
    })
    .await
}

async fn standing(controller: &Controller, host: &str) -> anyhow::Result<BudgetStanding> {
    let standings: Vec<BudgetStanding> = controller
        .cli_json(&["get", "budgets", "--host", host])
        .await?;
    standings.into_iter().next().context("a standing")
}

async fn budget_incident(controller: &Controller, state: &str) -> anyhow::Result<IncidentView> {
    until("the budget's incident", SOON_SEEN, async || {
        let page: Page<IncidentView> = controller.get("/api/v1/incidents").await?;
        let is_it = |one: &IncidentView| one.kind == "budget" && one.state == state;
        Ok(page.items.into_iter().find(is_it))
    })
    .await
}

async fn start(machine: &Machine) -> anyhow::Result<(Site, AgentFolder)> {
    let config: PathBuf = machine.folder().join("controller.toml");
    fs::write(&config, RULES)?;
    let up = Up::alone()
        .arg("--config")
        .arg(config.display().to_string());
    let site = Site::start_with(machine, &up).await?;
    let token = site.controller.join_token().await?;
    let folder = AgentFolder::create(machine, "web", &token.controller, &token.token)?;
    folder.add_config("labels = { role = \"web\" }")?;
    Ok((site, folder))
}

/// Shows what the budget would do, and applies it.
async fn apply_first(machine: &Machine, controller: &Controller) -> anyhow::Result<()> {
    let path = budget(machine, "warning", 50)?;
    let would = controller
        .cli(&["apply", "-f", &path, "--dry-run"])
        .await?
        .succeeded()?;
    assert!(would.contains("would be created"), "{would}");
    assert!(would.contains("1 within, 0 over"), "{would}");
    controller.cli(&["apply", "-f", &path]).await?.succeeded()?;
    Ok(())
}

#[test]
fn check_answers_with_each_code_and_a_budget_is_exceeded_and_kept_again() -> anyhow::Result<()> {
    on_own_network(async |machine| {
        let (site, folder) = start(machine).await?;
        let controller = &site.controller;
        let unknown = controller.cli(&["check", "nobody"]).await?;
        assert_eq!(unknown.code, Some(3), "{}", unknown.stdout);
        assert!(
            unknown.stdout.contains("there is no host"),
            "{}",
            unknown.stdout
        );
        let mut agent = folder.run()?;
        let host: HostView = controller.first_sample(SOON).await?;
        apply_first(machine, controller).await?;
        let calm = checked(controller, &host.id, 0).await?;
        assert!(
            calm.stdout.contains("'budget eaters tcp ports'=0;50;;0"),
            "{}",
            calm.stdout
        );

        let mut eater = site.eat(machine, "hoard --per-second 100 --connections 120")?;
        // A sample may come while it is at it.
        until("a sample of all its ports", SOON_SEEN, async || {
            let used = standing(controller, &host.id).await?.limits[0].used;
            Ok((used == Some(120)).then_some(()))
        })
        .await?;
        let warning = checked(controller, &host.id, 1).await?;
        assert!(
            warning.stdout.contains("port_eater holds 120 of 50 ports"),
            "{}",
            warning.stdout
        );
        assert!(
            warning.stdout.contains("do: stop the eater"),
            "{}",
            warning.stdout
        );
        let opened = budget_incident(controller, "open").await?;
        assert_eq!(opened.severity, "warning");
        assert_eq!(opened.culprit.as_deref(), Some("port_eater"), "{opened:#?}");
        let path = budget(machine, "critical", 60)?;
        let changed = controller.cli(&["apply", "-f", &path]).await?.succeeded()?;
        assert!(
            changed.contains("budget eaters changed (version 2)"),
            "{changed}"
        );
        checked(controller, &host.id, 2).await?;

        eater.kill().await?;
        let over = budget_incident(controller, "resolved").await?;
        assert_eq!((over.id, &*over.severity), (opened.id, "critical"));
        let well = checked(controller, &host.id, 0).await?;
        assert!(
            well.stdout.contains("'budget eaters tcp ports'=0;;60;0"),
            "{}",
            well.stdout
        );

        agent.interrupt()?;
        agent.wait(SOON).await?;
        let silent = checked(controller, &host.id, 3).await?;
        assert!(
            silent.stdout.contains("the host is offline"),
            "{}",
            silent.stdout
        );
        assert_eq!(standing(controller, &host.id).await?.state, "unknown");
        let audit: Value = controller.get("/api/v1/budgets/eaters").await?;
        assert_eq!(audit["versions"].as_array().map(Vec::len), Some(2));
        Ok(())
    })
}
