//! A host's configuration as operators see it: told when the agent connects, and every change of it once it is made, on
//! Linux and by the Windows executable.

use std::fs;
use std::io::Write as _;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context as _, ensure};
use data_encoding::HEXLOWER;
use ring::digest::{SHA256, digest};
use tidemark_model::audit::view::{DriftView, FactView, HostAuditView};
use tidemark_model::view::Page;
use tidemark_proto::v1::{self, agent_frame, audit_fact};
use tidemark_tests::harness::{
    AgentFolder, Controller, Finished, Machine, Peer, Process, SOON, STARTING, Up, Wine,
    on_own_network, program, until,
};

/// An audit is due every second; Wine, on a busy machine, may take long for one.
const CHANGED: Duration = Duration::from_secs(90);
const PARAMETERS: &str = r"HKLM\SYSTEM\CurrentControlSet\Services\Tcpip\Parameters";

/// A controller, and an agent's folder whose agent audits every second.
async fn place(machine: &Machine, name: &str) -> anyhow::Result<(Controller, AgentFolder)> {
    let controller = Controller::up(machine, &Up::alone()).await?;
    let token = controller.join_token().await?;
    let folder = AgentFolder::create(machine, name, &token.controller, &token.token)?;
    folder.add_config("audit.interval = \"1s\"")?;
    Ok((controller, folder))
}

async fn audit(controller: &Controller, host: &str) -> anyhow::Result<HostAuditView> {
    controller.get(&format!("/api/v1/hosts/{host}/audit")).await
}

fn fact<'a>(audit: &'a HostAuditView, name: &str) -> anyhow::Result<&'a FactView> {
    let found = audit.facts.iter().find(|fact| fact.name == name);
    found.with_context(|| format!("{name} is not told: {audit:#?}"))
}

/// Waits until a host has told its configuration; the host's id with it.
async fn first_audit(
    controller: &Controller,
    agent: &Process,
) -> anyhow::Result<(String, HostAuditView)> {
    controller
        .first_sample(STARTING)
        .await
        .with_context(|| agent.said())?;
    let host = controller.only_host().await?.id;
    let told = until("the first audit", CHANGED, async || {
        let audit = audit(controller, &host).await?;
        Ok(audit.taken_ms.is_some().then_some(audit))
    })
    .await
    .with_context(|| agent.said())?;
    Ok((host, told))
}

/// Waits until a change of that fact is listed, and says which changes are.
async fn drift_of(
    controller: &Controller,
    host: &str,
    name: &str,
) -> anyhow::Result<Vec<DriftView>> {
    until("the change", CHANGED, async || {
        let page: Page<DriftView> = controller
            .get(&format!("/api/v1/hosts/{host}/drift"))
            .await?;
        let is_there = page.items.iter().any(|drift| drift.fact == name);
        Ok(is_there.then_some(page.items))
    })
    .await
}

