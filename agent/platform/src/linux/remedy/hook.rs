//! Hooks: scripts in a folder that only root writes, run with nothing but what they are given.

use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::program;
use crate::linux::private;
use crate::remedy_facts::RemedyError;

/// The hook of that name.
///
/// # Errors
/// When there is none, or others than root may have written it.
pub fn find(folder: &Path, name: &str) -> Result<PathBuf, RemedyError> {
    let path = folder.join(name);
    let none = || {
        RemedyError::NoSuchTarget(format!(
            "there is no hook {name}: {} is no program",
            path.display()
        ))
    };
    if name.is_empty() || name.contains('/') || name.starts_with('.') {
        return Err(none());
    }
    // A link would lead out of the folder that root watches.
    let metadata = std::fs::symlink_metadata(&path).map_err(|_| none())?;
    if !metadata.is_file() || metadata.mode() & 0o111 == 0 {
        return Err(none());
    }
    match private::meddlers(&path) {
        Ok(None) => Ok(path),
        Ok(Some(exposure)) => Err(RemedyError::Unsafe(format!(
            "others than root may write the hook: {exposure}; let only root"
        ))),
        Err(error) => Err(RemedyError::Unsafe(format!(
            "it is unknown who may write the hook: {error}"
        ))),
    }
}

/// Runs it; its words when it succeeds.
///
/// # Errors
/// When it fails, hangs, or cannot be started.
pub fn run(
    script: &Path,
    variables: &[(String, &str)],
    patience: Duration,
) -> Result<String, RemedyError> {
    program::run_with(script, &[], variables, patience)
}

#[cfg(test)]
mod tests {
    use std::fs::{Permissions, set_permissions};
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    fn script(folder: &Path, name: &str, mode: u32) -> PathBuf {
        let path = folder.join(name);
        std::fs::write(&path, "#!/bin/sh\necho \"$TIDEMARK_ARG_POOL\"\n").unwrap();
        set_permissions(&path, Permissions::from_mode(mode)).unwrap();
        path
    }

    #[test]
    fn arguments_are_words_and_never_a_command() {
        let folder = tempfile::tempdir().unwrap();
        script(folder.path(), "drain", 0o755);
        let found = find(folder.path(), "drain").unwrap();
        let hostile = "$(touch /tmp/x); `id` \"quoted\"";
        let said = run(
            &found,
            &[("TIDEMARK_ARG_POOL".to_owned(), hostile)],
            Duration::from_secs(20),
        );
        assert_eq!(said.as_deref(), Ok(hostile));
    }

    #[test]
    fn what_is_no_hook_of_roots_is_not_run() {
        let folder = tempfile::tempdir().unwrap();
        let real = script(folder.path(), "real", 0o755);
        script(folder.path(), "plain", 0o644);
        script(folder.path(), "open", 0o777);
        std::os::unix::fs::symlink(real, folder.path().join("link")).unwrap();
        let error = |name: &str| find(folder.path(), name).unwrap_err();
        for name in ["plain", "link", "missing", "../real", ""] {
            assert!(
                matches!(error(name), RemedyError::NoSuchTarget(_)),
                "{name}"
            );
        }
        assert!(matches!(error("open"), RemedyError::Unsafe(_)));
    }
}
