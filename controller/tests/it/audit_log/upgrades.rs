//! What is done about releases and their roll-outs.

use serde_json::json;
use tidemark_model::Timestamp;
use tidemark_model::release::{FileDigest, Manifest, PRODUCT, ReleaseFile, TargetArch, TargetOs};
use tidemark_model::signing::Purpose;

use super::{Body, Doing, Who, brought};
use crate::grants::key;
use crate::run_page::send;
use crate::upgrades_page::hidden;

const FILE: &[u8] = b"a program";

/// The manifest of a release, as somebody signed it.
pub fn manifest(release: u32, now: Timestamp) -> Manifest {
    Manifest {
        product: PRODUCT.to_owned(),
        version: format!("1.0.{release}"),
        release,
        floor: 0,
        issued_at_ms: now,
        expires_at_ms: now.saturating_add(std::time::Duration::from_secs(86_400)),
        files: vec![ReleaseFile {
            os: TargetOs::Linux,
            arch: TargetArch::X86_64,
            file: "tidemark-agent".to_owned(),
            length: FILE.len() as u64,
            sha256: FileDigest::of_bytes(FILE),
        }],
    }
}

/// A release from its manifest to its end, with one roll-out of it.
pub(super) async fn upgrades(doing: &mut Doing<'_>, who: Who<'_>, now: Timestamp) {
    let bytes = manifest(1, now).to_bytes();
    let signatures = [brought(&key(1).sign(Purpose::Release, &bytes))];
    let body = json!({"document": String::from_utf8(bytes).unwrap(), "signatures": signatures});
    doing.sends(who, "POST /api/v1/releases", body).await;
    let path = format!("/api/v1/releases/1/files/{}", FileDigest::of_bytes(FILE));
    let route = "PUT /api/v1/releases/{release}/files/{sha256}";
    doing
        .does(who, (route, &path), Body::Bytes(FILE.to_vec()))
        .await;
    let start = json!({"release": 1, "wait_s": 60});
    doing.sends(who, "POST /api/v1/upgrades", start).await;
    for word in ["pause", "resume", "stop"] {
        let path = format!("/api/v1/upgrades/1/{word}");
        let route = format!("POST /api/v1/upgrades/{{upgrade}}/{word}");
        doing.does(who, (&route, &path), Body::Nothing).await;
    }
    forms(doing, who).await;
    let (route, path) = ("DELETE /api/v1/releases/{release}", "/api/v1/releases/1");
    doing.does(who, (route, path), Body::Nothing).await;
}

/// What the page's forms do, by somebody who is sure.
async fn forms(doing: &mut Doing<'_>, who: Who<'_>) {
    let form = |sure: &str| {
        let fields = [("release", "1"), ("wait", "1m"), ("sure", sure)];
        Body::Form(
            fields
                .map(|(name, value)| (name, value.to_owned()))
                .to_vec(),
        )
    };
    // To be asked whether one is sure is no deed.
    let asked = send(doing.fleet, who.1, "/upgrades", &[("release", "1")]).await;
    let asked = asked.text().await.unwrap();
    let looked_at = hidden(&asked, "sure");
    let route = ("POST /upgrades", "/upgrades");
    doing.does(who, route, form(looked_at)).await;
    for word in ["pause", "resume", "stop"] {
        let path = format!("/upgrades/2/{word}");
        let route = format!("POST /upgrades/{{upgrade}}/{word}");
        doing.does(who, (&route, &path), form("yes")).await;
    }
}
