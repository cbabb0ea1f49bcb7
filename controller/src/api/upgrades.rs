//! `/api/v1/releases` and `/api/v1/upgrades`: what was released, and how it is rolled out.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::body::Bytes;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::{Extension, Json};
use tidemark_model::release::{FILE_BYTES_MAX, FileDigest};
use tidemark_model::upgrade::{HostStage, Tally};
use tidemark_model::view::{
    Page, Problem, ReleaseDetail, ReleaseFileView, ReleaseRequest, ReleaseView, UpgradeDetail,
    UpgradeHostView, UpgradeRequest, UpgradeView,
};
use tidemark_store::{Tx, Upgrade};

use super::actions::signature_of;
use super::body::{self, Request};
use super::guard::Asking;
use super::params::Params;
use super::problem::Answer;
use crate::app::App;
use crate::upgrades::UpgradeError;
use crate::upgrades::releases::{self, Kept};
use crate::upgrades::roll_out::{self, UPGRADES_MAX, Word};

/// Largest body: a file of a release.
#[expect(clippy::cast_possible_truncation, reason = "64 MiB")]
pub const BODY_BYTES_MAX: usize = FILE_BYTES_MAX as usize;

/// Releases of the agent, the highest number first.
#[utoipa::path(
    get,
    path = "/api/v1/releases",
    tag = "upgrades",
    responses(
        (status = 200, description = "All releases, on one page.", body = Page<ReleaseView>),
        (status = "default", description = "A problem.", body = Problem, content_type = "application/problem+json"),
    )
)]
pub async fn releases(
    State(app): State<Arc<App>>,
    params: Params,
) -> Answer<Json<Page<ReleaseView>>> {
    params.only(&["limit", "cursor"])?;
    let mut tx = app.store.read().await?;
    let kept = releases::all(&mut tx).await?;
    Ok(Json(Page {
        items: kept.iter().map(view).collect(),
        next_cursor: None,
    }))
}

/// One release with what was signed.
#[utoipa::path(
    get,
    path = "/api/v1/releases/{release}",
    tag = "upgrades",
    params(("release" = u32, Path, description = "Its number.")),
    responses(
        (status = 200, description = "The release.", body = ReleaseDetail),
        (status = 404, description = "There is none.", body = Problem, content_type = "application/problem+json"),
        (status = "default", description = "A problem.", body = Problem, content_type = "application/problem+json"),
    )
)]
pub async fn release(
    State(app): State<Arc<App>>,
    Path(release): Path<String>,
    params: Params,
) -> Answer<Json<ReleaseDetail>> {
    params.only(&[])?;
    Ok(Json(release_detail(&app, release_of(&release)?).await?))
}

/// Takes the manifest of a release that was signed elsewhere. The controller holds no key: whether the signatures suffice, each
/// host decides.
#[utoipa::path(
    post,
    path = "/api/v1/releases",
    tag = "upgrades",
    request_body = ReleaseRequest,
    responses(
        (status = 201, description = "It is kept; its files are to follow.", body = ReleaseDetail),
        (status = 400, description = "It is no manifest, or out of its limits.", body = Problem, content_type = "application/problem+json"),
        (status = 409, description = "A release of that number is kept already.", body = Problem, content_type = "application/problem+json"),
        (status = "default", description = "A problem.", body = Problem, content_type = "application/problem+json"),
    )
)]
pub async fn bring(
    State(app): State<Arc<App>>,
    Extension(asking): Extension<Asking>,
    (params, headers, body): Request,
) -> Answer<(StatusCode, Json<ReleaseDetail>)> {
    params.only(&[])?;
    let wanted: ReleaseRequest = body::json(&headers, &body, "the body is no release")?;
    let signatures = wanted
        .signatures
        .iter()
        .map(|one| signature_of(&one.key_id, &one.signature))
        .collect::<Result<Vec<_>, _>>()?;
    let number = releases::bring(&app, &wanted.document, signatures, asking.name()).await?;
    let detail = release_detail(&app, number).await?;
    Ok((StatusCode::CREATED, Json(detail)))
}

