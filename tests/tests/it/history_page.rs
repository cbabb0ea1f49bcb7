//! The history in a real browser: asked for, read at the cursor, zoomed, typed at, compared, sent on by its address.

use std::time::Duration;

use tidemark_model::Sample;
use tidemark_runtime::Clock;
use tidemark_tests::harness::browser::{Browser, Button};
use tidemark_tests::harness::peer::sample;
use tidemark_tests::harness::{Controller, Peer, SOON, Up, on_own_network, until};

use crate::page::show_everywhere;

/// Minutes of history that each host has; of them a gap.
const MINUTES: u64 = 240;
const GAP: std::ops::Range<u64> = 90..130;

/// A host with a sample a minute until just now, and a hole in the middle.
pub(crate) async fn host(controller: &Controller, name: &str, ports: u32) -> anyhow::Result<Peer> {
    let peer = Peer::enrolled(controller, name).await?;
    let now = Clock::System.now();
    // Of a thousand ports that there are.
    let samples: Vec<Sample> = (0..MINUTES)
        .rev()
        .filter(|back| !GAP.contains(back))
        .map(|back| {
            let at = now.saturating_sub(Duration::from_secs(back * 60));
            sample(at, ports + u32::try_from(MINUTES - back).unwrap_or(0))
        })
        .collect();
    peer.deliver(1, async |mut session| {
        session.samples(1, &samples).await?;
        session.acked(samples.len() as u64).await
    })
    .await?;
    Ok(peer)
}

/// Waits until the page shows so many lines of figures beside drawn charts.
async fn lines(browser: &Browser, wanted: usize) -> anyhow::Result<()> {
    const COUNT: &str = "const busy = document.querySelector('#answer[aria-busy]');\
        const drawn = [...document.querySelectorAll('.canvas')].every((box) => box.querySelector('canvas'));\
        return busy || !drawn ? -1 : document.querySelectorAll('tr.line').length";
    let shown = until("the lines of the chart", SOON, async || {
        Ok((browser.run(COUNT).await? == wanted).then_some(()))
    });
    if let Err(error) = shown.await {
        let page = browser.text("main").await?;
        return Err(error.context(format!("{wanted} lines; the page is: {page}")));
    }
    Ok(())
}

/// The middle of the first chart, in pixels of the window.
async fn middle(browser: &Browser) -> anyhow::Result<(i64, i64)> {
    let place = browser
        .run(
            "const box = document.querySelector('.u-over').getBoundingClientRect();\
              return [Math.round(box.x + box.width * 0.55), Math.round(box.y + box.height / 2)]",
        )
        .await?;
    let pixel = |index: usize| place[index].as_i64().unwrap_or(0);
    Ok((pixel(0), pixel(1)))
}

async fn read_with_the_mouse(browser: &Browser) -> anyhow::Result<()> {
    let (x, y) = middle(browser).await?;
    browser.point(&[(x, y)], Button::Up).await?;
    // Both charts say what was there at that minute.
    let cells = "return [...document.querySelectorAll('td.c-cursor')].filter((cell) => cell.textContent).length";
    assert_eq!(browser.run(cells).await?, 4);
    assert!(browser.text("#readout").await?.ends_with(" UTC"));
    browser.point(&[(x, y), (x + 200, y)], Button::Down).await?;
    until("the zoom in the address", SOON, async || {
        let address = browser.address().await?;
        Ok((address.contains("from=") && !address.contains("range=")).then_some(()))
    })
    .await?;
    lines(browser, 4).await
}

async fn move_with_the_keys(browser: &Browser) -> anyhow::Result<()> {
    let zoomed = browser.address().await?;
    for key in ["[", "-"] {
        let before = browser.address().await?;
        browser.press(key).await?;
        until("another address", SOON, async || {
            Ok((browser.address().await? != before).then_some(()))
        })
        .await?;
        lines(browser, 4).await?;
    }
    browser.run("history.go(-2)").await?;
    until("the way back", SOON, async || {
        Ok((browser.address().await? == zoomed).then_some(()))
    })
    .await?;
    lines(browser, 4).await?;
    // A slash finds the filter; what is typed there chooses hosts.
    browser.press("/web-2").await?;
    lines(browser, 2).await?;
    let typed = "return [document.activeElement.name, document.activeElement.value].join()";
    assert_eq!(browser.run(typed).await?, "text,web-2");
    assert!(browser.address().await?.contains("text=web-2"));
    Ok(())
}

