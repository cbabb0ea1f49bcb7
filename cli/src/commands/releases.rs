//! `release` and `get releases`: manifests are made and signed here, without a controller, and brought to it with their files.

use std::fs;
use std::path::{Path, PathBuf};

use serde::Serialize;
use tidemark_model::release::{
    FILE_BYTES_MAX, FileDigest, MANIFEST_BYTES_MAX, Manifest, PRODUCT, ReleaseFile, Target,
};
use tidemark_model::signing::{KeyId, Purpose, Signature};
use tidemark_model::view::{ReleaseDetail, ReleaseRequest, ReleaseView, SignatureRequest};

use super::Ctx;
use super::consent::Consent;
use super::keys;
use super::one_by_one::one_by_one;
use super::show::{show, show_once};
use crate::args::{MakeReleaseArgs, Release};
use crate::failure::Failure;
use crate::render::paint::Tone;
use crate::render::sheet::{Sheet, Value};
use crate::render::table::{Align, Cell, Table};
use crate::render::text::visible;
use crate::render::{Report, Screen, words};

/// Does what is wanted of releases.
pub async fn run(ctx: &Ctx<'_>, wanted: &Release) -> Result<(), Failure> {
    match wanted {
        Release::Make(wanted) => make(ctx, wanted),
        Release::Sign {
            manifest,
            key,
            yes,
            passphrase,
        } => {
            let bytes = read(manifest, MANIFEST_BYTES_MAX as u64)?;
            let shown = Manifest::from_bytes(&bytes)
                .map_err(|error| of_file(manifest, &error.to_string()))?;
            ctx.console.write(&sentences(&shown))?;
            let consent = Consent::of(*yes);
            if !consent.is_given(ctx, "Sign it?", "this signs it")? {
                return Ok(());
            }
            let key = keys::open(ctx, key, passphrase)?;
            sign(ctx, manifest, &key.sign(Purpose::Release, &bytes)?)
        }
        Release::Add { manifest, files } => add(ctx, manifest, files).await,
        Release::List => list(ctx).await,
        Release::Remove { releases } => {
            let api = ctx.api()?;
            let said = |release: &u32| format!("deleted release {release}");
            one_by_one(ctx, releases, said, async |release| {
                api.remove_release(*release).await
            })
            .await
        }
    }
}

/// Lists releases.
pub async fn list(ctx: &Ctx<'_>) -> Result<(), Failure> {
    let api = ctx.api()?;
    show(ctx, async || api.releases().await.map(ReleaseList)).await
}

fn make(ctx: &Ctx<'_>, wanted: &MakeReleaseArgs) -> Result<(), Failure> {
    let mut files = wanted
        .files
        .iter()
        .map(|(target, path)| release_file(*target, path))
        .collect::<Result<Vec<_>, _>>()?;
    files.sort_by_key(ReleaseFile::target);
    let now = ctx.clock.now();
    let manifest = Manifest {
        product: PRODUCT.to_owned(),
        version: wanted.called.clone(),
        release: wanted.release,
        floor: wanted.floor,
        issued_at_ms: now,
        expires_at_ms: now.saturating_add(wanted.valid),
        files,
    };
    manifest
        .check()
        .map_err(|error| Failure::usage(error.to_string()))?;
    write(&wanted.to, &manifest.to_bytes())?;
    ctx.console.write(&sentences(&manifest))?;
    let shown = wanted.to.display().to_string();
    ctx.console.write(&format!(
        "written to {0}; sign it: tidemark release sign {0} --key NAME",
        visible(&shown)
    ))
}

fn release_file(target: Target, path: &Path) -> Result<ReleaseFile, Failure> {
    let bytes = read(path, FILE_BYTES_MAX)?;
    let name = path.file_name().and_then(|name| name.to_str());
    Ok(ReleaseFile {
        os: target.os,
        arch: target.arch,
        file: name.unwrap_or(PRODUCT).to_owned(),
        length: bytes.len() as u64,
        sha256: FileDigest::of_bytes(&bytes),
    })
}

/// What a manifest says, read from the very bytes that are signed.
fn sentences(manifest: &Manifest) -> String {
    let mut text = format!(
        "Release {} of {}: version {}\nhosts that run it go back to release {} at the lowest\nmade {} ms, may be installed until {} ms (unix time)",
        manifest.release,
        manifest.product,
        manifest.version,
        manifest.floor,
        manifest.issued_at_ms.unix_ms(),
        manifest.expires_at_ms.unix_ms(),
    );
    for file in &manifest.files {
        text.push_str(&format!(
            "\n{}  {} bytes  sha256 {}  {}",
            file.target(),
            file.length,
            file.sha256,
            file.file
        ));
    }
    text
}

fn sign(ctx: &Ctx<'_>, manifest: &Path, signature: &Signature) -> Result<(), Failure> {
    let path = beside(manifest);
    let mut lines = if path.is_file() {
        signatures(&path)?
    } else {
        Vec::new()
    };
    lines.retain(|one| one.key != signature.key);
    lines.push(*signature);
    let text: String = lines
        .iter()
        .map(|one| format!("{} {}\n", one.key, one.to_base64()))
        .collect();
    write(&path, text.as_bytes())?;
    let shown = path.display().to_string();
    ctx.console.write(&format!(
        "signed by key {}; {} signatures in {}",
        signature.key,
        lines.len(),
        visible(&shown)
    ))
}

fn beside(manifest: &Path) -> PathBuf {
    let mut name = manifest.as_os_str().to_owned();
    name.push(".sig");
    PathBuf::from(name)
}

