//! The folder above a path that exists: for questions about a folder that is to be made.

use std::path::Path;

/// `path` if it is a folder, else the nearest folder above it, else the working folder.
pub(crate) fn nearest_folder(path: &Path) -> &Path {
    path.ancestors()
        .find(|folder| folder.is_dir())
        .unwrap_or(Path::new("."))
}
