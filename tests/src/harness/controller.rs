//! A controller as `tidemark-controller up` makes it, and what operators see of it: the command line and the API.

use std::fs;
use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};
use std::process::ExitStatus;
use std::time::Duration;

use anyhow::Context as _;
use reqwest::StatusCode;
use rustix::process::{Pid, Signal, kill_process};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use tidemark_model::view::{
    ApiTokenCreated, EventView, HostDetail, HostView, JoinTokenCreated, Page, PortSpaceView,
    StatusView,
};
use tidemark_runtime::contexts::Contexts;
use tidemark_runtime::durable;
use tokio::process::Command;

use super::disk::{on_small_disk, seen_by};
use super::live_stream::LiveStream;
use super::process::{is_running, wrapping};
use super::wait::STARTING;
use super::{Finished, Machine, Process, SOON, program, until};

/// How long a stop may take, by the quick start's promise to end cleanly on Ctrl-C.
const STOP_TIMEOUT: Duration = Duration::from_secs(15);

/// How to start a controller.
#[derive(Clone, Debug)]
pub struct Up {
    /// Names its files in the test's folder.
    pub name: &'static str,
    /// Names its data folder, and its operator's configuration.
    pub data: &'static str,
    /// Port of the API and the pages.
    pub http_port: u16,
    /// Port for agents.
    pub grpc_port: u16,
    /// Address for agents.
    pub grpc_address: Ipv4Addr,
    /// Further arguments.
    pub args: Vec<String>,
    /// Size of a disk for its data folder alone, as in `4m`.
    pub disk: Option<&'static str>,
    /// How many open files it may have at most.
    pub open_files: Option<u32>,
}

impl Up {
    /// With a local agent that samples every second.
    #[must_use]
    pub fn with_agent() -> Self {
        Self {
            name: "controller",
            data: "data",
            http_port: 7080,
            grpc_port: 7443,
            grpc_address: Ipv4Addr::LOCALHOST,
            args: vec!["--interval".to_owned(), "1s".to_owned()],
            disk: None,
            open_files: None,
        }
    }

    /// Without a local agent.
    #[must_use]
    pub fn alone() -> Self {
        Self {
            args: vec!["--no-agent".to_owned()],
            ..Self::with_agent()
        }
    }

    /// Without a local agent, for those of neighbours.
    #[must_use]
    pub fn for_neighbours() -> Self {
        Self {
            grpc_address: Ipv4Addr::UNSPECIFIED,
            ..Self::alone()
        }
    }

    /// Another one beside it, on other ports.
    #[must_use]
    pub fn another(self) -> Self {
        Self {
            name: "another",
            data: "another-data",
            http_port: 7180,
            grpc_port: 7543,
            ..self
        }
    }

    /// Without a local agent, with these settings in a file.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn configured(machine: &Machine, settings: &str) -> anyhow::Result<Self> {
        let path = machine.folder().join("settings.toml");
        fs::write(&path, settings)?;
        Ok(Self::alone()
            .arg("--config")
            .arg(path.display().to_string()))
    }

    /// The same with one more argument.
    #[must_use]
    pub fn arg(mut self, arg: impl Into<String>) -> Self {
        self.args.push(arg.into());
        self
    }

    /// Starts it, without waiting for anything.
    ///
    /// # Errors
    /// When it was not built.
    pub fn start(&self, machine: &Machine) -> anyhow::Result<Process> {
        let mut command = program("tidemark-controller")?;
        command
            .arg("up")
            .arg("--data-dir")
            .arg(self.data_dir(machine))
            .args(["--http", &format!("127.0.0.1:{}", self.http_port)])
            .args([
                "--grpc",
                &format!("{}:{}", self.grpc_address, self.grpc_port),
            ])
            .args(&self.args)
            .env("TIDEMARK_CONFIG_DIR", self.config_dir(machine));
        if let Some(size) = self.disk {
            command = on_small_disk(&command, &self.data_dir(machine), size)?;
        }
        if let Some(files) = self.open_files {
            let mut limited = Command::new("prlimit");
            limited.arg(format!("--nofile={files}:{files}")).arg("--");
            command = wrapping(limited, &command);
        }
        Process::start(self.name, command, machine.folder())
    }

    /// Runs one of the program's other commands on its database.
    ///
    /// # Errors
    /// When it was not built or does not end.
    pub async fn run(&self, machine: &Machine, verb: &[&str]) -> anyhow::Result<Finished> {
        let mut command = program("tidemark-controller")?;
        command.args(verb);
        command.arg("--data-dir").arg(self.data_dir(machine));
        let at = self.args.iter().position(|arg| arg == "--database");
        if let Some(url) = at.and_then(|at| self.args.get(at + 1)) {
            command.args(["--database", url]);
        }
        Finished::of(command).await
    }

    /// Signs with the authority of `first`, as all controllers of one fleet do. For one that never ran.
    ///
    /// # Errors
    /// When the folders cannot be read or made.
    pub fn share_authority_of(&self, first: &Self, machine: &Machine) -> anyhow::Result<()> {
        let [from, to] = [first, self].map(|up| up.data_dir(machine).join("pki"));
        durable::make_private_folder(&to)?;
        for entry in fs::read_dir(from)? {
            let entry = entry?;
            fs::copy(entry.path(), to.join(entry.file_name()))?;
        }
        Ok(())
    }

    /// Its data folder.
    #[must_use]
    pub fn data_dir(&self, machine: &Machine) -> PathBuf {
        machine.folder().join(self.data)
    }

    fn config_dir(&self, machine: &Machine) -> PathBuf {
        machine.config_dir().join(self.data)
    }
}

