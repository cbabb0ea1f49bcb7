//! `tidemark-agent doctor` on machines whose ports really leak, and on busy ones that are well.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt as _;

use anyhow::{Context as _, ensure};
use serde_json::Value;
use tidemark_tests::harness::site::{SERVICE, said};
use tidemark_tests::harness::{Finished, Machine, Process, SOON, on_own_network, program, until};
use tokio::process::Command;

/// A thousand ports, as in `Site`.
const FEW: (u16, u16) = (20_000, 20_999);
/// At the rates below it is long enough to see what grows.
const WATCH: &str = "12s";
/// Long enough for the two rounds of probes that confirm an exhaustion.
const CONFIRM: &str = "17s";
const NOTHING_FOUND: i32 = 0;
const WARNING: i32 = 1;
const CRITICAL: i32 = 2;

/// Starts `port_eater` with `mode` and waits until it works.
async fn start(machine: &Machine, name: &str, mode: &str) -> anyhow::Result<Process> {
    let mut command = program("port_eater")?;
    command.args(mode.split(' '));
    begin(machine, name, command).await
}

async fn begin(machine: &Machine, name: &str, command: Command) -> anyhow::Result<Process> {
    let process = Process::start(name, command, machine.folder())?;
    until("the program", SOON, async || said(&process, "started"))
        .await
        .with_context(|| process.said())?;
    Ok(process)
}

/// What the doctor found, and its exit code.
struct Diagnosis {
    code: i32,
    report: Value,
}

impl Diagnosis {
    async fn of(watch: &str) -> anyhow::Result<Self> {
        let mut command = program("tidemark-agent")?;
        command.args(["doctor", "-o", "json", "--for", watch]);
        Self::by(command).await
    }

    async fn by(command: Command) -> anyhow::Result<Self> {
        let finished = Finished::of(command).await?;
        let report = serde_json::from_str(&finished.stdout)
            .with_context(|| format!("no report: {finished:?}"))?;
        Ok(Self {
            code: finished.code.context("it was killed")?,
            report,
        })
    }

    /// That this rule comes first, and whom it blames.
    fn names(&self, rule: &str, culprit: Option<&str>) -> anyhow::Result<()> {
        let first = &self.report["findings"][0];
        ensure!(first["rule"] == rule, "{rule}: {:#}", self.report);
        ensure!(first["culprit"].as_str() == culprit, "{first:#}");
        ensure!(
            self.code == WARNING || self.code == CRITICAL,
            "{}",
            self.code
        );
        Ok(())
    }

    fn rules(&self) -> Vec<&str> {
        let findings = self.report["findings"].as_array();
        let rules = findings.into_iter().flatten();
        rules.filter_map(|found| found["rule"].as_str()).collect()
    }
}

#[test]
fn a_leak_of_bound_sockets_is_named_with_its_process() -> anyhow::Result<()> {
    on_own_network(async |machine| {
        machine.set_dynamic_ports(FEW.0, FEW.1)?;
        let _service = start(machine, "service", &format!("serve --at {SERVICE}")).await?;
        let mode = format!("leak --per-second 60 --to {SERVICE}");
        let _leak = start(machine, "leak", &mode).await?;
        let found = Diagnosis::of(WATCH).await?;
        found.names("bound_leak", Some("port_eater"))?;
        let text = found.report.to_string();
        ensure!(text.contains("grow by"), "{:#}", found.report);
        Ok(())
    })
}

#[test]
fn a_host_without_a_port_left_is_diagnosed_and_the_cause_stands_first() -> anyhow::Result<()> {
    on_own_network(async |machine| {
        machine.set_dynamic_ports(FEW.0, FEW.1)?;
        let _service = start(machine, "service", &format!("serve --at {SERVICE}")).await?;
        let mode = format!("leak --per-second 1000 --to {SERVICE}");
        let leak = start(machine, "leak", &mode).await?;
        until("the exhaustion", SOON, async || said(&leak, "exhausted")).await?;
        let found = Diagnosis::of(CONFIRM).await?;
        found.names("bound_leak", Some("port_eater"))?;
        ensure!(found.code == CRITICAL, "{}", found.code);
        let findings = found.report["findings"].as_array();
        let symptom = findings
            .into_iter()
            .flatten()
            .find(|finding| finding["rule"] == "tcp_exhaustion")
            .with_context(|| format!("{:#}", found.report))?;
        ensure!(symptom["caused_by"] == "bound_leak", "{symptom:#}");
        Ok(())
    })
}

