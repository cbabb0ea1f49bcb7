//! A fleet whose leaks have a version in common, asked over the API.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use tidemark_controller::tasks::causes::CauseFinder;
use tidemark_model::audit::{AuditFact, FactKey, FactName, FactState, FactValue, TopicState};
use tidemark_model::view::CausesView;
use tidemark_model::{HostAudit, HostId, Role, Timestamp};

use crate::api::client;
use crate::made_up::{MadeUp, sample};

async fn causes(fleet: &MadeUp, token: &str) -> CausesView {
    let request = client().get(fleet.url("/api/v1/causes")).bearer_auth(token);
    request.send().await.unwrap().json().await.unwrap()
}

/// A host with these labels, and four minutes of samples of it.
pub async fn four_minutes(fleet: &MadeUp, name: &str, edr: &str, leaked: u32) -> HostId {
    let labels = BTreeMap::from([
        ("edr".to_owned(), edr.to_owned()),
        ("site".to_owned(), "berlin".to_owned()),
    ]);
    let host = fleet.host_with(name, "Linux", labels).await;
    leak(fleet, host, leaked).await;
    host
}

/// Four minutes of samples at 1 s: a leak, or none. Two are at the edge of what a detector calls a leak, and whether they do
/// hangs on where in a block they begin.
async fn leak(fleet: &MadeUp, host: HostId, leaked: u32) {
    leak_by(fleet, host, leaked, "w3wp.exe").await;
}

/// The same by a process of that name.
async fn leak_by(fleet: &MadeUp, host: HostId, leaked: u32, culprit: &str) {
    let now = fleet.started.app.clock.now().unix_ms();
    let samples = (0..240u32)
        .map(|second| {
            let at = Timestamp::from_unix_ms(now - i64::from(240 - second) * 1_000);
            let mut sample = sample(at, 300 + second % 5 + second * leaked, 40);
            sample.port_spaces[0].owners[0].process.name = culprit.into();
            sample
        })
        .collect();
    fleet.deliver(host, samples).await;
}

#[tokio::test]
async fn leaking_hosts_are_told_by_the_label_that_the_others_lack() {
    let fleet = MadeUp::start().await;
    let token = fleet.token(Role::Viewer).await;
    assert_eq!(
        causes(&fleet, &token).await,
        CausesView::default(),
        "unknown before a look"
    );
    for number in 0..8 {
        four_minutes(&fleet, &format!("new-{number}"), "7.0", 40).await;
    }
    for number in 0..16 {
        four_minutes(&fleet, &format!("old-{number}"), "6.9", 0).await;
    }
    let mut finder = CauseFinder::new(Arc::clone(&fleet.started.app));
    let status = finder.activate().await;
    assert_eq!((status.hosts, status.leaking, status.causes), (24, 8, 1));
    let view = causes(&fleet, &token).await;
    let [cause] = &view.items[..] else {
        panic!("one cause: {view:?}");
    };
    assert_eq!((&*cause.attribute, &*cause.value), ("label:edr", "7.0"));
    assert_eq!((&*cause.culprit, cause.hosts_total), ("w3wp.exe", 8));
    assert_eq!((cause.having, cause.leaking, cause.compared), (8, 8, 24));
    assert_eq!(cause.hosts[0].name, "new-0");
    assert!(
        cause
            .explanation
            .contains("on 8 of 8 hosts with label:edr 7.0 and on 0 of 16 other"),
        "{}",
        cause.explanation
    );
    assert_eq!(
        finder.activate().await,
        status,
        "a second look changes nothing"
    );

    // A team is told of it with its own host by name, and one without such a host is not.
    for (name, team) in [("new-3", "pay"), ("old-3", "pay"), ("old-4", "web")] {
        for id in fleet.started.app.live.named(name) {
            fleet.label(id, "team", team).await;
        }
    }
    let pay = fleet.scoped_token(Role::Viewer, "team=pay").await;
    let part = causes(&fleet, &pay).await;
    let [narrowed] = &part.items[..] else {
        panic!("one cause: {part:?}");
    };
    let names: Vec<&str> = narrowed.hosts.iter().map(|host| &*host.name).collect();
    assert_eq!((names, narrowed.hosts_hidden), (vec!["new-3"], 7));
    assert_eq!(narrowed.explanation, cause.explanation);
    let web = fleet.scoped_token(Role::Viewer, "team=web").await;
    assert_eq!(causes(&fleet, &web).await.items, []);
}

