//! A fix from end to end: a service that holds the ports is restarted by its host's agent, inside the host's policy, and the
//! host's own samples say whether that helped.

mod grants;

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::Context as _;
use serde_json::json;
use tidemark_model::action::{ActionState, Refusal};
use tidemark_model::policy::CaseState;
use tidemark_model::view::{ActionDetail, ActionView, Page, PolicyDetail, RecoveryView};
use tidemark_runtime::Clock;
use tidemark_tests::harness::process::wrapping;
use tidemark_tests::harness::site::{serve, tcp_in_use};
use tidemark_tests::harness::{
    AgentFolder, Controller, Machine, Process, SOON, Up, on_own_network, program, until,
};
use tokio::process::Command;

/// An effect is the median of minutes before against minutes after.
const MEASURED: Duration = Duration::from_secs(240);
/// Keeps the services of this test in place of the machine's, for the agent and what it starts.
const OWN_SERVICES: &str = r#"mkdir -p /etc/init.d && mount --bind "$1" /etc/init.d && if [ -d /run/systemd ]; then mount -t tmpfs none /run/systemd; fi && shift && exec "$@""#;

/// The services of a host, each a script.
struct Services {
    folder: PathBuf,
}

impl Services {
    fn at(machine: &Machine) -> anyhow::Result<Self> {
        let folder = machine.folder().join("init.d");
        fs::create_dir(&folder)?;
        Ok(Self { folder })
    }

    /// A service that runs `program`, which holds 700 sockets the first time and 10 from then on.
    fn add(&self, name: &str, program: &str) -> anyhow::Result<()> {
        let (pid, sockets) = (self.file(name, "pid"), self.file(name, "sockets"));
        fs::write(&sockets, "700")?;
        let (pid, sockets) = (pid.display(), sockets.display());
        let script = format!(
            "#!/bin/sh\ncase \"$1\" in\n\
             start) n=$(cat {sockets}); setsid {program} >/dev/null 2>&1 </dev/null & echo $! > {pid}; echo 10 > {sockets};;\n\
             stop) kill $(cat {pid}) && while kill -0 $(cat {pid}) 2>/dev/null; do sleep 0.1; done;;\n\
             status) kill -0 $(cat {pid}) 2>/dev/null || exit 3;;\nesac\n"
        );
        let path = self.folder.join(name);
        fs::write(&path, script)?;
        Ok(fs::set_permissions(
            &path,
            fs::Permissions::from_mode(0o755),
        )?)
    }

    fn file(&self, name: &str, what: &str) -> PathBuf {
        self.folder.with_file_name(format!("{name}-{what}"))
    }

    async fn run(&self, name: &str, verb: &str) -> anyhow::Result<()> {
        let status = Command::new(self.folder.join(name))
            .arg(verb)
            .status()
            .await?;
        anyhow::ensure!(status.success(), "{name} {verb}: {status}");
        Ok(())
    }
}

/// An agent that finds these services on its host.
fn agent(machine: &Machine, folder: &AgentFolder, services: &Path) -> anyhow::Result<Process> {
    let mut wrapper = Command::new("unshare");
    wrapper
        .args(["--mount", "sh", "-c", OWN_SERVICES, "sh"])
        .arg(services);
    let command = wrapping(wrapper, &folder.command("run")?);
    Process::start("web-1", command, machine.folder())
}

async fn ask(controller: &Controller, service: &str) -> anyhow::Result<String> {
    let ann = controller.token_of("ann", "operator").await?;
    let bob = controller.token_of("bob", "approver").await?;
    let host = controller.only_host().await?;
    let body = json!({"host": host.id, "reason": "it holds the ports",
        "spec": {"action": "restart_service", "service": service}});
    let (status, action) = controller.post_as(&ann, "/api/v1/actions", &body).await?;
    anyhow::ensure!(status == 201, "{status}: {action}");
    let id = action["id"].as_str().context("an id")?.to_owned();
    let path = format!("/api/v1/actions/{id}/approve");
    let (status, answer) = controller.post_as(&bob, &path, &json!({})).await?;
    anyhow::ensure!(status == 200, "{status}: {answer}");
    Ok(id)
}

