//! The Windows agent, really run: under Wine, against a real controller, on a network of its own.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt as _;
use std::time::Duration;

use anyhow::{Context as _, ensure};
use serde_json::Value;
use tidemark_agent::status::AgentStatus;
use tidemark_model::view::{DeliveryView, HostView};
use tidemark_tests::harness::agent::age_certificate;
use tidemark_tests::harness::controller::tcp;
use tidemark_tests::harness::site::{SERVICE, serve};
use tidemark_tests::harness::{
    AgentFolder, Controller, Finished, Machine, Process, SOON, STARTING, Up, Wine, on_own_network,
    program, until,
};

/// Ports of the machine, which the operator has to state: Wine does not know Linux's setting. They are few, because Wine
/// looks through every file of every process for each row of a table: some milliseconds a row.
const FIRST_PORT: u16 = 20_000;
const LAST_PORT: u16 = 20_249;
const CAPACITY: u32 = 250;
/// The agent writes its status every ten seconds, on a machine that may be busy.
const STATUS: Duration = Duration::from_secs(60);
const STOP_TIMEOUT: Duration = Duration::from_secs(30);
/// At this rate the ports last 50 s, and TIME_WAIT outlives that.
const CLOSED_PER_SECOND: &str = "5";
const EXHAUSTION: Duration = Duration::from_secs(180);
/// How far the date may be off at half way, as a share of the time that is left.
const DATE_TOLERANCE: f64 = 0.25;

/// A controller and a Windows host that is about to enrol with it.
struct Place {
    controller: Controller,
    wine: Wine,
    folder: AgentFolder,
}

impl Place {
    async fn prepare(machine: &Machine) -> anyhow::Result<Self> {
        machine.set_dynamic_ports(FIRST_PORT, LAST_PORT)?;
        let wine = Wine::prepare(machine)?;
        let controller = Controller::up(machine, &Up::alone()).await?;
        let token = controller.join_token().await?;
        let folder = AgentFolder::create(machine, "windows", &token.controller, &token.token)?;
        folder.add_config(&format!(
            "dynamic_range = \"{FIRST_PORT}-{LAST_PORT}\"\nlight_interval = \"5s\""
        ))?;
        Ok(Self {
            controller,
            wine,
            folder,
        })
    }

    fn status(&self) -> anyhow::Result<AgentStatus> {
        AgentStatus::read(&self.folder.data_dir()).context("the agent wrote no status")
    }
}

#[test]
fn a_windows_host_loses_nothing_when_its_controller_goes_and_it_is_killed_itself()
-> anyhow::Result<()> {
    on_own_network(async |machine| {
        let mut place = Place::prepare(machine).await?;
        let mut agent = place.wine.run_agent(&place.folder)?;
        let host = first_sample(&place.controller, &agent).await?;
        let space = tcp(&host)?;
        ensure!(space.capacity == CAPACITY, "{space:#?}");

        place.controller.process.kill().await?;
        let spooled = until("samples in the spool", STATUS, async || {
            let spool = place.status()?.spool;
            Ok((spool.held >= 3).then_some(spool))
        })
        .await
        .with_context(|| agent.said())?;
        agent.kill().await?;
        let mut agent = place.wine.run_agent(&place.folder)?;

        let up = Up::alone();
        place.controller = Controller::up(machine, &up).await?;
        let stored = until("what was spooled before the kill", STARTING, async || {
            let delivery = delivery(&place.controller).await?;
            Ok((delivery.stored > spooled.produced).then_some(delivery.stored))
        })
        .await
        .with_context(|| agent.said())?;
        ensure!(stored > spooled.produced, "{stored}, {spooled:?}");

        agent.close_stdin();
        let ended = agent.wait(STOP_TIMEOUT).await?;
        ensure!(ended.code() == Some(0), "{ended}: {}", agent.said());
        let (spool, delivery) = (place.status()?.spool, delivery(&place.controller).await?);
        ensure!(delivery.dropped.is_empty(), "{delivery:?}");
        ensure!(spool.dropped == 0, "{spool:?}");
        ensure!(
            spool.produced == delivery.stored + spool.held,
            "{spool:?}, {delivery:?}"
        );
        Ok(())
    })
}

