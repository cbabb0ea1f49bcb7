//! The Windows agent as a service, by its own commands and Wine's service control manager: installed, started, asked,
//! stopped and removed, as an operator does it by hand.

use std::path::PathBuf;
use std::process::Stdio;

use anyhow::{Context as _, ensure};
use serde_json::Value;
use tidemark_platform::service_facts::SERVICE_NAME;
use tidemark_tests::harness::{
    Controller, Finished, Machine, Process, STARTING, Up, Wine, on_own_network,
};

const FIRST_PORT: u16 = 20_000;
const LAST_PORT: u16 = 20_999;
const LOG_KEY: &str = r"HKLM\SYSTEM\CurrentControlSet\Services\EventLog\Application\Tidemark";

/// A server of Windows with the agent's program in a folder whose name has a space.
pub struct Server {
    pub wine: Wine,
    pub program: PathBuf,
    /// Wine's services end with the last program that somebody started.
    _console: Process,
}

impl Server {
    pub async fn prepare(machine: &Machine) -> anyhow::Result<Self> {
        let wine = Wine::prepare(machine)?;
        let folder = wine.drive().join("Program Files/Tidemark");
        std::fs::create_dir_all(&folder)?;
        let program = folder.join("tidemark-agent.exe");
        // No link: a build meanwhile may write to the file that is run here.
        std::fs::copy(wine.agent(), &program)?;
        let console = Process::start("console", wine.program("cmd"), machine.folder())?;
        // Wine's own services live on with what the first program was given for output; a pipe would never end.
        let mut first = wine.program("cmd");
        first.args(["/c", "exit"]).stdin(Stdio::null());
        first.stdout(Stdio::null()).stderr(Stdio::null());
        ensure!(first.status().await?.success(), "Wine does not start");
        Ok(Self {
            wine,
            program,
            _console: console,
        })
    }

    pub async fn agent(&self, arguments: &[&str]) -> anyhow::Result<Finished> {
        let mut command = self
            .wine
            .program(r"C:\Program Files\Tidemark\tidemark-agent.exe");
        Finished::of({
            command.args(arguments);
            command
        })
        .await
    }

    /// What a command prints, which must succeed.
    pub async fn told(&self, arguments: &[&str]) -> anyhow::Result<String> {
        let finished = self.agent(arguments).await?;
        finished
            .succeeded()
            .with_context(|| format!("tidemark-agent {}: {}", arguments.join(" "), self.log()))
    }

    pub async fn json(&self, arguments: &[&str]) -> anyhow::Result<Value> {
        let text = self.told(&[arguments, &["--json"]].concat()).await?;
        Ok(serde_json::from_str(&text)?)
    }

    /// A key of the registry as `reg.exe` prints it.
    async fn registry(&self, key: &str) -> anyhow::Result<Option<String>> {
        let mut command = self.wine.program("reg");
        command.args(["query", key]);
        let asked = Finished::of(command).await?;
        Ok((asked.code == Some(0)).then_some(asked.stdout))
    }

    pub fn state(&self) -> PathBuf {
        self.wine.drive().join("ProgramData/Tidemark/state")
    }

    pub fn log(&self) -> String {
        std::fs::read_to_string(self.state().join("agent.log")).unwrap_or_default()
    }
}

#[test]
fn a_service_is_installed_streams_answers_drains_and_is_removed() -> anyhow::Result<()> {
    on_own_network(async |machine| {
        machine.set_dynamic_ports(FIRST_PORT, LAST_PORT)?;
        let server = Server::prepare(machine).await?;
        let controller = Controller::up(machine, &Up::alone()).await?;
        install(&server, &controller).await?;

        server.told(&["service", "start"]).await?;
        let found = controller.first_sample(STARTING).await;
        found.with_context(|| server.log())?;
        let ports = ports_towards(&controller.ready.grpc)?;
        ensure!(
            !ports.is_empty()
                && ports
                    .iter()
                    .all(|port| !(FIRST_PORT..=LAST_PORT).contains(port)),
            "the agent's own connection takes a dynamic port: {ports:?}"
        );
        asked_while_it_runs(&server).await?;

        let stopped = server.told(&["service", "stop"]).await?;
        ensure!(stopped.contains("is stopped"), "{stopped}");
        let status = server.json(&["service", "status"]).await?;
        ensure!(
            status["state"] == "stopped" && status["exit_code"] == 0,
            "{status}"
        );
        ensure!(
            server.log().contains("agent stopped outcome=Clean"),
            "{}",
            server.log()
        );
        let agent = server.json(&["status"]).await?;
        ensure!(
            agent["running"] == false && agent["answers"] == false,
            "{agent}"
        );
        ensure!(agent["agent"]["link"]["state"] == "stopped", "{agent}");

        let removed = server.told(&["service", "uninstall"]).await?;
        ensure!(removed.contains("is removed"), "{removed}");
        let key = format!(r"HKLM\SYSTEM\CurrentControlSet\Services\{SERVICE_NAME}");
        ensure!(
            server.registry(&key).await?.is_none(),
            "the service's key stays"
        );
        ensure!(
            server.registry(LOG_KEY).await?.is_none(),
            "the messages' key stays"
        );
        let identity = server.state().join("identity");
        ensure!(identity.is_dir(), "the identity went with the service");
        Ok(())
    })
}

