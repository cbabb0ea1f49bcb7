//! Three hundred hostile strings as names, labels, processes and texts: every page, the API, CSV and the command line show
//! them as text; nothing runs, nothing breaks the layout, and what is refused names its field and its limit.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::Context as _;
use serde_json::{Value, json};
use tidemark_model::HostFacts;
use tidemark_model::upgrade::UpgradeState;
use tidemark_model::view::{HostView, Page, UpgradeDetail};
use tidemark_runtime::Clock;
use tidemark_tests::harness::browser::Browser;
use tidemark_tests::harness::hostile::strings;
use tidemark_tests::harness::peer::{facts, sample};
use tidemark_tests::harness::{Controller, Machine, Peer, SOON, Up, on_own_network, until};

use crate::upgrades::bring_one;
use crate::upgrades::page::look_at_rings;

/// Host names are cut here, as the agent cuts them.
const NAME_CHARS_MAX: usize = 253;

/// Longer labels are refused, and those with a zero byte.
const LABEL_CHARS_MAX: usize = 256;

/// Everything on a page that no controller puts there.
const INTRUDERS: &str = "const ours = /^($|[/?#])/;\
    const isForeign = (node) =>\
        ['SCRIPT', 'STYLE', 'LINK', 'META', 'BASE', 'IFRAME', 'OBJECT', 'EMBED', 'IMG', 'VIDEO', 'AUDIO', 'TEMPLATE', 'MARQUEE', 'XMP',\
         'PLAINTEXT'].includes(node.tagName)\
        || [...node.attributes].some(({name, value}) => name.startsWith('on') || name === 'autofocus'\
            || (['href', 'src', 'action', 'formaction', 'xlink:href'].includes(name) && !ours.test(value)));\
    return [window.owned ?? document.title === 'owned', [...document.querySelectorAll('main *')].filter(isForeign).map((node) => node.outerHTML.slice(0, 200)),\
        document.querySelectorAll('main').length, document.documentElement.scrollWidth - window.innerWidth]";

/// A host that says this of itself wherever it can.
fn hostile_facts(text: &str) -> HostFacts {
    HostFacts {
        os: text.into(),
        agent_version: text.into(),
        labels: BTreeMap::from([("team".to_owned(), label(text))]),
        ..facts(text)
    }
}

/// As much of it as a label may be.
fn label(text: &str) -> String {
    let fits = text.chars().filter(|character| *character != '\0');
    fits.take(LABEL_CHARS_MAX).collect()
}

/// What of a name is kept: as much as there is room for, and for a zero byte, which databases cannot hold, a question mark.
fn kept(text: &str) -> String {
    let cut = text.chars().take(NAME_CHARS_MAX);
    cut.collect::<String>().replace('\0', "?")
}

/// Enrols a host for each string, several at once.
async fn enrol_all(controller: &Controller, texts: &[String]) -> anyhow::Result<Vec<Peer>> {
    let (front, back) = texts.split_at(texts.len() / 2);
    let ((one, two), (three, four)) = (
        front.split_at(front.len() / 2),
        back.split_at(back.len() / 2),
    );
    let enrolled = tokio::try_join!(
        enrol_each(controller, one),
        enrol_each(controller, two),
        enrol_each(controller, three),
        enrol_each(controller, four),
    );
    let (mut peers, two, three, four) = enrolled?;
    peers.extend(two.into_iter().chain(three).chain(four));
    Ok(peers)
}

/// Each tells of processes, services and events of that name, too.
async fn enrol_each(controller: &Controller, texts: &[String]) -> anyhow::Result<Vec<Peer>> {
    let mut peers = Vec::new();
    for text in texts {
        let peer = Peer::enrolled_as(controller, hostile_facts(text)).await?;
        let mut hostile = sample(Clock::System.now(), 700);
        for owner in &mut hostile.port_spaces[0].owners {
            owner.process.name = text.as_str().into();
            owner.process.service = Some(text.as_str().into());
            owner.process.executable = Some(text.as_str().into());
        }
        peer.deliver(1, async |mut session| {
            session.samples(1, &[hostile]).await?;
            session.event(2, text).await?;
            session.acked(2).await
        })
        .await?;
        peers.push(peer);
    }
    Ok(peers)
}

