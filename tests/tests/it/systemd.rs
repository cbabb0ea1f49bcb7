//! The agent as its unit runs it, on a host that systemd runs: what it does there, and what only `actions.conf` lets it do.

use std::fs;

use anyhow::Context as _;
use serde_json::{Value, json};
use tidemark_model::ActionState;
use tidemark_model::action::ActionReport;
use tidemark_tests::harness::process::built;
use tidemark_tests::harness::site::{serve, tcp_in_use};
use tidemark_tests::harness::wine::workspace;
use tidemark_tests::harness::{
    Controller, Debian, Machine, Neighbour, Operators, Process, SOON, STARTING, Up, action_in,
    on_own_network, until,
};

/// What leaks is another user's, as services are.
const LEAKY: &str = "[Service]
User=nobody
LimitNOFILE=4096
ExecStart=/usr/bin/port_eater leak --per-second 500 --to HERE:9000 --sockets 700
";
const POLICY: &str = "profile = \"full\"\n[limits]\ncooldown = \"1s\"\n";
const DROP_IN: &str = "/etc/systemd/system/tidemark-agent.service.d/actions.conf";
/// Where an action stands once its host has said what came of it.
const DONE: [ActionState; 5] = [
    ActionState::Verifying,
    ActionState::Verified,
    ActionState::NotEffective,
    ActionState::Failed,
    ActionState::Refused,
];

/// A host with a leaking service, both run by systemd, and its controller.
struct Site {
    controller: Controller,
    operators: Operators,
    host: Debian,
    _service: Process,
}

impl Site {
    async fn start(machine: &Machine) -> anyhow::Result<Self> {
        let settings = "[remediation]\nown_host = \"none\"\nhold = \"5s\"\ncooldown = \"1s\"\n";
        let up = Up {
            grpc_address: Up::for_neighbours().grpc_address,
            ..Up::configured(machine, settings)?
        };
        let controller = Controller::up(machine, &up).await?;
        let network = Neighbour::start(machine, (1, "web-1"), (20_000, 20_999)).await?;
        let here = network.near_address();
        let service = serve(machine, &format!("{here}:9000")).await?;
        let brought = [
            (built("tidemark-agent")?, "/usr/bin/tidemark-agent"),
            (built("port_eater")?, "/usr/bin/port_eater"),
            (
                workspace().join("deploy/linux/tidemark-agent.service"),
                "/etc/systemd/system/tidemark-agent.service",
            ),
        ];
        let host = Debian::boot(machine, network, &brought).await?;
        let token = controller.join_token().await?.token;
        let config = format!(
            "controller = \"{here}:{}\"\ntoken = \"{token}\"\ninterval = \"1s\"\n",
            up.grpc_port
        );
        let leaky = LEAKY.replace("HERE", &here.to_string());
        for (path, content) in [
            ("/etc/tidemark/agent.toml", &*config),
            ("/etc/tidemark/policy.toml", POLICY),
            ("/etc/systemd/system/leaky.service", &leaky),
        ] {
            host.write(path, content).await?;
        }
        host.shell("chmod 600 /etc/tidemark/agent.toml; systemctl daemon-reload; systemctl start leaky tidemark-agent")
            .await?;
        Ok(Self {
            operators: Operators::of(&controller).await?,
            controller,
            host,
            _service: service,
        })
    }

    /// Waits until the host's own samples tell of this.
    async fn in_use(&self, is_so: impl Fn(u32) -> bool) -> anyhow::Result<()> {
        let seen = until("ports in use", STARTING, async || {
            let in_use = tcp_in_use(&self.controller).await?;
            Ok(in_use.is_some_and(&is_so).then_some(()))
        })
        .await;
        match seen {
            Ok(()) => Ok(()),
            Err(error) => Err(error).context(self.agent_said().await?),
        }
    }

    async fn agent_said(&self) -> anyhow::Result<String> {
        let log = "journalctl --no-pager -u tidemark-agent -u leaky | tail -40";
        self.host.shell(log).await
    }

