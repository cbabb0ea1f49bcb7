//! Maintenance windows over real leaks: what a window silences is told when it is over, and what lasts until a window is
//! nobody's emergency.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::Context as _;
use jiff::tz::TimeZone;
use tidemark_model::view::{HostView, IncidentView, Page, WindowView};
use tidemark_tests::harness::sink::HttpSink;
use tidemark_tests::harness::site::Site;
use tidemark_tests::harness::{Controller, Machine, SOON, Up, on_own_network, until};

/// A thousand ports at 5 a second last longer than this.
const LEAKING: Duration = Duration::from_secs(150);
const LEAK: &str = "leak --per-second 5";

/// Dates of a leak that lasts three minutes, and a receiver of all that is more than information.
const CONFIG: &str = "[incidents]\n\
    critical_within = \"60s\"\nwarning_within = \"1h\"\nclear_after = \"4s\"\nreopen_within = \"1h\"\n\
    [[notify.receiver]]\nname = \"hook\"\ntype = \"webhook\"\nurl = \"http://127.0.0.1:9100/hook\"\n\
    [[notify.route]]\nreceiver = \"hook\"\ngroup_wait = \"0s\"\nmatchers = [\"severity!=info\"]\n";

fn configured(machine: &Machine) -> anyhow::Result<Up> {
    let path = machine.folder().join("controller.toml");
    fs::write(&path, CONFIG)?;
    Ok(Up::with_agent()
        .arg("--config")
        .arg(path.display().to_string()))
}

/// A file with a weekly window of the host's own time that begins then, in milliseconds.
fn window_file(
    machine: &Machine,
    host: &HostView,
    begins_ms: i64,
    rest: &str,
) -> anyhow::Result<PathBuf> {
    let name = host.time_zone.as_deref().context("a time zone")?;
    let zone = TimeZone::get(name)?;
    let start = zone.to_datetime(jiff::Timestamp::from_millisecond(begins_ms)?);
    let path = machine.folder().join("windows.toml");
    let text = format!(
        "[[window]]\nname = \"patching\"\nrecurrence = \"FREQ=WEEKLY\"\nstart = \"{}\"\nduration = \"5m\"\n\
         time_zone = \"host-local\"\nhosts = [\"host={}\"]\n{rest}",
        start.strftime("%Y-%m-%dT%H:%M:%S"),
        host.name
    );
    fs::write(&path, text)?;
    Ok(path)
}

async fn apply(controller: &Controller, file: &Path) -> anyhow::Result<()> {
    let file = file.display().to_string();
    let said = controller.cli(&["apply", "-f", &file]).await?.succeeded()?;
    anyhow::ensure!(said.contains("window patching created"), "{said}");
    Ok(())
}

async fn the_incident(
    controller: &Controller,
    what: &str,
    is_so: impl Fn(&IncidentView) -> bool,
) -> anyhow::Result<IncidentView> {
    until(what, LEAKING, async || {
        let page: Page<IncidentView> = controller.get("/api/v1/incidents").await?;
        Ok(page.items.into_iter().find(|incident| is_so(incident)))
    })
    .await
}

fn now_ms(host: &HostView) -> anyhow::Result<i64> {
    host.sampled_ms.context("a sample")
}

#[test]
fn a_leak_in_a_window_is_suppressed_and_told_when_the_window_ends() -> anyhow::Result<()> {
    on_own_network(async |machine| {
        let sink = HttpSink::start("127.0.0.1:9100", &[]).await?;
        let site = Site::start_with(machine, &configured(machine)?).await?;
        let controller = &site.controller;
        let host = controller.only_host().await?;
        let end_ms = now_ms(&host)? + 90_000;
        let rest = "silences_incidents = true\n";
        let file = window_file(machine, &host, end_ms - 300_000, rest)?;
        apply(controller, &file).await?;
        let mut eater = site.eat(machine, LEAK)?;
        let opened = the_incident(controller, "the incident", |_| true).await?;
        let silence = opened.silenced_by_window.context("it is suppressed")?;
        assert_eq!(silence.name, "patching");
        let listed = controller.cli(&["get", "incidents"]).await?.succeeded()?;
        assert!(
            listed.contains("silenced by the window patching until"),
            "{listed}"
        );
        until("the count", SOON, async || {
            let count = controller.metric("tidemark_incidents_suppressed").await?;
            Ok((count == 1).then_some(()))
        })
        .await?;

        let told = until("the message", LEAKING, async || {
            Ok(sink.accepted().first().cloned())
        })
        .await?;
        let message: serde_json::Value = serde_json::from_str(&told.body)?;
        let at_ms = message["at_ms"].as_i64().context("a time")?;
        assert!(
            at_ms >= silence.until_ms,
            "told within the window: {message:#}"
        );
        assert_eq!(message["firing"][0]["id"], opened.id);
        let after = the_incident(controller, "the end of the window", |incident| {
            incident.silenced_by_window.is_none()
        })
        .await?;
        let next = after.window.context("next week's")?;
        assert_eq!(next.survives.as_deref(), Some("will_not"), "{next:#?}");
        eater.kill().await
    })
}

#[test]
fn a_leak_that_lasts_until_its_window_is_nobodys_emergency() -> anyhow::Result<()> {
    on_own_network(async |machine| {
        let sink = HttpSink::start("127.0.0.1:9100", &[]).await?;
        let site = Site::start_with(machine, &configured(machine)?).await?;
        let controller = &site.controller;
        let host = controller.only_host().await?;
        let file = window_file(machine, &host, now_ms(&host)? + 80_000, "")?;
        apply(controller, &file).await?;
        let mut eater = site.eat(machine, LEAK)?;
        let opened = the_incident(controller, "the incident", |_| true).await?;
        assert_eq!(opened.severity, "info", "{opened:#?}");
        let standing = opened.window.context("a window")?;
        assert_eq!(standing.survives.as_deref(), Some("will"), "{standing:#?}");
        let windows: Vec<WindowView> = controller.cli_json(&["get", "windows"]).await?;
        assert_eq!(windows.first().map(|window| window.hosts), Some(1));
        for command in [&["get", "hosts"][..], &["describe", "host", &host.name]] {
            let said = controller.cli(command).await?.succeeded()?;
            assert!(
                said.contains("patching in ") && said.contains(", lasts"),
                "{said}"
            );
        }
        assert!(sink.taken().is_empty(), "{:#?}", sink.taken());

        let removed = controller.cli(&["window", "remove", "patching"]).await?;
        removed.succeeded()?;
        let worse = the_incident(controller, "the escalation", |incident| {
            incident.severity != "info"
        })
        .await?;
        assert_eq!((worse.id, worse.window), (opened.id, None));
        until("the message", SOON, async || {
            Ok(sink.accepted().first().map(|_| ()))
        })
        .await?;
        eater.kill().await
    })
}