/// Installs it with a controller and a token, and checks what Windows has of it then.
async fn install(server: &Server, controller: &Controller) -> anyhow::Result<()> {
    let token = controller.join_token().await?;
    let range = format!("{FIRST_PORT}-{LAST_PORT}");
    let settings = [
        ["--controller", token.controller.as_str()],
        ["--token", token.token.as_str()],
        ["--dynamic-range", range.as_str()],
        ["--interval", "1s"],
    ];
    let arguments = [&["service", "install"], settings.as_flattened()].concat();
    let text = server.told(&arguments).await?;
    ensure!(text.contains("is installed"), "{text}");
    let key = format!(r"HKLM\SYSTEM\CurrentControlSet\Services\{SERVICE_NAME}");
    let service = server
        .registry(&key)
        .await?
        .context("no key of the service")?;
    for fact in [
        r#"    ImagePath    REG_SZ    "C:\Program Files\Tidemark\tidemark-agent.exe" service run --config"#,
        r"    ObjectName    REG_SZ    LocalSystem",
        r"    Start    REG_DWORD    0x2",
        r"    Type    REG_DWORD    0x10",
        r"    DependOnService    REG_MULTI_SZ    Tcpip\0nsi\0EventLog",
    ] {
        ensure!(service.contains(fact), "{fact} is not in {service}");
    }
    let messages = server
        .registry(LOG_KEY)
        .await?
        .context("no key of the messages")?;
    for fact in [
        r"    EventMessageFile    REG_EXPAND_SZ    C:\Program Files\Tidemark\tidemark-agent.exe",
        r"    TypesSupported    REG_DWORD    0x7",
    ] {
        ensure!(messages.contains(fact), "{fact} is not in {messages}");
    }
    // Every message's text is found in the program, or this says which one is not.
    let status = server.json(&["service", "status"]).await?;
    ensure!(status["state"] == "stopped", "{status}");
    ensure!(status["deviations"] == Value::Array(Vec::new()), "{status}");
    Ok(())
}

async fn asked_while_it_runs(server: &Server) -> anyhow::Result<()> {
    let service = server.json(&["service", "status"]).await?;
    ensure!(service["state"] == "running", "{service}");
    let agent = server.json(&["status"]).await?;
    ensure!(
        agent["answers"] == true && agent["running"] == true,
        "{agent}"
    );
    ensure!(
        agent["agent"]["pid"] == service["process"],
        "{agent}, {service}"
    );
    ensure!(agent["enrolled"] == true, "{agent}");
    let seen = agent["agent"]["capabilities"]
        .as_array()
        .context("what it sees")?;
    let netsh = seen.iter().find(|one| one["capability"] == "netsh");
    ensure!(
        netsh.is_some_and(|netsh| netsh["state"] == "no" && netsh["why"].is_string()),
        "{agent}"
    );
    // Of another agent's folder the service tells nothing.
    let other = server
        .json(&["status", "--data-dir", r"C:\elsewhere"])
        .await?;
    ensure!(
        other["answers"] == false && other["agent"].is_null(),
        "{other}"
    );
    Ok(())
}

#[test]
fn a_service_that_cannot_start_says_why() -> anyhow::Result<()> {
    on_own_network(async |machine| {
        let server = Server::prepare(machine).await?;
        let absent = server.agent(&["service", "start"]).await?;
        ensure!(absent.code == Some(1), "{absent:?}");
        ensure!(absent.stderr.contains("service install"), "{absent:?}");
        let alone = server.agent(&["service", "run"]).await?;
        ensure!(
            alone.stderr.contains("did not start this process"),
            "{alone:?}"
        );
        let wrong = ["service", "install", "--controller", "nowhere"];
        let wrong = server.agent(&wrong).await?;
        ensure!(wrong.code == Some(2), "{wrong:?}");

        let controller = Controller::up(machine, &Up::alone()).await?;
        install(&server, &controller).await?;
        // Somebody breaks the configuration after the installation.
        let file = server
            .wine
            .drive()
            .join("ProgramData/Tidemark/config/agent.toml");
        std::fs::write(file, "controller = \"nowhere\"\n")?;
        let failed = server.agent(&["service", "start"]).await?;
        let status = server.told(&["service", "status"]).await?;
        ensure!(
            failed.stderr.contains("ended with code 1"),
            "{failed:?}, {status}"
        );
        ensure!(status.contains("it ended with code 1"), "{status}");
        ensure!(server.program.is_file(), "the program is gone");
        Ok(())
    })
}

/// Local ports of connections to a controller on this network.
fn ports_towards(controller: &str) -> anyhow::Result<Vec<u16>> {
    const ESTABLISHED: &str = "01";
    let (_, port) = controller
        .rsplit_once(':')
        .context("an address has a port")?;
    let remote = format!(":{:04X}", port.parse::<u16>()?);
    let table = std::fs::read_to_string("/proc/thread-self/net/tcp")?;
    let ports = table.lines().filter_map(|line| {
        let columns: Vec<&str> = line.split_whitespace().collect();
        let [_, local, peer, state, ..] = columns.as_slice() else {
            return None;
        };
        let is_towards = peer.ends_with(&remote) && *state == ESTABLISHED;
        let (_, port) = local.split_once(':')?;
        is_towards.then(|| u16::from_str_radix(port, 16).ok())?
    });
    Ok(ports.collect())
}
