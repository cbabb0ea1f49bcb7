//! The agent's MSI: built and signed on Linux, installed, upgraded and removed under Wine, with the service in it at work.

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context as _, ensure};
use tidemark_model::view::HostView;
use tidemark_platform::service_facts::SERVICE_NAME;
use tidemark_tests::harness::wine::workspace;
use tidemark_tests::harness::{
    Controller, Finished, Machine, Process, STARTING, Up, Wine, on_own_network, until,
};
use tokio::process::Command;

const SETTINGS: &str = r"HKLM\SOFTWARE\Tidemark\Agent";
/// Where the agent names itself for the texts of its messages.
const MESSAGES: &str = r"HKLM\SYSTEM\CurrentControlSet\Services\EventLog\Application\Tidemark";
/// An installation copies, starts a service and waits for it, on a machine that may be busy.
const PATIENCE: Duration = Duration::from_secs(120);

/// A server of Windows, up.
struct Server {
    wine: Wine,
    folder: PathBuf,
    /// Wine's services end with the last program that somebody started.
    _console: Process,
}

impl Server {
    async fn start(machine: &Machine) -> anyhow::Result<Self> {
        let wine = Wine::prepare(machine)?;
        let console = Process::start("console", wine.program("cmd"), machine.folder())?;
        until("a prompt", STARTING, async || {
            Ok(console.stdout()?.contains('>').then_some(()))
        })
        .await?;
        Ok(Self {
            wine,
            folder: machine.folder().to_owned(),
            _console: console,
        })
    }

    /// Runs a program to its end; what it starts may live on, with the program's output, which therefore is a file.
    async fn run(&self, program: &str, arguments: &[&str]) -> anyhow::Result<Finished> {
        let mut command = self.wine.program(program);
        command.args(arguments);
        let mut running = Process::start(program, command, &self.folder)?;
        running.close_stdin();
        Ok(Finished {
            code: running.wait(PATIENCE).await?.code(),
            stdout: running.stdout()?,
            stderr: running.stderr()?,
        })
    }

    /// Stops the service. Wine's installer tells it to stop, as Windows' does, but does not wait until it has: a program that
    /// still ends is neither replaced nor removed.
    async fn stop_service(&self) -> anyhow::Result<()> {
        let program = self.program_file();
        let program = program.to_str().context("a path that is no text")?;
        let stopped = self.run(program, &["service", "stop"]).await?;
        stopped.succeeded().map(drop)
    }

    async fn msiexec(&self, verb: &str, msi: &Path, properties: &[&str]) -> anyhow::Result<bool> {
        let msi = on_z(msi);
        let arguments = [&[verb, msi.as_str(), "/qn"], properties].concat();
        Ok(self.run("msiexec", &arguments).await?.code == Some(0))
    }

    /// A value of the registry; `None` when it is not there.
    async fn registry(&self, key: &str, value: &str) -> anyhow::Result<Option<String>> {
        let asked = self.run("reg", &["query", key, "/v", value]).await?;
        if asked.code != Some(0) {
            return Ok(None);
        }
        let line = asked
            .stdout
            .lines()
            .find_map(|line| line.trim().strip_prefix(value));
        // A name, a type and the value, with spaces between them.
        let text = line.and_then(|rest| rest.trim().split_once(' '));
        Ok(text.map(|(_, text)| text.trim().to_owned()))
    }

    async fn service(&self, value: &str) -> anyhow::Result<Option<String>> {
        let key = format!(r"HKLM\SYSTEM\CurrentControlSet\Services\{SERVICE_NAME}");
        self.registry(&key, value).await
    }

    fn program_file(&self) -> PathBuf {
        let folder = self.wine.drive().join("Program Files/Tidemark");
        folder.join("tidemark-agent.exe")
    }

    fn state(&self, name: &str) -> PathBuf {
        self.wine
            .drive()
            .join("ProgramData/Tidemark/state")
            .join(name)
    }

