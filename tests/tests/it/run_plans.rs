//! Plans of runs that hosts' real agents carry out: signed before the night, and made again when what they were made from
//! changes.

use std::fs;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context as _, ensure};
use serde_json::{Value, json};
use tidemark_model::run::{RunHostState, RunState};
use tidemark_model::view::{ActionDetail, Page, RunDetail, RunOrderView};
use tidemark_runtime::Clock;
use tidemark_tests::harness::browser::Browser;
use tidemark_tests::harness::counted::write_script;
use tidemark_tests::harness::keyring::{Keyring, listed};
use tidemark_tests::harness::{
    AgentFolder, Controller, Machine, Process, STARTING, Up, on_own_network, until,
};

mod page;

/// A window opens at a full minute, and what runs in it is done some seconds later.
const PATIENCE: Duration = Duration::from_secs(240);
const SETTINGS: &str = "[remediation]\nown_host = \"none\"\nhold = \"1s\"\ncooldown = \"1s\"\n";

/// A controller with hosts, each with a hook that leaves a line with the host's name when it runs.
struct Scene {
    controller: Controller,
    folder: PathBuf,
    agents: Vec<Process>,
}

impl Scene {
    async fn up(machine: &Machine) -> anyhow::Result<Self> {
        let up = Up::configured(machine, SETTINGS)?;
        Ok(Self {
            controller: Controller::up(machine, &up).await?,
            folder: machine.folder().to_owned(),
            agents: Vec::new(),
        })
    }

    /// Adds a host with a real agent and that policy, and waits until all of them are sampled.
    async fn join(&mut self, machine: &Machine, name: &str, keys: &str) -> anyhow::Result<()> {
        let token = self.controller.join_token().await?.token;
        let folder = AgentFolder::create(machine, name, &self.controller.ready.grpc, &token)?;
        folder.allow(&format!("profile = \"full\"\n{keys}"))?;
        let hooks = folder.path().join("hooks");
        fs::create_dir(&hooks)?;
        let leaving = format!("echo {name} >> {}\n", self.ran().display());
        write_script(&hooks.join("patch"), &leaving)?;
        self.agents.push(folder.run()?);
        let count = self.agents.len();
        until("the host's samples", STARTING, async || {
            let hosts = self.controller.hosts().await?;
            let sampled = hosts.iter().filter(|host| !host.port_spaces.is_empty());
            Ok((sampled.count() == count).then_some(()))
        })
        .await
    }

    fn ran(&self) -> PathBuf {
        self.folder.join("ran")
    }

    /// Names of the hosts that ran the hook, sorted.
    fn patched(&self) -> Vec<String> {
        let ran = fs::read_to_string(self.ran()).unwrap_or_default();
        let mut names: Vec<String> = ran.lines().map(str::to_owned).collect();
        names.sort();
        names
    }

    /// Applies the window of that name, which opens `minutes` from now and lasts an hour.
    async fn window(&self, name: &str, minutes: i64) -> anyhow::Result<()> {
        let now = jiff::Timestamp::from_millisecond(Clock::System.now().unix_ms())?;
        let opens = now.checked_add(jiff::SignedDuration::from_mins(minutes))?;
        let opens = opens.to_zoned(jiff::tz::TimeZone::UTC);
        let text = format!(
            "[[window]]\nname = \"{name}\"\nrecurrence = \"FREQ=DAILY\"\nstart = \"{}\"\nduration = \"1h\"\n\
             time_zone = \"UTC\"\nhosts = [\"host=*\"]\n",
            opens.strftime("%Y-%m-%dT%H:%M"),
        );
        let file = self.folder.join("windows.toml");
        fs::write(&file, text)?;
        let file = file.display().to_string();
        self.controller
            .cli(&["apply", "-f", &file])
            .await?
            .succeeded()?;
        Ok(())
    }

    /// Plans a run of the hook on every host, as Ann.
    async fn plan(&self, window: &str) -> anyhow::Result<RunDetail> {
        let ann = self.controller.token_of("ann", "operator").await?;
        let spec = json!({"name": "patches", "reason": "of December", "hosts": ["host=*"],
            "actions": [{"action": "run_hook", "name": "patch", "arguments": {}}],
            "window": window, "concurrency": 2, "needs_effect": false});
        let (status, answer) = self.controller.post_as(&ann, "/api/v1/runs", &spec).await?;
        ensure!(status == 201, "{status}: {answer}");
        Ok(serde_json::from_value(answer)?)
    }

    /// Bob says yes to the plan of that hash.
    async fn approve(&self, run: &RunDetail) -> anyhow::Result<(u16, Value)> {
        let bob = self.controller.token_of("bob", "approver").await?;
        let path = format!("/api/v1/runs/{}/approve", run.run.number);
        let yes = json!({"plan_hash": run.plan.hash});
        self.controller.post_as(&bob, &path, &yes).await
    }

    async fn found(&self, run: &RunDetail) -> anyhow::Result<RunDetail> {
        let path = format!("/api/v1/runs/{}", run.run.number);
        self.controller.get(&path).await
    }

    async fn when(&self, run: &RunDetail, state: RunState) -> anyhow::Result<RunDetail> {
        let found = until(state.as_str(), PATIENCE, async || {
            let now = self.found(run).await?;
            Ok((now.run.state == state).then_some(now))
        });
        let found = found.await;
        let now = self.found(run).await?;
        found.with_context(|| format!("{:#?}", now.run))
    }
}

