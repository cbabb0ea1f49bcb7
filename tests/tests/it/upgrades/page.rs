//! The page Upgrades in a real browser: a roll-out is looked at, started, halted by a host that goes back, resumed and stopped,
//! live, with real agents.

use tidemark_tests::harness::browser::Browser;

use super::*;
use crate::page::show_everywhere;

/// Waits until the page says all of this, in that part.
async fn shows(browser: &Browser, part: &str, words: &[&str]) -> anyhow::Result<()> {
    let mut last = String::new();
    let shown = until("the page", PATIENCE, async || {
        last = browser.text(part).await.unwrap_or_default();
        let is_all = words.iter().all(|word| last.contains(word));
        Ok(is_all.then_some(()))
    });
    shown.await.with_context(|| format!("{words:?}: {last}"))
}

/// Presses the button that says this.
async fn press(browser: &Browser, button: &str) -> anyhow::Result<()> {
    let script = format!(
        "[...document.querySelectorAll('main button')].find((one) => one.innerText === '{button}').click()"
    );
    browser.run(&script).await.map(drop)
}

/// Fills the form in and goes as far as the question.
pub async fn look_at_rings(browser: &Browser) -> anyhow::Result<()> {
    let form = "document.querySelector('#start')";
    let fill = format!(
        "{form}.closest('details').open = true; {form}.elements.soak.value = '0s';\
         {form}.elements.wait.value = '0s'; {form}.requestSubmit()"
    );
    browser.run(&fill).await?;
    shows(browser, "h1", &["Roll release 1"]).await
}

/// Starts the roll-out, after a look at what is asked.
async fn start(browser: &Browser, host: &str) -> anyhow::Result<()> {
    look_at_rings(browser).await?;
    let asked = ["Ring 1", "Ring 5", "1 host", host, "goes back by itself"];
    shows(browser, "main", &asked).await?;
    show_everywhere(browser, "upgrades-sure").await?;
    press(browser, "Start the roll-out").await?;
    shows(browser, "h1", &["Roll-out 1"]).await
}

#[test]
fn the_page_starts_a_roll_out_and_shows_live_what_halted_it() -> anyhow::Result<()> {
    on_own_network(async |machine| {
        let site = Site::start(machine, 2).await?;
        let browser = Browser::start(machine).await?;
        browser.open(&site.controller.ready.sign_in).await?;
        browser.show_as(1280, 1400, "light").await?;
        browser.press("gu").await?;
        let takes = ["Every host that said something takes releases", "2 hosts"];
        shows(&browser, "#unable", &takes).await?;
        let version = env!("CARGO_PKG_VERSION");
        shows(&browser, "#versions", &[version, "installed program"]).await?;
        // What is brought appears by itself; what can be done with it, with the next look.
        site.release(1, "exit 3", &["ann", "bob"]).await?;
        let arch = format!("linux/{}", std::env::consts::ARCH);
        shows(&browser, "#releases", &["1.0.1", &arch]).await?;
        let upgrades = format!("{}/upgrades", site.controller.ready.http);
        browser.open(&upgrades).await?;
        let host = site.controller.hosts().await?.swap_remove(0).name;
        start(&browser, &host).await?;

        // Nothing is reloaded from here on: the page is live.
        browser.run("window.isStillTheSamePage = true").await?;
        let halted = ["What halted it", &host, "rolled back", "ended by itself"];
        shows(&browser, "#roll-out", &halted).await?;
        shows(&browser, "#standing", &["halted", "1 failed, and 0 may"]).await?;
        shows(&browser, "#rings", &["with failures", "not begun"]).await?;
        assert_eq!(browser.run("return window.isStillTheSamePage").await?, true);
        show_everywhere(&browser, "roll-out").await?;

        press(&browser, "Resume…").await?;
        shows(&browser, "main", &["Failed, and forgiven", "wait"]).await?;
        press(&browser, "Resume it").await?;
        let both = ["2 of 2 hosts have ended"];
        shows(&browser, "#standing", &both).await?;
        press(&browser, "Stop…").await?;
        shows(&browser, "h1", &["Stop roll-out 1?"]).await?;
        press(&browser, "Stop it").await?;
        shows(&browser, "#standing", &["stopped by hand"]).await?;
        browser.open(&upgrades).await?;
        shows(&browser, "#past", &["stopped"]).await?;
        show_everywhere(&browser, "upgrades").await?;
        assert_eq!(browser.complaints().await?, Vec::<String>::new());
        Ok(())
    })
}