async fn ended(controller: &Controller, id: &str) -> anyhow::Result<ActionDetail> {
    until("the end of the action", MEASURED, async || {
        let detail: ActionDetail = controller.get(&format!("/api/v1/actions/{id}")).await?;
        Ok(detail.action.state.is_final().then_some(detail))
    })
    .await
}

/// Ports in use of the one host, once it told.
async fn in_use(controller: &Controller) -> anyhow::Result<u32> {
    Ok(tcp_in_use(controller).await?.unwrap_or(0))
}

/// One host with a leaking service and an idle one, its agent allowed to restart them, and a controller that measures fast.
struct Scene {
    controller: Controller,
    services: Services,
    _running: [Process; 2],
}

impl Scene {
    /// Up, with the leak's ports in use and a minute of samples: what comes of an action is measured against that.
    async fn up(machine: &Machine) -> anyhow::Result<Self> {
        machine.set_dynamic_ports(20_000, 20_999)?;
        let settings = "[remediation]\nown_host = \"none\"\nhold = \"30s\"\ncooldown = \"1s\"\n";
        let up = Up::configured(machine, settings)?;
        let controller = Controller::up(machine, &up).await?;
        let server = serve(machine, "127.0.0.1:9000").await?;
        let services = Services::at(machine)?;
        let eater = program("port_eater")?.as_std().get_program().to_owned();
        let eater = eater.display();
        services.add(
            "leaky",
            &format!("{eater} leak --per-second 500 --to 127.0.0.1:9000 --sockets $n"),
        )?;
        services.add("idle", "sleep 100000")?;
        services.run("leaky", "start").await?;
        services.run("idle", "start").await?;
        let folder = AgentFolder::create(
            machine,
            "web-1",
            "127.0.0.1:7443",
            &controller.join_token().await?.token,
        )?;
        let policy = machine.folder().join("policy.toml");
        fs::write(&policy, "profile = \"safe\"\n[limits]\ncooldown = \"1s\"\n")?;
        folder.add_config(&format!("policy_file = \"{}\"", policy.display()))?;
        let agent = agent(machine, &folder, &services.folder)?;
        until("the ports in use", SOON, async || {
            Ok((in_use(&controller).await? > 600).then_some(()))
        })
        .await?;
        until("a minute of samples", MEASURED, async || {
            let id = controller.only_host().await?.id;
            let enrolled_ms = controller.host(&id).await?.enrolled_ms;
            let age_ms = Clock::System.now().unix_ms() - enrolled_ms;
            Ok((age_ms > 75_000).then_some(()))
        })
        .await?;
        Ok(Self {
            controller,
            services,
            _running: [server, agent],
        })
    }

    async fn down(self) -> anyhow::Result<()> {
        self.services.run("leaky", "stop").await?;
        self.services.run("idle", "stop").await
    }
}

#[test]
fn a_restart_is_a_success_only_when_the_hosts_own_samples_say_so() -> anyhow::Result<()> {
    on_own_network(async |machine| {
        let scene = Scene::up(machine).await?;
        let controller = &scene.controller;
        let protected = ended(controller, &ask(controller, "sshd").await?).await?;
        let refusal = protected.report.and_then(|report| report.refusal);
        assert_eq!(refusal, Some(Refusal::Protected));

        let useless = ended(controller, &ask(controller, "idle").await?).await?;
        assert_eq!(
            useless.action.state,
            ActionState::NotEffective,
            "{useless:#?}"
        );

        let useful = ended(controller, &ask(controller, "leaky").await?).await?;
        assert_eq!(useful.action.state, ActionState::Verified, "{useful:#?}");
        assert!(in_use(controller).await? < 200);
        let recoveries: Vec<RecoveryView> = controller.cli_json(&["get", "recoveries"]).await?;
        let of = |subject: &str| recoveries.iter().find(|one| one.subject == subject);
        let (leaky, idle) = (of("leaky").context("leaky")?, of("idle").context("idle")?);
        assert_eq!((leaky.worked, leaky.tried), (1, 1));
        assert_eq!((idle.worked, idle.tried), (0, 1));
        assert!(leaky.ports_freed_median > Some(500), "{leaky:?}");
        scene.down().await
    })
}

