//! Several controllers on one Postgres: what is decided at one holds at the others, a host is asked once, wherever its session is,
//! and one of them leads.

mod views;

use std::fs;
use std::time::Duration;

use anyhow::{Context as _, ensure};
use serde_json::{Value, json};
use tidemark_model::ActionState;
use tidemark_model::run::RunState;
use tidemark_model::upgrade::HostStage;
use tidemark_model::view::{
    ActionDetail, ActionView, HostView, LeaderView, Page, RunDetail, StatusView, UpgradeDetail,
};
use tidemark_tests::harness::postgres::Postgres;
use tidemark_tests::harness::releases::{Releases, described};
use tidemark_tests::harness::{
    AgentFolder, Controller, CountedHook, Gate, Machine, Operators, Process, SOON, STARTING, Up,
    action_ended, on_own_network, program, until,
};

/// A revocation and a lockdown hold everywhere within this.
const EVERYWHERE: Duration = Duration::from_secs(5);
/// For an action whose effect is watched for a moment.
const PATIENCE: Duration = Duration::from_secs(60);
const SETTINGS: &str = "[remediation]\nown_host = \"none\"\nhold = \"1s\"\ncooldown = \"1s\"\n";
const POLICY: &str =
    "profile = \"full\"\n[limits]\nper_hour = 1000\nper_day = 1000\ncooldown = \"1s\"\n";

/// Two controllers, and a host whose session is at the second.
struct Pair {
    one: Controller,
    other: Controller,
    operators: Operators,
    host: HostView,
    agent: Process,
    hook: CountedHook,
    postgres: Postgres,
}

impl Pair {
    async fn start(machine: &Machine) -> anyhow::Result<Self> {
        Ok(Self::start_with(machine).await?.0)
    }

    /// The pair, and how the first of it was started.
    async fn start_with(machine: &Machine) -> anyhow::Result<(Self, Up)> {
        let postgres = Postgres::start(machine).await?;
        let up = Up::configured(machine, SETTINGS)?
            .arg("--database")
            .arg(postgres.url());
        let one = Controller::up(machine, &up).await?;
        let another = up.clone().another();
        another.share_authority_of(&up, machine)?;
        let other = Controller::up(machine, &another).await?;
        let operators = Operators::of(&one).await?;
        let token = one.join_token().await?.token;
        let folder = AgentFolder::create(machine, "web-1", &other.ready.grpc, &token)?;
        folder.allow(POLICY)?;
        let hook = CountedHook::add_to(&folder, machine.folder().join("ran"), "")?;
        let agent = folder.run()?;
        let host = other.first_sample(STARTING).await?;
        let pair = Self {
            one,
            other,
            operators,
            host,
            agent,
            hook,
            postgres,
        };
        Ok((pair, up))
    }

    /// Asks one for the hook and has it approved there; how it ended.
    async fn ask_one(&self) -> anyhow::Result<ActionDetail> {
        let spec = json!({"action": "run_hook", "name": "count", "arguments": {}});
        let order = self.operators.order(&self.one, &self.host.id, spec);
        let id = order.await.with_context(|| self.one.process.said())?;
        let ended = action_ended(&self.one, &id, PATIENCE).await;
        ended.with_context(|| self.other.process.said())
    }

    /// Waits until the host is known where it did not enrol.
    async fn known_at_one(&self) -> anyhow::Result<()> {
        until("the host at both", EVERYWHERE, async || {
            let hosts = self.one.hosts().await?;
            let is_known = hosts.iter().any(|host| host.id == self.host.id);
            Ok(is_known.then_some(()))
        })
        .await
    }

    async fn as_admin(&self, path: &str, body: &Value) -> anyhow::Result<()> {
        let root = self.one.token_of("root", "admin").await?;
        let (status, answer) = self.one.post_as(&root, path, body).await?;
        ensure!((200..300).contains(&status), "{status}: {answer}");
        Ok(())
    }
}

