//! The form of the page Maintenance in a real browser: a run is planned, its mistakes are named, another person approves what they
//! read, and it is stopped.

use tidemark_tests::harness::SOON;

use super::*;
use crate::page::show_everywhere;

/// Types into the form that plans a run, and sends it as a person does.
async fn plan(browser: &Browser, waves: &str) -> anyhow::Result<()> {
    let typed = json!({"name": "patches", "reason": "of December", "hosts": "host=*",
        "action": "run_hook", "parameters": "name=patch", "window": "night", "waves": waves,
        "concurrency": "2"});
    let script = format!(
        "const form = document.querySelector('#plan'); form.closest('details').open = true;\
         for (const [name, value] of Object.entries({typed})) form.elements[name].value = value;\
         form.requestSubmit()"
    );
    browser.run(&script).await.map(drop)
}

/// Presses the button of that word on the page of a run.
async fn press(browser: &Browser, word: &str, why: &str) -> anyhow::Result<()> {
    let (word, why) = (json!(word), json!(why));
    let script = format!(
        "document.querySelector('#deeds input[name=text]').value = {why};\
         document.querySelector('#deeds button[value=' + {word} + ']').click()"
    );
    browser.run(&script).await.map(drop)
}

pub(super) async fn shows(browser: &Browser, words: &[&str]) -> anyhow::Result<()> {
    let mut last = String::new();
    let shown = until("the page", SOON, async || {
        last = browser.text("main").await?;
        let is_all = words.iter().all(|word| last.contains(word));
        Ok(is_all.then_some(()))
    });
    shown.await.with_context(|| format!("{words:?}: {last}"))
}

async fn count(browser: &Browser, selector: &str) -> anyhow::Result<Value> {
    let script = format!(
        "return document.querySelectorAll({}).length",
        json!(selector)
    );
    browser.run(&script).await
}

/// Signs out, and in again as somebody else.
async fn sign_in_as(browser: &Browser, scene: &Scene, name: &str) -> anyhow::Result<()> {
    let token = scene.controller.token_of(name, "approver").await?;
    browser
        .run("document.querySelector('form[action=\"/logout\"]').requestSubmit()")
        .await?;
    let form = "document.querySelector('input[name=token]')";
    until("the sign-in", SOON, async || {
        let is_there = browser.run(&format!("return !!{form}")).await?;
        Ok((is_there == true).then_some(()))
    })
    .await?;
    let complaints = browser.complaints().await?;
    ensure!(complaints.len() <= 1, "the sign-in alone: {complaints:?}");
    let script = format!(
        "{form}.value = {}; {form}.form.requestSubmit()",
        json!(token)
    );
    browser.run(&script).await?;
    until("the fleet", SOON, async || {
        let footer = browser.text("footer").await?;
        Ok(footer
            .contains(&format!("signed in as {name}"))
            .then_some(()))
    })
    .await
}

#[test]
fn a_run_is_planned_approved_by_another_and_stopped_in_the_browser() -> anyhow::Result<()> {
    on_own_network(async |machine| {
        let mut scene = Scene::up(machine).await?;
        scene.join(machine, "web-1", "").await?;
        scene.join(machine, "web-2", "").await?;
        scene.window("night", 600).await?;
        let maintenance = format!("{}/maintenance", scene.controller.ready.http);
        let browser = Browser::start(machine).await?;
        browser.open(&scene.controller.ready.sign_in).await?;
        browser.show_as(1280, 1400, "light").await?;

        browser.open(&maintenance).await?;
        plan(&browser, "1 half rest").await?;
        shows(&browser, &["waves", "half"]).await?;
        browser.screenshot("run-refused").await?;
        assert_eq!(browser.complaints().await?.len(), 1, "the refusal alone");

        // What was typed is still there: only the mistake is mended.
        let mend = "const form = document.querySelector('#plan'); form.elements.waves.value = '1 rest'; form.requestSubmit()";
        browser.run(mend).await?;
        shows(
            &browser,
            &["planned", "patches", "0 of 2", "approved by 0 of 1"],
        )
        .await?;
        assert_eq!(
            count(&browser, "#deeds button[value=approve]").await?,
            0,
            "their own"
        );
        show_everywhere(&browser, "run-planned").await?;

        let run = browser.run("return location.href").await?;
        let run = run.as_str().context("an address")?.to_owned();
        sign_in_as(&browser, &scene, "bob").await?;
        browser.open(&run).await?;
        press(&browser, "approve", "").await?;
        shows(&browser, &["approved by 1 of 1: bob"]).await?;
        press(&browser, "stop", "too many alarms").await?;
        shows(
            &browser,
            &["cancelled", "too many alarms", "2 of them skipped"],
        )
        .await?;
        assert_eq!(
            count(&browser, "#deeds button").await?,
            0,
            "nothing is left to do"
        );
        show_everywhere(&browser, "run-stopped").await?;
        assert!(scene.patched().is_empty(), "{:?}", scene.patched());
        assert_eq!(browser.complaints().await?, Vec::<String>::new());
        Ok(())
    })
}