/// Takes a file of a release: the very bytes, whole. Once it is kept it is left as it is.
#[utoipa::path(
    put,
    path = "/api/v1/releases/{release}/files/{sha256}",
    tag = "upgrades",
    params(
        ("release" = u32, Path, description = "Its number."),
        ("sha256" = String, Path, description = "The file's SHA-256, as the manifest has it."),
    ),
    request_body(content = Vec<u8>, content_type = "application/octet-stream"),
    responses(
        (status = 204, description = "It is kept."),
        (status = 400, description = "The release has no such file, or these are other bytes.", body = Problem, content_type = "application/problem+json"),
        (status = 404, description = "There is no such release.", body = Problem, content_type = "application/problem+json"),
        (status = "default", description = "A problem.", body = Problem, content_type = "application/problem+json"),
    )
)]
pub async fn bring_file(
    State(app): State<Arc<App>>,
    Path((release, sha256)): Path<(String, String)>,
    params: Params,
    body: Bytes,
) -> Answer<StatusCode> {
    params.only(&[])?;
    let sha256: FileDigest = sha256
        .parse()
        .map_err(|error| UpgradeError::Limits(vec![format!("sha256: {error}")]))?;
    releases::bring_file(&app, release_of(&release)?, sha256, body.to_vec()).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Deletes a release with its files. Hosts that run it go on.
#[utoipa::path(
    delete,
    path = "/api/v1/releases/{release}",
    tag = "upgrades",
    params(("release" = u32, Path, description = "Its number.")),
    responses(
        (status = 204, description = "It is deleted."),
        (status = 404, description = "There is none.", body = Problem, content_type = "application/problem+json"),
        (status = 409, description = "A roll-out of it has not ended.", body = Problem, content_type = "application/problem+json"),
        (status = "default", description = "A problem.", body = Problem, content_type = "application/problem+json"),
    )
)]
pub async fn delete(
    State(app): State<Arc<App>>,
    Path(release): Path<String>,
    params: Params,
) -> Answer<StatusCode> {
    params.only(&[])?;
    releases::delete(&app, release_of(&release)?).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Roll-outs, the newest first.
#[utoipa::path(
    get,
    path = "/api/v1/upgrades",
    tag = "upgrades",
    responses(
        (status = 200, description = "All roll-outs that are kept, on one page.", body = Page<UpgradeView>),
        (status = "default", description = "A problem.", body = Problem, content_type = "application/problem+json"),
    )
)]
pub async fn list(State(app): State<Arc<App>>, params: Params) -> Answer<Json<Page<UpgradeView>>> {
    params.only(&["limit", "cursor"])?;
    let mut tx = app.store.read().await?;
    let mut items = Vec::new();
    for upgrade in tx.upgrades_page(UPGRADES_MAX).await? {
        let tallies = tx.upgrade_tallies(upgrade.number).await?;
        items.push(upgrade_view(&upgrade, &tallies));
    }
    Ok(Json(Page {
        items,
        next_cursor: None,
    }))
}

/// One roll-out with its hosts.
#[utoipa::path(
    get,
    path = "/api/v1/upgrades/{upgrade}",
    tag = "upgrades",
    params(("upgrade" = i64, Path, description = "Its number.")),
    responses(
        (status = 200, description = "The roll-out.", body = UpgradeDetail),
        (status = 404, description = "There is none.", body = Problem, content_type = "application/problem+json"),
        (status = "default", description = "A problem.", body = Problem, content_type = "application/problem+json"),
    )
)]
pub async fn detail(
    State(app): State<Arc<App>>,
    Path(upgrade): Path<String>,
    params: Params,
) -> Answer<Json<UpgradeDetail>> {
    params.only(&[])?;
    Ok(Json(upgrade_detail(&app, upgrade_of(&upgrade)?).await?))
}

