//! A made-up roll-out that a host halted, with releases and what hosts say of them.

use std::time::Duration;

use tidemark_model::release::{
    FileDigest, Manifest, ManifestDigest, PRODUCT, ReleaseFile, SignedManifest, TargetArch,
    TargetOs,
};
use tidemark_model::signing::{PrivateKey, Purpose};
use tidemark_model::upgrade::{HostStage, UpgradePlan, UpgradeReport, UpgradeState, rings_of};
use tidemark_model::{HostId, Timestamp};
use tidemark_store::{ReleaseRecord, Tx, Upgrade, UpgradeHost};

use crate::made_up::MadeUp;

/// Releases with their numbers; the files of the last one are there.
const RELEASES: [(u32, &str, u32); 2] = [(11, "1.3.2", 9), (12, "1.4.0", 9)];

/// What the files of a release are made of.
const FILES: [&str; 2] = ["a program for x86_64", "a program for aarch64"];

const WENT_BACK: &str = "it was not healthy within 11m: the controller closed the connection";
const UNWATCHED: &str = "this agent runs without a supervisor that could go back: start it by `tidemark-agent supervise`, or upgrade it by its package";
const UNWILLING: &str =
    "the host's policy takes no releases: list release keys and [releases] in policy.toml";

fn manifest((release, version, floor): (u32, &str, u32), now: Timestamp) -> Manifest {
    let file = |arch, name: &str| ReleaseFile {
        os: TargetOs::Linux,
        arch,
        file: "tidemark-agent".to_owned(),
        length: name.len() as u64,
        sha256: FileDigest::of_bytes(name.as_bytes()),
    };
    Manifest {
        product: PRODUCT.to_owned(),
        version: version.to_owned(),
        release,
        floor,
        issued_at_ms: now,
        expires_at_ms: now.saturating_add(Duration::from_secs(26 * 86_400)),
        files: vec![
            file(TargetArch::X86_64, FILES[0]),
            file(TargetArch::Aarch64, FILES[1]),
        ],
    }
}

/// Puts it there: the first ring is healthy, and a host of the next one went back.
pub async fn make_up(fleet: &MadeUp, hosts: &[HostId]) {
    let app = &fleet.started.app;
    let now = app.clock.now();
    let mut tx = app.store.begin().await.unwrap();
    let mut newest = None;
    for release in RELEASES {
        newest = Some(bring(&mut tx, release, now).await);
    }
    let upgrade = Upgrade {
        number: 0,
        release: 12,
        manifest: newest.unwrap(),
        hosts: "all hosts".to_owned(),
        plan: UpgradePlan {
            soak_ms: 3_600_000,
            failures_max: 0,
            wait_ms: 3_600_000,
        },
        state: UpgradeState::Halted,
        forgiven: 0,
        note: "1 failed, and 0 may; look at them, then resume or stop it".to_owned(),
        generation: 1,
        created_at: ago(now, 200),
        created_by: "ann".to_owned(),
        changed_at: ago(now, 12),
    };
    let rings = rings_of(hosts.iter().copied()).into_iter().enumerate();
    let in_rings: Vec<UpgradeHost> = rings
        .map(|(place, (host, ring))| turn(place, (host, ring), now))
        .collect();
    tx.upgrade_insert(&upgrade, &in_rings).await.unwrap();
    for (place, host) in in_rings.iter().enumerate().skip(1) {
        let told = report(place);
        tx.upgrade_report_put(host.host, now, &told).await.unwrap();
    }
    tx.commit().await.unwrap();
}

fn ago(now: Timestamp, minutes: u64) -> Timestamp {
    now.saturating_sub(Duration::from_secs(minutes * 60))
}

/// Brings a release with its files.
async fn bring(tx: &mut Tx, release: (u32, &str, u32), now: Timestamp) -> ManifestDigest {
    let manifest = manifest(release, ago(now, 3_000));
    let bytes = manifest.to_bytes();
    let keys = [[1; 32], [2; 32]].map(PrivateKey::from_seed);
    let signed = SignedManifest {
        signatures: keys.map(|key| key.sign(Purpose::Release, &bytes)).to_vec(),
        bytes,
    };
    let digest = signed.digest();
    for name in FILES {
        let bytes = name.as_bytes();
        let sha256 = FileDigest::of_bytes(bytes);
        tx.release_file_insert(sha256, bytes).await.unwrap();
    }
    let record = ReleaseRecord {
        number: manifest.release,
        signed,
        created_at: ago(now, 2_900),
        created_by: "ann".to_owned(),
    };
    tx.release_insert(&record).await.unwrap();
    digest
}

/// How far the host is whose turn comes at that place.
fn turn(place: usize, (host, ring): (HostId, u8), now: Timestamp) -> UpgradeHost {
    let (stage, minutes, text) = match place {
        0 => (HostStage::Healthy, 120, "version 1.4.0"),
        1 => (HostStage::RolledBack, 12, WENT_BACK),
        2 => (HostStage::Switched, 9, "version 1.4.0"),
        3 => (HostStage::Missed, 14, UNWATCHED),
        _ => (HostStage::Waiting, 200, ""),
    };
    UpgradeHost {
        host,
        ring,
        stage,
        since: ago(now, minutes),
        text: text.to_owned(),
    }
}

/// What that host says of its program.
fn report(place: usize) -> UpgradeReport {
    let unable = match place {
        3..=5 => Some(UNWATCHED),
        6 => Some(UNWILLING),
        _ => None,
    };
    UpgradeReport {
        running: Some(11).filter(|_| unable.is_none()),
        seen: if place < 3 { 12 } else { 11 },
        floor: if unable.is_none() { 9 } else { 0 },
        unable: unable.map(str::to_owned),
        news: None,
    }
}
