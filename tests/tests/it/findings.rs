//! What the controller finds on machines whose ports really leak, and on busy ones that are well. Each is a host of its own
//! with an agent of its own; they share one controller.

use std::fs;
use std::time::Duration;

use anyhow::{Context as _, ensure};
use tidemark_model::finding::Rule;
use tidemark_model::sample::PortSpaceSample;
use tidemark_model::tcp::TcpState;
use tidemark_model::view::{HostDetail, HostFindings, JoinTokenCreated, Page};
use tidemark_model::{PortSpaceKey, Protocol, Sample};
use tidemark_tests::harness::site::said;
use tidemark_tests::harness::{
    Controller, Machine, Neighbour, Process, SOON, Up, on_own_network, program, until,
};
use tokio::process::Command;

/// A thousand ports, as in `Site`.
const FEW: (u16, u16) = (20_000, 20_999);
/// As many as a busy server is given.
const MANY: (u16, u16) = (20_000, 59_999);
/// Services of the test's machine: one that serves, one that hangs up, one that does not answer.
const SERVE: u16 = 9_000;
const HANG_UP: u16 = 9_001;
const DEAF: u16 = 9_002;
/// At the rates below a leak is plain within half a minute.
const NAMED: Duration = Duration::from_secs(90);

/// A controller, the services of its machine, and the hosts that it watches.
struct Network<'a> {
    machine: &'a Machine,
    controller: Controller,
    token: String,
    hosts: Vec<Neighbour>,
    /// Whatever runs until the test is over.
    running: Vec<Process>,
}

impl<'a> Network<'a> {
    async fn start(machine: &'a Machine) -> anyhow::Result<Self> {
        let controller = Controller::up(machine, &Up::for_neighbours()).await?;
        let token = ["token", "create", "--uses", "20"];
        let token: JoinTokenCreated = controller.cli_json(&token).await?;
        let mut network = Self {
            machine,
            controller,
            token: token.token,
            hosts: Vec::new(),
            running: Vec::new(),
        };
        for (mode, port) in [("serve", SERVE), ("hang-up", HANG_UP), ("deaf", DEAF)] {
            network
                .eat_here(mode, &format!("{mode} --at 0.0.0.0:{port}"))
                .await?;
        }
        Ok(network)
    }

    /// Adds a host with those dynamic ports; says where it is in the list.
    async fn host(&mut self, name: &str, ports: (u16, u16)) -> anyhow::Result<usize> {
        let position = self.hosts.len();
        let number = u8::try_from(position + 1)?;
        let host = Neighbour::start(self.machine, (number, name), ports).await?;
        let grpc_port = Up::for_neighbours().grpc_port;
        self.running
            .push(host.join(self.machine, grpc_port, &self.token)?);
        self.hosts.push(host);
        Ok(position)
    }

    /// Runs `port_eater` on a host.
    async fn eat(&mut self, host: usize, name: &str, mode: &str) -> anyhow::Result<()> {
        let process = self.hosts[host].eat(name, &self.mode(host, mode))?;
        self.keep(process).await
    }

    /// `HERE` in it is the test's machine, as the host reaches it.
    fn mode(&self, host: usize, mode: &str) -> String {
        let here = self.hosts[host].near_address().to_string();
        mode.replace("HERE", &here)
    }

    /// Runs `port_eater` on the test's own machine.
    async fn eat_here(&mut self, name: &str, mode: &str) -> anyhow::Result<()> {
        let mut command = program("port_eater")?;
        command.args(mode.split(' '));
        let process = Process::start(name, command, self.machine.folder())?;
        self.keep(process).await
    }

    async fn keep(&mut self, process: Process) -> anyhow::Result<()> {
        until("the program", SOON, async || said(&process, "started"))
            .await
            .with_context(|| process.said())?;
        self.running.push(process);
        Ok(())
    }

    /// What the controller knows of the host of that name, once it has enrolled.
    async fn detail(&self, name: &str) -> anyhow::Result<Option<HostDetail>> {
        let hosts = self.controller.hosts().await?;
        match hosts.iter().find(|host| host.name == name) {
            Some(host) => Ok(Some(self.controller.host(&host.id).await?)),
            None => Ok(None),
        }
    }

