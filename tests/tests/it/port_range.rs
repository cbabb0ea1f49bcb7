//! A host's dynamic range, set from afar: it stays once the host has come back over a new session, and goes back by the host's
//! own hand when it has not.

use std::fs;
use std::net::SocketAddr;
use std::time::Duration;

use anyhow::Context as _;
use rustix::process::{Signal, kill_process_group};
use serde_json::json;
use tidemark_model::action::ActionState;
use tidemark_model::view::ActionDetail;
use tidemark_tests::harness::neighbour::Cable;
use tidemark_tests::harness::process::wrapping;
use tidemark_tests::harness::{
    AgentFolder, Controller, Finished, Gate, Machine, Neighbour, Operators, Process, SOON, Up,
    action_ended, on_own_network, until,
};
use tokio::process::Command;

/// For what waits for confirmations, and for samples from before and after.
const PATIENCE: Duration = Duration::from_secs(120);
const BEFORE: (u16, u16) = (20_000, 20_999);
const AFTER: (u16, u16) = (20_000, 21_999);
const HALF: (u16, u16) = (20_000, 20_499);
/// Puts a folder of the test in place of the machine's, for the agent alone.
const OWN_SYSCTLS: &str =
    r#"mkdir -p /etc/sysctl.d && mount --bind "$1" /etc/sysctl.d && shift && exec "$@""#;

/// A host whose range may be set, with its controller.
struct Site<'a> {
    machine: &'a Machine,
    up: Up,
    controller: Controller,
    operators: Operators,
    host: Neighbour,
    /// The host's only way to its controller.
    gate: Gate,
    folder: AgentFolder,
    agent: Process,
}

impl<'a> Site<'a> {
    async fn start(machine: &'a Machine) -> anyhow::Result<Self> {
        let settings = "[remediation]\nown_host = \"none\"\nhold = \"5s\"\ncooldown = \"1s\"\n";
        let up = Up::configured(machine, settings)?;
        let controller = Controller::up(machine, &up).await?;
        let host = Neighbour::start(machine, (1, "web-1"), BEFORE).await?;
        let near = SocketAddr::from((host.near_address(), 0));
        let gate = Gate::open(near, controller.ready.grpc.parse()?).await?;
        let token = controller.join_token().await?.token;
        let address = gate.address().to_string();
        let folder = AgentFolder::create(machine, "web-1-agent", &address, &token)?;
        folder.allow("profile = \"safe\"\n[limits]\ncooldown = \"1s\"\n")?;
        fs::create_dir(folder.path().join("sysctl.d"))?;
        let agent = run(&host, &folder)?;
        controller.first_sample(PATIENCE).await?;
        Ok(Self {
            operators: Operators::of(&controller).await?,
            machine,
            up,
            controller,
            host,
            gate,
            folder,
            agent,
        })
    }

    /// Orders twice the range, to hold for good.
    async fn widen(&self, confirm_within_s: u32) -> anyhow::Result<String> {
        self.order_range(AFTER, confirm_within_s).await
    }

    async fn order_range(
        &self,
        range: (u16, u16),
        confirm_within_s: u32,
    ) -> anyhow::Result<String> {
        self.order(
            json!({"action": "set_dynamic_port_range", "protocol": "tcp", "family": "ipv4",
            "first": range.0, "last": range.1, "lasting": "always",
            "confirm_within_s": confirm_within_s}),
        )
        .await
    }

    async fn order(&self, spec: serde_json::Value) -> anyhow::Result<String> {
        let id = self.controller.only_host().await?.id;
        self.operators.order(&self.controller, &id, spec).await
    }

    /// A setting as the host's kernel has it.
    async fn sysctl(&self, name: &str) -> anyhow::Result<String> {
        let mut cat = Command::new("cat");
        cat.arg(format!("/proc/sys/net/ipv4/{name}"));
        Finished::of(self.host.inside(&cat)).await?.succeeded()
    }

