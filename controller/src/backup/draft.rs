//! A SQLite file that is made ready beside its place: a crash leaves no database that could be served before what it cannot know
//! has ended.

use std::path::{Path, PathBuf};

use anyhow::Context as _;
use tidemark_runtime::durable;
use tidemark_store::discard_sqlite;

/// The file in the making.
pub(super) struct Draft {
    pub file: PathBuf,
}

impl Draft {
    /// Beside `file`, with that at its name's end; what is there of one that did not come to its end is removed.
    pub(super) fn of(file: &Path, ending: &str) -> Self {
        let mut name = file.as_os_str().to_owned();
        name.push(ending);
        let draft = Self { file: name.into() };
        draft.remove();
        draft
    }

    /// Gives it the place of `file`.
    pub(super) fn put_in_place(&self, file: &Path) -> anyhow::Result<()> {
        std::fs::rename(&self.file, file)
            .with_context(|| format!("cannot create {}", file.display()))?;
        Ok(durable::sync_folder(folder_of(file))?)
    }

    /// Removes what there is of it.
    pub(super) fn remove(&self) {
        // What cannot be removed makes the next one fail, which says so.
        discard_sqlite(&self.file).ok();
    }
}

/// The folder of a file.
pub(super) fn folder_of(file: &Path) -> &Path {
    let folder = file
        .parent()
        .filter(|folder| !folder.as_os_str().is_empty());
    folder.unwrap_or(Path::new("."))
}