fn signatures(path: &Path) -> Result<Vec<Signature>, Failure> {
    let bytes = read(path, MANIFEST_BYTES_MAX as u64)?;
    let text = String::from_utf8_lossy(&bytes);
    let signature = |line: &str| {
        let (key, signature) = line.split_once(' ')?;
        Signature::from_base64(key.parse::<KeyId>().ok()?, signature).ok()
    };
    text.lines()
        .map(|line| {
            signature(line).ok_or_else(|| {
                of_file(
                    path,
                    "a line is a key id and a signature; sign the manifest anew",
                )
            })
        })
        .collect()
}

async fn add(ctx: &Ctx<'_>, manifest: &Path, files: &[PathBuf]) -> Result<(), Failure> {
    let api = ctx.api()?;
    let bytes = read(manifest, MANIFEST_BYTES_MAX as u64)?;
    let read_manifest =
        Manifest::from_bytes(&bytes).map_err(|error| of_file(manifest, &error.to_string()))?;
    let brought = signatures(&beside(manifest))?;
    let mut contents = Vec::with_capacity(files.len());
    for file in files {
        let content = read(file, FILE_BYTES_MAX)?;
        let sha256 = FileDigest::of_bytes(&content);
        if !read_manifest.files.iter().any(|one| one.sha256 == sha256) {
            return Err(of_file(file, "the manifest names no file with these bytes"));
        }
        contents.push((sha256, content));
    }
    let release = read_manifest.release;
    let document = String::from_utf8_lossy(&bytes).into_owned();
    // Brought before, and the very same: files that are missing are brought now.
    let is_there = match api.release(release).await {
        Ok(found) => found.document == document,
        Err(failure) if failure.is_not_found() => false,
        Err(failure) => return Err(failure),
    };
    if !is_there {
        let request = ReleaseRequest {
            document,
            signatures: brought.iter().map(request_of).collect(),
        };
        api.bring_release(&request).await?;
    }
    for (sha256, content) in contents {
        api.bring_release_file(release, &sha256.to_string(), content)
            .await?;
    }
    show_once(ctx, &Description(api.release(release).await?))
}

fn request_of(signature: &Signature) -> SignatureRequest {
    SignatureRequest {
        key_id: signature.key.to_string(),
        signature: signature.to_base64(),
    }
}

fn read(path: &Path, bytes_max: u64) -> Result<Vec<u8>, Failure> {
    let size = fs::metadata(path).map_err(|error| of_file(path, &error.to_string()))?;
    if size.len() > bytes_max {
        let text = format!("it has {} bytes; at most {bytes_max} are read", size.len());
        return Err(of_file(path, &text));
    }
    fs::read(path).map_err(|error| of_file(path, &error.to_string()))
}

fn write(path: &Path, bytes: &[u8]) -> Result<(), Failure> {
    fs::write(path, bytes).map_err(|error| of_file(path, &error.to_string()))
}

fn of_file(path: &Path, why: &str) -> Failure {
    Failure::usage(format!("{}: {why}", path.display()))
}

/// A list of releases.
#[derive(Debug, Serialize)]
#[serde(transparent)]
struct ReleaseList(Vec<ReleaseView>);

/// One release.
#[derive(Debug, Serialize)]
#[serde(transparent)]
struct Description(ReleaseDetail);

fn table(releases: &[ReleaseView], screen: &Screen) -> String {
    let mut table = Table::new(&[
        ("RELEASE", Align::Right),
        ("VERSION", Align::Left),
        ("FLOOR", Align::Right),
        ("EXPIRES", Align::Left),
        ("FILES", Align::Left),
        ("KEYS", Align::Left),
    ]);
    for release in releases {
        let missing = release.files.iter().filter(|file| !file.is_there).count();
        let targets: Vec<&str> = release.files.iter().map(|file| &*file.target).collect();
        let files = match missing {
            0 => Cell::from(targets.join(" ")),
            missing => Cell::toned(
                format!("{missing} of {} missing", release.files.len()),
                Tone::Bad,
            ),
        };
        table.row([
            Cell::from(release.release),
            Cell::from(&*release.version),
            Cell::from(release.floor),
            Cell::from(words::relative(release.expires_ms, screen.now)),
            files,
            Cell::from(release.keys.join(" ")),
        ]);
    }
    table.draw(screen)
}

fn sheet(releases: &[ReleaseView]) -> Sheet {
    let row = |release: &ReleaseView| {
        vec![
            Value::number(release.release),
            Value::text(&release.version),
            Value::number(release.floor),
            Value::number(release.expires_ms),
            Value::text(release.keys.join(" ")),
            Value::text(&release.created_by),
        ]
    };
    Sheet {
        header: vec![
            "release",
            "version",
            "floor",
            "expires_ms",
            "keys",
            "created_by",
        ],
        rows: releases.iter().map(row).collect(),
    }
}

impl Report for ReleaseList {
    fn table(&self, screen: &Screen) -> String {
        if self.0.is_empty() {
            return "No releases. Bring one: tidemark release add MANIFEST FILE... (tidemark release --help)\n"
                .to_owned();
        }
        table(&self.0, screen)
    }

    fn sheet(&self, _screen: &Screen) -> Sheet {
        sheet(&self.0)
    }
}

impl Report for Description {
    fn table(&self, screen: &Screen) -> String {
        table(std::slice::from_ref(&self.0.release), screen)
    }

    fn sheet(&self, _screen: &Screen) -> Sheet {
        sheet(std::slice::from_ref(&self.0.release))
    }
}