    /// The range as the host's kernel has it.
    async fn range(&self) -> anyhow::Result<(u16, u16)> {
        let text = self.sysctl("ip_local_port_range").await?;
        let mut words = text.split_whitespace().map(str::parse);
        let (first, last) = words.next().zip(words.next()).context("two ports")?;
        Ok((first?, last?))
    }

    async fn becomes(&self, range: (u16, u16)) -> anyhow::Result<()> {
        let what = format!("the range {range:?}");
        until(&what, PATIENCE, async || {
            Ok((self.range().await? == range).then_some(()))
        })
        .await
    }

    /// What is kept for the host's next start.
    fn kept(&self) -> String {
        let path = self.folder.path().join("sysctl.d/90-tidemark.conf");
        fs::read_to_string(path).unwrap_or_default()
    }

    /// The end of an action that the host undid.
    async fn ends_undone(&self, id: &str) -> anyhow::Result<String> {
        let ended = action_ended(&self.controller, id, PATIENCE).await?;
        anyhow::ensure!(ended.action.state == ActionState::RolledBack, "{ended:#?}");
        anyhow::ensure!(self.range().await? == BEFORE, "{:?}", self.range().await?);
        anyhow::ensure!(!self.kept().contains("ip_local_port_range"), self.kept());
        Ok(ended.report.context("what its host said")?.text)
    }
}

fn run(host: &Neighbour, folder: &AgentFolder) -> anyhow::Result<Process> {
    let mut wrapper = Command::new("unshare");
    wrapper
        .args(["--mount", "sh", "-c", OWN_SYSCTLS, "sh"])
        .arg(folder.path().join("sysctl.d"));
    host.run("agent", wrapping(wrapper, &folder.command("run")?))
}

#[test]
fn a_range_stays_once_its_host_has_come_back_over_a_new_session() -> anyhow::Result<()> {
    on_own_network(async |machine| {
        let site = Site::start(machine).await?;
        let id = site.widen(120).await?;
        let ended = action_ended(&site.controller, &id, PATIENCE).await?;
        assert_eq!(ended.action.state, ActionState::Verified, "{ended:#?}");
        assert_eq!(site.range().await?, AFTER);
        let kept = site.kept();
        assert!(
            kept.contains("ip_local_port_range = 20000 21999"),
            "{kept:?}"
        );
        let effect = ended.action.effect.context("what came of it")?;
        assert!(effect.ports_freed >= 900, "{effect:?}");
        let said = site.agent.said();
        assert_eq!(said.matches("session opened").count(), 2, "{said}");
        Ok(())
    })
}

#[test]
fn a_range_goes_back_by_itself_when_its_host_is_cut_off() -> anyhow::Result<()> {
    on_own_network(async |machine| {
        let site = Site::start(machine).await?;
        site.gate.close_to_newcomers();
        let id = site.widen(30).await?;
        site.becomes(AFTER).await?;
        site.host.cable(Cable::Pulled).await?;
        site.becomes(BEFORE).await?;
        site.host.cable(Cable::Plugged).await?;
        site.gate.reopen();
        let told = site.ends_undone(&id).await?;
        assert!(told.contains("did not confirm it in time"), "{told}");
        Ok(())
    })
}

#[test]
fn a_range_goes_back_by_itself_when_its_controller_is_gone() -> anyhow::Result<()> {
    on_own_network(async |machine| {
        let mut site = Site::start(machine).await?;
        site.gate.close_to_newcomers();
        let id = site.widen(30).await?;
        site.becomes(AFTER).await?;
        site.controller.process.kill().await?;
        site.becomes(BEFORE).await?;
        site.controller = Controller::up(site.machine, &site.up).await?;
        site.gate.reopen();
        let told = site.ends_undone(&id).await?;
        assert!(told.contains("did not confirm it in time"), "{told}");
        Ok(())
    })
}