#[tokio::test]
async fn a_version_that_changed_before_the_leak_is_said_to_have() {
    let fleet = MadeUp::start().await;
    let token = fleet.token(Role::Viewer).await;
    for number in 0..20 {
        four_minutes(&fleet, &format!("web-{number:02}"), "6.9", 0).await;
    }
    let app = &fleet.started.app;
    let mut finder = CauseFinder::new(Arc::clone(app));
    assert_eq!(
        finder.activate().await.changes,
        0,
        "nothing to compare with"
    );
    let updated: Vec<_> = (0..8)
        .flat_map(|number| app.live.named(&format!("web-{number:02}")))
        .collect();
    for id in &updated {
        app.live.update(*id, |host| {
            host.profile
                .labels
                .insert("edr".to_owned(), "7.0".to_owned());
        });
    }
    assert_eq!(finder.activate().await.changes, 8);
    let now = app.clock.now().unix_ms();
    for id in updated {
        let samples = (1..120u32).map(|second| {
            let at = Timestamp::from_unix_ms(now + i64::from(second) * 20);
            sample(at, 300 + second * 60, 40)
        });
        fleet.deliver(id, samples.collect()).await;
        app.live.update(id, |host| {
            let replayed: Vec<_> = (1..240u32)
                .map(|second| {
                    let at = Timestamp::from_unix_ms(now + 10_000 + i64::from(second) * 1_000);
                    (at, sample(at, 400 + second * 45, 40))
                })
                .collect();
            for (at, sample) in &replayed {
                host.observe(*at, sample, tidemark_controller::live::Refusals::default());
            }
        });
    }
    let status = finder.activate().await;
    assert_eq!(status.causes, 1, "{status:?}");
    let view = causes(&fleet, &token).await;
    assert_eq!(
        (view.items[0].changed_before, view.items[0].hosts_total),
        (8, 8)
    );
}

/// What an agent reads of a server whose one card has that version of its driver.
fn audit(at: Timestamp, card: &str, driver_version: &str) -> HostAudit {
    let mut audit = HostAudit::empty(at);
    let text = FactValue::text;
    for (name, item, value) in [
        (FactName::Build, None, FactValue::Number(17_763)),
        (FactName::Revision, None, FactValue::Number(5_122)),
        (FactName::TcpipDriverVersion, None, text("10.0.17763.5122")),
        (FactName::NicDriver, Some(card), text("e1iexpress")),
        (FactName::NicDriverVersion, Some(card), text(driver_version)),
        (
            FactName::HotfixInstalledOn,
            Some("KB5031364"),
            text("10/11/2023"),
        ),
    ] {
        audit.topics.insert(name.topic(), TopicState::Read);
        let key = item.map_or(FactKey::of(name), |item| FactKey::of_item(name, item));
        let state = FactState::Known(value);
        audit.facts.push(AuditFact { key, state });
    }
    audit
}

/// Hosts without labels: `struck` of the 14 that were given another driver two hours ago leak, none of the `others` does.
async fn fleet_of_two_drivers(fleet: &MadeUp, struck: usize, others: usize) {
    let app = &fleet.started.app;
    let ago = |hours: u64| {
        let now = app.clock.now();
        now.saturating_sub(Duration::from_secs(hours * 3_600))
    };
    let hosts = (0..14 + others).map(async |number| {
        let (name, card) = (format!("web-{number:02}"), format!("Ethernet {number}"));
        let host = fleet.host(&name).await;
        let before = audit(ago(48), &card, "12.15.22.3");
        app.take_audit(host, before, 0).await.unwrap();
        if number < 14 {
            let updated = audit(ago(2), &card, "12.17.8.9");
            app.take_audit(host, updated, 0).await.unwrap();
        }
        leak(fleet, host, if number < struck { 40 } else { 0 }).await;
    });
    // Their samples share commits, as those of a real fleet do.
    futures::future::join_all(hosts).await;
}

#[tokio::test]
async fn hosts_that_leak_are_told_by_the_one_fact_in_which_their_audits_differ() {
    let fleet = MadeUp::start().await;
    let token = fleet.token(Role::Viewer).await;
    fleet_of_two_drivers(&fleet, 12, 40).await;
    let mut finder = CauseFinder::new(Arc::clone(&fleet.started.app));
    let status = finder.activate().await;
    assert_eq!((status.hosts, status.leaking, status.causes), (54, 12, 1));
    let view = causes(&fleet, &token).await;
    let cause = &view.items[0];
    assert_eq!(
        (&*cause.attribute, &*cause.value),
        ("nic_driver_version[e1iexpress]", "12.17.8.9")
    );
    assert_eq!(
        (cause.hosts_total, cause.having, cause.compared),
        (12, 14, 54)
    );
    assert_eq!(cause.changed_before, 12, "{}", cause.explanation);
    assert!(
        cause.explanation.contains(
            "on 12 of 14 hosts with nic_driver_version[e1iexpress] 12.17.8.9 and on 0 of 40 other"
        ),
        "{}",
        cause.explanation
    );
}