#[test]
fn what_is_approved_at_one_controller_reaches_a_host_of_the_other_once() -> anyhow::Result<()> {
    on_own_network(async |machine| {
        let pair = Pair::start(machine).await?;
        for controller in [&pair.one, &pair.other] {
            let hears =
                async || Ok((controller.metric("tidemark_news_heard").await? == 1).then_some(()));
            until("news of other controllers", STARTING, hears).await?;
        }
        pair.known_at_one().await?;
        let ended = pair.ask_one().await?;
        assert_eq!(ended.action.state, ActionState::Verified, "{ended:#?}");
        assert_eq!(pair.hook.marks()?.len(), 1);
        let sent = ended
            .life
            .iter()
            .filter(|step| step.to == ActionState::Sent);
        assert_eq!(sent.count(), 1, "{ended:#?}");
        Ok(())
    })
}

#[test]
fn a_lockdown_at_one_controller_stops_hosts_of_the_other() -> anyhow::Result<()> {
    on_own_network(async |machine| {
        let pair = Pair::start(machine).await?;
        let reason = json!({"reason": "what is going on?"});
        pair.as_admin("/api/v1/lockdown", &reason).await?;
        until("the host's own lockdown", EVERYWHERE, async || {
            let said = pair.agent.said();
            Ok(said
                .contains("lockdown: every action is stopped")
                .then_some(()))
        })
        .await?;
        let spec = json!({"action": "collect_evidence", "seconds": 1});
        let id = pair.operators.ask(&pair.other, &pair.host.id, spec).await?;
        let path = format!("/api/v1/actions/{id}");
        let asked: ActionDetail = pair.other.get(&path).await?;
        let why = asked.action.waits_for.clone().unwrap_or_default();
        assert!(why.contains("lockdown"), "{asked:#?}");
        pair.as_admin("/api/v1/lockdown/lift", &json!({"reason": "a drill"}))
            .await?;
        let ended = action_ended(&pair.other, &id, PATIENCE).await?;
        assert_eq!(ended.action.state, ActionState::Verified, "{ended:#?}");
        Ok(())
    })
}

#[test]
fn a_host_that_is_revoked_at_one_controller_is_out_at_the_other() -> anyhow::Result<()> {
    on_own_network(async |machine| {
        let pair = Pair::start(machine).await?;
        let path = format!("/api/v1/hosts/{}/revoke", pair.host.id);
        pair.known_at_one().await?;
        pair.as_admin(&path, &json!({})).await?;
        until("its end at the other", EVERYWHERE, async || {
            let host = pair.other.host(&pair.host.id).await?;
            Ok((host.host.state == "revoked").then_some(()))
        })
        .await?;
        until("the end of its session", EVERYWHERE, async || {
            Ok(pair.agent.said().contains("revoked").then_some(()))
        })
        .await
    })
}

#[test]
fn a_label_that_is_changed_at_one_controller_counts_at_the_other() -> anyhow::Result<()> {
    on_own_network(async |machine| {
        let pair = Pair::start(machine).await?;
        pair.known_at_one().await?;
        for label in ["team=pay", "env=prod"] {
            let labelled = pair.one.cli(&["label", &pair.host.id, label]).await?;
            labelled.succeeded()?;
        }
        until("the labels at the other", EVERYWHERE, async || {
            let host = pair.other.host(&pair.host.id).await?;
            Ok((host.controller_labels.len() == 2).then_some(()))
        })
        .await
    })
}