/// What `ready.json` says.
#[derive(Clone, Debug, Deserialize)]
pub struct Ready {
    /// The controller's process.
    pub pid: u32,
    /// Address of the API and the pages.
    pub http: String,
    /// Address for agents.
    pub grpc: String,
    /// Link that signs a browser in.
    pub sign_in: String,
    /// Context for the command line.
    pub context: String,
    /// The local agent's process.
    pub agent_pid: Option<u32>,
    /// When it started.
    pub started_ms: i64,
}

/// A controller that answers.
#[derive(Debug)]
pub struct Controller {
    /// What it wrote when it was ready.
    pub ready: Ready,
    /// Its process.
    pub process: Process,
    data_dir: PathBuf,
    config_dir: PathBuf,
    client: reqwest::Client,
    token: String,
}

impl Controller {
    /// Starts one and waits until everything answers.
    ///
    /// # Errors
    /// When it does not come up, with what it said.
    pub async fn up(machine: &Machine, up: &Up) -> anyhow::Result<Self> {
        let process = up.start(machine)?;
        Self::when_ready(machine, up, process).await
    }

    /// Waits until a controller that was started answers.
    ///
    /// # Errors
    /// When it does not, with what it said.
    pub async fn when_ready(
        machine: &Machine,
        up: &Up,
        mut process: Process,
    ) -> anyhow::Result<Self> {
        let data_dir = match up.disk {
            Some(_) => seen_by(process.pid(), &up.data_dir(machine)),
            None => up.data_dir(machine),
        };
        let path = data_dir.join("ready.json");
        let ready = until("ready.json", STARTING, async || {
            if let Some(status) = process.ended()? {
                anyhow::bail!("the controller ended: {status}");
            }
            let Ok(text) = fs::read(&path) else {
                return Ok(None);
            };
            let ready: Ready = serde_json::from_slice(&text)?;
            // One that was killed leaves its file to the next.
            let is_its = ready.pid.cast_signed() == process.pid().as_raw_pid();
            Ok(is_its.then_some(ready))
        })
        .await
        .with_context(|| process.said())?;
        let config_dir = up.config_dir(machine);
        tidemark_runtime::tls::install_crypto_provider();
        let client = reqwest::Client::builder()
            .timeout(Duration::from_secs(20))
            .build()?;
        Ok(Self {
            token: token_of(&config_dir, &ready.context)?,
            data_dir,
            ready,
            process,
            config_dir,
            client,
        })
    }

    /// Its data folder.
    #[must_use]
    pub fn data_dir(&self) -> &Path {
        &self.data_dir
    }

    /// Runs the operators' command line against it.
    ///
    /// # Errors
    /// When it was not built or does not end.
    pub async fn cli(&self, args: &[&str]) -> anyhow::Result<Finished> {
        let mut command = program("tidemark")?;
        command
            .args(["--context", &self.ready.context])
            .args(args)
            .env("TIDEMARK_CONFIG_DIR", &self.config_dir);
        Finished::of(command).await
    }

    /// Runs a command that prints JSON.
    ///
    /// # Errors
    /// When it fails, or prints something else.
    pub async fn cli_json<T: DeserializeOwned>(&self, args: &[&str]) -> anyhow::Result<T> {
        let args = [args, &["-o", "json"]].concat();
        let printed = self.cli(&args).await?.succeeded()?;
        serde_json::from_str(&printed).with_context(|| format!("{args:?} printed {printed}"))
    }

