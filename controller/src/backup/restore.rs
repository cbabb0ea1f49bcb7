//! `tidemark-controller restore`: a backup in a place that is empty, or the end of what a database cannot know that was brought
//! back by other means.

use std::io::Write;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail, ensure};
use tidemark_runtime::Clock;
use tidemark_runtime::durable::{self, Access};
use tidemark_store::{DatabaseUrl, Store};

use super::draft::Draft;
use super::manifest::{KEYS, Manifest};
use super::retire::{Retired, Retirement, retire};
use super::{files, server, tell};
use crate::boot::DataFolder;
use crate::pki::Authority;
use crate::settings::Settings;

/// Largest file of keys that is read.
const KEY_BYTES_MAX: u64 = 64 * 1024;

/// In whose name what ends, ends.
const COMMAND: &str = "tidemark-controller restore";

/// What is restored.
#[derive(Clone, Debug, clap::Args)]
pub struct RestoreArgs {
    /// The backup: the folder that `backup` printed
    #[arg(required_unless_present = "in_place", conflicts_with = "in_place")]
    pub backup: Option<PathBuf>,
    /// The database was brought back by other means (a snapshot of its disk, a point in time of the server's): end what it
    /// cannot know
    #[arg(long)]
    pub in_place: bool,
    /// Keep the API tokens: none was revoked since the backup
    #[arg(long)]
    pub keep_api_tokens: bool,
}

/// Restores, and prints what ended and what is to be looked at.
///
/// # Errors
/// Why not; a place that was empty is empty then, or the error says how to go on.
pub async fn run(settings: &Settings, args: &RestoreArgs) -> anyhow::Result<()> {
    let _folder = DataFolder::claim(&settings.data_dir)?;
    let others = settings.database.controllers().await?;
    ensure!(
        others == 0,
        "{} is in use by a controller ({others} connections): stop every controller first",
        settings.database
    );
    let retired = match &args.backup {
        Some(backup) => from_backup(settings, backup, args.keep_api_tokens).await?,
        None => in_place(settings, args.keep_api_tokens).await?,
    };
    #[cfg(unix)]
    give_to_owner(settings)?;
    print(&retired)
}

async fn in_place(settings: &Settings, keep_api_tokens: bool) -> anyhow::Result<Retired> {
    // Before anything changes: a database without its authority serves nobody.
    Authority::open_existing(&settings.data_dir.join(KEYS))?;
    let store = Store::open_existing(&settings.database).await?;
    let retirement = Retirement {
        now: Clock::System.now(),
        command: COMMAND,
        from: "a copy that was brought back by other means".to_owned(),
        keep_api_tokens,
        hold: settings.remediation.hold,
        details: Vec::new(),
    };
    let retired = retire(&store, &retirement).await;
    store.close().await;
    retired
}

async fn from_backup(
    settings: &Settings,
    backup: &Path,
    keep_api_tokens: bool,
) -> anyhow::Result<Retired> {
    let manifest = Manifest::checked(backup).await?;
    let database = &settings.database;
    check_place(settings, backup, &manifest).await?;
    tell(&format!("restoring a backup {}", manifest.words()));
    let retirement = Retirement {
        now: Clock::System.now(),
        command: COMMAND,
        from: format!("the backup of {}", files::when(manifest.made_ms)),
        keep_api_tokens,
        hold: settings.remediation.hold,
        details: Vec::new(),
    };
    let source = backup.join(manifest.database_file());
    let keys = (backup.join(KEYS), settings.data_dir.join(KEYS));
    match database.sqlite_file() {
        Some(file) => {
            let draft = Draft::of(file, ".restoring");
            let retired = fill(&draft, &source, &retirement).await;
            let placed = match retired {
                Ok(retired) => place_keys(&keys)
                    .and_then(|()| draft.put_in_place(file))
                    .map(|()| retired),
                Err(error) => Err(error),
            };
            placed.inspect_err(|_| draft.remove())
        }
        None => {
            place_keys(&keys)?;
            server::restore(&server::place_of(database)?, &source).await?;
            let retired = async {
                let store = Store::open_existing(database).await?;
                let retired = retire(&store, &retirement).await;
                store.close().await;
                retired
            };
            retired.await.with_context(|| {
                format!(
                    "{database} is back, and what it cannot know has not ended: start no controller before `tidemark-controller \
                     restore --in-place` is done"
                )
            })
        }
    }
}

