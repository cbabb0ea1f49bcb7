//! What a backup says of itself: when and of what it was made, and the checksum of each of its files.

use std::collections::BTreeMap;
use std::path::Path;

use anyhow::{Context as _, ensure};
use serde::{Deserialize, Serialize};
use tidemark_model::Timestamp;
use tidemark_runtime::durable::{self, Access};
use tidemark_store::{Backend, Store, Tx};

use super::files::{self, FileFacts};

/// Name of the manifest in a backup's folder.
pub(super) const FILE: &str = "manifest.json";
/// Name of a SQLite database in it.
pub(super) const SQLITE: &str = "database.db";
/// Name of a Postgres database in it.
pub(super) const POSTGRES: &str = "database.pgdump";
/// Folder of the authority's keys in it, as in the data folder.
pub(super) const KEYS: &str = "pki";

/// Largest manifest that is read.
const BYTES_MAX: u64 = 1024 * 1024;
/// How backups are laid out.
const FORMAT: u32 = 1;

/// What a backup says of itself.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Manifest {
    /// How it is laid out.
    pub format: u32,
    /// When it was begun.
    pub made_ms: Timestamp,
    /// By which release.
    pub version: String,
    /// `sqlite` or `postgres`.
    pub database: String,
    /// The newest migration of its tables.
    pub migration: i64,
    /// Which incarnation of the fleet it is of.
    pub incarnation: u64,
    /// Hosts in it.
    pub hosts: u64,
    /// Entries of its audit log.
    pub audit_log_entries: u64,
    /// Hash of the newest of them.
    pub audit_log_head: String,
    /// Its files by name, with `/` between folder and file.
    pub files: BTreeMap<String, FileFacts>,
}

impl Manifest {
    /// What is to be said of the database that `tx` sees; the files are added later.
    pub(super) async fn of(
        store: &Store,
        tx: &mut Tx,
        (made_at, migration): (Timestamp, i64),
    ) -> anyhow::Result<Self> {
        let (audit_log_entries, head) = tx.audit_head().await?;
        Ok(Self {
            format: FORMAT,
            made_ms: made_at,
            version: env!("CARGO_PKG_VERSION").to_owned(),
            database: store.backend_name().to_owned(),
            migration,
            incarnation: tx.incarnation().await?,
            hosts: tx.hosts_count().await?,
            audit_log_entries,
            audit_log_head: head.to_string(),
            files: BTreeMap::new(),
        })
    }

    /// Reads the manifest of the backup in `folder`.
    pub(super) fn read(folder: &Path) -> anyhow::Result<Self> {
        let path = folder.join(FILE);
        let text = files::read_small(&path, BYTES_MAX).with_context(|| {
            format!(
                "{} is no backup: its {FILE} cannot be read (name the folder that `backup` printed)",
                folder.display()
            )
        })?;
        let manifest: Self = serde_json::from_slice(&text)
            .with_context(|| format!("{} is not as it was written", path.display()))?;
        ensure!(
            manifest.format == FORMAT,
            "{} is of format {}, and this release reads {FORMAT}: use the release that made it ({})",
            folder.display(),
            manifest.format,
            manifest.version
        );
        Ok(manifest)
    }

    /// Reads the manifest of a backup whose files are as they were made.
    pub(super) async fn checked(folder: &Path) -> anyhow::Result<Self> {
        let folder = folder.to_owned();
        tokio::task::spawn_blocking(move || {
            let manifest = Self::read(&folder)?;
            manifest.check_files(&folder)?;
            Ok(manifest)
        })
        .await?
    }

    /// Writes it into `folder`; a folder without it is no backup.
    pub(super) fn write(&self, folder: &Path) -> anyhow::Result<()> {
        let mut text = serde_json::to_vec_pretty(self)?;
        text.push(b'\n');
        durable::replace_file(&folder.join(FILE), &text, Access::Owner)
            .with_context(|| format!("cannot write {}", folder.join(FILE).display()))
    }

    /// Name of the file that holds the database.
    pub(super) fn database_file(&self) -> &'static str {
        if self.database == Backend::Sqlite.as_str() {
            SQLITE
        } else {
            POSTGRES
        }
    }

    /// What it is of and when it was made, in words.
    pub(super) fn words(&self) -> String {
        format!(
            "made {} by release {}: {} hosts, {} entries of the audit log, {}",
            files::when(self.made_ms),
            self.version,
            self.hosts,
            self.audit_log_entries,
            self.database
        )
    }

    /// Holds every file of the backup in `folder` against its checksum.
    ///
    /// # Errors
    /// Which files are missing, changed, or not of it, every one of them.
    fn check_files(&self, folder: &Path) -> anyhow::Result<()> {
        let mut problems = Vec::new();
        for (name, expected) in &self.files {
            if !is_plain(name) {
                problems.push(format!("{name:?} is no name of a file in a backup"));
                continue;
            }
            match FileFacts::of(&folder.join(name)) {
                Ok(found) if found == *expected => {}
                Ok(found) if found.bytes != expected.bytes => problems.push(format!(
                    "{name} has {} bytes, and had {}",
                    found.bytes, expected.bytes
                )),
                Ok(_) => problems.push(format!("{name} was changed: its checksum is another")),
                Err(error) => problems.push(format!("{name} cannot be read: {error:#}")),
            }
        }
        for needed in [self.database_file(), "pki/root.key.der"] {
            if !self.files.contains_key(needed) {
                problems.push(format!("{needed} is not in it"));
            }
        }
        ensure!(
            problems.is_empty(),
            "the backup {} is not as it was made; use another one:\n  {}",
            folder.display(),
            problems.join("\n  ")
        );
        Ok(())
    }
}

/// Whether a name stays in its backup: a manifest may come from anywhere.
fn is_plain(name: &str) -> bool {
    let parts: Vec<&str> = name.split('/').collect();
    let is_part = |part: &&str| {
        !part.is_empty()
            && !part.starts_with('.')
            && part
                .chars()
                .all(|one| one.is_ascii_alphanumeric() || matches!(one, '.' | '-' | '_'))
    };
    match parts.as_slice() {
        [file] => is_part(file),
        [folder, file] => *folder == KEYS && is_part(file),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_stay_in_the_backup() {
        for good in ["database.db", "pki/root.key.der", "pki/audit-log.key"] {
            assert!(is_plain(good), "{good}");
        }
        for bad in [
            "",
            "..",
            "/etc/passwd",
            "../x",
            "pki/../../x",
            "pki/",
            "etc/x",
            "pki/a/b",
            "a\\b",
            "C:x",
            "pki/.hidden",
        ] {
            assert!(!is_plain(bad), "{bad}");
        }
    }
}
