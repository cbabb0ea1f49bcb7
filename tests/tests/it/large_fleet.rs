//! The page of a fleet of ten thousand: few lines in the document whatever there is, the scroll and the filter find every host.

use std::collections::BTreeMap;
use std::time::Duration;

use serde_json::json;
use tidemark_model::{HostFacts, HostId, Timestamp};
use tidemark_runtime::Clock;
use tidemark_store::{DatabaseUrl, HostCertificate, NewHost, Store};
use tidemark_tests::harness::browser::Browser;
use tidemark_tests::harness::peer::facts;
use tidemark_tests::harness::{Controller, Machine, SOON, Up, on_own_network, until};

use crate::upgrades::bring_one;

const HOSTS: u32 = 10_000;

/// Lines that a page may hold at once.
const LINES_MAX: i64 = 200;

fn name(number: u32) -> String {
    format!("host-{number:05}")
}

fn host(number: u32, now: Timestamp) -> NewHost {
    let key = number.to_be_bytes();
    NewHost {
        id: HostId::of_identity_spki(&key),
        identity_spki: key.to_vec(),
        facts: HostFacts {
            labels: BTreeMap::from([("rack".to_owned(), (number / 40).to_string())]),
            ..facts(&name(number))
        },
        token_labels: BTreeMap::new(),
        enrolled_at: now,
        certificate: HostCertificate {
            generation: 1,
            not_after: now.saturating_add(Duration::from_secs(259_200)),
            spki_hash: [1; 32],
        },
    }
}

/// Hosts that enrolled while nobody looked.
async fn enrol_all(controller: Controller) -> anyhow::Result<()> {
    let database = controller.data_dir().join("tidemark.db");
    controller.stop().await?;
    let store = Store::open_existing(&DatabaseUrl::sqlite(database)).await?;
    let mut tx = store.begin().await?;
    for number in 0..HOSTS {
        tx.host_insert(&host(number, Clock::System.now())).await?;
    }
    tx.commit().await?;
    store.close().await;
    Ok(())
}

/// Waits until the document holds a line of that host, and says how many lines it holds.
async fn seen(browser: &Browser, name: &str) -> anyhow::Result<i64> {
    let look = format!(
        "const lines = [...document.querySelectorAll('#rows tr.row')];\
         return lines.some((line) => line.dataset.name === {}) ? lines.length : 0",
        json!(name)
    );
    until(name, SOON, async || {
        let lines = browser.run(&look).await?.as_i64().unwrap_or(0);
        Ok((lines > 0).then_some(lines))
    })
    .await
}

/// A roll-out over all of them is counted, and few are named.
async fn look_at_a_roll_out(machine: &Machine, controller: &Controller) -> anyhow::Result<()> {
    bring_one(machine, controller).await?;
    let start = ["upgrade", "start", "--release", "1", "-o", "json"];
    controller.cli(&start).await?.succeeded()?;
    let signed_in = controller.sign_in().await?;
    for path in ["/upgrades", "/upgrades/1"] {
        let page = signed_in.get(path).await?;
        let lines = page.matches("<tr").count();
        assert!(lines < 50, "{path} has {lines} lines");
        for part in ["0 of 10,000 hosts", ">5,000<", "not begun"] {
            assert!(page.contains(part), "{path}: {part}: {page}");
        }
    }
    Ok(())
}

#[test]
fn ten_thousand_hosts_are_scrolled_and_found_with_few_lines_in_the_document() -> anyhow::Result<()>
{
    on_own_network(async |machine| {
        enrol_all(Controller::up(machine, &Up::alone()).await?).await?;
        let controller = Controller::up(machine, &Up::alone()).await?;
        let browser = Browser::start(machine).await?;
        browser.open(&controller.ready.sign_in).await?;
        browser.show_as(1280, 800, "light").await?;
        assert!(seen(&browser, &name(0)).await? <= LINES_MAX);
        assert_eq!(browser.text("#count").await?, "10000 of 10000");

        // The document is as long as if all were there.
        let length = browser
            .run("return document.documentElement.scrollHeight")
            .await?;
        assert!(
            length.as_i64().is_some_and(|pixels| pixels > 300_000),
            "{length}"
        );
        for share in ["1", "0.5", "0"] {
            browser
                .run(&format!(
                    "scrollTo(0, (document.documentElement.scrollHeight - innerHeight) * {share})"
                ))
                .await?;
            let wanted = match share {
                "1" => name(HOSTS - 1),
                "0" => name(0),
                _ => name(HOSTS / 2),
            };
            assert!(seen(&browser, &wanted).await? <= LINES_MAX, "{share}");
            // What is seen is lines, and not what stands in for them.
            let middle = "return !!document.elementFromPoint(innerWidth / 2, innerHeight / 2)?.closest('tr.row')";
            assert_eq!(browser.run(middle).await?, true, "{share}");
        }

        browser.press("/07321").await?;
        until("the one host", SOON, async || {
            Ok((browser.text("#count").await? == "1 of 10000").then_some(()))
        })
        .await?;
        assert_eq!(seen(&browser, &name(7_321)).await?, 1);
        browser.press("\u{e00c}").await?;
        until("all hosts", SOON, async || {
            Ok((browser.text("#count").await? == "10000 of 10000").then_some(()))
        })
        .await?;

        // Without a script, links lead on.
        let page = controller.sign_in().await?.get("/?from=200").await?;
        assert!(
            page.contains("Hosts before these") && page.contains("9600 more hosts"),
            "{page}"
        );
        look_at_a_roll_out(machine, &controller).await?;
        assert_eq!(browser.complaints().await?, Vec::<String>::new());
        Ok(())
    })
}
