//! Roll-outs over a whole controller with hosts that the test plays: whose turn it is, what a host is sent, and when it halts.

use std::sync::Arc;

use reqwest::{Method, StatusCode};
use serde_json::json;
use tidemark_controller::upgrades::drive::UpgradeDriver;
use tidemark_controller::upgrades::report::{piece, take_report};
use tidemark_model::release::{FileDigest, ManifestDigest, SignedManifest};
use tidemark_model::signing::{PrivateKey, Purpose};
use tidemark_model::upgrade::{HostNews, HostStage, UpgradeReport, UpgradeState};
use tidemark_model::view::UpgradeDetail;
use tidemark_model::{HostId, Role, SessionId};
use tidemark_proto::convert::upgrade::{PieceWanted, offer_from_wire};
use tidemark_proto::v1::controller_frame::Kind;
use tidemark_store::testing::execute;
use tokio::sync::mpsc::Receiver;

use crate::actions::{Person, lane, title};
use crate::audit_log::upgrades::manifest;
use crate::made_up::MadeUp;

pub const FILE: &[u8] = b"a program";

/// A host that the test plays.
pub struct Played {
    pub id: HostId,
    frames: Receiver<Kind>,
}

/// A controller with so many hosts that take releases.
pub async fn with_hosts(count: u32) -> (MadeUp, Vec<Played>) {
    let fleet = MadeUp::start().await;
    let mut hosts = Vec::new();
    for number in 0..count {
        let id = fleet.host(&format!("web-{number}")).await;
        fleet.connect(id);
        let frames = lane(&fleet, id);
        hosts.push(Played { id, frames });
        tell(&fleet, id, UpgradeReport::default()).await;
    }
    (fleet, hosts)
}

pub async fn bring(fleet: &MadeUp, admin: &Person<'_>) -> SignedManifest {
    let bytes = manifest(1, fleet.started.app.clock.now()).to_bytes();
    let key = PrivateKey::from_seed([1; 32]);
    let signature = key.sign(Purpose::Release, &bytes);
    let body = json!({"document": String::from_utf8(bytes.clone()).unwrap(), "signatures":
        [{"key_id": signature.key.to_string(), "signature": signature.to_base64()}]});
    let answer = admin.post("/api/v1/releases", &body).await;
    assert_eq!(answer.status(), StatusCode::CREATED);
    SignedManifest {
        bytes,
        signatures: vec![signature],
    }
}

pub async fn put(fleet: &MadeUp, admin: &Person<'_>, bytes: &[u8]) -> StatusCode {
    let path = format!("/api/v1/releases/1/files/{}", FileDigest::of_bytes(FILE));
    let request = crate::api::client()
        .request(Method::PUT, fleet.url(&path))
        .bearer_auth(&admin.token)
        .body(bytes.to_vec());
    request.send().await.unwrap().status()
}

/// Brings a release with its file and starts its roll-out.
pub async fn started(fleet: &MadeUp, admin: &Person<'_>) -> SignedManifest {
    let signed = bring(fleet, admin).await;
    assert_eq!(put(fleet, admin, FILE).await, StatusCode::NO_CONTENT);
    let start = json!({"release": 1, "soak_s": 0});
    let answer = admin.post("/api/v1/upgrades", &start).await;
    assert_eq!(answer.status(), StatusCode::CREATED);
    signed
}

pub async fn tell(fleet: &MadeUp, host: HostId, report: UpgradeReport) {
    let teller = (host, SessionId::new(7));
    take_report(&fleet.started.app, teller, report)
        .await
        .unwrap();
}

pub async fn news(fleet: &MadeUp, host: HostId, manifest: ManifestDigest, stage: HostStage) {
    let news = HostNews {
        manifest,
        stage,
        text: "a word".to_owned(),
    };
    let report = UpgradeReport {
        news: Some(news),
        ..UpgradeReport::default()
    };
    tell(fleet, host, report).await;
}

/// Takes everything further; the controller's own driver may be quicker with the same step.
pub async fn drive(fleet: &MadeUp) {
    for _ in 0..3 {
        let app = Arc::clone(&fleet.started.app);
        UpgradeDriver::new(app).activate().await.ok();
    }
}

/// The hosts that were offered a release since they were last asked, each once.
pub fn offered(hosts: &mut [Played]) -> Vec<(HostId, SignedManifest)> {
    let mut offered = Vec::new();
    for host in hosts {
        while let Ok(frame) = host.frames.try_recv() {
            if let Kind::UpgradeOffer(offer) = frame {
                offered.push((host.id, offer_from_wire(offer).unwrap()));
            }
        }
    }
    offered.dedup();
    offered
}

/// The hosts beside one that were offered a release.
fn others(hosts: &mut [Played], first: HostId) -> Vec<(HostId, SignedManifest)> {
    let mut others = offered(hosts);
    others.retain(|(host, _)| *host != first);
    others
}

pub async fn detail(admin: &Person<'_>) -> UpgradeDetail {
    admin.get("/api/v1/upgrades/1").await
}

#[tokio::test]
async fn a_release_is_rolled_out_whole_and_one_at_a_time() {
    let (fleet, _hosts) = with_hosts(1).await;
    let admin = Person::new(&fleet, "ada", Role::Admin).await;
    bring(&fleet, &admin).await;
    let start = json!({"release": 1});
    let (status, text) = title(admin.post("/api/v1/upgrades", &start).await).await;
    assert_eq!(status, StatusCode::CONFLICT);
    assert!(text.contains("1 of its files"), "{text}");
    let other = put(&fleet, &admin, b"b program").await;
    assert_eq!(other, StatusCode::BAD_REQUEST, "these are other bytes");
    assert_eq!(put(&fleet, &admin, FILE).await, StatusCode::NO_CONTENT);
    let wanted = PieceWanted {
        sha256: FileDigest::of_bytes(FILE),
        offset: 2,
        length: 4,
    };
    let sent = piece(&fleet.started.app, wanted).await.unwrap();
    assert_eq!(sent.bytes, FILE[2..6]);
    let answer = admin.post("/api/v1/upgrades", &start).await;
    assert_eq!(answer.status(), StatusCode::CREATED);
    let (status, text) = title(admin.post("/api/v1/upgrades", &start).await).await;
    assert_eq!(status, StatusCode::CONFLICT);
    assert!(text.contains("has not ended"), "{text}");
}