/// Looks at a page on a phone, where there is least room.
async fn look(browser: &Browser, url: &str) -> anyhow::Result<()> {
    browser.open(url).await?;
    look_at_shown(browser, url).await
}

/// Looks at the page that is shown.
async fn look_at_shown(browser: &Browser, url: &str) -> anyhow::Result<()> {
    let seen = browser.run(INTRUDERS).await?;
    let expected = json!([false, [], 1]);
    assert_eq!(json!([seen[0], seen[1], seen[2]]), expected, "{url}");
    let overflow = seen[3].as_i64();
    assert!(
        overflow.is_some_and(|pixels| pixels <= 0),
        "{url} is {overflow:?} pixels wider than a phone"
    );
    Ok(())
}

/// What operators type, as far as it is taken: the names that are shown again, and how many were refused.
async fn type_all(controller: &Controller, texts: &[String]) -> anyhow::Result<usize> {
    let mut refused = 0;
    for text in texts {
        let silence = json!({"matchers": ["host=nobody"], "duration_s": 3_600, "reason": text});
        refused +=
            usize::from(!is_taken(controller, "/api/v1/silences", &silence, "reason").await?);
        let token = json!({"name": text, "role": "viewer"});
        refused += usize::from(!is_taken(controller, "/api/v1/api-tokens", &token, "name").await?);
    }
    Ok(refused)
}

/// Whether it is taken; a refusal must say which field, and what it must be.
async fn is_taken(
    controller: &Controller,
    path: &str,
    body: &Value,
    field: &str,
) -> anyhow::Result<bool> {
    // Asking faster than anybody types is put off, not refused.
    let (status, answer) = until("an answer", SOON, async || {
        let (status, answer) = controller.post(path, body).await?;
        Ok((status != 429).then_some((status, answer)))
    })
    .await?;
    if status == 201 {
        return Ok(true);
    }
    let title = answer["title"].as_str().unwrap_or_default();
    assert!((400..500).contains(&status), "{body}: {status} {answer}");
    assert!(
        title.contains(field) && title.contains("must"),
        "{body}: {title}"
    );
    Ok(false)
}

/// Labels that cannot be kept as they are get their host refused, by field and limit.
async fn refuse_labels(controller: &Controller) -> anyhow::Result<()> {
    let cases = [
        ("a\0b".to_owned(), "a label holds a NUL"),
        ("w".repeat(LABEL_CHARS_MAX + 1), "256"),
    ];
    for (text, words) in cases {
        let labels = BTreeMap::from([("team".to_owned(), text)]);
        let facts = HostFacts {
            labels,
            ..facts("web-1")
        };
        let refusal = Peer::enrolled_as(controller, facts).await.err();
        let refusal = format!("{:#}", refusal.context("such a label is taken")?);
        assert!(
            refusal.contains("facts.labels") && refusal.contains(words),
            "{refusal}"
        );
    }
    Ok(())
}

/// A roll-out that passes over all of them, ring by ring: they are not there.
async fn roll_out(machine: &Machine, controller: &Controller) -> anyhow::Result<()> {
    bring_one(machine, controller).await?;
    let start = ["upgrade", "start", "--release", "1"];
    let rings = ["--soak", "0s", "--wait", "0s"];
    controller
        .cli(&[start.as_slice(), &rings].concat())
        .await?
        .succeeded()?;
    until("hosts that are passed over", SOON, async || {
        let detail: UpgradeDetail = controller.get("/api/v1/upgrades/1").await?;
        Ok((detail.upgrade.state == UpgradeState::Done).then_some(()))
    })
    .await
}

