//! A host's past in a real browser: by key, by a click on its chart and by the slider, with an address for each minute.

use anyhow::Context as _;
use tidemark_tests::harness::browser::{Browser, Button};
use tidemark_tests::harness::{Controller, SOON, Up, on_own_network, until};

use crate::history_page::host;
use crate::page::show_everywhere;

/// Waits until the past is shown with another address than `before`; says the address and the ports in use.
async fn past(browser: &Browser, before: &str) -> anyhow::Result<(String, i64)> {
    let address = until("another minute", SOON, async || {
        let address = browser.address().await?;
        let is_drawn = browser
            .run("return !!document.querySelector('#chart canvas')")
            .await?
            == true;
        Ok((address != before && address.contains("at=") && is_drawn).then_some(address))
    })
    .await?;
    let figure = browser.text("#then dd").await?;
    let ports = figure
        .replace(',', "")
        .parse()
        .with_context(|| format!("{figure:?} ports in use"))?;
    Ok((address, ports))
}

/// The minute that an address names, in Unix milliseconds.
fn minute(address: &str) -> i64 {
    let at = address.split("at=").nth(1).unwrap_or_default();
    at.split('&')
        .next()
        .unwrap_or_default()
        .parse()
        .unwrap_or(0)
}

#[test]
fn a_host_is_rewound_by_key_click_and_slider_and_comes_back_to_the_present() -> anyhow::Result<()> {
    on_own_network(async |machine| {
        let controller = Controller::up(machine, &Up::alone()).await?;
        // Its ports rise by one a minute.
        let peer = host(&controller, "web-1", 600).await?;
        let browser = Browser::start(machine).await?;
        browser.open(&controller.ready.sign_in).await?;
        browser.show_as(1280, 1000, "light").await?;
        let live = format!("{}/hosts/{}", controller.ready.http, peer.id());
        browser.open(&format!("{live}?range=1h")).await?;
        until("the chart", SOON, async || {
            let drawn = browser
                .run("return !!document.querySelector('#chart canvas')")
                .await?;
            Ok((drawn == true).then_some(()))
        })
        .await?;

        browser.press("[").await?;
        let (first, ports) = past(&browser, &live).await?;
        browser.press("[").await?;
        let (second, fewer) = past(&browser, &first).await?;
        assert_eq!(
            (minute(&first) - minute(&second), ports - fewer),
            (60_000, 1)
        );
        browser.press("{").await?;
        let (third, least) = past(&browser, &second).await?;
        assert_eq!(
            (minute(&second) - minute(&third), fewer - least),
            (600_000, 10)
        );
        assert!(browser.text("#then").await?.contains("made-up"));

        let over = browser
            .run(
                "const box = document.querySelector('.u-over').getBoundingClientRect();\
                  return [Math.round(box.x + box.width / 4), Math.round(box.y + 40)]",
            )
            .await?;
        let pixel = |index: usize| over[index].as_i64().unwrap_or(0);
        browser.point(&[(pixel(0), pixel(1))], Button::Down).await?;
        let (clicked, _) = past(&browser, &third).await?;
        assert!(minute(&clicked) < minute(&third), "{clicked} {third}");

        let slide = "const slider = document.querySelector('#slider'); slider.value = Number(slider.max);\
                     slider.dispatchEvent(new Event('input', {bubbles: true}))";
        browser.run(slide).await?;
        let (slid, _) = past(&browser, &clicked).await?;
        assert!(minute(&slid) > minute(&clicked), "{slid} {clicked}");
        // A minute has an address of its own.
        browser.open(&third).await?;
        assert_eq!(past(&browser, "").await?, (third, least));
        show_everywhere(&browser, "rewind").await?;

        browser.press("l").await?;
        until("the present", SOON, async || {
            let verdict = browser.text("#verdict").await?;
            Ok(verdict.contains("ports free").then_some(()))
        })
        .await?;
        assert!(!browser.address().await?.contains("at="));
        assert_eq!(browser.complaints().await?, Vec::<String>::new());
        Ok(())
    })
}