#[test]
fn a_host_of_the_other_controller_is_not_passed_over_as_one_that_is_away() -> anyhow::Result<()> {
    on_own_network(async |machine| {
        let pair = Pair::start(machine).await?;
        pair.known_at_one().await?;
        let label = ["label", &pair.host.id, "tier=web"];
        pair.one.cli(&label).await?.succeeded()?;
        let releases = Releases::create(machine, &pair.one).await?;
        let release = (1, "exit 3");
        releases
            .bring_script(&pair.one, release, &["ann", "bob"])
            .await?;
        let start = [
            "upgrade",
            "start",
            "--release",
            "1",
            "--hosts",
            "tier=web",
            "--soak",
            "0s",
            "--wait",
            "0s",
        ];
        let started: UpgradeDetail = pair.one.cli_json(&start).await?;
        let missed = until("what became of the host", PATIENCE, async || {
            let detail = described(&pair.one, started.upgrade.upgrade).await?;
            let mut hosts = detail.hosts.into_iter();
            Ok(hosts.find(|host| host.stage == HostStage::Missed))
        })
        .await?;
        // Only the controller that has its session knows why.
        assert!(missed.text.contains("takes no releases"), "{missed:#?}");
        Ok(())
    })
}

#[test]
fn a_standing_policy_fires_once_and_not_once_a_controller() -> anyhow::Result<()> {
    on_own_network(async |machine| {
        let pair = Pair::start(machine).await?;
        machine.set_dynamic_ports(20_000, 20_099)?;
        let path = machine.folder().join("policies.toml");
        fs::write(
            &path,
            "[[policy]]\nname = \"full\"\ndescription = \"look\"\nenabled = true\nhosts = [\"host=*\"]\n\
             condition = { level = 20 }\nfor = \"0s\"\nwhen = \"now\"\napproval = \"by_policy\"\n\
             [[policy.ladder]]\naction = \"collect_evidence\"\nwith = [\"seconds=1\"]\n",
        )?;
        let path = path.display().to_string();
        pair.one.cli(&["apply", "-f", &path]).await?.succeeded()?;
        let mut eater = program("port_eater")?;
        eater
            .args("leak --per-second 500 --sockets 50 --connections 0 --to 127.0.0.1:9".split(' '));
        let _eater = Process::start("eater", eater, machine.folder())?;
        let ended = async |controller: &Controller| {
            let page: Page<ActionView> = controller.get("/api/v1/actions").await?;
            let has_ended = page.items.iter().any(|one| one.state.is_final());
            Ok(has_ended.then_some(page.items))
        };
        for controller in [&pair.one, &pair.other] {
            let asked = until("what the policy did", PATIENCE, async || {
                ended(controller).await
            });
            let asked = asked.await.with_context(|| pair.other.process.said())?;
            assert_eq!(asked.len(), 1, "{asked:#?}");
            assert_eq!(asked[0].requester, "policy:full@1");
        }
        Ok(())
    })
}

/// Hosts whose hook leaves a line, each in a file of its own.
async fn hosts_of(
    machine: &Machine,
    controller: &Controller,
    count: usize,
) -> anyhow::Result<Vec<(Process, CountedHook)>> {
    let mut hosts = Vec::new();
    for number in 0..count {
        let token = controller.join_token().await?.token;
        let name = format!("host-{number}");
        let folder = AgentFolder::create(machine, &name, &controller.ready.grpc, &token)?;
        folder.allow(POLICY)?;
        let ran = machine.folder().join(format!("ran-{number}"));
        let hook = CountedHook::add_to(&folder, ran, "")?;
        hosts.push((folder.run()?, hook));
    }
    Ok(hosts)
}

fn ran(hosts: &[(Process, CountedHook)]) -> anyhow::Result<Vec<usize>> {
    let runs = |(_, hook): &(Process, CountedHook)| Ok(hook.marks()?.len());
    hosts.iter().map(runs).collect()
}