    /// Has it done; what the host said of it, and where it stands.
    async fn order(&self, spec: Value) -> anyhow::Result<(ActionState, ActionReport)> {
        let id = self.controller.only_host().await?.id;
        let id = self.operators.order(&self.controller, &id, spec).await?;
        let done = action_in(&self.controller, &id, &DONE, STARTING).await?;
        let report = done.report.context("what its host said")?;
        Ok((done.action.state, report))
    }

    async fn leaky(&self, property: &str) -> anyhow::Result<String> {
        let show = format!("systemctl show leaky --timestamp=unix --value -p {property}");
        Ok(self.host.shell(&show).await?.trim().to_owned())
    }

    /// Ends the process of the leaking service as it is at this moment.
    async fn end_leaky(&self) -> anyhow::Result<(ActionState, ActionReport)> {
        let pid: u32 = self.leaky("MainPID").await?.parse()?;
        let since = self.leaky("ExecMainStartTimestamp").await?;
        let seconds: i64 = since.trim_start_matches('@').parse()?;
        self.order(
            json!({"action": "end_process", "pid": pid, "image": "port_eater",
            "started_at_ms": seconds * 1_000 + 500}),
        )
        .await
    }

    async fn widen(&self) -> anyhow::Result<(ActionState, ActionReport)> {
        self.order(
            json!({"action": "set_dynamic_port_range", "protocol": "tcp", "family": "ipv4",
            "first": 20_000, "last": 21_999, "lasting": "always", "confirm_within_s": 60}),
        )
        .await
    }

    async fn range(&self) -> anyhow::Result<String> {
        let read = "cat /proc/sys/net/ipv4/ip_local_port_range";
        let text = self.host.shell(read).await?;
        Ok(text.split_whitespace().collect::<Vec<_>>().join(" "))
    }
}

#[test]
fn under_its_unit_an_agent_looks_and_has_systemd_restart_and_does_no_more() -> anyhow::Result<()> {
    on_own_network(async |machine| {
        let site = Site::start(machine).await?;
        site.in_use(|ports| ports > 600).await?;

        let before = site.leaky("MainPID").await?;
        let (state, report) = site
            .order(json!({"action": "restart_service", "service": "leaky"}))
            .await?;
        assert!(state != ActionState::Failed, "{report:#?}");
        assert_ne!(site.leaky("MainPID").await?, before);
        assert_eq!(site.leaky("ActiveState").await?, "active");

        let (state, report) = site.widen().await?;
        assert_eq!(state, ActionState::Failed, "{report:#?}");
        assert!(report.text.contains("Read-only file system"), "{report:#?}");
        assert_eq!(site.range().await?, "20000 20999");
        let (state, report) = site.end_leaky().await?;
        assert_eq!(state, ActionState::Failed, "{report:#?}");
        assert!(report.text.contains("not permitted"), "{report:#?}");
        assert_eq!(site.leaky("ActiveState").await?, "active");
        Ok(())
    })
}

#[test]
fn with_the_drop_in_its_policy_decides_what_an_agent_may_do() -> anyhow::Result<()> {
    on_own_network(async |machine| {
        let site = Site::start(machine).await?;
        site.in_use(|ports| ports > 600).await?;
        let drop_in = fs::read_to_string(workspace().join("deploy/linux/actions.conf"))?;
        site.host.write(DROP_IN, &drop_in).await?;
        site.host
            .shell("systemctl daemon-reload; systemctl restart tidemark-agent")
            .await?;
        site.in_use(|ports| ports > 600).await?;

        let (state, report) = site.widen().await?;
        assert!(state != ActionState::Failed, "{report:#?}");
        assert_eq!(site.range().await?, "20000 21999");
        until("the range for the next starts", SOON, async || {
            let kept = site
                .host
                .run("cat", &["/etc/sysctl.d/90-tidemark.conf"])
                .await?;
            Ok(kept.stdout.contains("20000 21999").then_some(()))
        })
        .await?;
        let (state, report) = site.end_leaky().await?;
        assert!(state != ActionState::Failed, "{report:#?}");
        site.in_use(|ports| ports < 200).await?;
        assert_ne!(site.leaky("ActiveState").await?, "active");
        Ok(())
    })
}