#[test]
fn a_changed_port_range_is_seen_by_api_command_line_and_page() -> anyhow::Result<()> {
    on_own_network(async |machine| {
        machine.set_dynamic_ports(32_768, 60_999)?;
        let (controller, folder) = place(machine, "host").await?;
        let mut agent = folder.run()?;
        let (host, first) = first_audit(&controller, &agent).await?;
        let range = fact(&first, "dynamic_range")?;
        ensure!(range.value.as_deref() == Some("32768-60999"), "{range:#?}");
        ensure!(range.concern.is_none(), "{range:#?}");
        let none: Vec<DriftView> = controller.cli_json(&["get", "drift"]).await?;
        ensure!(
            none.is_empty(),
            "the first audit changed nothing: {none:#?}"
        );

        machine.set_dynamic_ports(20_000, 29_999)?;
        let drift = drift_of(&controller, &host, "dynamic_range").await?;
        let [changed] = drift.as_slice() else {
            anyhow::bail!("one setting was changed: {drift:#?}");
        };
        ensure!(
            changed.from == "32768-60999" && changed.to == "20000-29999",
            "{changed:#?}"
        );
        let listed: Vec<DriftView> = controller
            .cli_json(&["get", "drift", "--since", "1h"])
            .await?;
        ensure!(listed == drift, "{listed:#?}");

        let after = audit(&controller, &host).await?;
        let range = fact(&after, "dynamic_range")?;
        ensure!(
            range.since_ms == Some(changed.at_ms),
            "{range:#?}, {changed:#?}"
        );
        let concern = range.concern.as_deref().unwrap_or_default();
        ensure!(concern.contains("10000 dynamic ports"), "{range:#?}");
        let unchanged = fact(&after, "tcp_fin_timeout_s")?;
        let before = fact(&first, "tcp_fin_timeout_s")?;
        ensure!(unchanged.since_ms == before.since_ms, "{unchanged:#?}");

        let described = controller.cli(&["describe", "host", &host]).await?;
        let described = described.succeeded()?;
        for words in ["Configuration", "20000-29999", "16384 are usual"] {
            ensure!(described.contains(words), "{words}: {described}");
        }
        // The line among the events comes with the next commit.
        let operator = controller.sign_in().await?;
        let page = until("the change on the page", SOON, async || {
            let page = operator.get(&format!("/hosts/{host}")).await?;
            Ok(page.contains("configuration changed").then_some(page))
        })
        .await?;
        for words in ["Deserves a look", "20000-29999"] {
            ensure!(page.contains(words), "{words}: {page}");
        }

        // An agent that comes back tells the same again, which is no news.
        folder.end(&mut agent).await?;
        let agent = folder.run()?;
        until("the agent is back", STARTING, async || {
            let host = controller.only_host().await?;
            Ok((host.state == "online").then_some(()))
        })
        .await
        .with_context(|| agent.said())?;
        machine.set_dynamic_ports(32_768, 60_999)?;
        let drift = until("the change back", CHANGED, async || {
            let page: Page<DriftView> = controller
                .get(&format!("/api/v1/hosts/{host}/drift"))
                .await?;
            Ok((page.items.len() > 1).then_some(page.items))
        })
        .await?;
        ensure!(drift.len() == 2, "{drift:#?}");
        Ok(())
    })
}

/// What is told of `name` for the program `item`; `None` while it is not known.
async fn of_program(
    controller: &Controller,
    host: &str,
    (name, item): (&str, &str),
) -> anyhow::Result<Option<String>> {
    let audit = audit(controller, host).await?;
    let mut facts = audit.facts.into_iter();
    let found = facts.find(|fact| fact.name == name && fact.item.as_deref() == Some(item));
    Ok(found.and_then(|fact| fact.value))
}

/// Puts a build of `port_eater` at `path` as deploys do: beside it first, then in its place. Bytes behind an executable do
/// nothing.
fn deploy(path: &Path, build: &[u8]) -> anyhow::Result<String> {
    let next = path.with_extension("next");
    fs::copy(program("port_eater")?.as_std().get_program(), &next)?;
    fs::OpenOptions::new()
        .append(true)
        .open(&next)?
        .write_all(build)?;
    fs::rename(&next, path)?;
    Ok(HEXLOWER.encode(digest(&SHA256, &fs::read(path)?).as_ref()))
}

