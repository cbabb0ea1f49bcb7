//! Services of hosts without systemd: the scripts of `/etc/init.d` (LSB: `start`, `stop`, `status`).

use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::program;
use crate::remedy_facts::{RemedyError, ServiceView, Teller, tried};

const FOLDER: &str = "/etc/init.d";
/// How long a script may take to start its service, or to say how it is.
const START_PATIENCE: Duration = Duration::from_secs(120);
const STATUS_PATIENCE: Duration = Duration::from_secs(10);

pub(super) fn look(name: &str) -> Result<ServiceView, RemedyError> {
    let script = script_of(Path::new(FOLDER), name)?;
    Ok(ServiceView {
        name: name.to_owned(),
        keeper: "init script",
        is_running: is_running(&script),
        dependents: Vec::new(),
    })
}

pub(super) fn restart(
    name: &str,
    stop_patience: Duration,
    tell: Teller<'_>,
) -> Result<(), RemedyError> {
    let script = script_of(Path::new(FOLDER), name)?;
    let stopped = program::run(&script, &["stop"], stop_patience);
    tried(tell, &format!("stop {name}"), stopped)?;
    let started = program::run(&script, &["start"], START_PATIENCE);
    tried(tell, &format!("start {name}"), started)?;
    // A script without `status` leaves it to the samples to show.
    match is_running(&script) {
        Some(false) => Err(RemedyError::Failed(format!(
            "{name} was started, but its script says that it does not run"
        ))),
        Some(true) | None => Ok(()),
    }
}

/// What its script says: LSB has 0 for running, 1 to 3 for not, and the rest for what is not known.
fn is_running(script: &Path) -> Option<bool> {
    let (status, _) = program::ended(script, &["status"], &[], STATUS_PATIENCE).ok()?;
    match status.code()? {
        0 => Some(true),
        1..=3 => Some(false),
        _ => None,
    }
}

/// The script of a service: a file of root's that nobody else writes, and not a way out of the folder.
fn script_of(folder: &Path, name: &str) -> Result<PathBuf, RemedyError> {
    let name = name.strip_suffix(".service").unwrap_or(name);
    let script = folder.join(name);
    let none = || {
        RemedyError::NoSuchTarget(format!(
            "there is no service {name}: {} is not there",
            script.display()
        ))
    };
    if name.is_empty() || name.contains('/') || name.starts_with('.') {
        return Err(none());
    }
    let metadata = std::fs::metadata(&script).map_err(|_| none())?;
    let own = rustix::process::geteuid().as_raw();
    if !metadata.is_file() || metadata.mode() & 0o111 == 0 {
        return Err(none());
    }
    if (metadata.uid() != 0 && metadata.uid() != own) || metadata.mode() & 0o022 != 0 {
        return Err(RemedyError::Unsafe(format!(
            "others than root may write {}; let only root",
            script.display()
        )));
    }
    Ok(script)
}

#[cfg(test)]
mod tests {
    use std::fs::{Permissions, set_permissions};
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    fn script(folder: &Path, name: &str, mode: u32) {
        let path = folder.join(name);
        std::fs::write(&path, "#!/bin/sh\ncase $1 in status) exit 3;; esac\n").unwrap();
        set_permissions(&path, Permissions::from_mode(mode)).unwrap();
    }

    #[test]
    fn a_script_is_found_by_its_name_alone() {
        let folder = tempfile::tempdir().unwrap();
        script(folder.path(), "appsvc", 0o755);
        let found = script_of(folder.path(), "appsvc.service").unwrap();
        assert_eq!(is_running(&found), Some(false));
        for name in ["other", "", "../appsvc", ".", "a/appsvc"] {
            let missing = script_of(folder.path(), name).unwrap_err();
            assert!(matches!(missing, RemedyError::NoSuchTarget(_)), "{name}");
        }
    }

    #[test]
    fn a_script_that_others_may_write_is_not_run() {
        let folder = tempfile::tempdir().unwrap();
        script(folder.path(), "appsvc", 0o777);
        let refused = script_of(folder.path(), "appsvc").unwrap_err();
        assert!(matches!(refused, RemedyError::Unsafe(_)));
    }
}
