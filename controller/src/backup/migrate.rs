//! `tidemark-controller migrate`: brings the tables up to date before a controller starts, or says what that would be.

use std::io::Write as _;

use anyhow::ensure;
use tidemark_store::{DatabaseUrl, Store};

use crate::settings::Settings;

/// What is done.
#[derive(Clone, Copy, Debug, clap::Args)]
pub struct MigrateArgs {
    /// Only say what would be done
    #[arg(long)]
    pub dry_run: bool,
}

/// Brings the tables up to date, and prints what was done. A controller does so by itself when it starts; a fleet with several does
/// it once, before the first of them.
///
/// # Errors
/// When the database is away, or a newer release has changed it.
pub async fn run(settings: &Settings, args: MigrateArgs) -> anyhow::Result<()> {
    let done = bring_up_to_date(&settings.database, args.dry_run).await?;
    writeln!(std::io::stdout(), "{}: {done}", settings.database)?;
    Ok(())
}

async fn bring_up_to_date(database: &DatabaseUrl, is_dry: bool) -> anyhow::Result<String> {
    let before = database.schema().await?;
    let applied = before.applied.unwrap_or_default();
    if before.is_newer_and_readable() {
        return Ok(format!(
            "a newer release has changed the tables (migration {applied}, this one knows {}); this one still works on them",
            before.known
        ));
    }
    ensure!(
        applied <= before.known,
        "{database} was changed by a newer release (migration {applied}, this one knows {}), and is never changed backward: run that \
         one, or restore a backup of before the upgrade",
        before.known
    );
    if !before.is_behind() {
        return Ok(format!("the tables are up to date (migration {applied})"));
    }
    let (first, last) = (applied + 1, before.known);
    if is_dry {
        return Ok(format!(
            "migrations {first} to {last} would be applied; make a backup first"
        ));
    }
    let store = Store::open_existing(database).await?;
    store.close().await;
    Ok(format!("migrations {first} to {last} are applied"))
}

#[cfg(test)]
mod tests {
    use tidemark_store::testing::{execute, postgres_url, sqlite_url};

    use super::*;

    #[tokio::test]
    async fn a_dry_run_says_what_would_be_done_and_does_nothing_of_it() {
        let (sqlite, _folder) = sqlite_url();
        for url in [sqlite, postgres_url().await] {
            let store = Store::open(&url).await.unwrap();
            let newest = url.schema().await.unwrap().known;
            // As the release before left it.
            execute(&store, "DROP TABLE controllers").await;
            execute(&store, "DROP TABLE host_sessions").await;
            execute(&store, "ALTER TABLE cursors DROP COLUMN previous_seq").await;
            execute(&store, "DROP TABLE schema_readers").await;
            execute(&store, "DELETE FROM _sqlx_migrations WHERE version >= 24").await;
            store.close().await;
            let wanted = format!("migrations 24 to {newest}");
            for _ in 0..2 {
                let told = bring_up_to_date(&url, true).await.unwrap();
                assert_eq!(
                    told,
                    format!("{wanted} would be applied; make a backup first")
                );
            }
            let told = bring_up_to_date(&url, false).await.unwrap();
            assert_eq!(told, format!("{wanted} are applied"));
            let told = bring_up_to_date(&url, false).await.unwrap();
            assert_eq!(
                told,
                format!("the tables are up to date (migration {newest})")
            );
        }
    }

    #[tokio::test]
    async fn tables_are_never_changed_backward() {
        let (url, _folder) = sqlite_url();
        let store = Store::open(&url).await.unwrap();
        execute(
            &store,
            "INSERT INTO _sqlx_migrations (version, description, success, checksum, execution_time) \
             VALUES (9999, 'from the future', TRUE, x'01', 0)",
        )
        .await;
        let told = bring_up_to_date(&url, false).await.unwrap();
        assert!(told.contains("still works on them"), "{told}");
        execute(&store, "UPDATE schema_readers SET migration_min = 9999").await;
        let refused = bring_up_to_date(&url, false).await.unwrap_err().to_string();
        assert!(refused.contains("never changed backward"), "{refused}");
    }
}
