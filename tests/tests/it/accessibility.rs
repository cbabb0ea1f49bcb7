//! Every page for people who see little, use no mouse, or get sick of motion: axe-core finds nothing serious in either theme,
//! and the keyboard alone goes everywhere.

use std::collections::BTreeSet;

use anyhow::Context as _;
use serde_json::Value;
use tidemark_controller::api::routes::{ROUTES, Reader};
use tidemark_runtime::Clock;
use tidemark_tests::harness::browser::Browser;
use tidemark_tests::harness::peer::sample;
use tidemark_tests::harness::{Controller, Machine, Peer, SOON, Up, on_own_network, until};

use crate::keys::page::NIGHT;

/// Which axe-core; `tests/run` installs it under `target/`.
const AXE: &str = "axe-core-4.11.0";

const TAB: &str = "\u{e004}";
const ENTER: &str = "\u{e007}";

/// Pages that are no whole page but parts of one, or a stream.
const PARTS: [&str; 3] = ["/fleet/rows", "/hosts/{host}/now", "/live"];

/// A fleet with something on every page: hosts, an incident, a window, a policy, a run, a silence, a roll-out.
async fn furnish(machine: &Machine, controller: &Controller) -> anyhow::Result<Peer> {
    let peer = Peer::enrolled(controller, "web-1").await?;
    let calm = Peer::enrolled(controller, "web-2").await?;
    calm.deliver(1, async |mut session| {
        session
            .samples(1, &[sample(Clock::System.now(), 300)])
            .await?;
        session.event(2, "port exhaustion").await?;
        session.acked(2).await
    })
    .await?;
    peer.deliver(1, async |mut session| {
        let mut full = sample(Clock::System.now(), 700);
        full.port_spaces[0].strong = full.port_spaces[0].capacity;
        session.samples(1, &[full]).await?;
        session.acked(1).await?;
        until("the incident", SOON, async || {
            let incidents: Value = controller.get("/api/v1/incidents").await?;
            Ok(incidents["items"].get(0).is_some().then_some(()))
        })
        .await
    })
    .await?;
    for (name, text) in [("windows", WINDOWS), ("policies", NIGHT)] {
        let file = machine.folder().join(format!("{name}.toml"));
        std::fs::write(&file, text)?;
        let file = file.display().to_string();
        controller.cli(&["apply", "-f", &file]).await?.succeeded()?;
    }
    let silence =
        serde_json::json!({"matchers": ["host=web-9"], "duration_s": 3_600, "reason": "a drill"});
    let (status, _) = controller.post("/api/v1/silences", &silence).await?;
    anyhow::ensure!(status == 201, "no silence: {status}");
    crate::upgrades::bring_one(machine, controller).await?;
    let roll_out = serde_json::json!({"release": 1, "wait_s": 0});
    let (status, _) = controller.post("/api/v1/upgrades", &roll_out).await?;
    anyhow::ensure!(status == 201, "no roll-out: {status}");
    Ok(peer)
}

const WINDOWS: &str = r#"
[[window]]
name = "saturday-night"
recurrence = "FREQ=WEEKLY;BYDAY=SA"
start = "2026-11-28T02:00"
duration = "4h"
time_zone = "UTC"
hosts = ["host=*"]
"#;

/// Every page that is served, with something in its place for what it is about. Incident and run 1 may not be there: then
/// the page that says so is looked at.
fn pages(host: &str) -> BTreeSet<String> {
    let is_page = |path: &&str| !PARTS.contains(path);
    ROUTES
        .iter()
        .filter(|route| route.reader == Reader::Person && route.method == "GET")
        .map(|route| route.path)
        .filter(is_page)
        .map(|path| {
            path.replace("{host}", host)
                .replace("{incident}", "1")
                .replace("{run}", "1")
                .replace("{upgrade}", "1")
                .replace("{*page}", "runbooks/leak.html")
        })
        .map(|path| path.replace(['{', '}'], ""))
        .collect()
}

/// What axe-core finds on the page that is open, as far as it is serious.
async fn faults(browser: &Browser, axe: &str) -> anyhow::Result<Vec<String>> {
    browser.run(&format!("{axe}; window.axe = axe")).await?;
    let look = "const done = arguments[arguments.length - 1];\
        axe.run(document, {resultTypes: ['violations']}).then((found) => done(found.violations\
            .filter(({impact}) => impact === 'serious' || impact === 'critical')\
            .map(({id, nodes}) => id + ': ' + nodes.map((node) => node.target + ' ' + node.failureSummary).join('; '))),\
            (error) => done([String(error)]))";
    let found = browser.run_to_end(look).await?;
    let found = found.as_array().context("axe says nothing")?;
    Ok(found.iter().map(ToString::to_string).collect())
}

