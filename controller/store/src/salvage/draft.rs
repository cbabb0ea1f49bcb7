//! The new file, with the tables of the release that wrote the damaged one: which release that was, its schema says.

use std::collections::BTreeSet;
use std::path::Path;

use sqlx::SqliteConnection;

use super::reader::{Object, Reader};
use super::{Beyond, SalvageError};
use crate::open::Draft;

const OBJECTS: &str = "SELECT type, name, sql FROM sqlite_schema";

/// A thing of a schema: its kind, its name and its text without spaces.
type Known = BTreeSet<(String, String, String)>;

/// Makes the new file at `path`, where nothing is yet.
pub(super) async fn make(path: &Path, of: &Reader) -> Result<SqliteConnection, SalvageError> {
    let wanted = of
        .objects
        .iter()
        .map(
            |Object {
                 kind, name, sql, ..
             }| plain((kind.clone(), name.clone(), sql.clone())),
        )
        .filter(|(_, name, _)| is_ours(name))
        .collect();
    let mut draft = Draft::create(path).await.map_err(SalvageError::Draft)?;
    if let Some(version) = of.migration.filter(|version| *version > draft.newest()) {
        return Err(SalvageError::Newer { version });
    }
    let versions = match of.migration {
        Some(version) => vec![version],
        // The pages that say it are damaged.
        None => draft.versions(),
    };
    for version in versions {
        draft.migrate(version).await.map_err(SalvageError::Draft)?;
        if known(draft.connection()).await? == wanted {
            return Ok(draft.into_connection());
        }
    }
    Err(Beyond::NoRelease.into())
}

async fn known(connection: &mut SqliteConnection) -> Result<Known, SalvageError> {
    let objects: Vec<(String, String, Option<String>)> =
        sqlx::query_as(OBJECTS).fetch_all(connection).await?;
    let objects = objects.into_iter().map(plain);
    Ok(objects.filter(|(_, name, _)| is_ours(name)).collect())
}

fn plain((kind, name, sql): (String, String, Option<String>)) -> (String, String, String) {
    let sql = sql.unwrap_or_default();
    (kind, name, sql.split_whitespace().collect())
}

/// Whether it is of a migration: the rest is SQLite's own and the driver's.
fn is_ours(name: &str) -> bool {
    !name.starts_with("sqlite_") && name != "_sqlx_migrations"
}