    fn log(&self) -> String {
        std::fs::read_to_string(self.state("agent.log")).unwrap_or_default()
    }
}

/// A path of Linux as Windows sees it under Wine.
fn on_z(path: &Path) -> String {
    format!("Z:{}", path.display()).replace('/', r"\")
}

async fn built(mut command: Command) -> anyhow::Result<()> {
    Finished::of({
        command.kill_on_drop(true);
        command
    })
    .await?
    .succeeded()
    .map(drop)
}

/// The agent without its debugging symbols, which are three quarters of it.
async fn stripped(agent: &Path, machine: &Machine) -> anyhow::Result<PathBuf> {
    let small = machine.folder().join("tidemark-agent.exe");
    let mut strip = Command::new("x86_64-w64-mingw32-strip");
    built({
        strip.arg("-o").arg(&small).arg(agent);
        strip
    })
    .await?;
    Ok(small)
}

async fn msi(agent: &Path, version: &str, machine: &Machine) -> anyhow::Result<PathBuf> {
    let msi = machine.folder().join(format!("agent-{version}.msi"));
    let mut build = Command::new(workspace().join("deploy/windows/msi.sh"));
    build.args(["--version", version, "--exe"]).arg(agent);
    build.arg("--output").arg(&msi);
    built(build).await?;
    Ok(msi)
}

fn sign(files: &[&Path], key: &Path, certificate: &Path) -> Command {
    let mut sign = Command::new(workspace().join("deploy/windows/sign.sh"));
    sign.arg("--key").arg(key).arg("--cert").arg(certificate);
    sign.args(files);
    sign
}

/// A key and its certificate for signing code.
fn signer(machine: &Machine) -> anyhow::Result<(PathBuf, PathBuf)> {
    let key = rcgen::KeyPair::generate()?;
    let mut parameters = rcgen::CertificateParams::new(Vec::new())?;
    parameters
        .distinguished_name
        .push(rcgen::DnType::CommonName, "Example Ltd");
    parameters.extended_key_usages = vec![rcgen::ExtendedKeyUsagePurpose::CodeSigning];
    let certificate = parameters.self_signed(&key)?;
    let files = ["key.pem", "certificate.pem"].map(|name| machine.folder().join(name));
    let [key_file, certificate_file] = files;
    std::fs::write(&key_file, key.serialize_pem())?;
    std::fs::write(&certificate_file, certificate.pem())?;
    Ok((key_file, certificate_file))
}

#[test]
fn a_file_is_left_as_it_was_when_its_signature_would_not_hold() -> anyhow::Result<()> {
    on_own_network(async |machine| {
        let wine = Wine::prepare(machine)?;
        let agent = stripped(wine.agent(), machine).await?;
        let before = std::fs::read(&agent)?;
        let (key, certificate) = signer(machine)?;
        let mut distrusted = sign(&[&agent], &key, &certificate);
        let roots = machine.folder().join("roots.pem");
        let others = rcgen::generate_simple_self_signed(vec!["other.example".to_owned()])?;
        std::fs::write(&roots, others.cert.pem())?;
        distrusted.arg("--trust").arg(&roots);
        let refused = Finished::of(distrusted).await?;
        ensure!(refused.code == Some(1), "{refused:?}");
        ensure!(refused.stderr.contains("does not hold"), "{refused:?}");
        ensure!(std::fs::read(&agent)? == before, "the file was changed");

        built(sign(&[&agent], &key, &certificate)).await?;
        ensure!(std::fs::read(&agent)? != before, "the file was not signed");
        Ok(())
    })
}

async fn sampled_after(
    controller: &Controller,
    server: &Server,
    earlier_ms: i64,
) -> anyhow::Result<HostView> {
    until("a sample of the service", STARTING, async || {
        let hosts = controller.hosts().await?;
        Ok(hosts
            .into_iter()
            .find(|host| host.sampled_ms.is_some_and(|at| at > earlier_ms)))
    })
    .await
    .with_context(|| server.log())
}

#[test]
fn the_msi_sets_up_a_host_that_survives_upgrade_and_removal_of_the_program() -> anyhow::Result<()> {
    on_own_network(async |machine| {
        machine.set_dynamic_ports(20_000, 20_999)?;
        let server = Server::start(machine).await?;
        let agent = stripped(server.wine.agent(), machine).await?;
        let (key, certificate) = signer(machine)?;
        built(sign(&[&agent], &key, &certificate)).await?;
        let first = msi(&agent, "1.0.0", machine).await?;
        let second = msi(&agent, "1.1.0", machine).await?;
        built(sign(&[&first, &second], &key, &certificate)).await?;

        assert_waits_for_its_service(&first).await?;

        // Neither without a controller, nor with a profile that there is not, nor with a service that cannot start, since
        // it could not enrol.
        let wrong: [&[&str]; 3] = [
            &[],
            &["CONTROLLER=127.0.0.1:1", "PROFILE=all"],
            &["CONTROLLER=127.0.0.1:1"],
        ];
        for properties in wrong {
            ensure!(!server.msiexec("/i", &first, properties).await?);
            ensure!(
                !server.program_file().is_file(),
                "installed: {properties:?}"
            );
        }

        let controller = Controller::up(machine, &Up::alone()).await?;
        let token = controller.join_token().await?;
        let token_file = machine.folder().join("join-token");
        std::fs::write(&token_file, &token.token)?;
        // Wine does not know Linux's setting, so the administrator states it.
        let range = ["/v", "DynamicRange", "/d", "20000-20999", "/f"];
        let added = [&["add", SETTINGS], &range[..]].concat();
        server.run("reg", &added).await?.succeeded()?;
        let controller_property = format!("CONTROLLER={}", token.controller);
        let token_property = format!("TOKENFILE={}", on_z(&token_file));
        let given = [
            controller_property.as_str(),
            token_property.as_str(),
            "PROFILE=safe",
            "TAGS=site=berlin;tier=db",
        ];
        ensure!(
            server.msiexec("/i", &first, &given).await?,
            "{}",
            server.log()
        );
        assert_installed(&server, &token.controller, &token_file).await?;
        let host = sampled_after(&controller, &server, 0).await?;
        ensure!(host.labels.get("site").is_some_and(|site| site == "berlin"));
        ensure!(host.labels.get("tier").is_some_and(|tier| tier == "db"));

        server.stop_service().await?;
        ensure!(server.msiexec("/i", &second, &["PROFILE=full"]).await?);
        assert_upgraded(&server, &token.controller).await?;
        let upgraded = sampled_after(&controller, &server, host.sampled_ms.unwrap_or(0)).await?;
        ensure!(upgraded.id == host.id, "another host: {upgraded:#?}");

        server.stop_service().await?;
        ensure!(server.msiexec("/x", &second, &[]).await?);
        assert_removed(&server).await?;

        // The host is known, so that the token is needless and does not stay where everybody can read it.
        let secret = format!("TOKEN={}", token.token);
        let given = [controller_property.as_str(), secret.as_str()];
        ensure!(server.msiexec("/i", &second, &given).await?);
        let back = sampled_after(&controller, &server, upgraded.sampled_ms.unwrap_or(0)).await?;
        ensure!(back.id == host.id, "another host: {back:#?}");
        until("the token to be gone", STARTING, async || {
            let token = server.registry(SETTINGS, "Token").await?;
            Ok(token.is_none().then_some(()))
        })
        .await?;
        server.stop_service().await
    })
}

/// Windows' installer stops the service and waits until it has ended, before a program is replaced or removed.
async fn assert_waits_for_its_service(msi: &Path) -> anyhow::Result<()> {
    let mut export = Command::new("msiinfo");
    export.arg("export").arg(msi).arg("ServiceControl");
    let table = Finished::of(export).await?.succeeded()?;
    let row = table.lines().find(|line| line.contains(SERVICE_NAME));
    let row = row.with_context(|| table.clone())?;
    // Of the table's documentation: to start (1) and to stop (2) it at an installation, to stop (0x20) and to delete (0x80) it
    // at a removal; and to wait, at most 30 s.
    let columns: Vec<&str> = row.split('\t').collect();
    ensure!(columns.get(2) == Some(&"163"), "{row}");
    ensure!(columns.get(4) == Some(&"1"), "{row}");
    Ok(())
}

async fn assert_installed(
    server: &Server,
    controller: &str,
    token_file: &Path,
) -> anyhow::Result<()> {
    for (value, expected) in [
        ("Controller", controller),
        ("TokenFile", &on_z(token_file)),
        ("Profile", "safe"),
        ("Tags", "site=berlin;tier=db"),
    ] {
        let stored = server.registry(SETTINGS, value).await?;
        ensure!(stored.as_deref() == Some(expected), "{value}: {stored:?}");
    }
    ensure!(server.registry(SETTINGS, "Token").await?.is_none());
    let messages = server.registry(MESSAGES, "EventMessageFile").await?;
    ensure!(
        messages.is_some_and(|file| file.ends_with(r"Tidemark\tidemark-agent.exe")),
        "nobody finds the texts of the agent's messages"
    );
    let command = server
        .service("ImagePath")
        .await?
        .context("there is a service")?;
    ensure!(
        command.contains(r"C:\Program Files\Tidemark\tidemark-agent.exe")
            && command.contains("service run"),
        "{command}"
    );
    for (value, expected) in [
        ("ObjectName", "LocalSystem"),
        ("Start", "0x2"),
        ("Type", "0x10"),
    ] {
        let stored = server.service(value).await?;
        ensure!(stored.as_deref() == Some(expected), "{value}: {stored:?}");
    }
    Ok(())
}

async fn assert_upgraded(server: &Server, controller: &str) -> anyhow::Result<()> {
    for (value, expected) in [
        ("Controller", controller),
        ("Profile", "full"),
        ("Tags", "site=berlin;tier=db"),
        // What an administrator added is none of the MSI's business.
        ("DynamicRange", "20000-20999"),
    ] {
        let stored = server.registry(SETTINGS, value).await?;
        ensure!(stored.as_deref() == Some(expected), "{value}: {stored:?}");
    }
    let installed = server
        .run(
            "reg",
            &[
                "query",
                r"HKLM\SOFTWARE\Microsoft\Windows\CurrentVersion\Uninstall",
                "/s",
            ],
        )
        .await?
        .succeeded()?;
    ensure!(installed.contains("1.1.0"), "{installed}");
    ensure!(!installed.contains("1.0.0"), "both: {installed}");
    let messages = server.registry(MESSAGES, "EventMessageFile").await?;
    ensure!(messages.is_some(), "the upgrade took the messages with it");
    Ok(())
}

async fn assert_removed(server: &Server) -> anyhow::Result<()> {
    ensure!(
        !server.program_file().is_file(),
        "the program is still there"
    );
    let command = server.service("ImagePath").await?;
    ensure!(command.is_none(), "the service is still there: {command:?}");
    for value in ["Controller", "TokenFile", "Profile", "Tags"] {
        let stored = server.registry(SETTINGS, value).await?;
        ensure!(stored.is_none(), "{value} is still there: {stored:?}");
    }
    let messages = server.run("reg", &["query", MESSAGES]).await?;
    ensure!(
        messages.code != Some(0),
        "the program is gone, and its messages are still looked for in it: {messages:?}"
    );
    for folder in ["identity", "spool"] {
        let kept = server.state(folder);
        ensure!(kept.is_dir(), "{} is gone", kept.display());
    }
    Ok(())
}