#[test]
fn history_is_read_zoomed_compared_and_sent_on_by_its_address() -> anyhow::Result<()> {
    on_own_network(async |machine| {
        let controller = Controller::up(machine, &Up::alone()).await?;
        let http = controller.ready.http.clone();
        let browser = Browser::start(machine).await?;
        browser.open(&controller.ready.sign_in).await?;
        browser.show_as(1280, 900, "light").await?;
        browser.open(&format!("{http}/history")).await?;
        assert!(browser.text("main").await?.contains("No history yet"));

        let _peers = (
            host(&controller, "web-1", 600).await?,
            host(&controller, "web-2", 90).await?,
        );
        browser.open(&format!("{http}/")).await?;
        browser.press("gx").await?;
        lines(&browser, 2).await?;
        browser
            .open(&format!(
                "{http}/history?metric=in_use&metric=strong&range=6h"
            ))
            .await?;
        lines(&browser, 4).await?;
        read_with_the_mouse(&browser).await?;
        move_with_the_keys(&browser).await?;

        // Somebody else opens the address and sees the same.
        let address = browser.address().await?;
        let figures = browser.text(".lines").await?;
        browser.open("about:blank").await?;
        browser.open(&address).await?;
        lines(&browser, 2).await?;
        let again = browser.text(".lines").await?;
        assert!(
            figures.contains("web-2") && !figures.contains("web-1"),
            "{figures}"
        );
        // What was at the cursor of the one is not at the other's.
        let last = |text: &str| text.lines().last().map(str::to_owned);
        assert_eq!(last(&again), last(&figures));

        let compare = "const s = document.querySelector('select[name=offset_ms]'); s.value = '604800000';\
                       s.dispatchEvent(new Event('change', {bubbles: true}))";
        browser.run(compare).await?;
        until("the comparison", SOON, async || {
            Ok(browser
                .text(".lines")
                .await?
                .contains("Before")
                .then_some(()))
        })
        .await?;
        let link = "return document.querySelector('a[download]').getAttribute('href')";
        let link = browser.run(link).await?;
        let link = link.as_str().unwrap_or_default();
        assert!(link.starts_with("/api/v1/compare?"), "{link}");
        let csv = controller.get_text(link).await?;
        assert!(
            csv.starts_with("time_ms,time,series,value,value_before\r\n"),
            "{csv}"
        );
        assert!(csv.contains(",web-2,"), "{csv}");
        show_everywhere(&browser, "history").await?;
        assert_eq!(browser.complaints().await?, Vec::<String>::new());
        Ok(())
    })
}

#[test]
fn history_says_in_words_when_the_controller_does_not_answer() -> anyhow::Result<()> {
    on_own_network(async |machine| {
        let controller = Controller::up(machine, &Up::alone()).await?;
        let _peer = host(&controller, "web-1", 600).await?;
        let browser = Browser::start(machine).await?;
        browser.open(&controller.ready.sign_in).await?;
        let page = format!("{}/history?range=6h", controller.ready.http);
        browser.open(&page).await?;
        lines(&browser, 1).await?;
        controller.stop().await?;
        browser.press("-").await?;
        let alarm = until("the alarm", SOON, async || {
            let alarm = browser.text("#failed").await?;
            Ok((!alarm.is_empty()).then_some(alarm))
        })
        .await?;
        assert!(
            alarm.contains("does not answer") && alarm.contains("Try again"),
            "{alarm}"
        );
        // What was read before is still there to be read.
        assert!(browser.text(".lines").await?.contains("web-1"));
        Ok(())
    })
}
