//! Findings: derived from what live state and the event log hold, listed, and told on the host's page.

use std::time::Duration;

use reqwest::StatusCode;
use serde_json::Value;
use tidemark_model::finding::Rule;
use tidemark_model::sample::{EventHit, ProbeKind, ProbeOutcome, ProbeResult};
use tidemark_model::view::{HostFindings, Page};
use tidemark_model::{Role, Sample};
use tidemark_proto::convert::record::Record;

use crate::api::client;
use crate::made_up::{MadeUp, sample};

const HOSTILE: &str = "<script>alert(1)</script>.exe";

async fn get(fleet: &MadeUp, path: &str) -> reqwest::Response {
    let token = fleet.token(Role::Viewer).await;
    let request = client().get(fleet.url(path)).bearer_auth(token);
    request.send().await.unwrap()
}

async fn findings(fleet: &MadeUp) -> Page<HostFindings> {
    let answer = get(fleet, "/api/v1/findings").await;
    answer.json().await.unwrap()
}

#[tokio::test]
async fn a_host_that_churns_is_found_and_one_that_is_well_is_not() {
    let fleet = MadeUp::start().await;
    let (ill, well) = (fleet.host("web-1").await, fleet.host("web-2").await);
    let now = fleet.started.app.clock.now();
    fleet.deliver(ill, vec![sample(now, 500, 9_000)]).await;
    fleet.deliver(well, vec![sample(now, 500, 20)]).await;
    let page = findings(&fleet).await;
    assert_eq!(page.items.len(), 1, "{page:#?}");
    let host = &page.items[0];
    assert_eq!(host.host_name, "web-1");
    let first = &host.findings[0];
    assert_eq!(first.rule, Rule::TimeWaitChurn, "{first:#?}");
    assert_eq!(first.culprit.as_deref(), Some("10.0.4.12:1433"));

    let answer = get(&fleet, "/api/v1/hosts/web-2/findings").await;
    let of_well: HostFindings = answer.json().await.unwrap();
    assert!(of_well.findings.is_empty(), "{of_well:#?}");
    let unknown = get(&fleet, "/api/v1/hosts/web-3/findings").await;
    assert_eq!(unknown.status(), StatusCode::NOT_FOUND);

    // It recovers.
    let later = now.saturating_add(Duration::from_secs(30));
    fleet.deliver(ill, vec![sample(later, 500, 20)]).await;
    assert!(findings(&fleet).await.items.is_empty());
}

#[tokio::test]
async fn growth_is_seen_over_the_samples_of_the_last_half_hour() {
    let fleet = MadeUp::start().await;
    let id = fleet.host("web-1").await;
    let now = fleet.started.app.clock.now();
    let samples = (0..32_u32).map(|minute| {
        let ago = Duration::from_secs(u64::from(31 - minute) * 60);
        let mut leaking = sample(now.saturating_sub(ago), 2_000 + minute * 10, 20);
        let space = &mut leaking.port_spaces[0];
        let bound = 1_700 + minute * 10;
        space.bound = Some(bound);
        space.owners[0].counts.bound = bound;
        space.states_v4 = Default::default();
        leaking
    });
    fleet.deliver(id, samples.collect()).await;
    let page = findings(&fleet).await;
    let first = &page.items[0].findings[0];
    assert_eq!(first.rule, Rule::BoundLeak, "{page:#?}");
    assert_eq!(first.culprit.as_deref(), Some("w3wp.exe"));
    assert!(
        first.missing.is_empty(),
        "half an hour is enough: {first:#?}"
    );
    let actions: Vec<_> = first
        .playbook
        .iter()
        .filter_map(|step| step.action)
        .collect();
    assert!(
        actions.contains(&tidemark_model::action::ActionKind::RecycleAppPool),
        "{first:#?}"
    );
}

/// A sample of a program most of whose handles are sockets, so many minutes ago.
fn with_handles(fleet: &MadeUp, minutes_ago: u64, handles: u32) -> Sample {
    let ago = Duration::from_secs(minutes_ago * 60);
    let mut sample = sample(fleet.started.app.clock.now().saturating_sub(ago), 300, 20);
    let owner = &mut sample.port_spaces[0].owners[0];
    owner.handles = Some(handles);
    owner.counts.sockets = handles * 3 / 4;
    sample
}

/// Its handles an hour, for so many hours, and over the last twenty minutes.
async fn handles_of(fleet: &MadeUp, name: &str, usual: (u64, u32), lately: [u32; 2]) {
    let id = fleet.host(name).await;
    let (hours, handles) = usual;
    let history = (1..=hours).rev().map(|hour| hour * 60);
    let mut samples: Vec<Sample> = history
        .map(|ago| with_handles(fleet, ago, handles))
        .collect();
    let [from, to] = lately;
    let minutes = (0..=20_u32).rev().map(|ago| {
        let handles = from + (to - from) * (20 - ago) / 20;
        with_handles(fleet, u64::from(ago), handles)
    });
    samples.extend(minutes);
    fleet.deliver(id, samples).await;
}

