//! Takes the pictures in docs/screenshots of the gallery's made-up fleet, as root:
//! `cargo build -p tidemark-controller --example gallery && cargo run -p tidemark-tests --example screenshots`.

use std::fs;
use std::path::Path;

use anyhow::Context as _;
use tidemark_tests::harness::browser::{Browser, target_folder};
use tidemark_tests::harness::process::program;
use tidemark_tests::harness::{Machine, Process, STARTING, on_own_network, until};

/// Name of the picture, what is looked at, colours, width and height.
type Picture = (&'static str, &'static str, &'static str, u32, u32);

/// `{host}` is the host that runs out first.
const PICTURES: [Picture; 9] = [
    ("fleet", "/", "light", 1280, 720),
    ("fleet-dark", "/", "dark", 1280, 720),
    ("host", "/hosts/{host}", "light", 1280, 1000),
    ("host-dark", "/hosts/{host}", "dark", 1280, 1000),
    (
        "host-rewound",
        "/hosts/{host}?at={then}",
        "light",
        1280,
        1000,
    ),
    (
        "history",
        "/history?range=6h&metric=in_use&metric=time_wait&top=4",
        "light",
        1280,
        1000,
    ),
    ("upgrades", "/upgrades", "light", 1280, 1400),
    ("upgrades-dark", "/upgrades", "dark", 1280, 1400),
    ("fleet-narrow", "/", "light", 390, 844),
];

fn main() -> anyhow::Result<()> {
    on_own_network(async |machine| {
        let (gallery, sign_in) = gallery(machine).await?;
        let http = sign_in
            .split("/login")
            .next()
            .unwrap_or_default()
            .to_owned();
        let browser = Browser::start(machine).await?;
        browser.open(&sign_in).await?;
        let first = browser
            .run("return document.querySelector('tr.row').id.slice(2)")
            .await?;
        let host = first.as_str().context("the fleet is empty")?.to_owned();
        let then = browser
            .run("return Date.now() - 20 * 60000")
            .await?
            .to_string();
        let target = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/screenshots");
        fs::create_dir_all(&target)?;
        for (name, path, theme, width, height) in PICTURES {
            browser.show_as(width, height, theme).await?;
            let path = path.replace("{host}", &host).replace("{then}", &then);
            browser.open(&format!("{http}{path}")).await?;
            until("the charts", STARTING, async || {
                let drawn = "return [...document.querySelectorAll('#chart, .canvas')].every((box) => box.querySelector('canvas'))";
                Ok((browser.run(drawn).await? == true).then_some(()))
            })
            .await?;
            browser.screenshot(name).await?;
            let taken = target_folder()?
                .join("screenshots")
                .join(format!("{name}.png"));
            fs::copy(taken, target.join(format!("{name}.png")))?;
        }
        drop(gallery);
        Ok(())
    })
}

/// The made-up fleet, and the link that signs in there.
async fn gallery(machine: &Machine) -> anyhow::Result<(Process, String)> {
    let mut command = program("examples/gallery")?;
    command.arg("7080");
    let gallery = Process::start("gallery", command, machine.folder())?;
    let sign_in = until("the gallery", STARTING, async || {
        let said = gallery.stdout()?;
        let link = said.lines().find(|line| line.starts_with("http://"));
        Ok(link.map(str::to_owned))
    })
    .await?;
    Ok((gallery, sign_in))
}
