//! The lines that `tidemark install` and the page Install print: pasted on a host as they stand, they join it.

use std::path::PathBuf;

use anyhow::Context as _;
use serde_json::Value;
use tidemark_tests::harness::browser::Browser;
use tidemark_tests::harness::{
    Controller, Debian, Machine, Neighbour, SOON, STARTING, Up, on_own_network, until,
};

use crate::deb::{package, unit_is};
use crate::real_windows::ensure_powershell;
use crate::tar::tarball;

/// The packages have the version of the programs.
const VERSION: &str = env!("CARGO_PKG_VERSION");
const TAB: &str = "\u{e004}";
const ENTER: &str = "\u{e007}";

/// A controller that tells agents an address which its neighbour reaches, and that neighbour.
async fn site(machine: &Machine) -> anyhow::Result<(Controller, Neighbour)> {
    let network = Neighbour::start(machine, (1, "web-1"), (20_000, 20_999)).await?;
    let settings = format!("agents_address = \"{}:7443\"\n", network.near_address());
    let up = Up {
        grpc_address: Up::for_neighbours().grpc_address,
        ..Up::configured(machine, &settings)?
    };
    Ok((Controller::up(machine, &up).await?, network))
}

/// What is printed for a way.
async fn lines(controller: &Controller, way: &str) -> anyhow::Result<String> {
    let printed: Value = controller
        .cli_json(&["install", "--label", "site=vie"])
        .await?;
    let ways = printed["ways"].as_array().context("ways")?;
    let found = ways.iter().find(|how| how["way"] == way);
    let lines = found.and_then(|how| how["lines"].as_str());
    lines.map(str::to_owned).context("its lines")
}

/// Pastes the lines of a way on a new host, beside the packages; the host that the controller then has.
fn joins_by(way: &str) -> anyhow::Result<()> {
    on_own_network(async |machine| {
        let packages = machine.folder().join("packages");
        match way {
            "deb" => package(&packages, VERSION, &["tidemark-agent"]).await?,
            _ => tarball(&packages, VERSION).await?,
        }
        let (controller, network) = site(machine).await?;
        let brought: [(PathBuf, &str); 1] = [(packages, "/packages")];
        let host = Debian::boot(machine, network, &brought).await?;
        // The clean root has no sudo; whoever works there is root.
        let sudo = "printf '#!/bin/sh\\nexec \"$@\"\\n' > /usr/local/bin/sudo; chmod 755 /usr/local/bin/sudo; cp /packages/* /root";
        host.shell(sudo).await?;
        let lines = lines(&controller, way).await?;
        host.shell(&format!("cd /root\n{lines}")).await?;
        let enrolled = controller.first_sample(STARTING).await?;
        assert_eq!(enrolled.name, "web-1");
        let labels = serde_json::to_value(&enrolled.labels)?;
        assert_eq!(labels["site"], "vie");
        assert_eq!(
            unit_is(&host, "is-active", "tidemark-agent").await?,
            "active"
        );
        let modes = host
            .shell("stat -c '%a %U' /etc/tidemark/join-token /etc/tidemark/agent.toml")
            .await?;
        assert_eq!(modes, "600 root\n600 root\n");
        Ok(())
    })
}

#[test]
fn a_debian_joins_by_the_printed_line() -> anyhow::Result<()> {
    joins_by("deb")
}

#[test]
fn any_linux_joins_by_the_printed_line() -> anyhow::Result<()> {
    joins_by("tar")
}

#[test]
fn the_page_shows_the_lines_once_and_copies_them_by_the_keyboard() -> anyhow::Result<()> {
    on_own_network(async |machine| {
        let controller = Controller::up(machine, &Up::alone()).await?;
        let browser = Browser::start(machine).await?;
        browser.open(&controller.ready.sign_in).await?;
        let page = format!("{}/install", controller.ready.http);
        browser.open(&page).await?;
        browser.show_as(1280, 1000, "light").await?;
        browser
            .run("document.querySelector('input[name=ttl]').focus()")
            .await?;
        // Over the number of hosts and the labels to the button.
        browser.press(&format!("{TAB}{TAB}{TAB}{ENTER}")).await?;
        until("the lines", SOON, async || {
            let shown = browser.text("#linux-deb").await.unwrap_or_default();
            Ok(shown.contains("apt-get install").then_some(()))
        })
        .await?;
        let power_shell = browser.text("#windows-power_shell").await?;
        ensure_powershell(&power_shell)?;
        ensure_powershell(&browser.text("#windows-group_policy").await?)?;
        for (width, scheme) in [(1280, "light"), (1280, "dark"), (390, "dark")] {
            browser.show_as(width, 1000, scheme).await?;
            browser
                .screenshot(&format!("install-{width}-{scheme}"))
                .await?;
            let wide = browser
                .run("return document.documentElement.scrollWidth - document.documentElement.clientWidth")
                .await?;
            assert_eq!(wide, 0, "nothing is cut off at {width} pixels");
        }
        // What the button hands to the browser is what is shown.
        browser
            .run("window.copied = ''; navigator.clipboard.writeText = async (text) => { window.copied = text; }")
            .await?;
        browser
            .run("document.querySelector('[data-copy=linux-deb]').focus()")
            .await?;
        browser.press(ENTER).await?;
        until("it is copied", SOON, async || {
            let button = browser.text("[data-copy=linux-deb]").await?;
            Ok((button == "Copied").then_some(()))
        })
        .await?;
        let shown = browser
            .run("return document.getElementById('linux-deb').textContent")
            .await?;
        assert_eq!(browser.run("return window.copied").await?, shown);
        // Where a browser lets no page copy, the lines are marked for its own key.
        browser
            .run("navigator.clipboard.writeText = async () => { throw new Error('no'); }")
            .await?;
        browser
            .run("document.querySelector('[data-copy=linux-tar]').focus()")
            .await?;
        browser.press(ENTER).await?;
        until("they are marked", SOON, async || {
            let marked = browser
                .run("return document.getSelection().toString()")
                .await?;
            Ok(marked
                .as_str()
                .is_some_and(|text| text.contains("install.sh"))
                .then_some(()))
        })
        .await?;
        assert_eq!(browser.complaints().await?, Vec::<String>::new());
        // Asked for once more, the page has the form alone.
        browser.open(&page).await?;
        assert!(!browser.text("body").await?.contains("tm1."));
        Ok(())
    })
}