#[test]
fn churn_on_a_windows_host_is_dated_and_blamed_before_it_exhausts_the_ports() -> anyhow::Result<()>
{
    on_own_network(async |machine| {
        machine.keep_time_wait_on_loopback()?;
        let place = Place::prepare(machine).await?;
        let agent = place.wine.run_agent(&place.folder)?;
        first_sample(&place.controller, &agent).await?;
        let _service = serve(machine, SERVICE).await?;
        let mut churn = program("port_eater")?;
        churn.args(["churn", "--per-second", CLOSED_PER_SECOND, "--to", SERVICE]);
        let eater = Process::start("eater", churn, machine.folder())?;

        let half = until("half of the ports in use", EXHAUSTION, async || {
            let host = place.controller.only_host().await?;
            Ok((tcp(&host)?.in_use >= CAPACITY / 2).then_some(host))
        })
        .await
        .with_context(|| agent.said())?;
        let space = tcp(&half)?;
        ensure!(space.road.as_deref() == Some("churn"), "{space:#?}");
        ensure!(space.culprit.as_deref() == Some(SERVICE), "{space:#?}");
        let exhausted = until("the exhaustion", EXHAUSTION, async || {
            // Keeps the connection in use, lest it be given up while another one can still be had.
            place.controller.only_host().await?;
            tidemark_tests::harness::site::said(&eater, "exhausted")
        })
        .await?;
        assert_date(&half, exhausted.at_ms)?;
        until("the saturation", SOON, async || {
            let host = place.controller.only_host().await?;
            let is_saturated = tcp(&host)?.road.as_deref() == Some("saturated");
            Ok(is_saturated.then_some(()))
        })
        .await
    })
}

#[test]
fn the_windows_agent_shows_its_host_without_a_controller() -> anyhow::Result<()> {
    on_own_network(async |machine| {
        machine.set_dynamic_ports(FIRST_PORT, LAST_PORT)?;
        let wine = Wine::prepare(machine)?;
        let folder = AgentFolder::create(machine, "windows", "127.0.0.1:1", "unused")?;
        folder.add_config(&format!("dynamic_range = \"{FIRST_PORT}-{LAST_PORT}\""))?;
        let shown = Finished::of(wine.command("snapshot", &folder)).await?;
        let shown = shown.succeeded()?;
        for words in [
            "(Wine ",
            "tcp/default",
            "20000-20249",
            "bind_tcp_v4",
            "sees bound sockets: no, by none: Wine has no list of them; WMI: ",
            "sees events: no: ",
            "sees netsh: no: it prints nothing",
            // `WBEM_E_INVALID_NAMESPACE`: WMI was reached, and has no part for networking here.
            "sees wmi: no: HRESULT Call failed with: 0x8004100E",
        ] {
            ensure!(shown.contains(words), "{words}: {shown}");
        }
        let mut command = wine.command("snapshot", &folder);
        command.arg("--json");
        let sample: Value = serde_json::from_str(&Finished::of(command).await?.succeeded()?)?;
        let spaces = sample["port_spaces"].as_array().context("port spaces")?;
        let tcp = spaces
            .iter()
            .find(|space| space["key"]["protocol"] == "tcp");
        let tcp = tcp.context("a port space of TCP")?;
        // What is not seen is not told as seen.
        ensure!(tcp["bound"].is_null(), "{tcp:#}");
        ensure!(tcp["quality"] == "estimated", "{tcp:#}");
        Ok(())
    })
}

#[test]
fn each_way_to_bound_sockets_that_is_not_there_says_so_and_harms_nobody() -> anyhow::Result<()> {
    on_own_network(async |machine| {
        let wine = Wine::prepare(machine)?;
        for (way, words) in [
            ("export", "bound sockets are not listed"),
            // WMI itself answers that it has no such part: it was reached.
            ("wmi", "0x8004100E"),
            ("afd", ""),
        ] {
            let mut command = wine.program(wine.agent());
            command.args(["bound-self-test", "--by", way]);
            let tried = Finished::of(command).await?;
            // 1 is an answer; a program that crashes ends otherwise.
            ensure!(tried.code == Some(1), "{way}: {tried:?}");
            ensure!(
                !tried.stderr.is_empty() && tried.stderr.contains(words),
                "{way}: {tried:?}"
            );
        }
        Ok(())
    })
}

#[test]
fn the_windows_agent_diagnoses_churn_without_a_controller() -> anyhow::Result<()> {
    on_own_network(async |machine| {
        machine.set_dynamic_ports(FIRST_PORT, LAST_PORT)?;
        machine.keep_time_wait_on_loopback()?;
        let wine = Wine::prepare(machine)?;
        let folder = AgentFolder::create(machine, "windows", "127.0.0.1:1", "unused")?;
        folder.add_config(&format!("dynamic_range = \"{FIRST_PORT}-{LAST_PORT}\""))?;
        let _service = serve(machine, SERVICE).await?;
        let mut churn = program("port_eater")?;
        churn.args(["churn", "--per-second", "10", "--to", SERVICE]);
        let _eater = Process::start("eater", churn, machine.folder())?;
        let mut doctor = wine.command("doctor", &folder);
        doctor.args(["--for", "20s", "-o", "json"]);
        let found = Finished::of(doctor).await?;
        let report: Value =
            serde_json::from_str(&found.stdout).with_context(|| format!("no report: {found:?}"))?;
        let first = &report["findings"][0];
        ensure!(first["rule"] == "time_wait_churn", "{report:#}");
        ensure!(first["culprit"] == SERVICE, "{first:#}");
        ensure!(matches!(found.code, Some(1 | 2)), "{:?}", found.code);
        // Wine lists no bound sockets and has no event log: it says so.
        ensure!(
            report["capabilities"]["bound_sockets"] == false,
            "{report:#}"
        );
        ensure!(
            report["not_seen"]
                .as_array()
                .is_some_and(|gaps| gaps.len() >= 2),
            "{report:#}"
        );
        Ok(())
    })
}