#[test]
fn a_run_is_carried_on_by_the_other_controller_and_asks_no_host_twice() -> anyhow::Result<()> {
    on_own_network(async |machine| {
        let postgres = Postgres::start(machine).await?;
        let up = Up::configured(machine, SETTINGS)?
            .arg("--database")
            .arg(postgres.url());
        let mut one = Controller::up(machine, &up).await?;
        let another = up.clone().another();
        another.share_authority_of(&up, machine)?;
        let other = Controller::up(machine, &another).await?;
        let hosts = hosts_of(machine, &one, 3).await?;
        until("hosts with samples", STARTING, async || {
            let all = one.hosts().await?;
            let sampled = all.iter().filter(|host| host.state == "online").count();
            Ok((sampled == hosts.len()).then_some(()))
        })
        .await?;
        let spec = json!({
            "name": "count", "reason": "count", "hosts": ["host=*"], "concurrency": 1,
            "actions": [{"action": "run_hook", "name": "count", "arguments": {}}],
            "waves": ["rest"], "needs_effect": false, "max_failed": 1,
        });
        let (ann, bob) = (
            one.token_of("ann", "approver").await?,
            one.token_of("bob", "approver").await?,
        );
        let (status, answer) = one.post_as(&ann, "/api/v1/runs", &spec).await?;
        ensure!(status == 201, "{status}: {answer}");
        let planned: RunDetail = serde_json::from_value(answer)?;
        let path = format!("/api/v1/runs/{}", planned.run.number);
        let yes = json!({"plan_hash": planned.plan.hash});
        let (status, answer) = one.post_as(&bob, &format!("{path}/approve"), &yes).await?;
        ensure!(status == 200, "{status}: {answer}");
        until("the first host", PATIENCE, async || {
            Ok((ran(&hosts)?.iter().sum::<usize>() == 1).then_some(()))
        })
        .await
        .with_context(|| one.process.said())?;
        one.process.kill().await?;
        // A balancer sends its agents to the other.
        let gate = Gate::open(one.ready.grpc.parse()?, other.ready.grpc.parse()?).await?;
        let ended = until("the end of the run", STARTING + PATIENCE, async || {
            let detail: RunDetail = other.get(&path).await?;
            Ok(detail.run.state.is_final().then_some(detail))
        });
        let ended = ended.await.with_context(|| other.process.said())?;
        assert_eq!(ended.run.state, RunState::Finished, "{ended:#?}");
        assert_eq!(ran(&hosts)?, [1; 3], "{ended:#?}");
        drop(gate);
        Ok(())
    })
}

/// A lease that nobody renews ends after 15 s; then all have to see who took it, on a machine that may be busy.
const TAKEOVER: Duration = Duration::from_secs(60);
/// Less than is left of a lease that was renewed within 5 s: one that was given back is taken before it would have run out.
const HANDOVER: Duration = Duration::from_secs(8);

/// Controllers on one Postgres, without agents.
struct Several {
    controllers: Vec<Controller>,
    postgres: Postgres,
}

impl Several {
    async fn start(machine: &Machine, count: usize) -> anyhow::Result<Self> {
        let postgres = Postgres::start(machine).await?;
        let first = Up::alone().arg("--database").arg(postgres.url());
        let second = first.clone().another();
        let third = Up {
            name: "third",
            data: "third-data",
            http_port: 7280,
            grpc_port: 7643,
            ..first.clone()
        };
        let mut controllers = Vec::new();
        for up in [&first, &second, &third].into_iter().take(count) {
            if !controllers.is_empty() {
                up.share_authority_of(&first, machine)?;
            }
            controllers.push(Controller::up(machine, up).await?);
        }
        Ok(Self {
            controllers,
            postgres,
        })
    }

