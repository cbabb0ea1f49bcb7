//! The page Upgrades as rendered, and its forms: what is looked at before it is started, who may say what, and what hostile hosts
//! tell.

use reqwest::StatusCode;
use serde_json::json;
use tidemark_model::Role;
use tidemark_model::upgrade::{HostStage, UpgradeReport, UpgradeState};
use tidemark_store::testing::execute;

use crate::actions::Person;
use crate::made_up::MadeUp;
use crate::run_page::{page, send};
use crate::upgrades::{FILE, bring, detail, drive, news, offered, put, started, tell, with_hosts};

const HOSTILE: &str = "</td><script>alert(1)</script>\" onclick=\"x";

/// What a hidden field of a page holds.
pub fn hidden<'p>(page: &'p str, name: &str) -> &'p str {
    let begin = format!("name=\"{name}\" value=\"");
    let (_, rest) = page.split_once(&begin).unwrap();
    rest.split_once('"').unwrap().0
}

#[tokio::test]
async fn an_empty_page_says_how_to_begin_and_that_nothing_is_known() {
    let fleet = MadeUp::start().await;
    let ann = Person::new(&fleet, "ann", Role::Viewer).await;
    let html = page(&fleet, &ann, "/upgrades").await;
    for part in [
        "No release yet",
        "tidemark release make",
        "No host is enrolled",
    ] {
        assert!(html.contains(part), "{part}: {html}");
    }
    fleet.host("web-1").await;
    let html = page(&fleet, &ann, "/upgrades").await;
    let silent = "unknown: said nothing of releases yet</span></td><td class=\"n\">1<";
    for part in [silent, "0.1.0", "No host has said yet whether"] {
        assert!(html.contains(part), "{part}: {html}");
    }
}

#[tokio::test]
async fn a_roll_out_is_started_by_those_who_saw_its_rings() {
    let (fleet, _hosts) = with_hosts(3).await;
    let ada = Person::new(&fleet, "ada", Role::Admin).await;
    bring(&fleet, &ada).await;
    let html = page(&fleet, &ada, "/upgrades").await;
    assert!(html.contains("1 file is missing"), "{html}");
    assert!(!html.contains("Roll a release out"), "{html}");
    assert_eq!(put(&fleet, &ada, FILE).await, StatusCode::NO_CONTENT);
    let html = page(&fleet, &ada, "/upgrades").await;
    assert!(html.contains("Roll a release out"), "{html}");

    let mut form = vec![
        ("release", "1"),
        ("hosts", ""),
        ("soak", "2h"),
        ("failures_max", "1"),
    ];
    let asked = send(&fleet, &ada, "/upgrades", &form).await;
    assert_eq!(asked.status(), StatusCode::OK);
    let asked = asked.text().await.unwrap();
    for part in [
        "Roll release 1 (1.0.1) out to 3 hosts?",
        "2 h have passed",
        "With more than 1 failed hosts",
        "Ring 1",
        "web-0",
        "web-1",
        "web-2",
    ] {
        assert!(asked.contains(part), "{part}: {asked}");
    }
    assert_eq!(roll_outs(&fleet).await, 0, "nothing was started");

    // What somebody looked at is what is started.
    let looked_at = hidden(&asked, "sure").to_owned();
    form.push(("sure", &looked_at));
    fleet.host("late-1").await;
    let again = send(&fleet, &ada, "/upgrades", &form).await;
    let again = again.text().await.unwrap();
    for part in ["have changed since you looked", "late-1"] {
        assert!(again.contains(part), "{part}: {again}");
    }
    assert_eq!(roll_outs(&fleet).await, 0, "nothing was started");
    form.pop();
    form.push(("sure", hidden(&again, "sure")));
    let oli = Person::new(&fleet, "oli", Role::Operator).await;
    let refused = send(&fleet, &oli, "/upgrades", &form).await;
    assert_eq!(refused.status(), StatusCode::FORBIDDEN);
    let begun = send(&fleet, &ada, "/upgrades", &form).await;
    assert_eq!(begun.status(), StatusCode::SEE_OTHER);
    assert_eq!(begun.headers()["location"], "/upgrades/1");
    let detail = detail(&ada).await;
    assert_eq!(detail.hosts.len(), 4);
    assert_eq!(
        (detail.upgrade.soak_s, detail.upgrade.failures_max),
        (7_200, 1)
    );
    let html = page(&fleet, &oli, "/upgrades/1").await;
    assert!(html.contains("Pause"), "{html}");

    // One at a time, and the form says so with what was typed.
    let refused = send(&fleet, &ada, "/upgrades", &form).await;
    assert_eq!(refused.status(), StatusCode::CONFLICT);
    let refused = refused.text().await.unwrap();
    for part in ["roll-out 1 has not ended", "value=\"2h\""] {
        assert!(refused.contains(part), "{part}: {refused}");
    }
}

async fn roll_outs(fleet: &MadeUp) -> usize {
    let mut tx = fleet.started.app.store.read().await.unwrap();
    tx.upgrades_page(9).await.unwrap().len()
}

