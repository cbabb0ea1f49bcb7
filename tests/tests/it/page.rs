//! The pages in a real browser: what an operator sees of a leak without touching anything, and what a hostile host cannot
//! do to them. The pictures in target/screenshots are for people.

use std::time::Duration;

use tidemark_model::view::{HostView, IncidentView, Page};
use tidemark_runtime::Clock;
use tidemark_tests::harness::browser::Browser;
use tidemark_tests::harness::peer::sample;
use tidemark_tests::harness::site::Site;
use tidemark_tests::harness::{Controller, Peer, SOON, Up, on_own_network, until};

/// A leak of 20 ports a second is dated within less.
const DATED: Duration = Duration::from_secs(45);

#[test]
fn a_leak_appears_on_the_open_page_with_its_date_and_its_culprit() -> anyhow::Result<()> {
    on_own_network(async |machine| {
        let site = Site::start(machine).await?;
        let host = site.controller.only_host().await?;
        let browser = Browser::start(machine).await?;
        browser.open(&site.controller.ready.sign_in).await?;
        browser.show_as(1280, 800, "light").await?;
        let row = format!("#h-{}", host.id);
        let quiet = browser.text(&row).await?;
        assert!(quiet.contains(&host.name), "{quiet}");
        assert!(quiet.contains("online"), "{quiet}");
        browser.screenshot("fleet-quiet").await?;

        // Nothing is reloaded: the page is live.
        browser.run("window.isStillTheSamePage = true").await?;
        let _eater = site.eat(machine, "leak --per-second 20")?;
        let culprit = format!("{row} .c-culprit");
        let eta = format!("{row} .c-eta");
        let dated = until("the leak on the page", DATED, async || {
            let culprit = browser.text(&culprit).await?;
            let eta = browser.text(&eta).await?;
            Ok(culprit.contains("port_eater").then_some(eta))
        })
        .await?;
        assert!(dated.contains("in "), "a date in words: {dated}");
        assert_eq!(browser.run("return window.isStillTheSamePage").await?, true);
        show_everywhere(&browser, "fleet").await?;

        browser.show_as(1280, 1400, "light").await?;
        let page = format!("{}/hosts/{}", site.controller.ready.http, host.id);
        browser.open(&page).await?;
        let verdict = until("the chart", SOON, async || {
            let is_drawn = browser
                .run("const c = document.querySelector('#chart canvas'); return !!c && c.width > 300")
                .await?;
            let verdict = browser.text("#verdict").await?;
            Ok((is_drawn == true).then_some(verdict))
        })
        .await?;
        for word in ["port_eater", "1000", "8 in 10"] {
            let plain = verdict.replace(['\u{202f}', '\u{a0}', ','], "");
            assert!(plain.contains(word), "{word}: {verdict}");
        }
        show_everywhere(&browser, "host").await?;
        browser
            .open(&format!("{}/events", site.controller.ready.http))
            .await?;
        show_everywhere(&browser, "events").await?;
        assert_eq!(browser.complaints().await?, Vec::<String>::new());
        Ok(())
    })
}

#[test]
fn a_hostile_hosts_name_is_text_and_nothing_else() -> anyhow::Result<()> {
    const NAME: &str = "<img src=x onerror=\"document.title='owned'\">\u{202e}</bdi>'&\"";
    on_own_network(async |machine| {
        let controller = Controller::up(machine, &Up::alone()).await?;
        let peer = Peer::enrolled(&controller, NAME).await?;
        peer.deliver(1, async |mut session| {
            let mut hostile = sample(Clock::System.now(), 700);
            if let Some(owner) = hostile.port_spaces[0].owners.first_mut() {
                owner.process.name = "<script>document.title='owned'</script>".into();
            }
            session.samples(1, &[hostile]).await?;
            session.acked(1).await
        })
        .await?;
        let browser = Browser::start(machine).await?;
        browser.open(&controller.ready.sign_in).await?;
        let host = format!("/hosts/{}", peer.id());
        for (path, name) in [("/", "fleet"), (&host, "host"), ("/events", "events")] {
            browser
                .open(&format!("{}{path}", controller.ready.http))
                .await?;
            let shown = browser.text("main").await?;
            assert!(shown.contains("<img src=x onerror="), "{path}: {shown}");
            let made = "return document.querySelectorAll('img[src=x], main script').length";
            assert_eq!(browser.run(made).await?, 0, "{path}");
            let title = browser.run("return document.title").await?;
            assert_ne!(title, "owned", "{path}");
            browser.screenshot(&format!("hostile-{name}")).await?;
        }
        assert_eq!(browser.complaints().await?, Vec::<String>::new());

        // The command line shows it as text, too, and its CSV starts no formula.
        let table = controller.cli(&["get", "hosts"]).await?.succeeded()?;
        assert!(!table.contains('\u{202e}'), "{table:?}");
        let hosts: Vec<HostView> = controller.cli_json(&["get", "hosts"]).await?;
        assert_eq!(hosts[0].name, NAME, "JSON has it as it is");
        Ok(())
    })
}

