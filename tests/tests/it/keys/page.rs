//! The page Keys in a real browser: what operators signed and how far it has come, live, while keys stay where they are.

use tidemark_tests::harness::browser::Browser;

use super::*;
use crate::page::show_everywhere;

/// Never fires: what is looked at is the grant for it.
pub const NIGHT: &str = r#"
[[policy]]
name = "night"
hosts = ["host=*"]
condition = { level = 99 }
approval = "by_policy"

[[policy.ladder]]
action = "restart_service"
with = ["service=leaky"]
"#;
/// What a person types who tests the page.
const HOSTILE: &str = "<img src=x onerror=\"document.title='owned'\">";

/// Waits until the page says all of this, in that part.
async fn shows(browser: &Browser, part: &str, words: &[&str]) -> anyhow::Result<()> {
    let mut last = String::new();
    let shown = until("the page", SOON, async || {
        last = browser.text(part).await?;
        let is_all = words.iter().all(|word| last.contains(word));
        Ok(is_all.then_some(()))
    });
    shown.await.with_context(|| format!("{words:?}: {last}"))
}

async fn press(browser: &Browser, keys: &str) -> anyhow::Result<()> {
    for key in keys.chars() {
        let event = format!("new KeyboardEvent('keydown', {{key: '{key}', bubbles: true}})");
        let script = format!("document.body.dispatchEvent({event})");
        browser.run(&script).await?;
    }
    Ok(())
}

/// A key takes another one's place.
async fn rotate(site: &Site, browser: &Browser) -> anyhow::Result<()> {
    let file = site.keyring.file();
    site.key_command(&["key", "rotate", "ann", "--new-passphrase-file", file])
        .await?;
    let followed = ["rotation of", "1 of 1 host", "ann ("];
    shows(browser, "#statements", &followed).await?;
    let replaced = ["replaced on 1 of 1 host", "in the place of"];
    shows(browser, "#keys", &replaced).await
}

/// The new key signs a grant.
async fn grant(machine: &Machine, site: &Site, browser: &Browser) -> anyhow::Result<()> {
    let policy = machine.folder().join("night.toml");
    fs::write(&policy, NIGHT)?;
    let policy = policy.display().to_string();
    let apply = site.controller.cli(&["apply", "-f", &policy]).await?;
    apply.succeeded()?;
    let host = site.controller.only_host().await?.name;
    let mut words = vec!["grant", "new", "night", "--name", &host, "--per-hour", "2"];
    words.extend(["--reason", HOSTILE, "--key", "ann-2"]);
    site.key_command(&words).await?;
    let service = "service=\"leaky\"";
    let standing = [
        "standing",
        "rung 1",
        service,
        "2 an hour",
        "not yet",
        HOSTILE,
    ];
    shows(browser, "#grants", &standing).await?;
    shows(browser, "#grants", &[&format!("holds on {host}")]).await
}

async fn withdraw(site: &Site, browser: &Browser) -> anyhow::Result<()> {
    let grants: Vec<serde_json::Value> = site.controller.cli_json(&["get", "grants"]).await?;
    let id = grants[0]["id"].as_str().context("a grant")?;
    let mut words = vec!["grant", "withdraw", id, "--key", "ann-2"];
    words.extend(["--passphrase-file", site.keyring.file()]);
    site.controller.cli(&words).await?.succeeded()?;
    let ended = [
        "withdrawn",
        "with a signature, for good",
        "holds on no host",
    ];
    shows(browser, "#grants", &ended).await
}

#[test]
fn the_page_shows_what_was_signed_and_which_hosts_have_not_followed() -> anyhow::Result<()> {
    on_own_network(async |machine| {
        let mut site = Site::up(machine, "[keys]\nrotation = true\n").await?;
        site.keys(|keys| keys.len() == 2).await?;
        let host = site.controller.only_host().await?.name;
        let browser = Browser::start(machine).await?;
        browser.open(&site.controller.ready.sign_in).await?;
        browser.show_as(1280, 1400, "light").await?;
        press(&browser, "gk").await?;
        let listed = ["ann", "bob", &host, "observe", "believed on 1 of 1 host"];
        shows(&browser, "#keys", &listed).await?;
        shows(&browser, "#statements", &["tidemark key rotate NAME"]).await?;
        shows(&browser, "#grants", &["tidemark grant new POLICY"]).await?;
        // Nothing is reloaded from here on: the page is live.
        browser.run("window.isStillTheSamePage = true").await?;
        rotate(&site, &browser).await?;
        grant(machine, &site, &browser).await?;

        // A host that is away goes on believing a key that was revoked, and the page says which.
        site.folder.end(&mut site.agent).await?;
        let revoke = ["key", "revoke", "bob", "--key", "bob", "--reason", HOSTILE];
        site.key_command(&revoke).await?;
        let believed = ["revoked, and still believed on 1 of 1 host", HOSTILE];
        shows(&browser, "#keys", &believed).await?;
        let away = ["revocation of", "0 of 1 host", "it is offline"];
        shows(&browser, "#statements", &away).await?;
        assert_eq!(browser.run("return window.isStillTheSamePage").await?, true);
        assert_ne!(browser.run("return document.title").await?, "owned");
        let made = "return document.querySelectorAll('img[src=x]').length";
        assert_eq!(browser.run(made).await?, 0);
        show_everywhere(&browser, "keys").await?;

        site.agent = site.folder.run()?;
        shows(&browser, "#keys", &["revoked on 1 of 1 host"]).await?;
        withdraw(&site, &browser).await?;
        assert_eq!(browser.complaints().await?, Vec::<String>::new());
        Ok(())
    })
}