    /// Over the connection that is there.
    async fn findings(&self) -> anyhow::Result<Vec<HostFindings>> {
        let page: Page<HostFindings> = self.controller.get("/api/v1/findings").await?;
        Ok(page.items)
    }
}

/// A leak and what must be said of it.
struct Leak {
    host: &'static str,
    trouble: Trouble,
    rule: Rule,
    culprit: Culprit,
    /// At least so sure after some seconds: the rules ask for more time than the test has.
    confidence_min: f64,
}

enum Trouble {
    /// `port_eater` in that mode.
    Eater(&'static str),
    /// The same by the agent's name.
    Agent(&'static str),
    /// Ports that are kept out of the dynamic ones.
    Reserved(&'static str),
}

enum Culprit {
    Process(&'static str),
    /// A port of the test's own machine.
    Here(u16),
    Nobody,
}

const LEAKS: [Leak; 8] = [
    Leak {
        host: "bound",
        trouble: Trouble::Eater("leak --per-second 60 --to HERE:9000"),
        rule: Rule::BoundLeak,
        culprit: Culprit::Process("port_eater"),
        confidence_min: 0.8,
    },
    Leak {
        host: "close-wait",
        trouble: Trouble::Eater("hoard --per-second 40 --to HERE:9001"),
        rule: Rule::CloseWaitLeak,
        culprit: Culprit::Process("port_eater"),
        // Their age cannot be known yet.
        confidence_min: 0.45,
    },
    Leak {
        host: "churn",
        trouble: Trouble::Eater("churn --per-second 70 --to HERE:9000"),
        rule: Rule::TimeWaitChurn,
        culprit: Culprit::Here(SERVE),
        confidence_min: 0.9,
    },
    Leak {
        host: "udp",
        trouble: Trouble::Eater("udp --per-second 60"),
        rule: Rule::UdpLeak,
        culprit: Culprit::Process("port_eater"),
        confidence_min: 0.75,
    },
    Leak {
        host: "unanswered",
        trouble: Trouble::Eater("knock --per-second 40 --to HERE:9002"),
        rule: Rule::SynSentPileUp,
        culprit: Culprit::Process("port_eater"),
        confidence_min: 0.8,
    },
    Leak {
        host: "retries",
        trouble: Trouble::Eater("hoard --per-second 25 --to HERE:9000"),
        rule: Rule::RetryLoop,
        culprit: Culprit::Process("port_eater"),
        confidence_min: 0.65,
    },
    Leak {
        host: "agent",
        trouble: Trouble::Agent("leak --per-second 20 --to HERE:9000"),
        rule: Rule::AgentLeak,
        culprit: Culprit::Process("tidemark-agent"),
        confidence_min: 0.95,
    },
    Leak {
        host: "reserved",
        trouble: Trouble::Reserved("20000-20399"),
        rule: Rule::ExcludedRangeShrink,
        culprit: Culprit::Nobody,
        confidence_min: 0.9,
    },
];

impl Leak {
    async fn begin(&self, network: &mut Network<'_>) -> anyhow::Result<()> {
        let host = network.host(self.host, FEW).await?;
        match self.trouble {
            Trouble::Eater(mode) => network.eat(host, "leak", mode).await,
            Trouble::Agent(mode) => {
                // A process is called what its file is called.
                let own = network.machine.folder().join("tidemark-agent");
                fs::copy(program("port_eater")?.as_std().get_program(), &own)?;
                let mut command = Command::new(&own);
                command.args(network.mode(host, mode).split(' '));
                let process = network.hosts[host].run("leak", command)?;
                network.keep(process).await
            }
            Trouble::Reserved(ports) => network.hosts[host].reserve_ports(ports).await,
        }
    }

    /// Whether what is said of its host begins with it.
    fn is_named(&self, network: &Network<'_>, found: &[HostFindings]) -> bool {
        let here = network
            .hosts
            .iter()
            .find(|host| host.name() == self.host)
            .map(Neighbour::near_address);
        let culprit = match self.culprit {
            Culprit::Process(name) => Some(name.to_owned()),
            Culprit::Here(port) => here.map(|address| format!("{address}:{port}")),
            Culprit::Nobody => None,
        };
        let host = found.iter().find(|host| host.host_name == self.host);
        host.and_then(|host| host.findings.first())
            .is_some_and(|first| {
                first.rule == self.rule
                    && first.culprit == culprit
                    && first.confidence >= self.confidence_min
            })
    }
}

#[test]
fn the_controller_names_each_kind_of_leak_and_whom_to_blame() -> anyhow::Result<()> {
    on_own_network(async |machine| {
        let mut network = Network::start(machine).await?;
        for leak in &LEAKS {
            leak.begin(&mut network).await?;
        }
        let mut missing: Vec<&Leak> = LEAKS.iter().collect();
        let named = until("every leak to be named", NAMED, async || {
            // Keeps the connection in use, so that a page is asked for and not a port.
            let found = network.findings().await?;
            missing.retain(|leak| !leak.is_named(&network, &found));
            Ok(missing.is_empty().then_some(()))
        })
        .await;
        let found: Vec<HostFindings> = network.controller.cli_json(&["get", "findings"]).await?;
        let names: Vec<&str> = missing.iter().map(|leak| leak.host).collect();
        named.with_context(|| format!("not named: {names:?} in {found:#?}"))?;
        for leak in &LEAKS {
            let host = found.iter().find(|host| host.host_name == leak.host);
            let host = host.with_context(|| format!("{} in {found:#?}", leak.host))?;
            ensure!(leak.is_named(&network, &found), "{host:#?}");
            let first = &host.findings[0];
            ensure!(!first.evidence.is_empty() && !first.playbook.is_empty());
        }
        Ok(())
    })
}

/// A load that nobody needs to look at.
struct Load {
    host: &'static str,
    ports: (u16, u16),
    mode: &'static str,
    /// What the controller sees of it when it is at work.
    is_seen: fn(&HostDetail) -> bool,
}

const LOADS: [Load; 8] = [
    Load {
        host: "proxy",
        ports: MANY,
        mode: "hoard --per-second 1000 --connections 5000 --to HERE:9000",
        is_seen: |host| own(host, Protocol::Tcp).strong >= 5_000,
    },
    Load {
        host: "scanner",
        ports: MANY,
        mode: "scan --per-second 200 --to HERE",
        is_seen: |host| sample(host).rates.tcp_attempt_fails.unwrap_or(0) > 50_000,
    },
    Load {
        host: "batch",
        ports: MANY,
        mode: "batch --per-second 200 --connections 400 --to HERE:9000",
        is_seen: |host| own(host, Protocol::Tcp).time_wait_only >= 800,
    },
    Load {
        host: "clients",
        ports: MANY,
        mode: "churn --per-second 100 --to HERE:9000",
        is_seen: |host| own(host, Protocol::Tcp).time_wait_only >= 500,
    },
    Load {
        host: "pool",
        ports: FEW,
        mode: "hoard --per-second 200 --connections 300 --to HERE:9000",
        is_seen: |host| own(host, Protocol::Tcp).strong >= 300,
    },
    Load {
        host: "resolver",
        ports: MANY,
        mode: "resolve --per-second 400 --sockets 900",
        is_seen: |host| own(host, Protocol::Udp).strong >= 900,
    },
    Load {
        host: "binder",
        ports: MANY,
        mode: "leak --per-second 1000 --sockets 3000 --to HERE:9000",
        is_seen: |host| own(host, Protocol::Tcp).bound >= Some(3_000),
    },
    Load {
        host: "hung-up",
        ports: FEW,
        mode: "hoard --per-second 200 --connections 150 --to HERE:9001",
        is_seen: |host| close_wait(host) >= 150,
    },
];
/// Asked for by the test's own machine: five thousand clients on one port, and a scan.
const SERVER: &str = "server";
/// Starts a short program over and over.
const SCRIPT: &str = "script";
/// Leaks when the others have been looked at: proof that somebody looks.
const LEAKING: &str = "leaking";

fn sample(host: &HostDetail) -> &Sample {
    host.sample.as_ref().expect("it was sampled")
}

fn own(host: &HostDetail, protocol: Protocol) -> &PortSpaceSample {
    let key = PortSpaceKey::own(protocol);
    let mut spaces = sample(host).port_spaces.iter();
    spaces.find(|space| space.key == key).expect("it has both")
}

fn close_wait(host: &HostDetail) -> u32 {
    own(host, Protocol::Tcp).states_v4.get(TcpState::CloseWait)
}

#[test]
fn busy_hosts_that_are_well_raise_nothing_at_the_controller() -> anyhow::Result<()> {
    on_own_network(async |machine| {
        machine.set_dynamic_ports(MANY.0, MANY.1)?;
        let mut network = Network::start(machine).await?;
        for load in &LOADS {
            let host = network.host(load.host, load.ports).await?;
            network.eat(host, "load", load.mode).await?;
        }
        serve_many(&mut network).await?;
        call_often(&mut network).await?;
        let leaking = network.host(LEAKING, FEW).await?;
        for load in &LOADS {
            until(load.host, SOON, async || {
                let host = network.detail(load.host).await?;
                Ok(host.filter(|host| host.sample.is_some() && (load.is_seen)(host)))
            })
            .await?;
        }
        for (name, state, sockets) in [
            (SERVER, TcpState::Established, 5_000),
            (SCRIPT, TcpState::TimeWait, 30),
        ] {
            until(name, SOON, async || {
                let host = network.detail(name).await?;
                let is_seen = |host: &HostDetail| {
                    let tcp = own(host, Protocol::Tcp);
                    tcp.states_v4.get(state) >= sockets
                };
                Ok(host.filter(|host| host.sample.is_some() && is_seen(host)))
            })
            .await?;
        }
        // Two rounds of probes, and as many samples as the leak needs to be plain.
        network
            .eat(leaking, "leak", "leak --per-second 40 --to HERE:9000")
            .await?;
        until("the leak of one host", NAMED, async || {
            let found = network.findings().await?;
            let others = found.iter().filter(|host| host.host_name != LEAKING);
            let others: Vec<&HostFindings> = others.collect();
            ensure!(others.is_empty(), "{others:#?}");
            let named = found.first().and_then(|host| host.findings.first());
            Ok(named
                .filter(|first| first.rule == Rule::BoundLeak)
                .map(drop))
        })
        .await?;
        let found: Vec<HostFindings> = network.controller.cli_json(&["get", "findings"]).await?;
        let hosts: Vec<&str> = found.iter().map(|host| &*host.host_name).collect();
        ensure!(hosts == [LEAKING], "{found:#?}");
        Ok(())
    })
}

/// A host that five thousand clients of the test's machine are connected to, and that is scanned from there.
async fn serve_many(network: &mut Network<'_>) -> anyhow::Result<()> {
    let host = network.host(SERVER, MANY).await?;
    network
        .eat(host, "serve", &format!("serve --at 0.0.0.0:{SERVE}"))
        .await?;
    let address = network.hosts[host].address();
    let clients = format!("hoard --per-second 1000 --connections 5000 --to {address}:{SERVE}");
    network.eat_here("clients", &clients).await?;
    let scan = format!("scan --per-second 200 --to {address}");
    network.eat_here("scan", &scan).await
}

/// A host whose script starts a program for each connection.
async fn call_often(network: &mut Network<'_>) -> anyhow::Result<()> {
    const SCRIPT_TEXT: &str =
        r#"echo '{"event":"started","at_ms":0}'; while "$1" call --to "$2"; do sleep 0.1; done"#;
    let host = network.host(SCRIPT, MANY).await?;
    let service = format!("{}:{SERVE}", network.hosts[host].near_address());
    let mut shell = Command::new("sh");
    shell
        .args(["-c", SCRIPT_TEXT, "sh"])
        .arg(program("port_eater")?.as_std().get_program())
        .arg(service);
    let process = network.hosts[host].run("script", shell)?;
    network.keep(process).await
}
