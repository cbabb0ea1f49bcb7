//! Releases as they are brought and kept. What a manifest says is checked for its form alone: who may release is each host's to say.

use std::collections::HashSet;

use tidemark_model::audit_log::Deed;
use tidemark_model::release::{FileDigest, Manifest, SignedManifest};
use tidemark_model::signing::{SIGNATURES_MAX, Signature};
use tidemark_store::{ReleaseRecord, StoreError, Tx};

use super::UpgradeError;
use crate::app::App;
use crate::incidents::text::clean;

/// Releases that are kept at once.
pub const RELEASES_MAX: u32 = 20;

/// A release and what of it is there.
#[derive(Clone, Debug)]
pub struct Kept {
    /// As it was brought.
    pub record: ReleaseRecord,
    /// What it says.
    pub manifest: Manifest,
    /// Which of its files are whole here.
    pub there: HashSet<FileDigest>,
}

impl Kept {
    /// How many files are missing.
    #[must_use]
    pub fn missing(&self) -> usize {
        let files = self.manifest.files.iter();
        files
            .filter(|file| !self.there.contains(&file.sha256))
            .count()
    }
}

/// Takes a manifest that was signed elsewhere, in the name of `by`.
///
/// # Errors
/// Everything that is wrong with it; nothing is kept then.
pub async fn bring(
    app: &App,
    document: &str,
    signatures: Vec<Signature>,
    by: &str,
) -> Result<u32, UpgradeError> {
    let manifest = Manifest::from_bytes(document.as_bytes())
        .map_err(|error| UpgradeError::Limits(vec![format!("document: {error}")]))?;
    let now = app.clock.now();
    let mut problems = Vec::new();
    if signatures.is_empty() || signatures.len() > SIGNATURES_MAX {
        problems.push(format!(
            "signatures has {}; a release has 1 to {SIGNATURES_MAX}",
            signatures.len()
        ));
    }
    if manifest.expires_at_ms <= now {
        problems.push("document: expires_at_ms lies in the past; sign a new one".to_owned());
    }
    let mut tx = app.store.begin().await?;
    let kept = tx.releases_page(RELEASES_MAX).await?.len();
    if kept >= usize::try_from(RELEASES_MAX).unwrap_or(usize::MAX) {
        problems.push(format!(
            "{RELEASES_MAX} releases are kept, as many as may; delete one with `tidemark release remove`"
        ));
    }
    if !problems.is_empty() {
        return Err(UpgradeError::Limits(problems));
    }
    let record = ReleaseRecord {
        number: manifest.release,
        signed: SignedManifest {
            bytes: document.as_bytes().to_vec(),
            signatures,
        },
        created_at: now,
        created_by: clean(by),
    };
    if !tx.release_insert(&record).await? {
        return Err(UpgradeError::ReleaseBefore(manifest.release));
    }
    app.record(Deed::ReleaseBring, "releases", manifest.release)
        .with("version", &manifest.version)
        .with("manifest_sha256", record.signed.digest())
        .keep(&mut tx)
        .await?;
    tx.commit().await?;
    app.live.announce_upgrades();
    Ok(manifest.release)
}

/// Keeps a file of a release, whole and as it was signed, or not at all. Kept once, it is left as it is.
///
/// # Errors
/// When the release has no such file, or these are other bytes.
pub async fn bring_file(
    app: &App,
    release: u32,
    sha256: FileDigest,
    bytes: Vec<u8>,
) -> Result<(), UpgradeError> {
    let limits = |text: String| UpgradeError::Limits(vec![text]);
    let mut tx = app.store.read().await?;
    let kept = find(&mut tx, release).await?;
    drop(tx);
    let mut files = kept.manifest.files.iter();
    let file = files
        .find(|file| file.sha256 == sha256)
        .ok_or_else(|| limits(format!("release {release} has no file with that SHA-256")))?;
    let found = bytes.len() as u64;
    if found != file.length {
        return Err(limits(format!(
            "the body has {found} bytes; the file of {} has {}",
            file.target(),
            file.length
        )));
    }
    let (bytes, digest) = tokio::task::spawn_blocking(move || {
        let digest = FileDigest::of_bytes(&bytes);
        (bytes, digest)
    })
    .await
    .map_err(|error| limits(format!("the body could not be hashed: {error}")))?;
    if digest != sha256 {
        return Err(limits(format!(
            "the body is another file: its SHA-256 is {digest}"
        )));
    }
    let mut tx = app.store.begin().await?;
    tx.release_file_insert(sha256, &bytes).await?;
    app.record(Deed::ReleaseFileBring, "releases", release)
        .with("file_sha256", sha256)
        .with("target", file.target())
        .keep(&mut tx)
        .await?;
    tx.commit().await?;
    app.live.announce_upgrades();
    Ok(())
}

/// Deletes a release, and those of its files that no other one has.
///
/// # Errors
/// When there is none, or a roll-out of it has not ended.
pub async fn delete(app: &App, release: u32) -> Result<(), UpgradeError> {
    let mut tx = app.store.begin().await?;
    let open = tx.upgrades_open().await?;
    if let Some(upgrade) = open.iter().find(|upgrade| upgrade.release == release) {
        return Err(UpgradeError::InUse(upgrade.number));
    }
    let gone = find(&mut tx, release).await?;
    tx.release_delete(release).await?;
    let left = all(&mut tx).await?;
    let needed: HashSet<FileDigest> = left
        .iter()
        .flat_map(|kept| kept.manifest.files.iter().map(|file| file.sha256))
        .collect();
    for sha256 in gone.there.difference(&needed) {
        tx.release_file_delete(*sha256).await?;
    }
    app.record(Deed::ReleaseDelete, "releases", release)
        .with("version", &gone.manifest.version)
        .keep(&mut tx)
        .await?;
    tx.commit().await?;
    app.live.announce_upgrades();
    Ok(())
}

/// Every release, the highest number first.
///
/// # Errors
/// When the database fails.
pub async fn all(tx: &mut Tx) -> Result<Vec<Kept>, StoreError> {
    let whole: HashSet<FileDigest> = tx.release_files().await?.into_iter().collect();
    let records = tx.releases_page(RELEASES_MAX).await?;
    Ok(records
        .into_iter()
        .filter_map(|record| read(record, &whole))
        .collect())
}

/// The release of that number.
///
/// # Errors
/// When there is none.
pub async fn find(tx: &mut Tx, release: u32) -> Result<Kept, UpgradeError> {
    let whole: HashSet<FileDigest> = tx.release_files().await?.into_iter().collect();
    let record = tx.release_find(release).await?;
    record
        .and_then(|record| read(record, &whole))
        .ok_or(UpgradeError::UnknownRelease)
}

fn read(record: ReleaseRecord, whole: &HashSet<FileDigest>) -> Option<Kept> {
    let manifest = Manifest::from_bytes(&record.signed.bytes)
        .map_err(|error| tracing::error!(release = record.number, %error, "a stored release cannot be read"))
        .ok()?;
    let files = manifest.files.iter().map(|file| file.sha256);
    let there = files.filter(|sha256| whole.contains(sha256)).collect();
    Some(Kept {
        record,
        manifest,
        there,
    })
}