    /// Asks the API, over a connection that is kept: a poll does not use up ports.
    ///
    /// # Errors
    /// When it does not answer, or not with success.
    pub async fn get<T: DeserializeOwned>(&self, path: &str) -> anyhow::Result<T> {
        let text = self.get_text(path).await?;
        serde_json::from_str(&text).with_context(|| format!("{path} answered {text}"))
    }

    /// The same for an answer of another kind. A test that has just made hundreds of requests waits for its turn.
    ///
    /// # Errors
    /// When it does not answer, or not with success.
    pub async fn get_text(&self, path: &str) -> anyhow::Result<String> {
        let response = until("room for another request", SOON, async || {
            let request = self.client.get(format!("{}{path}", self.ready.http));
            let response = request.bearer_auth(&self.token).send().await?;
            Ok((response.status() != StatusCode::TOO_MANY_REQUESTS).then_some(response))
        })
        .await?;
        Ok(response.error_for_status()?.text().await?)
    }

    /// Opens the stream of what changes, as a live view does.
    ///
    /// # Errors
    /// When it does not answer, or not with success.
    pub async fn live(&self) -> anyhow::Result<LiveStream> {
        let request = self.client.get(format!("{}/api/v1/live", self.ready.http));
        let response = request.bearer_auth(&self.token).send().await?;
        Ok(LiveStream::of(response.error_for_status()?))
    }

    /// An API token of somebody else, with that name and role.
    ///
    /// # Errors
    /// When the controller makes none.
    pub async fn token_of(&self, name: &str, role: &str) -> anyhow::Result<String> {
        let body = serde_json::json!({"name": name, "role": role});
        let (status, answer) = self
            .post_as(&self.token, "/api/v1/api-tokens", &body)
            .await?;
        anyhow::ensure!(status == 201, "{status}: {answer}");
        let made: ApiTokenCreated = serde_json::from_value(answer)?;
        Ok(made.token)
    }

    /// Posts as the admin: the status and the JSON body.
    ///
    /// # Errors
    /// When it does not answer, or with something else.
    pub async fn post(
        &self,
        path: &str,
        body: &serde_json::Value,
    ) -> anyhow::Result<(u16, serde_json::Value)> {
        self.post_as(&self.token, path, body).await
    }

    /// Posts as the holder of a token: the status and the JSON body.
    ///
    /// # Errors
    /// When it does not answer, or with something else.
    pub async fn post_as(
        &self,
        token: &str,
        path: &str,
        body: &serde_json::Value,
    ) -> anyhow::Result<(u16, serde_json::Value)> {
        let request = self.client.post(format!("{}{path}", self.ready.http));
        let response = request.bearer_auth(token).json(body).send().await?;
        Ok((response.status().as_u16(), response.json().await?))
    }

    /// The same under a key of the caller's own, so that asking again asks for nothing more.
    ///
    /// # Errors
    /// When it does not answer, or with something else.
    pub async fn post_once_as(
        &self,
        (token, key): (&str, &str),
        path: &str,
        body: &serde_json::Value,
    ) -> anyhow::Result<(u16, serde_json::Value)> {
        let request = self.client.post(format!("{}{path}", self.ready.http));
        let request = request.header("idempotency-key", key);
        let response = request.bearer_auth(token).json(body).send().await?;
        Ok((response.status().as_u16(), response.json().await?))
    }

    /// Asks as somebody without a token: the status and the body.
    ///
    /// # Errors
    /// When it does not answer.
    pub async fn get_as_stranger(&self, path: &str) -> anyhow::Result<(u16, String)> {
        let url = format!("{}{path}", self.ready.http);
        let response = self.client.get(url).send().await?;
        Ok((response.status().as_u16(), response.text().await?))
    }

    /// Signs in with the link of the quick start, as a browser does.
    ///
    /// # Errors
    /// When the link is refused.
    pub async fn sign_in(&self) -> anyhow::Result<SignedIn> {
        tidemark_runtime::tls::install_crypto_provider();
        let client = reqwest::Client::builder()
            .timeout(Duration::from_secs(20))
            .redirect(reqwest::redirect::Policy::none())
            .build()?;
        let answer = client.get(&self.ready.sign_in).send().await?;
        anyhow::ensure!(answer.status().as_u16() == 303, "{}", answer.status());
        let cookie = answer
            .headers()
            .get("set-cookie")
            .and_then(|cookie| cookie.to_str().ok()?.split(';').next())
            .context("signing in gives no cookie")?;
        Ok(SignedIn {
            cookie: cookie.to_owned(),
            http: self.ready.http.clone(),
            client,
        })
    }

