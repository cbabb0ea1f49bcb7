//! A Windows host under Wine, and who orders it: its services, hooks and parameters, as the tests of actions need them.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context as _, ensure};
use tidemark_model::action::spec::OnHang;
use tidemark_model::action::{Refusal, Step};
use tidemark_model::{ActionReport, ActionSpec, ActionState};
use tidemark_tests::harness::{
    AgentFolder, Commander, Finished, Machine, Process, SOON, STARTING, Wine, until,
};

const FIRST_PORT: u16 = 20_000;
const LAST_PORT: u16 = 20_249;
/// For the longest action here: a service that hangs, and the manager that notices its end.
const ACTION: Duration = Duration::from_secs(90);
const PARAMETERS: &str = r"HKLM\SYSTEM\CurrentControlSet\Services\Tcpip\Parameters";

/// A Windows host whose policy allows everything, and who may order it.
pub(super) struct Host {
    commander: Commander,
    pub(super) wine: Wine,
    folder: AgentFolder,
    pub(super) machine_folder: PathBuf,
    agent: Process,
    /// Wine's services end with the last program that somebody started.
    _console: Process,
}

impl Host {
    pub(super) async fn prepare(machine: &Machine) -> anyhow::Result<Self> {
        machine.set_dynamic_ports(FIRST_PORT, LAST_PORT)?;
        let wine = Wine::prepare(machine)?;
        let commander = Commander::start().await?;
        let (address, token) = (commander.address(), commander.token()?);
        let folder = AgentFolder::create(machine, "windows", &address, &token)?;
        let policy = folder.path().join("policy.toml");
        fs::write(
            &policy,
            "profile = \"full\"\n[limits]\nper_hour = 100\nper_day = 100\ncooldown = \"0s\"\nreboot_pause = \"0s\"\n",
        )?;
        fs::set_permissions(&policy, Permissions::from_mode(0o600))?;
        folder.add_config(&format!(
            "dynamic_range = \"{FIRST_PORT}-{LAST_PORT}\"\npolicy_file = \"{}\"",
            policy.display()
        ))?;
        let console = Process::start("console", wine.program("cmd"), machine.folder())?;
        // Wine's own services live on with what the first program was given for output; a pipe would never end.
        let mut first = wine.program("cmd");
        first.args(["/c", "exit"]).stdin(Stdio::null());
        first.stdout(Stdio::null()).stderr(Stdio::null());
        ensure!(first.status().await?.success(), "Wine does not start");
        build_subject(&wine.drive().join("subject.exe")).await?;
        let mut run = wine.command("run", &folder);
        run.arg("--stop-on-stdin-eof")
            .env("SECRET_OF_THE_AGENT", "told");
        let agent = Process::start("windows-agent", run, machine.folder())?;
        Ok(Self {
            commander,
            wine,
            folder,
            machine_folder: machine.folder().to_owned(),
            agent,
            _console: console,
        })
    }

    pub(super) async fn order(&self, spec: ActionSpec) -> anyhow::Result<ActionReport> {
        let told = self.commander.order(spec, STARTING + ACTION).await;
        told.with_context(|| self.agent.said())
    }

    pub(super) async fn ask(&self, spec: ActionSpec) -> anyhow::Result<ActionReport> {
        let told = self.commander.ask(spec, STARTING + ACTION).await;
        told.with_context(|| self.agent.said())
    }

    /// An order that must be refused without an effect, for this reason and in these words.
    pub(super) async fn refused(
        &self,
        spec: ActionSpec,
        refusal: Refusal,
        words: &str,
    ) -> anyhow::Result<()> {
        let report = self.order(spec).await?;
        ensure!(
            report.state == ActionState::Refused && report.refusal == Some(refusal),
            "{report:#?}"
        );
        ensure!(report.text.contains(words), "{words}: {report:#?}");
        Ok(())
    }

    /// A program of Windows that must succeed.
    pub(super) async fn windows(
        &self,
        program: &str,
        arguments: &[&str],
    ) -> anyhow::Result<String> {
        let mut command = self.wine.program(program);
        command.args(arguments);
        let finished = Finished::of(command).await?;
        finished
            .succeeded()
            .with_context(|| format!("{program} {}", arguments.join(" ")))
    }

    /// Makes a service out of the subject and starts it.
    pub(super) async fn service(
        &self,
        name: &str,
        role: &str,
        needs: &[&str],
    ) -> anyhow::Result<()> {
        self.start_service(name, role, needs).await?;
        // It says so before the manager knows.
        until("the service to run", SOON, async || {
            let told = self.ask(restart(name, OnHang::Fail)).await?;
            let runs = |step: &Step| step.text.ends_with("it runs");
            Ok(told.steps.iter().any(runs).then_some(()))
        })
        .await
    }

    pub(super) async fn start_service(
        &self,
        name: &str,
        role: &str,
        needs: &[&str],
    ) -> anyhow::Result<()> {
        let program = format!(r"C:\subject.exe {role}");
        let words = ["create", name, "binPath=", &program];
        self.windows("sc", &[&words, needs].concat()).await?;
        self.windows("sc", &["start", name]).await?;
        let line = format!("start {name}");
        until(&line, SOON, async || {
            Ok(self.log().contains(&line).then_some(()))
        })
        .await
    }

    /// What became of the services, in order.
    pub(super) fn log(&self) -> Vec<String> {
        let log = fs::read_to_string(self.wine.drive().join("order.log")).unwrap_or_default();
        log.lines().map(|line| line.trim().to_owned()).collect()
    }

    pub(super) fn clear_log(&self) -> anyhow::Result<()> {
        Ok(fs::remove_file(self.wine.drive().join("order.log"))?)
    }

    /// A parameter of TCP as `reg.exe` prints it; `None` when it is not set.
    pub(super) async fn parameter(&self, name: &str) -> anyhow::Result<Option<String>> {
        let mut command = self.wine.program("reg");
        command.args(["query", PARAMETERS, "/v", name]);
        let asked = Finished::of(command).await?;
        let value = asked.stdout.split_whitespace().last().map(str::to_owned);
        Ok((asked.code == Some(0)).then_some(value).flatten())
    }

    /// Puts a hook into the hooks folder.
    pub(super) fn hook(&self, name: &str, mode: u32) -> anyhow::Result<()> {
        let hooks = self.folder.path().join("hooks");
        if !hooks.is_dir() {
            fs::create_dir(&hooks)?;
            fs::set_permissions(&hooks, Permissions::from_mode(0o700))?;
        }
        let hook = hooks.join(name);
        fs::copy(self.wine.drive().join("subject.exe"), &hook)?;
        Ok(fs::set_permissions(&hook, Permissions::from_mode(mode))?)
    }
}

async fn build_subject(program: &Path) -> anyhow::Result<()> {
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/it/wine_actions/subject.c");
    let mut compiler = tokio::process::Command::new("x86_64-w64-mingw32-gcc");
    compiler.arg(source).arg("-o").arg(program);
    let built = Finished::of(compiler).await?;
    built.succeeded().map(drop)
}

pub(super) fn restart(service: &str, on_hang: OnHang) -> ActionSpec {
    ActionSpec::RestartService {
        service: service.to_owned(),
        stop_timeout_s: 5,
        on_hang,
    }
}