#[test]
fn connections_that_are_never_closed_are_named_with_their_process() -> anyhow::Result<()> {
    on_own_network(async |machine| {
        machine.set_dynamic_ports(FEW.0, FEW.1)?;
        let _service = start(machine, "service", &format!("hang-up --at {SERVICE}")).await?;
        let mode = format!("hoard --per-second 40 --to {SERVICE}");
        let _leak = start(machine, "leak", &mode).await?;
        let found = Diagnosis::of(WATCH).await?;
        found.names("close_wait_leak", Some("port_eater"))
    })
}

#[test]
fn churn_is_named_with_its_destination() -> anyhow::Result<()> {
    on_own_network(async |machine| {
        machine.set_dynamic_ports(FEW.0, FEW.1)?;
        machine.keep_time_wait_on_loopback()?;
        let _service = start(machine, "service", &format!("serve --at {SERVICE}")).await?;
        let mode = format!("churn --per-second 70 --to {SERVICE}");
        let _churn = start(machine, "churn", &mode).await?;
        let found = Diagnosis::of(WATCH).await?;
        found.names("time_wait_churn", Some(SERVICE))
    })
}

#[test]
fn a_leak_of_udp_sockets_is_named_with_its_process() -> anyhow::Result<()> {
    on_own_network(async |machine| {
        machine.set_dynamic_ports(FEW.0, FEW.1)?;
        let _leak = start(machine, "leak", "udp --per-second 60").await?;
        let found = Diagnosis::of(WATCH).await?;
        found.names("udp_leak", Some("port_eater"))
    })
}

#[test]
fn attempts_towards_a_destination_that_does_not_answer_are_named() -> anyhow::Result<()> {
    on_own_network(async |machine| {
        machine.set_dynamic_ports(FEW.0, FEW.1)?;
        let _service = start(machine, "service", &format!("deaf --at {SERVICE}")).await?;
        let mode = format!("knock --per-second 40 --to {SERVICE}");
        let _knock = start(machine, "knock", &mode).await?;
        let found = Diagnosis::of(WATCH).await?;
        found.names("syn_sent_pile_up", Some("port_eater"))?;
        let title = found.report["findings"][0]["title"].to_string();
        ensure!(title.contains(SERVICE), "{title}");
        Ok(())
    })
}

#[test]
fn a_range_that_reservations_shrink_is_named() -> anyhow::Result<()> {
    on_own_network(async |machine| {
        machine.set_dynamic_ports(FEW.0, FEW.1)?;
        machine.reserve_ports("20000-20399")?;
        let found = Diagnosis::of("0s").await?;
        found.names("excluded_range_shrink", None)?;
        let title = found.report["findings"][0]["title"].to_string();
        ensure!(title.contains("40 %"), "{title}");
        Ok(())
    })
}

#[test]
fn a_leak_of_the_agent_itself_is_named() -> anyhow::Result<()> {
    on_own_network(async |machine| {
        machine.set_dynamic_ports(FEW.0, FEW.1)?;
        let _service = start(machine, "service", &format!("serve --at {SERVICE}")).await?;
        // A process is called what its file is called.
        let own = machine.folder().join("tidemark-agent");
        fs::copy(program("port_eater")?.as_std().get_program(), &own)?;
        let mut command = Command::new(&own);
        command
            .args(["leak", "--per-second", "20", "--to", SERVICE])
            .kill_on_drop(true);
        let _leak = begin(machine, "agent", command).await?;
        let found = Diagnosis::of(WATCH).await?;
        found.names("agent_leak", Some("tidemark-agent"))
    })
}