    /// Waits until all agree on which one leads, in a term after `former`; takes it out, and says how it leads.
    async fn take_leader(
        &mut self,
        former: u64,
        patience: Duration,
    ) -> anyhow::Result<(Controller, LeaderView)> {
        let agreed = until("one leader", patience, async || {
            let mut views = Vec::new();
            for controller in &self.controllers {
                views.push(leader(controller).await?);
            }
            let leading: Vec<usize> = (0..views.len()).filter(|at| views[*at].is_this).collect();
            ensure!(leading.len() <= 1, "two lead: {views:#?}");
            let is_one = |view: &LeaderView| {
                view.holder.is_some()
                    && view.holder == views[0].holder
                    && view.epoch == views[0].epoch
                    && view.epoch > Some(former)
            };
            let is_agreed = leading.len() == 1 && views.iter().all(is_one);
            Ok(is_agreed.then(|| (leading[0], views[leading[0]].clone())))
        });
        let (at, view) = agreed.await?;
        let controller = self.controllers.remove(at);
        assert_eq!(controller.metric("tidemark_controller_leader").await?, 1);
        for other in &self.controllers {
            assert_eq!(other.metric("tidemark_controller_leader").await?, 0);
        }
        Ok((controller, view))
    }
}

async fn leader(controller: &Controller) -> anyhow::Result<LeaderView> {
    let status: StatusView = controller.get("/api/v1/status").await?;
    Ok(status.leader)
}

fn epoch(view: &LeaderView) -> u64 {
    view.epoch.unwrap_or_default()
}

#[test]
fn one_of_three_controllers_leads_and_another_one_takes_over() -> anyhow::Result<()> {
    on_own_network(async |machine| {
        let mut several = Several::start(machine, 3).await?;
        for controller in &several.controllers {
            let hears = async || {
                let heard = controller.metric("tidemark_news_heard").await?;
                Ok((heard == 1).then_some(()))
            };
            until("news of other controllers", STARTING, hears).await?;
        }
        let (mut first, led) = several.take_leader(0, SOON).await?;
        let said = first.cli(&["status"]).await?.succeeded()?;
        assert!(said.contains("leader    this controller, term "), "{said}");
        first.process.kill().await?;
        let (second, then) = several.take_leader(epoch(&led), TAKEOVER).await?;
        assert_ne!(then.holder, led.holder);
        second.stop().await?;
        // It gave the lease back: nobody waits for it to run out.
        let (third, last) = several.take_leader(epoch(&then), HANDOVER).await?;
        let metric = third.metric("tidemark_controller_lease_epoch").await?;
        assert_eq!(metric, epoch(&last));
        Ok(())
    })
}

#[test]
fn a_controller_that_was_stopped_for_a_while_does_not_believe_that_it_leads() -> anyhow::Result<()>
{
    on_own_network(async |machine| {
        let mut several = Several::start(machine, 2).await?;
        let (stopped, led) = several.take_leader(0, SOON).await?;
        stopped.process.pause()?;
        let (now, then) = several.take_leader(epoch(&led), TAKEOVER).await?;
        stopped.process.resume()?;
        // Its first word, before it can have looked at the lease.
        let leads = stopped.metric("tidemark_controller_leader").await?;
        assert_eq!(leads, 0, "{}", stopped.process.said());
        until("its word that the other one leads", SOON, async || {
            let view = leader(&stopped).await?;
            ensure!(!view.is_this, "{view:?}");
            Ok((view.holder == then.holder).then_some(()))
        })
        .await?;
        let view = leader(&now).await?;
        assert_eq!((view.is_this, view.epoch), (true, then.epoch));
        Ok(())
    })
}

#[test]
fn nobody_leads_while_the_database_is_away_and_somebody_does_afterwards() -> anyhow::Result<()> {
    on_own_network(async |machine| {
        let mut several = Several::start(machine, 2).await?;
        let (one, led) = several.take_leader(0, SOON).await?;
        several.controllers.push(one);
        several.postgres.kill().await?;
        until("nobody who leads", SOON, async || {
            let mut leading = 0;
            for controller in &several.controllers {
                leading += controller.metric("tidemark_controller_leader").await?;
            }
            Ok((leading == 0).then_some(()))
        })
        .await?;
        several.postgres.restart().await?;
        let (_leader, then) = several
            .take_leader(epoch(&led).saturating_sub(1), STARTING)
            .await?;
        assert!(then.epoch >= led.epoch, "{then:?}");
        Ok(())
    })
}