#[tokio::test]
async fn a_release_goes_to_one_host_first_and_to_the_others_when_that_is_healthy() {
    let (fleet, mut hosts) = with_hosts(3).await;
    let admin = Person::new(&fleet, "ada", Role::Admin).await;
    let signed = started(&fleet, &admin).await;
    drive(&fleet).await;
    let first = offered(&mut hosts);
    assert_eq!(first.len(), 1, "{first:?}");
    let (first, offer) = first.into_iter().next().unwrap();
    assert_eq!(offer, signed, "the very bytes that were signed");
    news(&fleet, first, signed.digest(), HostStage::Switched).await;
    drive(&fleet).await;
    assert_eq!(others(&mut hosts, first), [], "it is on trial");
    news(&fleet, first, signed.digest(), HostStage::Healthy).await;
    for _ in 0..2 {
        drive(&fleet).await;
        for (host, _) in offered(&mut hosts) {
            news(&fleet, host, signed.digest(), HostStage::Healthy).await;
        }
    }
    drive(&fleet).await;
    let detail = detail(&admin).await;
    let healthy = detail.upgrade.stages.get(&HostStage::Healthy).copied();
    assert_eq!(healthy, Some(3), "{detail:#?}");
    assert_eq!(detail.upgrade.state, UpgradeState::Done);
}

#[tokio::test]
async fn a_host_that_went_back_halts_the_roll_out_until_somebody_resumes_it() {
    let (fleet, mut hosts) = with_hosts(2).await;
    let admin = Person::new(&fleet, "ada", Role::Admin).await;
    let signed = started(&fleet, &admin).await;
    drive(&fleet).await;
    let first = offered(&mut hosts)[0].0;
    news(&fleet, first, signed.digest(), HostStage::RolledBack).await;
    drive(&fleet).await;
    assert_eq!(others(&mut hosts, first), []);
    let halted = detail(&admin).await;
    assert_eq!(halted.upgrade.state, UpgradeState::Halted, "{halted:#?}");
    assert!(halted.upgrade.note.contains("1 failed, and 0 may"));
    assert_eq!(halted.hosts[0].text, "a word");
    let resumed = admin
        .post("/api/v1/upgrades/1/resume", &json!({}))
        .await
        .status();
    assert_eq!(resumed, StatusCode::OK);
    drive(&fleet).await;
    let others = others(&mut hosts, first);
    assert_eq!(others.len(), 1, "the other one has its turn");
}

#[tokio::test]
async fn a_host_that_takes_no_releases_is_passed_over_and_speaks_against_none() {
    let (fleet, mut hosts) = with_hosts(1).await;
    let unable = UpgradeReport {
        unable: Some("no supervisor".to_owned()),
        ..UpgradeReport::default()
    };
    tell(&fleet, hosts[0].id, unable).await;
    let admin = Person::new(&fleet, "ada", Role::Admin).await;
    started(&fleet, &admin).await;
    drive(&fleet).await;
    let detail = detail(&admin).await;
    assert_eq!(detail.hosts[0].stage, HostStage::Missed);
    assert_eq!(detail.hosts[0].text, "no supervisor");
    assert_eq!(detail.upgrade.state, UpgradeState::Done);
    assert_eq!(offered(&mut hosts), []);
}

#[tokio::test]
async fn a_host_that_says_nothing_for_too_long_is_given_up() {
    let (fleet, _hosts) = with_hosts(1).await;
    let admin = Person::new(&fleet, "ada", Role::Admin).await;
    started(&fleet, &admin).await;
    drive(&fleet).await;
    assert_eq!(detail(&admin).await.hosts[0].stage, HostStage::Offered);
    let store = &fleet.started.app.store;
    execute(store, "UPDATE upgrade_hosts SET since = 0").await;
    drive(&fleet).await;
    let detail = detail(&admin).await;
    assert_eq!(detail.hosts[0].stage, HostStage::Overdue, "{detail:#?}");
    assert!(detail.hosts[0].text.contains("offered for more than 5m"));
    assert_eq!(detail.upgrade.state, UpgradeState::Halted);
}

#[tokio::test]
async fn a_report_that_says_nothing_new_does_not_wait_for_the_writer() {
    let (fleet, hosts) = with_hosts(1).await;
    let app = &fleet.started.app;
    let report = UpgradeReport {
        seen: 3,
        ..UpgradeReport::default()
    };
    tell(&fleet, hosts[0].id, report.clone()).await;
    // Somebody else writes.
    let writing = app.store.begin().await.unwrap();
    let again = tell(&fleet, hosts[0].id, report.clone());
    let again = tokio::time::timeout(std::time::Duration::from_secs(20), again);
    assert!(again.await.is_ok(), "it waits for the one writer");
    writing.rollback().await.unwrap();
    let other = UpgradeReport { seen: 4, ..report };
    tell(&fleet, hosts[0].id, other.clone()).await;
    let mut tx = app.store.read().await.unwrap();
    let kept = tx.upgrade_report(hosts[0].id).await.unwrap();
    assert_eq!(kept, Some(other));
}