#[test]
fn a_range_goes_back_when_its_agent_is_stopped_or_killed_before_the_confirmation()
-> anyhow::Result<()> {
    on_own_network(async |machine| {
        let mut site = Site::start(machine).await?;
        for end in [Signal::INT, Signal::KILL] {
            site.gate.close_to_newcomers();
            let id = site.widen(600).await?;
            site.becomes(AFTER).await?;
            kill_process_group(site.agent.pid(), end)?;
            site.agent.wait(SOON).await?;
            site.gate.reopen();
            site.agent = run(&site.host, &site.folder)?;
            let told = site.ends_undone(&id).await?;
            assert!(told.contains("the agent stopped"), "{told}");
        }
        Ok(())
    })
}

/// The last step of an action's life, in words.
fn last_words(ended: &ActionDetail) -> &str {
    let last = ended.life.iter().find(|step| step.to == ended.action.state);
    last.map_or("", |step| step.text.as_str())
}

#[test]
fn a_range_that_leaves_less_headroom_is_undone_by_its_host() -> anyhow::Result<()> {
    on_own_network(async |machine| {
        let site = Site::start(machine).await?;
        let _load = site.host.eat(
            "load",
            "leak --per-second 500 --sockets 200 --connections 0 --to 127.0.0.1:9",
        )?;
        let id = site.order_range(HALF, 120).await?;
        site.becomes(HALF).await?;
        site.ends_undone(&id).await?;
        let ended = action_ended(&site.controller, &id, PATIENCE).await?;
        let words = last_words(&ended);
        assert!(words.contains("headroom got worse"), "{words}");
        assert!(words.contains("undone: "), "{words}");
        let effect = ended.action.effect.as_ref().context("what came of it")?;
        assert!(
            words.contains(&format!(
                "was {} before and {} after",
                effect.headroom_before, effect.headroom_after
            )),
            "{words}"
        );
        Ok(())
    })
}

#[test]
fn a_range_that_somebody_changed_meanwhile_is_not_undone() -> anyhow::Result<()> {
    on_own_network(async |machine| {
        let site = Site::start(machine).await?;
        let id = site.order_range(HALF, 120).await?;
        let path = format!("/api/v1/actions/{id}");
        until("a watched range", PATIENCE, async || {
            let detail: ActionDetail = site.controller.get(&path).await?;
            Ok((detail.action.state == ActionState::Verifying).then_some(()))
        })
        .await?;
        let others = (20_000, 20_299);
        let mut set = Command::new("sh");
        set.args([
            "-c",
            "echo 20000 20299 > /proc/sys/net/ipv4/ip_local_port_range",
        ]);
        Finished::of(site.host.inside(&set)).await?.succeeded()?;
        let ended = action_ended(&site.controller, &id, PATIENCE).await?;
        assert_eq!(ended.action.state, ActionState::NotEffective, "{ended:#?}");
        let words = last_words(&ended);
        assert!(
            words.contains("changed by somebody else meanwhile"),
            "{words}"
        );
        assert_eq!(site.range().await?, others);
        Ok(())
    })
}

#[test]
fn a_parameter_after_which_ports_run_out_is_put_back() -> anyhow::Result<()> {
    on_own_network(async |machine| {
        let site = Site::start(machine).await?;
        let before = site.sysctl("tcp_fin_timeout").await?;
        let spec =
            json!({"action": "set_tcp_parameter", "parameter": "tcp_fin_timeout", "value": 119});
        let id = site.order(spec).await?;
        until("the parameter", PATIENCE, async || {
            let holds = site.sysctl("tcp_fin_timeout").await?;
            Ok((holds.trim() == "119" && site.kept().contains("tcp_fin_timeout")).then_some(()))
        })
        .await?;
        let _load = site.host.eat(
            "load",
            "leak --per-second 500 --sockets 600 --connections 0 --to 127.0.0.1:9",
        )?;
        site.ends_undone(&id).await?;
        assert_eq!(site.sysctl("tcp_fin_timeout").await?, before);
        assert!(!site.kept().contains("tcp_fin_timeout"), "{}", site.kept());
        Ok(())
    })
}