#[test]
fn a_deploy_of_a_program_that_holds_ports_is_told_once_it_runs() -> anyhow::Result<()> {
    on_own_network(async |machine| {
        machine.set_dynamic_ports(32_768, 60_999)?;
        let (controller, folder) = place(machine, "host").await?;
        let server = machine.folder().join("orders-api");
        let run = || {
            let mut command = tokio::process::Command::new(&server);
            let leak = "leak --per-second 500 --sockets 300 --connections 0 --to 127.0.0.1:9";
            command.args(leak.split(' ')).kill_on_drop(true);
            Process::start("orders-api", command, machine.folder())
        };
        let first = deploy(&server, b"1")?;
        let mut old = run()?;
        let agent = folder.run()?;
        let (host, _) = first_audit(&controller, &agent).await?;
        let fact = ("image_sha256", "orders-api");
        let is_told = async |expected: &str| {
            let told = of_program(&controller, &host, fact).await?;
            Ok((told.as_deref() == Some(expected)).then_some(()))
        };
        until("the digest of what runs", CHANGED, async || {
            is_told(&first).await
        })
        .await
        .with_context(|| agent.said())?;
        // A reading digests so many bytes, and builds for tests are large.
        until("the digest of the agent itself", CHANGED, async || {
            of_program(&controller, &host, ("image_sha256", "tidemark-agent")).await
        })
        .await
        .with_context(|| agent.said())?;

        let second = deploy(&server, b"2")?;
        let _new = run()?;
        let mut both = [first.clone(), second.clone()];
        both.sort();
        until("both while both run", CHANGED, async || {
            is_told(&both.join(", ")).await
        })
        .await
        .with_context(|| agent.said())?;
        old.kill().await?;
        until("the new one alone", CHANGED, async || {
            is_told(&second).await
        })
        .await
        .with_context(|| agent.said())?;

        let drift: Vec<DriftView> = controller.cli_json(&["get", "drift"]).await?;
        let of_program = drift
            .iter()
            .filter(|drift| drift.item.as_deref() == Some("orders-api"));
        let told: Vec<(&str, &str, &str)> = of_program
            .filter(|drift| drift.fact == "image_sha256")
            .map(|drift| (&*drift.fact, &*drift.from, &*drift.to))
            .collect();
        let both = both.join(", ");
        ensure!(
            told == [
                ("image_sha256", &*both, &*second),
                ("image_sha256", &*first, &*both)
            ],
            "{drift:#?}"
        );
        let described = controller.cli(&["describe", "host", &host]).await?;
        let described = described.succeeded()?;
        for words in [&*second, "edr_products"] {
            ensure!(described.contains(words), "{words}: {described}");
        }
        Ok(())
    })
}

#[test]
fn an_agent_shows_its_configuration_without_a_controller() -> anyhow::Result<()> {
    on_own_network(async |machine| {
        machine.set_dynamic_ports(20_000, 20_249)?;
        let folder = AgentFolder::create(machine, "host", "127.0.0.1:1", "unused")?;
        let mut command = folder.command("snapshot")?;
        command.args(["--audit", "--over", "0s"]);
        let shown = Finished::of(command).await?.succeeded()?;
        for words in [
            "configuration",
            "dynamic_range",
            "20000-20249",
            "16384 are usual",
        ] {
            ensure!(shown.contains(words), "{words}: {shown}");
        }
        Ok(())
    })
}

#[test]
fn a_registry_value_on_windows_is_told_and_its_change_is_drift() -> anyhow::Result<()> {
    on_own_network(async |machine| {
        machine.set_dynamic_ports(20_000, 20_249)?;
        let wine = Wine::prepare(machine)?;
        let (controller, folder) = place(machine, "windows").await?;
        folder.add_config("dynamic_range = \"20000-20249\"\nlight_interval = \"5s\"")?;
        set_number(&wine, "MaxUserPort", "5000").await?;
        let agent = wine.run_agent(&folder)?;
        let (host, first) = first_audit(&controller, &agent).await?;
        let port = fact(&first, "max_user_port")?;
        ensure!(port.value.as_deref() == Some("5000"), "{port:#?}");
        ensure!(port.concern.is_some(), "{port:#?}");
        let delay = fact(&first, "timed_wait_delay_s")?;
        ensure!(delay.state == "absent", "{delay:#?}");
        for (name, state) in [
            ("build", "known"),
            ("uptime_s", "known"),
            ("memory_bytes", "known"),
        ] {
            ensure!(fact(&first, name)?.state == state, "{first:#?}");
        }
        // Wine has no netsh and none of WMI's network classes: unknown, not empty.
        let range = fact(&first, "dynamic_range_tcp_v4")?;
        ensure!(
            range.state == "unknown" && range.value.is_none(),
            "{range:#?}"
        );
        for topic in ["excluded_ports", "tcp_templates", "tcp_globals"] {
            ensure!(
                first.unread.contains_key(topic),
                "{topic}: {:#?}",
                first.unread
            );
        }
        ensure!(
            !first.unread.contains_key("hotfixes"),
            "{:#?}",
            first.unread
        );

        own_executable_is_told(&controller, &host, &wine)
            .await
            .with_context(|| agent.said())?;
        let products = fact(&first, "edr_products")?;
        ensure!(products.value.as_deref() == Some("0"), "{products:#?}");

        set_number(&wine, "MaxUserPort", "65534").await?;
        set_number(&wine, "TcpTimedWaitDelay", "30").await?;
        let drift = until("both changes", CHANGED, async || {
            let page: Page<DriftView> = controller
                .get(&format!("/api/v1/hosts/{host}/drift"))
                .await?;
            Ok((page.items.len() >= 2).then_some(page.items))
        })
        .await
        .with_context(|| agent.said())?;
        let mut told: Vec<_> = drift
            .iter()
            .map(|drift| format!("{}: {} -> {}", drift.fact, drift.from, drift.to))
            .collect();
        told.sort();
        ensure!(
            told == [
                "max_user_port: 5000 -> 65534",
                "timed_wait_delay_s: absent -> 30"
            ],
            "{told:#?}"
        );
        Ok(())
    })
}

