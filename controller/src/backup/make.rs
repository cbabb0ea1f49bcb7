//! `tidemark-controller backup`: a copy of everything that a controller cannot make anew, while it serves.

use std::io::Write as _;
use std::num::NonZeroU32;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, ensure};
use tidemark_model::Timestamp;
use tidemark_runtime::{Clock, durable};
use tidemark_store::{DatabaseUrl, Store};

use super::manifest::{self, KEYS, Manifest};
use super::{check_release, files, server, tell};
use crate::settings::Settings;

/// How the folders of backups begin.
const NAME: &str = "tidemark-";
/// What the folder of one is called that is not whole.
const UNFINISHED: &str = ".making";

/// Where to, and how many are kept.
#[derive(Clone, Debug, clap::Args)]
pub struct BackupArgs {
    /// Folder that the backup's own folder is made in
    #[arg(long, value_name = "DIR")]
    pub to: PathBuf,
    /// Then delete the oldest backups there, but this many
    #[arg(long, value_name = "N")]
    pub keep: Option<NonZeroU32>,
}

/// Makes a backup and prints its folder.
///
/// # Errors
/// Why there is none; what there is of it then is no backup, and removed.
pub async fn run(settings: &Settings, args: &BackupArgs) -> anyhow::Result<()> {
    let schema = check_release(&settings.database).await?;
    let now = Clock::System.now();
    let name = format!("{NAME}{}", files::stamp(now));
    let folder = args.to.join(&name);
    ensure!(
        !std::fs::exists(&folder)?,
        "{} is there already: wait a second",
        folder.display()
    );
    let unfinished = args.to.join(format!("{name}{UNFINISHED}"));
    durable::make_private_folder(&unfinished.join(KEYS))
        .with_context(|| format!("cannot create {}", unfinished.display()))?;
    let migration = schema.applied.unwrap_or_default();
    let made = fill(settings, &unfinished, (now, migration)).await;
    let made = made.and_then(|manifest| {
        std::fs::rename(&unfinished, &folder)
            .with_context(|| format!("cannot create {}", folder.display()))?;
        durable::sync_folder(&args.to)?;
        Ok(manifest)
    });
    let manifest = made.inspect_err(|_| {
        // The first error is the one to tell; the folder is no backup without its manifest.
        std::fs::remove_dir_all(&unfinished).ok();
    })?;
    tell(&manifest.words());
    tell("it holds the fleet's keys: keep it as safe as the controller, and away from its disk");
    if let Some(keep) = args.keep {
        prune(&args.to, keep)?;
    }
    writeln!(std::io::stdout(), "{}", folder.display())?;
    Ok(())
}

async fn fill(
    settings: &Settings,
    folder: &Path,
    (now, migration): (Timestamp, i64),
) -> anyhow::Result<Manifest> {
    let database = &settings.database;
    let mut manifest = match database.sqlite_file() {
        Some(_) => {
            let store = Store::open_to_read(database).await?;
            let copy = folder.join(manifest::SQLITE);
            store.copy_into(&copy).await?;
            store.close().await;
            // What is said is said of the copy: others have written meanwhile.
            let copied = Store::open_to_read(&DatabaseUrl::sqlite(&copy)).await?;
            let mut tx = copied.read().await?;
            let manifest = Manifest::of(&copied, &mut tx, (now, migration)).await?;
            drop(tx);
            copied.close().await;
            manifest
        }
        None => {
            let store = Store::open_to_read(database).await?;
            let mut tx = store.read().await?;
            let manifest = Manifest::of(&store, &mut tx, (now, migration)).await?;
            let snapshot = tx.snapshot_name().await?.unwrap_or_default();
            let copy = folder.join(manifest::POSTGRES);
            server::dump(&server::place_of(database)?, &snapshot, &copy).await?;
            drop(tx);
            store.close().await;
            manifest
        }
    };
    let (folder, keys) = (folder.to_owned(), settings.data_dir.join(KEYS));
    tokio::task::spawn_blocking(move || {
        add_files(&mut manifest, &folder, &keys)?;
        Ok(manifest)
    })
    .await?
}

fn add_files(manifest: &mut Manifest, folder: &Path, keys: &Path) -> anyhow::Result<()> {
    let database = manifest.database_file();
    let copy = folder.join(database);
    // pg_dump leaves that to whoever wants its file to last.
    std::fs::File::open(&copy)
        .and_then(|file| file.sync_all())
        .with_context(|| format!("cannot write {}", copy.display()))?;
    manifest
        .files
        .insert(database.to_owned(), files::FileFacts::of(&copy)?);
    let names = files::names_in(keys)?;
    ensure!(
        !names.is_empty(),
        "{} has no keys: name the controller's data folder with --data-dir or --config",
        keys.display()
    );
    for name in names {
        let facts = files::copy(&keys.join(&name), &folder.join(KEYS).join(&name))?;
        manifest.files.insert(format!("{KEYS}/{name}"), facts);
    }
    durable::sync_folder(&folder.join(KEYS))?;
    manifest.write(folder)
}

/// Deletes the oldest whole backups of a folder beyond `keep`.
fn prune(folder: &Path, keep: NonZeroU32) -> anyhow::Result<()> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder)? {
        let path = entry?.path();
        let name = path.file_name().and_then(|name| name.to_str());
        let is_ours =
            name.is_some_and(|name| name.starts_with(NAME) && !name.ends_with(UNFINISHED));
        if is_ours && let Ok(manifest) = Manifest::read(&path) {
            found.push((manifest.made_ms, path));
        }
    }
    found.sort_unstable();
    let kept = usize::try_from(keep.get()).unwrap_or(usize::MAX);
    let over = found.len().saturating_sub(kept);
    for (_, path) in found.into_iter().take(over) {
        std::fs::remove_dir_all(&path)
            .with_context(|| format!("cannot delete the old backup {}", path.display()))?;
        tell(&format!("deleted the old backup {}", path.display()));
    }
    Ok(())
}