/// Restarts what is useless first, and what worked first once it is known.
const POLICY: &str = r#"
[[policy]]
name = "full"
hosts = ["host=*"]
condition = { level = 60 }
for = "5s"
order = "by_recovery"
limits = { cooldown = "0s", per_day = 5 }

[[policy.ladder]]
action = "restart_service"
with = ["service=idle"]

[[policy.ladder]]
action = "restart_service"
with = ["service=leaky"]
"#;

/// The action that the policy asks for and that waits for approval.
async fn asked(controller: &Controller) -> anyhow::Result<ActionView> {
    until("a proposal of the policy", SOON, async || {
        let page: Page<ActionView> = controller.get("/api/v1/actions?state=proposed").await?;
        let mut waiting = page.items.into_iter();
        let first = waiting.next();
        anyhow::ensure!(waiting.next().is_none(), "two at once");
        Ok(first)
    })
    .await
}

/// Somebody approves it; how it ended.
async fn approved(controller: &Controller, action: &ActionView) -> anyhow::Result<ActionState> {
    let bob = controller.token_of("bob", "approver").await?;
    let path = format!("/api/v1/actions/{}/approve", action.id);
    let (status, answer) = controller.post_as(&bob, &path, &json!({})).await?;
    anyhow::ensure!(status == 200, "{status}: {answer}");
    Ok(ended(controller, &action.id).await?.action.state)
}

#[test]
fn a_policy_climbs_its_ladder_and_offers_what_worked_first_the_second_time() -> anyhow::Result<()> {
    on_own_network(async |machine| {
        let scene = Scene::up(machine).await?;
        let controller = &scene.controller;
        let file = machine.folder().join("policies.toml");
        fs::write(&file, POLICY)?;
        let file = file.display().to_string();
        let try_it = ["apply", "-f", &file, "--dry-run"];
        let tried = controller.cli(&try_it).await?.succeeded()?;
        assert!(tried.contains("in the last 30 days this would"), "{tried}");
        controller.cli(&["apply", "-f", &file]).await?.succeeded()?;

        let first = asked(controller).await?;
        assert_eq!(first.requester, "policy:full@1");
        assert_eq!(first.summary, "restart service idle");
        assert_eq!(
            approved(controller, &first).await?,
            ActionState::NotEffective
        );
        let second = asked(controller).await?;
        assert_eq!(second.summary, "restart service leaky");
        assert_eq!(approved(controller, &second).await?, ActionState::Verified);
        assert!(in_use(controller).await? < 200);
        let recoveries: Vec<RecoveryView> = controller.cli_json(&["get", "recoveries"]).await?;
        let worked: Vec<(&str, u64, u64)> = recoveries
            .iter()
            .map(|one| (&*one.subject, one.worked, one.tried))
            .collect();
        assert_eq!(worked, [("idle", 0, 1), ("leaky", 1, 1)]);

        // It leaks again.
        fs::write(scene.services.file("leaky", "sockets"), "700")?;
        scene.services.run("leaky", "stop").await?;
        scene.services.run("leaky", "start").await?;
        assert_eq!(asked(controller).await?.summary, "restart service leaky");
        let detail: PolicyDetail = controller.cli_json(&["describe", "policy", "full"]).await?;
        let states: Vec<CaseState> = detail.cases.iter().map(|case| case.state).collect();
        assert_eq!(states, [CaseState::Acting, CaseState::Verified]);
        let tried: Vec<_> = detail.cases[1].tried.iter().map(|one| one.state).collect();
        assert_eq!(
            tried,
            [Some(ActionState::NotEffective), Some(ActionState::Verified)]
        );
        scene.down().await
    })
}