/// Windows' processes hold none of Linux' sockets under Wine; the agent is told wherever it runs.
async fn own_executable_is_told(
    controller: &Controller,
    host: &str,
    wine: &Wine,
) -> anyhow::Result<()> {
    let exe = HEXLOWER.encode(digest(&SHA256, &fs::read(wine.agent())?).as_ref());
    let version = format!("{}.0", env!("CARGO_PKG_VERSION"));
    for (name, expected) in [("image_version", &version), ("image_sha256", &exe)] {
        until(name, CHANGED, async || {
            let told = of_program(controller, host, (name, "tidemark-agent.exe")).await?;
            Ok((told.as_ref() == Some(expected)).then_some(()))
        })
        .await?;
    }
    Ok(())
}

async fn set_number(wine: &Wine, name: &str, number: &str) -> anyhow::Result<()> {
    let mut command = wine.program("reg");
    command.args([
        "add",
        PARAMETERS,
        "/v",
        name,
        "/t",
        "REG_DWORD",
        "/d",
        number,
        "/f",
    ]);
    Finished::of(command).await?.succeeded()?;
    Ok(())
}

/// An audit of these facts, by their numbers.
fn wire_audit(facts: &[(u32, audit_fact::State)]) -> agent_frame::Kind {
    agent_frame::Kind::Audit(v1::HostAudit {
        taken_at_ms: 1,
        topics: Vec::new(),
        facts: facts
            .iter()
            .map(|(name, state)| v1::AuditFact {
                name: *name,
                item: None,
                state: Some(state.clone()),
            })
            .collect(),
    })
}

#[test]
fn an_audit_that_is_none_is_refused_by_name_and_not_stored_in_part() -> anyhow::Result<()> {
    use audit_fact::State;
    on_own_network(async |machine| {
        let controller = Controller::up(machine, &Up::alone()).await?;
        let peer = Peer::enrolled(&controller, "hostile").await?;
        // 41 is `max_user_port`, a number; 20 is `dynamic_range`.
        let good = (41, State::Number(5_000));
        let backwards = State::Range(v1::AuditPorts { first: 9, last: 3 });
        let cases = [
            (vec![good.clone(), (20, backwards)], "the lower one first"),
            (vec![good.clone(), good.clone()], "a fact is there twice"),
            (
                vec![good.clone(), (5, State::Text("x".repeat(300_000)))],
                "the limit is 262144",
            ),
            (vec![good; 3_000], "audit.facts is 3000; the limit is 2048"),
        ];
        for (epoch, (facts, words)) in (1..).zip(cases) {
            let refused = peer.deliver(epoch, async |mut session| {
                session.send(wire_audit(&facts)).await?;
                session.refusal().await
            });
            let (_, said) = refused.await?;
            ensure!(said.contains(words), "{words}: {said}");
        }
        let told = audit(&controller, &peer.id().to_string()).await?;
        ensure!(
            told.taken_ms.is_none() && told.facts.is_empty(),
            "{told:#?}"
        );
        Ok(())
    })
}