/// What root restored belongs to whoever owns the data folder: the service's user could not open it otherwise.
#[cfg(unix)]
pub(super) fn give_to_owner(settings: &Settings) -> anyhow::Result<()> {
    use std::os::unix::fs::{MetadataExt as _, chown};
    let folder = &settings.data_dir;
    let owner = std::fs::metadata(folder)?;
    let keys = folder.join(KEYS);
    let mut written = vec![folder.join("controller.lock"), keys.clone()];
    written.extend(files::names_in(&keys)?.iter().map(|name| keys.join(name)));
    written.extend(settings.database.sqlite_file().map(Path::to_owned));
    for path in &written {
        if std::fs::exists(path)? && std::fs::metadata(path)?.uid() != owner.uid() {
            chown(path, Some(owner.uid()), Some(owner.gid())).with_context(|| {
                format!(
                    "cannot give {} to the owner of {}",
                    path.display(),
                    folder.display()
                )
            })?;
        }
    }
    Ok(())
}

/// Whether the backup fits to where it is to go, and nothing is there.
async fn check_place(
    settings: &Settings,
    backup: &Path,
    manifest: &Manifest,
) -> anyhow::Result<()> {
    let database = &settings.database;
    let kind = database.backend().as_str();
    ensure!(
        manifest.database == kind,
        "the backup is of a {} database, and {database} is {kind}: restore it into one of its own kind",
        manifest.database
    );
    ensure!(
        database.is_vacant().await?,
        "{database} is there already: move it aside (with its -wal and -shm), or name another one with --database; nothing is \
         restored over a database"
    );
    let keys = settings.data_dir.join(KEYS);
    for name in files::names_in(&keys)? {
        let here = files::read_small(&keys.join(&name), KEY_BYTES_MAX)?;
        let there = files::read_small(&backup.join(KEYS).join(&name), KEY_BYTES_MAX);
        if there.is_ok_and(|there| there == here) {
            continue;
        }
        bail!(
            "{} is there and is not the backup's: move {} aside, or name another data folder with --data-dir",
            keys.join(&name).display(),
            keys.display()
        );
    }
    Ok(())
}

/// Puts the keys of the backup into the data folder; those that are there are the same.
fn place_keys((from, to): &(PathBuf, PathBuf)) -> anyhow::Result<()> {
    durable::make_private_folder(to).with_context(|| format!("cannot create {}", to.display()))?;
    for name in files::names_in(from)? {
        let content = files::read_small(&from.join(&name), KEY_BYTES_MAX)?;
        let path = to.join(&name);
        durable::replace_file(&path, &content, Access::Owner)
            .with_context(|| format!("cannot write {}", path.display()))?;
    }
    Authority::open_existing(to)?;
    Ok(())
}

async fn fill(draft: &Draft, source: &Path, retirement: &Retirement) -> anyhow::Result<Retired> {
    let (source, target) = (source.to_owned(), draft.file.clone());
    tokio::task::spawn_blocking(move || files::copy(&source, &target)).await??;
    let store = Store::open_existing(&DatabaseUrl::sqlite(&draft.file)).await?;
    let retired = retire(&store, retirement).await;
    store.close().await;
    retired
}

fn print(retired: &Retired) -> anyhow::Result<()> {
    let mut to = std::io::stdout().lock();
    writeln!(
        to,
        "restored as incarnation {} of the fleet",
        retired.incarnation
    )?;
    print_ended(&mut to, retired)?;
    writeln!(
        to,
        "Hosts, users and keys that were revoked since the backup are not revoked now: revoke them again before you start it.\n\
         Then start the controller. Hosts come back by themselves; those that enrolled since need a new join token. Each host tells\n\
         what it had delivered since and cannot deliver again, and the pages count it as lost after its ack."
    )?;
    if retired.ended.api_tokens > 0 {
        writeln!(
            to,
            "A token to begin with: tidemark-controller admin-token --name NAME"
        )?;
    }
    Ok(())
}

/// What ended, one line each.
pub(super) fn print_ended(to: &mut impl Write, retired: &Retired) -> std::io::Result<()> {
    for (_, count, what) in retired.counts() {
        if count > 0 {
            writeln!(to, "  {count:>5}  {what}")?;
        }
    }
    Ok(())
}