/// An incident of a host that has no port left, open by the time it is returned.
async fn exhausted(controller: &Controller, name: &str) -> anyhow::Result<IncidentView> {
    let peer = Peer::enrolled(controller, name).await?;
    peer.deliver(1, async |mut session| {
        let mut full = sample(Clock::System.now(), 700);
        let capacity = full.port_spaces[0].capacity;
        full.port_spaces[0].strong = capacity;
        session.samples(1, &[full]).await?;
        session.acked(1).await?;
        until("the incident", SOON, async || {
            let page: Page<IncidentView> = controller.get("/api/v1/incidents").await?;
            Ok(page.items.into_iter().next())
        })
        .await
    })
    .await
}

#[test]
fn an_incident_is_read_acknowledged_and_silenced_in_the_browser() -> anyhow::Result<()> {
    const PRESS: &str = "document.querySelector('button[value=acknowledge]').click()";
    const SILENCE: &str = "const f = document.querySelector('form[action=\"/silences\"]');\
        f.matchers.value = 'host=web-*'; f.duration.value = '2h'; f.reason.value = 'a drill'; f.requestSubmit()";
    on_own_network(async |machine| {
        let config = machine.folder().join("controller.toml");
        std::fs::write(
            &config,
            "[[notify.receiver]]\nname = \"hook\"\ntype = \"webhook\"\nurl = \"http://127.0.0.1:9100/\"\n",
        )?;
        let up = Up::alone()
            .arg("--config")
            .arg(config.display().to_string());
        let controller = Controller::up(machine, &up).await?;
        let browser = Browser::start(machine).await?;
        browser.open(&controller.ready.sign_in).await?;
        browser.show_as(1280, 800, "light").await?;
        browser
            .open(&format!("{}/incidents", controller.ready.http))
            .await?;
        // Nothing is reloaded: the list is live.
        browser.run("window.isStillTheSamePage = true").await?;
        let incident = exhausted(&controller, "web-1").await?;
        until("the incident in the list", SOON, async || {
            let listed = browser.text("main").await?;
            Ok(listed.contains("TCP ports are exhausted").then_some(()))
        })
        .await?;
        assert_eq!(browser.run("return window.isStillTheSamePage").await?, true);
        show_everywhere(&browser, "incidents").await?;

        let page = format!("{}/incidents/{}", controller.ready.http, incident.id);
        browser.open(&page).await?;
        let note = "document.querySelector('input[name=text]').value = 'half a sentence'";
        browser.run(note).await?;
        let id = incident.id.to_string();
        let noted = ["incident", "note", &id, "asked the vendor"];
        controller.cli(&noted).await?.succeeded()?;
        until("what a colleague noted", SOON, async || {
            let shown = browser.text("#timeline").await?;
            Ok(shown.contains("asked the vendor").then_some(()))
        })
        .await?;
        let typed = browser.run("return document.querySelector('input[name=text]').value");
        assert_eq!(typed.await?, "half a sentence");
        browser.run(PRESS).await?;
        until("the acknowledgement", SOON, async || {
            let shown = browser.text("main").await?;
            Ok(shown.contains("critical, acknowledged").then_some(()))
        })
        .await?;
        show_everywhere(&browser, "incident").await?;

        browser
            .open(&format!("{}/notifications", controller.ready.http))
            .await?;
        browser.run(SILENCE).await?;
        until("the silence", SOON, async || {
            let shown = browser.text("main").await?;
            Ok(shown.contains("a drill").then_some(()))
        })
        .await?;
        show_everywhere(&browser, "notifications").await?;
        assert_eq!(browser.complaints().await?, Vec::<String>::new());
        Ok(())
    })
}

/// Pictures on a desk, by day and by night, and on a phone; the page may not be wider than the phone.
pub(crate) async fn show_everywhere(browser: &Browser, name: &str) -> anyhow::Result<()> {
    browser.screenshot(name).await?;
    browser.show_as(1280, 1400, "dark").await?;
    browser.screenshot(&format!("{name}-dark")).await?;
    browser.show_as(390, 844, "light").await?;
    browser.screenshot(&format!("{name}-narrow")).await?;
    let overflow = "return document.documentElement.scrollWidth - window.innerWidth";
    let overflow = browser.run(overflow).await?;
    assert!(
        overflow.as_i64().is_some_and(|pixels| pixels <= 0),
        "{name} is {overflow} pixels wider than a phone"
    );
    // A host's name that is cut to its first letter is nobody's name.
    let cut = "return [...document.querySelectorAll('.c-who, .c-host')]\
               .filter((cell) => cell.scrollWidth > cell.clientWidth).length";
    assert_eq!(browser.run(cut).await?, 0, "{name} cuts names");
    browser.show_as(1280, 1400, "light").await
}