    /// Its hosts.
    ///
    /// # Errors
    /// When it does not answer.
    pub async fn hosts(&self) -> anyhow::Result<Vec<HostView>> {
        Ok(self.get::<Page<HostView>>("/api/v1/hosts").await?.items)
    }

    /// The one host it has.
    ///
    /// # Errors
    /// When it does not answer, or has none or more.
    pub async fn only_host(&self) -> anyhow::Result<HostView> {
        let hosts = self.hosts().await?;
        let [host] = hosts.as_slice() else {
            anyhow::bail!("{} hosts instead of one", hosts.len());
        };
        Ok(host.clone())
    }

    /// A host that has been sampled, waited for.
    ///
    /// # Errors
    /// When it does not answer, or no host is sampled in time.
    pub async fn first_sample(&self, within: Duration) -> anyhow::Result<HostView> {
        until("the host's first sample", within, async || {
            let hosts = self.hosts().await?;
            Ok(hosts.into_iter().find(|host| host.sampled_ms.is_some()))
        })
        .await
    }

    /// Everything about one host.
    ///
    /// # Errors
    /// When it does not answer, or has no such host.
    pub async fn host(&self, id: &str) -> anyhow::Result<HostDetail> {
        self.get(&format!("/api/v1/hosts/{id}")).await
    }

    /// Its newest events.
    ///
    /// # Errors
    /// When it does not answer.
    pub async fn events(&self) -> anyhow::Result<Vec<EventView>> {
        let page: Page<EventView> = self.get("/api/v1/events?limit=1000").await?;
        Ok(page.items)
    }

    /// The controller about itself.
    ///
    /// # Errors
    /// When it does not answer.
    pub async fn status(&self) -> anyhow::Result<StatusView> {
        self.get("/api/v1/status").await
    }

    /// One of its own figures.
    ///
    /// # Errors
    /// When it does not answer, or has no such figure.
    pub async fn metric(&self, name: &str) -> anyhow::Result<u64> {
        let text = self.get_text("/metrics").await?;
        let value = text
            .lines()
            .find_map(|line| line.strip_prefix(name)?.trim().parse().ok());
        value.with_context(|| format!("there is no {name} in /metrics"))
    }

    /// A join token for one host, made by the command line.
    ///
    /// # Errors
    /// When it is refused.
    pub async fn join_token(&self) -> anyhow::Result<JoinTokenCreated> {
        self.cli_json(&["token", "create"]).await
    }

    /// Stops it as Ctrl-C does, and waits until it and its agent are gone.
    ///
    /// # Errors
    /// When either does not end in time.
    pub async fn stop(mut self) -> anyhow::Result<ExitStatus> {
        self.process.interrupt()?;
        let status = self.process.wait(STOP_TIMEOUT).await?;
        let agent = self.ready.agent_pid;
        until("the local agent's end", SOON, async || {
            Ok((!agent.is_some_and(is_running)).then_some(()))
        })
        .await?;
        Ok(status)
    }
}

/// A browser's session, without the browser.
#[derive(Debug)]
pub struct SignedIn {
    client: reqwest::Client,
    http: String,
    cookie: String,
}

impl SignedIn {
    /// A page.
    ///
    /// # Errors
    /// When it is not shown.
    pub async fn get(&self, path: &str) -> anyhow::Result<String> {
        let request = self.client.get(format!("{}{path}", self.http));
        let answer = request.header("cookie", &self.cookie).send().await?;
        Ok(answer.error_for_status()?.text().await?)
    }
}

impl Drop for Controller {
    /// The local agent is in a process group of its own.
    fn drop(&mut self) {
        let agent = self.ready.agent_pid.filter(|pid| is_running(*pid));
        if let Some(agent) = agent.and_then(|pid| Pid::from_raw(pid.cast_signed())) {
            // It may be gone already, which is what is wanted.
            kill_process(agent, Signal::KILL).ok();
        }
    }
}

/// The port space of TCP in the agent's own namespace.
///
/// # Errors
/// When the host has none.
pub fn tcp(host: &HostView) -> anyhow::Result<&PortSpaceView> {
    let is_tcp = |space: &&PortSpaceView| space.protocol == "tcp";
    let space = host.port_spaces.iter().find(is_tcp);
    space.with_context(|| format!("{} shows no TCP ports", host.name))
}

fn token_of(config_dir: &Path, context: &str) -> anyhow::Result<String> {
    let contexts = Contexts::load(&config_dir.join("contexts.toml"))?;
    let token = contexts
        .contexts
        .get(context)
        .and_then(|context| context.token.as_ref());
    let token = token.context("the controller wrote no context for the command line")?;
    Ok(token.expose().clone())
}