#[tokio::test]
async fn what_is_wrong_with_a_form_is_said_by_field() {
    let (fleet, _hosts) = with_hosts(1).await;
    let ada = Person::new(&fleet, "ada", Role::Admin).await;
    let form = [("release", "x"), ("soak", "soon"), ("failures_max", "-1")];
    let wrong = send(&fleet, &ada, "/upgrades", &form).await;
    assert_eq!(wrong.status(), StatusCode::BAD_REQUEST);
    let wrong = wrong.text().await.unwrap();
    for part in [
        "release must be",
        "failures_max must be",
        "soak: ",
        "value=\"soon\"",
    ] {
        assert!(wrong.contains(part), "{part}: {wrong}");
    }
}

#[tokio::test]
async fn a_halted_roll_out_names_the_host_and_is_resumed_by_an_admin_who_is_sure() {
    let (fleet, mut hosts) = with_hosts(3).await;
    let ada = Person::new(&fleet, "ada", Role::Admin).await;
    let oli = Person::new(&fleet, "oli", Role::Operator).await;
    let signed = started(&fleet, &ada).await;
    drive(&fleet).await;
    let first = offered(&mut hosts)[0].0;
    news(&fleet, first, signed.digest(), HostStage::RolledBack).await;
    drive(&fleet).await;
    let name = fleet.started.app.live.name_of(first).unwrap();
    let html = page(&fleet, &oli, "/upgrades").await;
    for part in ["What halted it", &name, "a word", "1 failed, and 0 may"] {
        assert!(html.contains(part), "{part}: {html}");
    }
    assert!(!html.contains("Resume…"), "an operator may not: {html}");

    let resume = "/upgrades/1/resume";
    let refused = send(&fleet, &oli, resume, &[]).await;
    assert_eq!(refused.status(), StatusCode::FORBIDDEN);
    let asked = send(&fleet, &ada, resume, &[]).await;
    let asked = asked.text().await.unwrap();
    for part in [
        "Resume roll-out 1?",
        "Failed, and forgiven",
        &name,
        "Ring 5, wait",
        "1 host",
    ] {
        assert!(asked.contains(part), "{part}: {asked}");
    }
    assert_eq!(detail(&ada).await.upgrade.state, UpgradeState::Halted);
    let sure = [("sure", "yes")];
    let resumed = send(&fleet, &ada, resume, &sure).await;
    assert_eq!(resumed.status(), StatusCode::SEE_OTHER);
    assert_eq!(detail(&ada).await.upgrade.state, UpgradeState::Running);

    let paused = send(&fleet, &oli, "/upgrades/1/pause", &[]).await;
    assert_eq!(paused.status(), StatusCode::SEE_OTHER);
    assert_eq!(detail(&ada).await.upgrade.state, UpgradeState::Paused);
    let asked = send(&fleet, &oli, "/upgrades/1/stop", &[]).await;
    let asked = asked.text().await.unwrap();
    assert!(asked.contains("Stop roll-out 1?"), "{asked}");
    let stopped = send(&fleet, &oli, "/upgrades/1/stop", &sure).await;
    assert_eq!(stopped.status(), StatusCode::SEE_OTHER);
    let html = page(&fleet, &oli, "/upgrades/1").await;
    for part in ["stopped by hand", "Failed"] {
        assert!(html.contains(part), "{part}: {html}");
    }
}

#[tokio::test]
async fn a_ring_that_soaks_says_when_the_next_one_begins() {
    let (fleet, mut hosts) = with_hosts(3).await;
    let ada = Person::new(&fleet, "ada", Role::Admin).await;
    let signed = bring(&fleet, &ada).await;
    put(&fleet, &ada, FILE).await;
    let start = json!({"release": 1, "soak_s": 7_260});
    let answer = ada.post("/api/v1/upgrades", &start).await;
    assert_eq!(answer.status(), StatusCode::CREATED);
    drive(&fleet).await;
    let first = offered(&mut hosts)[0].0;
    news(&fleet, first, signed.digest(), HostStage::Healthy).await;
    drive(&fleet).await;
    let html = page(&fleet, &ada, "/upgrades/1").await;
    for part in ["ring 4 begins in 2 h", "soaks before", "1 of 3 hosts"] {
        assert!(html.contains(part), "{part}: {html}");
    }
}

#[tokio::test]
async fn what_hosts_run_and_why_they_take_no_releases_is_counted_and_is_text() {
    let (fleet, hosts) = with_hosts(2).await;
    let hostile = fleet.host(HOSTILE).await;
    let unable = UpgradeReport {
        running: Some(7),
        seen: 9,
        floor: 5,
        unable: Some(HOSTILE.to_owned()),
        news: None,
    };
    tell(&fleet, hostile, unable.clone()).await;
    let runs = UpgradeReport {
        floor: 6,
        unable: None,
        ..unable
    };
    tell(&fleet, hosts[0].id, runs).await;
    let store = &fleet.started.app.store;
    let unknown = "UPDATE hosts SET agent_version = '' WHERE name = 'web-1'";
    execute(store, unknown).await;
    let ann = Person::new(&fleet, "ann", Role::Viewer).await;
    let html = page(&fleet, &ann, "/upgrades").await;
    for part in [
        "&#60;/td&#62;&#60;script&#62;",
        "<td class=\"n\">5 to 6</td><td class=\"n\">9</td>",
        "none: the installed program",
        "2 hosts take those that their policy lets them",
        "<span class=\"unknown\">unknown</span>",
    ] {
        assert!(html.contains(part), "{part}: {html}");
    }
    assert!(!html.contains("<script>alert"), "{html}");
    assert!(!html.contains("\" onclick"), "{html}");
}