#[test]
fn a_busy_machine_that_is_well_raises_nothing() -> anyhow::Result<()> {
    on_own_network(async |machine| {
        machine.set_dynamic_ports(20_000, 59_999)?;
        machine.keep_time_wait_on_loopback()?;
        let _service = start(machine, "service", &format!("serve --at {SERVICE}")).await?;
        let mode = format!("hoard --per-second 2000 --connections 5000 --to {SERVICE}");
        let clients = start(machine, "clients", &mode).await?;
        until("five thousand clients", SOON, async || {
            said(&clients, "full")
        })
        .await?;
        let _scan = start(machine, "scan", "scan --per-second 200 --to 127.0.0.2").await?;
        let mode = format!("churn --per-second 100 --to {SERVICE}");
        let _batch = start(machine, "batch", &mode).await?;
        let found = Diagnosis::of(CONFIRM).await?;
        ensure!(found.rules().is_empty(), "{:#}", found.report);
        ensure!(found.code == NOTHING_FOUND, "{}", found.code);
        Ok(())
    })
}

#[test]
fn whoever_has_no_rights_gets_a_report_that_says_what_it_could_not_see() -> anyhow::Result<()> {
    const NOBODY: u32 = 65_534;
    on_own_network(async |machine| {
        machine.set_dynamic_ports(FEW.0, FEW.1)?;
        let _service = start(machine, "service", &format!("serve --at {SERVICE}")).await?;
        let mode = format!("leak --per-second 1000 --to {SERVICE}");
        let leak = start(machine, "leak", &mode).await?;
        until("the exhaustion", SOON, async || said(&leak, "exhausted")).await?;
        // The folder of the built programs may be closed to others.
        fs::set_permissions(machine.folder(), Permissions::from_mode(0o755))?;
        let own = machine.folder().join("doctor");
        fs::copy(program("tidemark-agent")?.as_std().get_program(), &own)?;
        let mut command = Command::new(&own);
        command
            .args(["doctor", "-o", "json", "--for", "1s"])
            .current_dir("/")
            .uid(NOBODY)
            .gid(NOBODY);
        let found = Diagnosis::by(command).await?;
        found.names("bound_leak", None)?;
        ensure!(
            found.report["capabilities"]["all_owners"] == false,
            "{:#}",
            found.report
        );
        let missing = found.report["findings"][0]["missing"].to_string();
        ensure!(missing.contains("processes of all users"), "{missing}");
        let not_seen = found.report["not_seen"].to_string();
        ensure!(not_seen.contains("run it as root"), "{not_seen}");
        Ok(())
    })
}

#[test]
fn wrong_usage_is_no_verdict() -> anyhow::Result<()> {
    on_own_network(async |_| {
        let mut command = program("tidemark-agent")?;
        command.args(["doctor", "--for", "2h"]);
        let refused = Finished::of(command).await?;
        ensure!(refused.code == Some(3), "{refused:?}");
        ensure!(refused.stderr.contains("at most 1h"), "{refused:?}");
        Ok(())
    })
}

#[test]
fn a_support_bundle_says_what_it_holds_and_has_no_secret() -> anyhow::Result<()> {
    const SECRET: &str = "tdm1-not-a-token-but-secret-all-the-same";
    on_own_network(async |machine| {
        let config = machine.folder().join("agent.toml");
        fs::write(
            &config,
            format!(
                "token = \"{SECRET}\"\ndata_dir = \"{}\"\n",
                machine.folder().display()
            ),
        )?;
        let bundle = machine.folder().join("bundle.zip");
        let mut command = program("tidemark-agent")?;
        command
            .args(["support-bundle", "--for", "0s", "--config"])
            .arg(&config)
            .arg("--to")
            .arg(&bundle);
        let said = Finished::of(command).await?;
        let text = said.stdout.clone();
        for name in ["doctor.txt", "snapshot.json", "agent.toml"] {
            ensure!(text.contains(name), "{name}: {said:?}");
        }
        // Nothing in it is compressed, so that its text can be looked for.
        let content = fs::read(&bundle)?;
        let holds = |words: &str| {
            content
                .windows(words.len())
                .any(|part| part == words.as_bytes())
        };
        ensure!(holds("(removed)") && holds("doctor.html"), "{said:?}");
        ensure!(!holds(SECRET), "the token is in the bundle");
        Ok(())
    })
}
