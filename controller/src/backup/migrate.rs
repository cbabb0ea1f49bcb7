//! `tidemark-controller migrate`: brings the tables up to date before a controller starts, or says what that would be.

use std::io::Write as _;

use anyhow::ensure;
use tidemark_store::Store;

use crate::settings::Settings;

/// What is done.
#[derive(Clone, Copy, Debug, clap::Args)]
pub struct MigrateArgs {
    /// Only say what would be done
    #[arg(long)]
    pub dry_run: bool,
}

/// Brings the tables up to date. A controller does so by itself when it starts; a fleet with several does it once, before the
/// first of them.
///
/// # Errors
/// When the database is away, or a newer release has changed it.
pub async fn run(settings: &Settings, args: MigrateArgs) -> anyhow::Result<()> {
    let database = &settings.database;
    let before = database.schema().await?;
    let applied = before.applied.unwrap_or_default();
    let mut to = std::io::stdout().lock();
    if before.is_newer_and_readable() {
        writeln!(
            to,
            "{database}: a newer release has changed the tables (migration {applied}, this one knows {}); this one still works on them",
            before.known
        )?;
        return Ok(());
    }
    ensure!(
        applied <= before.known,
        "{database} was changed by a newer release (migration {applied}, this one knows {}), and is never changed backward: run that \
         one, or restore a backup of before the upgrade",
        before.known
    );
    if !before.is_behind() {
        writeln!(
            to,
            "{database}: the tables are up to date (migration {applied})"
        )?;
        return Ok(());
    }
    if args.dry_run {
        writeln!(
            to,
            "{database}: migrations {} to {} would be applied; make a backup first",
            applied + 1,
            before.known
        )?;
        return Ok(());
    }
    let store = Store::open_existing(database).await?;
    store.close().await;
    let after = database.schema().await?;
    writeln!(
        to,
        "{database}: migrations {} to {} are applied",
        applied + 1,
        after.applied.unwrap_or_default()
    )?;
    Ok(())
}
