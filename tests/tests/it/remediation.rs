//! A fix from end to end: a service that holds the ports is restarted by its host's agent, inside the host's policy, and the
//! host's own samples say whether that helped.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::Context as _;
use serde_json::json;
use tidemark_model::action::{ActionState, Refusal};
use tidemark_model::view::{ActionDetail, RecoveryView};
use tidemark_runtime::Clock;
use tidemark_tests::harness::process::wrapping;
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
    let hosts = controller.hosts().await?;
    let spaces = hosts.first().map_or(&[][..], |host| &host.port_spaces);
    let tcp = spaces.iter().find(|space| space.protocol == "tcp");
    Ok(tcp.map_or(0, |space| space.in_use))
}

#[test]
fn a_restart_is_a_success_only_when_the_hosts_own_samples_say_so() -> anyhow::Result<()> {
    on_own_network(async |machine| {
        machine.set_dynamic_ports(20_000, 20_999)?;
        let settings = machine.folder().join("settings.toml");
        fs::write(
            &settings,
            "[remediation]\nown_host = \"none\"\nhold = \"30s\"\ncooldown = \"1s\"\n",
        )?;
        let mut up = Up::alone();
        up.args
            .extend(["--config".to_owned(), settings.display().to_string()]);
        let controller = Controller::up(machine, &up).await?;
        let mut serve = program("port_eater")?;
        serve.args(["serve", "--at", "127.0.0.1:9000"]);
        let _service = Process::start("service", serve, machine.folder())?;
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
        let _agent = agent(machine, &folder, &services.folder)?;
        until("the ports in use", SOON, async || {
            Ok((in_use(&controller).await? > 600).then_some(()))
        })
        .await?;

        // What comes of an action is measured against the minute before it.
        until("a minute of samples", MEASURED, async || {
            let id = controller.only_host().await?.id;
            let enrolled_ms = controller.host(&id).await?.enrolled_ms;
            let age_ms = Clock::System.now().unix_ms() - enrolled_ms;
            Ok((age_ms > 75_000).then_some(()))
        })
        .await?;

        let protected = ended(&controller, &ask(&controller, "sshd").await?).await?;
        let refusal = protected.report.and_then(|report| report.refusal);
        assert_eq!(refusal, Some(Refusal::Protected));

        let useless = ended(&controller, &ask(&controller, "idle").await?).await?;
        assert_eq!(
            useless.action.state,
            ActionState::NotEffective,
            "{useless:#?}"
        );

        let useful = ended(&controller, &ask(&controller, "leaky").await?).await?;
        assert_eq!(useful.action.state, ActionState::Verified, "{useful:#?}");
        assert!(in_use(&controller).await? < 200);
        let recoveries: Vec<RecoveryView> = controller.cli_json(&["get", "recoveries"]).await?;
        let of = |subject: &str| recoveries.iter().find(|one| one.subject == subject);
        let (leaky, idle) = (of("leaky").context("leaky")?, of("idle").context("idle")?);
        assert_eq!((leaky.worked, leaky.tried), (1, 1));
        assert_eq!((idle.worked, idle.tried), (0, 1));
        assert!(leaky.ports_freed_median > Some(500), "{leaky:?}");
        services.run("leaky", "stop").await?;
        services.run("idle", "stop").await
    })
}