#[tokio::test]
async fn what_audits_said_and_changed_is_known_again_after_a_restart() {
    let fleet = MadeUp::start().await;
    fleet_of_two_drivers(&fleet, 14, 16).await;
    let fleet = fleet.restart().await;
    let token = fleet.token(Role::Viewer).await;
    let mut finder = CauseFinder::new(Arc::clone(&fleet.started.app));
    // Hosts are read back one after the other.
    let told = async {
        loop {
            finder.activate().await;
            let view = causes(&fleet, &token).await;
            if let Some(cause) = view.items.into_iter().find(|cause| cause.compared == 30) {
                return cause;
            }
            tokio::task::yield_now().await;
        }
    };
    let deadline = Duration::from_secs(60);
    let cause = tokio::time::timeout(deadline, told).await.unwrap();
    assert_eq!(&*cause.attribute, "nic_driver_version[e1iexpress]");
    assert_eq!(cause.changed_before, cause.hosts_total, "{cause:#?}");
}

/// What an agent reads of a database server: the file that its `sqlservr.exe` runs, and its product for endpoint protection.
fn audit_of_server(at: Timestamp, version: &str, edr: &str) -> HostAudit {
    let mut audit = HostAudit::empty(at);
    let digest = format!("{:0>64}", version.replace('.', ""));
    for (name, item, value) in [
        (FactName::Build, None, FactValue::Number(17_763)),
        (
            FactName::ImageVersion,
            Some("sqlservr.exe"),
            FactValue::text(version),
        ),
        (
            FactName::ImageSha256,
            Some("sqlservr.exe"),
            FactValue::text(&digest),
        ),
        (FactName::EdrProducts, None, FactValue::Number(1)),
        (
            FactName::Edr,
            Some("CrowdStrike Falcon"),
            FactValue::text(edr),
        ),
        (
            FactName::EdrRunning,
            Some("CrowdStrike Falcon"),
            FactValue::Flag(true),
        ),
    ] {
        audit.topics.insert(name.topic(), TopicState::Read);
        let key = item.map_or(FactKey::of(name), |item| FactKey::of_item(name, item));
        let state = FactState::Known(value);
        audit.facts.push(AuditFact { key, state });
    }
    audit
}

#[tokio::test]
async fn a_deploy_of_the_service_and_one_of_the_endpoint_protection_are_told_apart() {
    let fleet = MadeUp::start().await;
    let token = fleet.token(Role::Viewer).await;
    let app = &fleet.started.app;
    let ago = |hours: u64| {
        let now = app.clock.now();
        now.saturating_sub(Duration::from_secs(hours * 3_600))
    };
    // 16 servers got the service's update, 14 others the product's, of which 12 leak; 40 got neither.
    let hosts = (0..70).map(async |number| {
        let host = fleet.host(&format!("sql-{number:02}")).await;
        let (version, edr) = match number {
            0..16 => ("15.0.4160.1", "6.58.17212.0"),
            16..30 => ("15.0.4150.3", "7.0.18110.0"),
            _ => ("15.0.4150.3", "6.58.17212.0"),
        };
        let before = audit_of_server(ago(48), "15.0.4150.3", "6.58.17212.0");
        app.take_audit(host, before, 0).await.unwrap();
        let updated = audit_of_server(ago(2), version, edr);
        app.take_audit(host, updated, 0).await.unwrap();
        let leaked = if number < 28 { 40 } else { 0 };
        leak_by(&fleet, host, leaked, "sqlservr.exe").await;
    });
    futures::future::join_all(hosts).await;
    let mut finder = CauseFinder::new(Arc::clone(app));
    let status = finder.activate().await;
    assert_eq!((status.hosts, status.leaking, status.causes), (70, 28, 2));
    let view = causes(&fleet, &token).await;
    let told: Vec<(&str, &str, u64, u64, u64)> = view
        .items
        .iter()
        .map(|cause| {
            let (attribute, value) = (&*cause.attribute, &*cause.value);
            (
                attribute,
                value,
                cause.hosts_total,
                cause.having,
                cause.changed_before,
            )
        })
        .collect();
    assert_eq!(
        told,
        [
            ("edr[CrowdStrike Falcon]", "7.0.18110.0", 12, 14, 12),
            ("image_version[sqlservr.exe]", "15.0.4160.1", 16, 16, 16)
        ],
        "{view:#?}"
    );
    for (cause, words) in view.items.iter().zip([
        "sqlservr.exe leaks on 12 of 14 hosts with edr[CrowdStrike Falcon] 7.0.18110.0 and on 0 of 40 other hosts",
        "sqlservr.exe leaks on 16 of 16 hosts with image_version[sqlservr.exe] 15.0.4160.1 and on 12 of 54 other hosts",
    ]) {
        assert!(cause.explanation.contains(words), "{}", cause.explanation);
    }
    let alike = view.items[1].alike.iter().map(|value| &*value.attribute);
    assert!(
        alike
            .clone()
            .any(|attribute| attribute == "image_sha256[sqlservr.exe]"),
        "the digest says the same: {:?}",
        view.items[1].alike
    );
}