#[test]
fn an_identity_that_others_may_read_is_refused_on_windows() -> anyhow::Result<()> {
    on_own_network(async |machine| {
        let wine = Wine::prepare(machine)?;
        let controller = Controller::up(machine, &Up::alone()).await?;
        let token = controller.join_token().await?;
        let folder = AgentFolder::create(machine, "windows", &token.controller, &token.token)?;
        Finished::of(wine.command("enroll", &folder))
            .await?
            .succeeded()?;
        // Wine keeps an access control list as the permissions of Linux.
        let identity = folder.data_dir().join("identity");
        let mode = fs::metadata(&identity)?.permissions().mode();
        ensure!(mode & 0o007 == 0, "others may enter: {mode:o}");
        fs::set_permissions(&identity, Permissions::from_mode(0o755))?;
        let refused = Finished::of(wine.command("enroll", &folder)).await?;
        ensure!(refused.code == Some(1), "{refused:?}");
        for words in ["open to other users", "S-1-1-0", "icacls"] {
            ensure!(
                refused.stderr.contains(words),
                "{words}: {}",
                refused.stderr
            );
        }
        Ok(())
    })
}

#[test]
fn a_windows_host_renews_its_certificate_and_its_samples_go_on() -> anyhow::Result<()> {
    on_own_network(async |machine| {
        let place = Place::prepare(machine).await?;
        Finished::of(place.wine.command("enroll", &place.folder))
            .await?
            .succeeded()?;
        let first = age_certificate(&place.folder.data_dir().join("identity"))?;
        let mut agent = place.wine.run_agent(&place.folder)?;
        let host = first_sample(&place.controller, &agent).await?;
        let renewed = until("another certificate", STATUS, async || {
            // There is none before the agent has written its first.
            let status = place.status().ok();
            let certificate = status.and_then(|status| status.link.certificate);
            Ok(certificate.filter(|held| held.generation == first + 1))
        })
        .await
        .with_context(|| agent.said())?;
        let detail = place.controller.host(&host.id).await?;
        ensure!(
            detail.certificate_expires_ms == Some(renewed.not_after_ms.unix_ms()),
            "the controller knows another end: {detail:#?}, {renewed:?}"
        );

        let stored = detail.delivery.stored;
        until("more samples after the renewal", STATUS, async || {
            let delivery = delivery(&place.controller).await?;
            Ok((delivery.stored >= stored + 3).then_some(()))
        })
        .await
        .with_context(|| agent.said())?;
        agent.close_stdin();
        let ended = agent.wait(STOP_TIMEOUT).await?;
        ensure!(ended.code() == Some(0), "{ended}: {}", agent.said());
        let (status, delivery) = (place.status()?, delivery(&place.controller).await?);
        ensure!(delivery.dropped.is_empty(), "{delivery:?}");
        ensure!(
            status.spool.produced == delivery.stored + status.spool.held,
            "{status:?}, {delivery:?}"
        );
        ensure!(status.link.failure.is_none(), "{status:?}");

        // What it keeps is the new one, and it is taken.
        let again = place.wine.run_agent(&place.folder)?;
        until("samples of another start", STARTING, async || {
            let after = self::delivery(&place.controller).await?;
            Ok((after.stored > status.spool.produced).then_some(()))
        })
        .await
        .with_context(|| again.said())
    })
}

async fn first_sample(controller: &Controller, agent: &Process) -> anyhow::Result<HostView> {
    controller
        .first_sample(STARTING)
        .await
        .with_context(|| agent.said())
}

async fn delivery(controller: &Controller) -> anyhow::Result<DeliveryView> {
    let id = controller.only_host().await?.id;
    Ok(controller.host(&id).await?.delivery)
}

fn assert_date(half: &HostView, exhausted_ms: i64) -> anyhow::Result<()> {
    let space = tcp(half)?;
    let sampled_ms = half.sampled_ms.context("there is a sample")?;
    let eta_ms = space
        .eta_ms
        .with_context(|| format!("no date: {space:#?}"))?;
    let share = (eta_ms - exhausted_ms) as f64 / (exhausted_ms - sampled_ms) as f64;
    ensure!(
        share.abs() <= DATE_TOLERANCE,
        "the date is {share:.2} of the time left off: {}",
        space.explanation
    );
    Ok(())
}