#[test]
fn orders_that_were_signed_by_day_need_nobody_at_night() -> anyhow::Result<()> {
    on_own_network(async |machine| {
        let mut scene = Scene::up(machine).await?;
        let keyring = Keyring::create(machine)?;
        let public = keyring.make(&scene.controller, "ann").await?;
        let keys = listed("ann", &public, 2);
        for name in ["web-1", "web-2"] {
            scene.join(machine, name, &keys).await?;
        }
        // Two minutes from now, cut to the minute: between one and two minutes by day.
        scene.window("night", 2).await?;
        let run = scene.plan("night").await?;
        let warned = run.plan.warnings.iter();
        let warned: Vec<_> = warned
            .filter(|text| text.contains("2 hosts want a signature"))
            .collect();
        ensure!(warned.len() == 1, "{:?}", run.plan.warnings);
        let number = run.run.number.to_string();
        let sign = ["run", "sign", &number, "--key", "ann"];
        let signed = keyring.sign(&scene.controller, &sign).await?;
        ensure!(signed.contains("on 2 hosts"), "{signed}");
        ensure!(signed.contains("signed 2 of 2 orders"), "{signed}");
        let orders: Page<RunOrderView> = scene
            .controller
            .get(&format!("/api/v1/runs/{number}/orders"))
            .await?;
        let (status, answer) = scene.approve(&run).await?;
        ensure!(status == 200, "{status}: {answer}");
        ensure!(scene.patched().is_empty(), "before the window");

        let ended = scene.when(&run, RunState::Finished).await?;
        let states: Vec<_> = ended.hosts.iter().map(|host| host.state).collect();
        ensure!(states == [RunHostState::Verified; 2], "{:#?}", ended.hosts);
        ensure!(
            scene.patched() == ["web-1", "web-2"],
            "{:?}",
            scene.patched()
        );
        ensure!(orders.items.len() == 2);
        for order in orders.items {
            let path = format!("/api/v1/actions/{}", order.action);
            let sent = scene.controller.get_text(&format!("{path}/order")).await?;
            ensure!(sent == order.order, "another order was sent: {sent}");
            let action: ActionDetail = scene.controller.get(&path).await?;
            ensure!(action.signatures.len() == 1, "{action:#?}");
        }
        Ok(())
    })
}

#[test]
fn a_plan_that_is_older_than_its_inputs_is_made_again_and_approved_anew() -> anyhow::Result<()> {
    on_own_network(async |machine| {
        let mut scene = Scene::up(machine).await?;
        scene.join(machine, "web-1", "").await?;
        scene.window("night", 600).await?;
        let run = scene.plan("night").await?;
        ensure!(run.hosts.len() == 1, "{:?}", run.hosts);

        // A host joins before it is approved: nobody approves the plan without it.
        scene.join(machine, "web-2", "").await?;
        until("the window of the host that joined", STARTING, async || {
            let hosts = scene.controller.hosts().await?;
            let is_planned = hosts.iter().all(|host| host.window.is_some());
            Ok(is_planned.then_some(()))
        })
        .await?;
        let (status, answer) = scene.approve(&run).await?;
        ensure!(status == 409, "{status}: {answer}");
        let anew = scene.found(&run).await?;
        ensure!(anew.hosts.len() == 2 && anew.approvals.is_empty());
        ensure!(anew.plan.hash != run.plan.hash);
        let (status, answer) = scene.approve(&anew).await?;
        ensure!(status == 200, "{status}: {answer}");
        ensure!(answer["state"] == "approved", "{answer}");
        let browser = Browser::start(machine).await?;
        browser.open(&scene.controller.ready.sign_in).await?;
        let number = run.run.number.to_string();
        let page = format!("{}/runs/{number}", scene.controller.ready.http);
        browser.open(&page).await?;
        page::shows(&browser, &["approved by 1 of 1: bob"]).await?;

        // The window is moved to this moment after it was approved: it opens, and nothing begins.
        scene.window("night", -1).await?;
        let moved = scene.when(&run, RunState::Planned).await?;
        ensure!(moved.plan.hash != anew.plan.hash);
        ensure!(moved.approvals.is_empty(), "{:?}", moved.approvals);
        let last = moved.life.last().context("a life")?;
        ensure!(last.text.contains("was made again"), "{last:?}");
        ensure!(scene.patched().is_empty(), "it began");
        // Who has the page open sees it without a touch, and so does who asks at the command line.
        page::shows(
            &browser,
            &["planned", "approved by 0 of 1", "was made again"],
        )
        .await?;
        let told = ["describe", "run", &number];
        let told = scene.controller.cli(&told).await?.succeeded()?;
        for part in ["planned", "(0 of 1)", "was made again"] {
            ensure!(told.contains(part), "{part}: {told}");
        }
        let (status, answer) = scene.approve(&moved).await?;
        ensure!(status == 200, "{status}: {answer}");

        let ended = scene.when(&run, RunState::Finished).await?;
        ensure!(
            ended
                .hosts
                .iter()
                .all(|host| host.state == RunHostState::Verified),
            "{:#?}",
            ended.hosts
        );
        ensure!(
            scene.patched() == ["web-1", "web-2"],
            "{:?}",
            scene.patched()
        );
        Ok(())
    })
}