/// Starts the roll-out of a release over hosts, in rings: one host, 1 %, 10 %, half of them, all.
#[utoipa::path(
    post,
    path = "/api/v1/upgrades",
    tag = "upgrades",
    request_body = UpgradeRequest,
    responses(
        (status = 201, description = "It is started.", body = UpgradeDetail),
        (status = 400, description = "A value is out of limits, or no host is left.", body = Problem, content_type = "application/problem+json"),
        (status = 404, description = "There is no such release.", body = Problem, content_type = "application/problem+json"),
        (status = 409, description = "The release is not whole or has expired, or another roll-out has not ended.", body = Problem, content_type = "application/problem+json"),
        (status = "default", description = "A problem.", body = Problem, content_type = "application/problem+json"),
    )
)]
pub async fn start(
    State(app): State<Arc<App>>,
    Extension(asking): Extension<Asking>,
    (params, headers, body): Request,
) -> Answer<(StatusCode, Json<UpgradeDetail>)> {
    params.only(&[])?;
    let wanted: UpgradeRequest = body::json(&headers, &body, "the body is no roll-out")?;
    let number = roll_out::start(&app, &wanted, asking.name(), None).await?;
    let detail = upgrade_detail(&app, number).await?;
    Ok((StatusCode::CREATED, Json(detail)))
}

/// Pauses a roll-out: hosts that have begun go on, no other begins.
#[utoipa::path(
    post,
    path = "/api/v1/upgrades/{upgrade}/pause",
    tag = "upgrades",
    params(("upgrade" = i64, Path, description = "Its number.")),
    responses(
        (status = 200, description = "The roll-out as it is then.", body = UpgradeDetail),
        (status = 404, description = "There is none.", body = Problem, content_type = "application/problem+json"),
        (status = 409, description = "It does not run.", body = Problem, content_type = "application/problem+json"),
        (status = "default", description = "A problem.", body = Problem, content_type = "application/problem+json"),
    )
)]
pub async fn pause(
    State(app): State<Arc<App>>,
    Path(upgrade): Path<String>,
    params: Params,
) -> Answer<Json<UpgradeDetail>> {
    params.only(&[])?;
    said(&app, &upgrade, Word::Pause).await
}

/// Has a roll-out go on that was paused or halted. What failed until then is forgiven.
#[utoipa::path(
    post,
    path = "/api/v1/upgrades/{upgrade}/resume",
    tag = "upgrades",
    params(("upgrade" = i64, Path, description = "Its number.")),
    responses(
        (status = 200, description = "The roll-out as it is then.", body = UpgradeDetail),
        (status = 404, description = "There is none.", body = Problem, content_type = "application/problem+json"),
        (status = 409, description = "It is neither paused nor halted.", body = Problem, content_type = "application/problem+json"),
        (status = "default", description = "A problem.", body = Problem, content_type = "application/problem+json"),
    )
)]
pub async fn resume(
    State(app): State<Arc<App>>,
    Path(upgrade): Path<String>,
    params: Params,
) -> Answer<Json<UpgradeDetail>> {
    params.only(&[])?;
    said(&app, &upgrade, Word::Resume).await
}

/// Stops a roll-out for good: hosts that have begun end by themselves, no other begins.
#[utoipa::path(
    post,
    path = "/api/v1/upgrades/{upgrade}/stop",
    tag = "upgrades",
    params(("upgrade" = i64, Path, description = "Its number.")),
    responses(
        (status = 200, description = "The roll-out as it is then.", body = UpgradeDetail),
        (status = 404, description = "There is none.", body = Problem, content_type = "application/problem+json"),
        (status = 409, description = "It is over.", body = Problem, content_type = "application/problem+json"),
        (status = "default", description = "A problem.", body = Problem, content_type = "application/problem+json"),
    )
)]
pub async fn stop(
    State(app): State<Arc<App>>,
    Path(upgrade): Path<String>,
    params: Params,
) -> Answer<Json<UpgradeDetail>> {
    params.only(&[])?;
    said(&app, &upgrade, Word::Stop).await
}

