//! Backups: made while the controller serves, verified, and restored into a place that is empty.
//!
//! A backup is a folder: the database, the authority's keys and a manifest with a checksum of each file. It holds the fleet's
//! secrets, and is for its owner alone. What a backup cannot know, since it happened later, ends when it is restored: see
//! [`retire`]. A damaged SQLite file can be repaired
//! without one, as far as it can be read.

mod aside;
mod draft;
mod files;
mod losses;
mod make;
mod manifest;
mod migrate;
mod repair;
mod restore;
mod retire;
mod server;
mod verify;

pub use make::{BackupArgs, run as back_up};
pub use migrate::{MigrateArgs, run as migrate};
pub use repair::{RepairArgs, run as repair};
pub use restore::{RestoreArgs, run as restore};
pub use verify::{VerifyArgs, run as verify};

use std::io::Write as _;

use anyhow::ensure;
use tidemark_store::{DatabaseUrl, Schema};

/// Refuses to work with a database whose tables this release would change: another one serves it.
async fn check_release(database: &DatabaseUrl) -> anyhow::Result<Schema> {
    let schema = database.schema().await?;
    ensure!(
        schema.applied.is_some(),
        "{database} is empty: start the controller once, or say which database with --config or --data-dir"
    );
    ensure!(
        !schema.is_behind(),
        "the tables of {database} are of an older release than this program (migration {} of {}): use the program of the release \
         that serves it, or bring the tables up to date with `tidemark-controller migrate`",
        schema.applied.unwrap_or_default(),
        schema.known
    );
    Ok(schema)
}

/// Says what is being done to whoever waits, on standard error.
fn tell(text: &str) {
    // Nobody is left to tell when standard error is closed.
    writeln!(std::io::stderr(), "{text}").ok();
}