async fn see_all_pages(
    machine: &Machine,
    controller: &Controller,
    peers: &[Peer],
) -> anyhow::Result<()> {
    let browser = Browser::start(machine).await?;
    browser.open(&controller.ready.sign_in).await?;
    browser.show_as(390, 844, "dark").await?;
    let http = &controller.ready.http;
    let pages = [
        "/",
        "/events",
        "/history?range=1h&top=24",
        "/history?range=1h&metric=ports&group_by=entity&top=24",
        "/incidents",
        "/maintenance",
        "/policies",
        "/keys",
        "/notifications",
        "/upgrades",
        "/upgrades/1",
    ];
    for page in pages {
        look(&browser, &format!("{http}{page}")).await?;
        browser
            .screenshot(&format!(
                "hostile{}",
                page.split('?').next().unwrap_or_default().replace('/', "-")
            ))
            .await?;
    }
    browser.open(&format!("{http}/upgrades")).await?;
    look_at_rings(&browser).await?;
    look_at_shown(&browser, "the rings").await?;
    for peer in peers {
        look(&browser, &format!("{http}/hosts/{}", peer.id())).await?;
    }
    for text in strings() {
        let query = reqwest::Url::parse_with_params(
            &format!("{http}/history"),
            [("text", &text), ("entity", &text)],
        )?;
        look(&browser, query.as_str()).await?;
    }
    // A refused script or address would be told here.
    assert_eq!(browser.complaints().await?, Vec::<String>::new());
    Ok(())
}

/// The cells of a text as RFC 4180 has them.
fn cells(csv: &str) -> Vec<String> {
    let mut cells = vec![String::new()];
    let mut is_quoted = false;
    let mut characters = csv.chars().peekable();
    while let Some(character) = characters.next() {
        let cell = cells.last_mut();
        match (character, cell) {
            ('"', Some(cell)) if is_quoted && characters.peek() == Some(&'"') => {
                characters.next();
                cell.push('"');
            }
            ('"', _) => is_quoted = !is_quoted,
            (',' | '\n', _) if !is_quoted => cells.push(String::new()),
            ('\r', _) if !is_quoted => {}
            (other, Some(cell)) => cell.push(other),
            (_, None) => {}
        }
    }
    cells
}

async fn see_elsewhere(controller: &Controller, texts: &[String]) -> anyhow::Result<()> {
    let page: Page<HostView> = controller.get("/api/v1/hosts?limit=1000").await?;
    let names: BTreeSet<String> = page.items.into_iter().map(|host| host.name).collect();
    let expected: BTreeSet<String> = texts.iter().map(|text| kept(text)).collect();
    assert_eq!(names, expected, "the API has every name as it is");

    let csv = controller
        .get_text("/api/v1/history?metric=in_use&format=csv")
        .await?;
    for cell in cells(&csv) {
        let is_number = cell.parse::<f64>().is_ok();
        let runs = cell.starts_with(['=', '+', '-', '@', '\t', '\r', '\n']);
        assert!(is_number || !runs, "a spreadsheet runs {cell:?}");
    }
    for command in [["get", "hosts"], ["get", "events"]] {
        for format in ["table", "csv"] {
            let shown = controller
                .cli(&[command[0], command[1], "-o", format])
                .await?
                .succeeded()?;
            let deceives = |character: &char| {
                (character.is_control() && !matches!(character, '\n' | '\r'))
                    || matches!(character, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
            };
            let bad = shown.chars().find(deceives);
            assert!(
                format == "csv" || bad.is_none(),
                "{command:?} -o {format}: {bad:?}"
            );
        }
    }
    Ok(())
}

#[test]
fn three_hundred_hostile_strings_are_text_everywhere() -> anyhow::Result<()> {
    on_own_network(async |machine| {
        let controller = Controller::up(machine, &Up::alone()).await?;
        let texts = strings();
        refuse_labels(&controller).await?;
        let peers = Box::pin(enrol_all(&controller, &texts)).await?;
        let refused = type_all(&controller, &texts).await?;
        assert!(refused > 0, "some are too long for a reason");
        see_elsewhere(&controller, &texts).await?;
        roll_out(machine, &controller).await?;
        see_all_pages(machine, &controller, &peers).await
    })
}