async fn said(app: &App, upgrade: &str, word: Word) -> Answer<Json<UpgradeDetail>> {
    let number = upgrade_of(upgrade)?;
    roll_out::say(app, number, word).await?;
    Ok(Json(upgrade_detail(app, number).await?))
}

fn release_of(text: &str) -> Result<u32, UpgradeError> {
    text.parse().map_err(|_| UpgradeError::UnknownRelease)
}

pub(crate) fn upgrade_of(text: &str) -> Result<i64, UpgradeError> {
    text.parse().map_err(|_| UpgradeError::UnknownUpgrade)
}

async fn release_detail(app: &App, release: u32) -> Result<ReleaseDetail, UpgradeError> {
    let mut tx = app.store.read().await?;
    let kept = releases::find(&mut tx, release).await?;
    Ok(ReleaseDetail {
        release: view(&kept),
        document: String::from_utf8_lossy(&kept.record.signed.bytes).into_owned(),
    })
}

pub(crate) fn view(kept: &Kept) -> ReleaseView {
    let Kept {
        record,
        manifest,
        there,
    } = kept;
    let files = manifest.files.iter().map(|file| ReleaseFileView {
        target: file.target().to_string(),
        file: file.file.clone(),
        length_bytes: file.length,
        sha256: file.sha256.to_string(),
        is_there: there.contains(&file.sha256),
    });
    let keys = record.signed.signatures.iter();
    ReleaseView {
        release: manifest.release,
        version: manifest.version.clone(),
        floor: manifest.floor,
        expires_ms: manifest.expires_at_ms.unix_ms(),
        keys: keys.map(|one| one.key.to_string()).collect(),
        files: files.collect(),
        created_ms: record.created_at.unix_ms(),
        created_by: record.created_by.clone(),
    }
}

async fn upgrade_detail(app: &App, number: i64) -> Result<UpgradeDetail, UpgradeError> {
    let mut tx: Tx = app.store.read().await?;
    let upgrade = tx.upgrade_find(number).await?;
    let upgrade = upgrade.ok_or(UpgradeError::UnknownUpgrade)?;
    let tallies = tx.upgrade_tallies(number).await?;
    let told = tx.upgrade_reports_of(number).await?;
    let hosts = tx.upgrade_hosts(number).await?;
    drop(tx);
    let shown = hosts.into_iter().map(|host| UpgradeHostView {
        host_id: host.host.to_string(),
        host: app.live.name_of(host.host),
        ring: host.ring.saturating_add(1),
        stage: host.stage,
        since_ms: host.since.unix_ms(),
        running: told.get(&host.host).map(|told| told.running.unwrap_or(0)),
        floor: told.get(&host.host).map(|told| told.floor),
        text: host.text,
    });
    Ok(UpgradeDetail {
        upgrade: upgrade_view(&upgrade, &tallies),
        hosts: shown.collect(),
    })
}

pub(crate) fn upgrade_view(upgrade: &Upgrade, tallies: &[Tally]) -> UpgradeView {
    let mut stages = BTreeMap::<HostStage, u64>::new();
    for tally in tallies {
        let count = stages.entry(tally.stage).or_default();
        *count = count.saturating_add(tally.hosts);
    }
    UpgradeView {
        upgrade: upgrade.number,
        release: upgrade.release,
        hosts: upgrade.hosts.clone(),
        state: upgrade.state,
        note: upgrade.note.clone(),
        soak_s: upgrade.plan.soak_ms / 1_000,
        failures_max: upgrade.plan.failures_max,
        stages,
        created_ms: upgrade.created_at.unix_ms(),
        created_by: upgrade.created_by.clone(),
        changed_ms: upgrade.changed_at.unix_ms(),
    }
}
