//! Measures the page of a large fleet in Chromium, beside a controller that `fleetsim` loads, as root, in a network of its own:
//! `cargo build --release --workspace --bins && cargo run --release -p tidemark-tests --example fleet_page -- 10000`.

use std::time::Duration;

use anyhow::Context as _;
use serde_json::{Value, json};
use tidemark_model::view::{HostView, Page};
use tidemark_tests::harness::browser::Browser;
use tidemark_tests::harness::process::program;
use tidemark_tests::harness::{Controller, Machine, Process, Up, on_own_network, until};

/// Longest that a fleet may take to come in.
const COMING_IN: Duration = Duration::from_secs(1_800);

const LOADED: &str = "const done = arguments[arguments.length - 1];\
    const look = () => {\
      const paint = performance.getEntriesByName('first-contentful-paint')[0];\
      const page = performance.getEntriesByType('navigation')[0];\
      if (!paint || !page.domInteractive) return requestAnimationFrame(look);\
      done({answered_ms: Math.round(page.responseEnd), interactive_ms: Math.round(page.domInteractive),\
        first_paint_ms: Math.round(paint.startTime), html_kb: Math.round(page.decodedBodySize / 1000),\
        lines: document.querySelectorAll('tr.row').length, elements: document.querySelectorAll('*').length}); }; look()";

/// Frames of five seconds in which `step` is done before each.
fn frames(step: &str) -> String {
    format!(
        "const done = arguments[arguments.length - 1]; const gaps = []; const start = performance.now(); let last = start;\
         const tick = (now) => {{ gaps.push(now - last); last = now; {step};\
           if (now - start < 5000) return requestAnimationFrame(tick); gaps.sort((one, other) => one - other);\
           done({{frames_per_s: Math.round(gaps.length / 5), p95_ms: Math.round(gaps[Math.floor(gaps.length * 0.95)])}}); }};\
         requestAnimationFrame(tick)"
    )
}

/// How long it takes from typing until the one line is there.
fn filter(name: &str) -> String {
    format!(
        "const done = arguments[arguments.length - 1]; const text = document.querySelector('#text'); const start = performance.now();\
         text.value = {}; text.dispatchEvent(new Event('input', {{bubbles: true}}));\
         const look = () => document.querySelectorAll('tr.row').length === 1\
           ? done(Math.round(performance.now() - start)) : requestAnimationFrame(look); look()",
        json!(name)
    )
}

fn main() -> anyhow::Result<()> {
    let agents: u32 = match std::env::args().nth(1) {
        Some(text) => text
            .parse()
            .context("how many agents? a number, as 10000")?,
        None => 1_000,
    };
    on_own_network(async |machine| {
        let controller = Controller::up(machine, &Up::alone()).await?;
        let _fleet = simulate(machine, &controller, agents).await?;
        let name = until("the fleet", COMING_IN, async || {
            let status = controller.status().await?;
            let online = status.hosts.get("online").copied().unwrap_or(0);
            if online < u64::from(agents) {
                return Ok(None);
            }
            let page: Page<HostView> = controller.get("/api/v1/hosts?limit=2").await?;
            Ok(page.items.into_iter().last().map(|host| host.name))
        })
        .await?;
        let browser = Browser::start(machine).await?;
        browser.open(&controller.ready.sign_in).await?;
        browser.open(&format!("{}/", controller.ready.http)).await?;
        say("loaded", &browser.run_to_end(LOADED).await?)?;
        for (what, step) in [
            ("live, at rest", ""),
            ("scrolled by 40 px a frame", "scrollBy(0, 40)"),
            ("scrolled by 400 px a frame", "scrollBy(0, 400)"),
        ] {
            say(what, &browser.run_to_end(&frames(step)).await?)?;
        }
        say("filtered, ms", &browser.run_to_end(&filter(&name)).await?)
    })
}

async fn simulate(
    machine: &Machine,
    controller: &Controller,
    agents: u32,
) -> anyhow::Result<Process> {
    let count = agents.to_string();
    let made: Value = controller
        .cli_json(&["token", "create", "--uses", &count])
        .await?;
    let token = made["token"].as_str().context("no token")?;
    let mut command = program("fleetsim")?;
    command.env("TIDEMARK_JOIN_TOKEN", token);
    command.args(["run", "--controller", "127.0.0.1:7443", "--agents", &count]);
    command.args(["--duration", "3600s", "--interval", "30s"]);
    Process::start("fleetsim", command, machine.folder())
}

fn say(what: &str, figures: &Value) -> anyhow::Result<()> {
    use std::io::Write as _;
    Ok(writeln!(std::io::stdout(), "{what}: {figures}")?)
}