#[test]
fn axe_finds_nothing_serious_on_any_page_in_either_theme() -> anyhow::Result<()> {
    on_own_network(async |machine| {
        let axe = tidemark_tests::harness::browser::target_folder()?
            .join(AXE)
            .join("node_modules/axe-core/axe.min.js");
        let axe = std::fs::read_to_string(&axe)
            .with_context(|| format!("{} is needed: tests/run installs it", axe.display()))?;
        let controller = Controller::up(machine, &Up::alone()).await?;
        let peer = furnish(machine, &controller).await?;
        let browser = Browser::start(machine).await?;
        let mut found = Vec::new();
        // The sign-in is for those who are not signed in.
        let mut paths = vec!["/login".to_owned()];
        paths.extend(
            pages(&peer.id().to_string())
                .into_iter()
                .filter(|path| path != "/login"),
        );
        assert!(paths.len() >= 12, "{paths:?}");
        for path in paths {
            if path != "/login" {
                browser.open(&controller.ready.sign_in).await.ok();
            }
            for (width, theme) in [(1280, "light"), (1280, "dark"), (390, "light")] {
                browser.show_as(width, 900, theme).await?;
                browser
                    .open(&format!("{}{path}", controller.ready.http))
                    .await?;
                let faults = faults(&browser, &axe).await?;
                found.extend(
                    faults
                        .into_iter()
                        .map(|fault| format!("{path} {theme} {width}: {fault}")),
                );
            }
        }
        assert_eq!(found, Vec::<String>::new());
        Ok(())
    })
}

/// The element that has the focus, as a person would name it, and whether it is seen to have it.
async fn focused(browser: &Browser) -> anyhow::Result<(String, bool)> {
    let look = "const at = document.activeElement; const style = getComputedStyle(at);\
        return [at === document.body ? 'BODY' : (at.getAttribute('aria-label') || at.innerText || at.name || at.tagName).trim(),\
            style.outlineStyle !== 'none' && parseFloat(style.outlineWidth) >= 2]";
    let found = browser.run(look).await?;
    let name = found[0].as_str().unwrap_or_default().to_owned();
    Ok((name, found[1] == true))
}

#[test]
fn the_keyboard_alone_reaches_a_host_and_its_history() -> anyhow::Result<()> {
    on_own_network(async |machine| {
        let controller = Controller::up(machine, &Up::alone()).await?;
        let peer = furnish(machine, &controller).await?;
        let browser = Browser::start(machine).await?;
        browser.open(&controller.ready.sign_in).await?;
        browser.show_as(1280, 900, "light").await?;
        browser.press(TAB).await?;
        assert_eq!(
            focused(&browser).await?,
            ("Skip to the content".to_owned(), true)
        );
        // Everything that tabs lead to is seen to have the focus.
        let mut met = BTreeSet::new();
        for _ in 0..24 {
            browser.press(TAB).await?;
            let (name, is_seen) = focused(&browser).await?;
            assert!(
                is_seen || name == "BODY",
                "nobody sees that {name} has the focus"
            );
            met.insert(name);
        }
        for name in ["History", "Incidents", "Filter hosts", "State", "web-1"] {
            assert!(met.contains(name), "{name} is not met: {met:?}");
        }
        browser.press("/").await?;
        browser.press("web-1").await?;
        until("one line", SOON, async || {
            let lines = browser
                .run("return document.querySelectorAll('tr.row').length")
                .await?;
            Ok((lines == 1).then_some(()))
        })
        .await?;
        browser.press(&format!("{TAB}{TAB}")).await?;
        assert_eq!(focused(&browser).await?.0, "web-1");
        browser.press(ENTER).await?;
        until("the host's page", SOON, async || {
            Ok(browser
                .address()
                .await?
                .ends_with(&peer.id().to_string())
                .then_some(()))
        })
        .await?;
        browser.press("?").await?;
        assert!(
            browser
                .text("dialog[open]")
                .await?
                .contains("earlier and later")
        );
        browser.press("\u{e00c}").await?;
        browser.press("gx").await?;
        until("the history", SOON, async || {
            Ok(browser
                .text("main")
                .await?
                .contains("At the cursor")
                .then_some(()))
        })
        .await?;
        Ok(())
    })
}

#[test]
fn nothing_moves_for_people_who_asked_for_less_motion() -> anyhow::Result<()> {
    on_own_network(async |machine| {
        let controller = Controller::up(machine, &Up::alone()).await?;
        let _peer = furnish(machine, &controller).await?;
        let browser = Browser::start(machine).await?;
        browser.open(&controller.ready.sign_in).await?;
        let moving = "const busy = document.querySelector('#rows tr.row'); busy.classList.add('fresh');\
            return document.getAnimations().filter((one) => one.playState === 'running').length";
        assert_ne!(
            browser.run(moving).await?,
            0,
            "a fresh line is seen to be fresh"
        );
        browser.reduce_motion().await?;
        browser.open(&format!("{}/", controller.ready.http)).await?;
        assert_eq!(browser.run(moving).await?, 0);
        Ok(())
    })
}