#[tokio::test]
async fn handles_are_judged_by_what_the_process_had_in_the_week_before() {
    let fleet = MadeUp::start().await;
    handles_of(&fleet, "leaks", (100, 620), [3_400, 3_600]).await;
    handles_of(&fleet, "is-busy", (100, 3_300), [3_400, 3_600]).await;
    handles_of(&fleet, "jumped", (30, 620), [3_600, 3_600]).await;
    handles_of(&fleet, "is-new", (3, 620), [3_400, 3_600]).await;
    let page = findings(&fleet).await;
    let of_host = |name: &str| {
        let host = page.items.iter().find(|host| host.host_name == name);
        let found = host.into_iter().flat_map(|host| &host.findings);
        found
            .filter(|finding| finding.rule == Rule::HandleLeak)
            .collect::<Vec<_>>()
    };
    let [leaks] = of_host("leaks")[..] else {
        panic!("one finding: {page:#?}");
    };
    let evidence = leaks.evidence.join(" ");
    assert!(
        evidence.contains("median of the last seven days is 620"),
        "{evidence}"
    );
    assert_eq!(leaks.culprit.as_deref(), Some("w3wp.exe"));
    assert!(leaks.missing.is_empty(), "{leaks:#?}");
    assert!(of_host("is-busy").is_empty(), "{page:#?}");
    assert!(of_host("jumped").is_empty(), "it grows no more: {page:#?}");
    // Three hours are no week: growth alone speaks, and less surely.
    let [new] = of_host("is-new")[..] else {
        panic!("one finding: {page:#?}");
    };
    assert!(new.confidence < leaks.confidence, "{new:#?}");
    assert!(new.missing.join(" ").contains("its median"), "{new:#?}");
}

#[tokio::test]
async fn probes_that_fail_twice_confirm_each_other_over_the_samples_between_them() {
    let fleet = MadeUp::start().await;
    let id = fleet.host("web-1").await;
    let now = fleet.started.app.clock.now();
    let samples = (0..=7_u32).map(|step| {
        let ago = Duration::from_secs(u64::from(7 - step) * 10);
        let mut quiet = sample(now.saturating_sub(ago), 500, 20);
        if step % 3 == 0 {
            quiet.probes = vec![ProbeResult {
                kind: ProbeKind::BindTcpV4,
                duration_us: 20,
                value: None,
                outcome: ProbeOutcome::Exhausted,
            }];
        }
        quiet
    });
    fleet.deliver(id, samples.collect()).await;
    let page = findings(&fleet).await;
    let found = &page.items[0].findings;
    assert_eq!(found[0].rule, Rule::HiddenOwner, "{page:#?}");
    assert!(
        found[0]
            .missing
            .iter()
            .all(|what| !what.contains("second round")),
        "{page:#?}"
    );
}

#[tokio::test]
async fn events_of_the_host_are_part_of_its_diagnosis() {
    let fleet = MadeUp::start().await;
    let id = fleet.host("web-1").await;
    let now = fleet.started.app.clock.now();
    fleet.deliver(id, vec![sample(now, 16_000, 20)]).await;
    let hit = EventHit {
        at: now,
        source: "Tcpip".into(),
        code: 4_231,
        count: 3,
        text: "no port".into(),
        log: None,
    };
    fleet.deliver_records(id, vec![Record::Event(hit)]).await;
    let page = findings(&fleet).await;
    let text = serde_json::to_string(&page).unwrap();
    assert!(text.contains("Tcpip 4231 was logged 3 times"), "{page:#?}");
}

#[tokio::test]
async fn a_finding_is_told_on_the_hosts_page_and_hostile_names_stay_text() {
    let fleet = MadeUp::start().await;
    let id = fleet.host("web-1").await;
    let now = fleet.started.app.clock.now();
    let mut leaking = sample(now, 4_000, 20);
    let space = &mut leaking.port_spaces[0];
    space.bound = Some(3_000);
    space.owners[0].process.name = HOSTILE.into();
    space.owners[0].counts.bound = 3_000;
    fleet.deliver(id, vec![leaking]).await;
    let html = get(&fleet, &format!("/hosts/{id}"))
        .await
        .text()
        .await
        .unwrap();
    for words in [
        "What is wrong",
        "never closes",
        "To be sure: whether it grows",
    ] {
        assert!(html.contains(words), "{words}: {html}");
    }
    assert!(!html.contains("<script>alert"), "{html}");
    let list = get(&fleet, "/api/v1/findings").await;
    let list: Value = list.json().await.unwrap();
    assert_eq!(list["items"][0]["findings"][0]["culprit"], HOSTILE);
}
