//! Services of systemd, through `systemctl`: root's goes to the manager's own socket, so that it works while the message
//! bus does not. docs/adr/0006 says why not D-Bus.

use std::fs;
use std::path::Path;
use std::time::Duration;

use tidemark_model::action::spec::OnHang;

use super::program;
use crate::remedy_facts::{RemedyError, ServiceView, Teller, tried};

/// systemd makes it and nobody else does (`sd_booted(3)`).
const BOOTED: &str = "/run/systemd/system";
const PROGRAMS: [&str; 2] = ["/usr/bin/systemctl", "/bin/systemctl"];
const ASK_PATIENCE: Duration = Duration::from_secs(10);
/// Beyond the unit's own time limits, within which systemd ends what hangs by itself.
const START_PATIENCE: Duration = Duration::from_secs(300);

/// Whether this host was started by systemd.
pub(super) fn runs() -> bool {
    fs::symlink_metadata(BOOTED).is_ok_and(|metadata| metadata.is_dir())
}

pub(super) fn look(name: &str) -> Result<ServiceView, RemedyError> {
    let unit = unit_of(name);
    let said = systemctl(
        &[
            "show",
            "--property=LoadState,ActiveState,ConsistsOf,BoundBy,RequiredBy",
            "--",
            &unit,
        ],
        ASK_PATIENCE,
    )?;
    view_of(&unit, &said)
}

pub(super) fn restart(
    name: &str,
    stop_patience: Duration,
    on_hang: OnHang,
    tell: Teller<'_>,
) -> Result<(), RemedyError> {
    let view = look(name)?;
    let unit = view.name;
    let stopped = systemctl(&["stop", "--", &unit], stop_patience);
    let stopped = match (stopped, on_hang) {
        (Err(error), OnHang::EndProcess) => {
            tried(tell, &format!("stop {unit}"), Err::<(), _>(error)).ok();
            let ended = systemctl(&["kill", "--signal=KILL", "--", &unit], ASK_PATIENCE);
            tried(tell, &format!("end the processes of {unit}"), ended)?;
            systemctl(&["stop", "--", &unit], stop_patience)
        }
        (stopped, _) => stopped,
    };
    tried(tell, &format!("stop {unit}"), stopped)?;
    let started = systemctl(&["start", "--", &unit], START_PATIENCE);
    tried(tell, &format!("start {unit}"), started)?;
    for dependent in view.dependents.iter().rev() {
        let started = systemctl(&["start", "--", dependent], START_PATIENCE);
        tried(tell, &format!("start {dependent}"), started)?;
    }
    match look(&unit)?.is_running {
        Some(true) => Ok(()),
        Some(false) | None => Err(RemedyError::Failed(format!(
            "{unit} was started, but does not run; see `systemctl status {unit}`"
        ))),
    }
}

fn systemctl(arguments: &[&str], patience: Duration) -> Result<String, RemedyError> {
    let program = PROGRAMS
        .iter()
        .map(Path::new)
        .find(|path| path.is_file())
        .ok_or_else(|| RemedyError::Unsupported("the host has no systemctl".to_owned()))?;
    let mut all = vec!["--no-pager", "--no-ask-password"];
    all.extend(arguments);
    program::run(program, &all, patience)
}

fn unit_of(name: &str) -> String {
    if name.contains('.') {
        name.to_owned()
    } else {
        format!("{name}.service")
    }
}

/// Reads `systemctl show`, whose lines were joined by spaces: `Key=value` in any order, lists separated by spaces.
fn view_of(unit: &str, said: &str) -> Result<ServiceView, RemedyError> {
    let (mut load, mut active, mut dependents) = ("", "", Vec::new());
    let mut key = "";
    for word in said.split(' ') {
        let value = match word.split_once('=') {
            Some((name, value)) => {
                key = name;
                value
            }
            None => word,
        };
        match key {
            "LoadState" => load = value,
            "ActiveState" => active = value,
            // Targets are not restarted: they only group what wants the unit.
            "ConsistsOf" | "BoundBy" | "RequiredBy" if value.ends_with(".service") => {
                dependents.push(value.to_owned());
            }
            _ => {}
        }
    }
    if load != "loaded" {
        return Err(RemedyError::NoSuchTarget(format!(
            "systemd has no unit {unit} that is loaded ({load})"
        )));
    }
    dependents.sort_unstable();
    dependents.dedup();
    Ok(ServiceView {
        name: unit.to_owned(),
        keeper: "systemd",
        is_running: match active {
            "active" | "reloading" => Some(true),
            "inactive" | "failed" => Some(false),
            _ => None,
        },
        dependents,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_systemd_says_of_a_unit_is_read() {
        let said = "RequiredBy=multi-user.target web.service ConsistsOf=worker.service BoundBy= LoadState=loaded ActiveState=active";
        let view = view_of("app.service", said).unwrap();
        assert_eq!(view.dependents, ["web.service", "worker.service"]);
        assert_eq!(view.is_running, Some(true));
        let missing = view_of("x.service", "LoadState=not-found ActiveState=inactive");
        assert!(matches!(missing, Err(RemedyError::NoSuchTarget(_))));
        let starting = view_of("x.service", "LoadState=loaded ActiveState=activating");
        assert_eq!(starting.unwrap().is_running, None);
        assert_eq!(
            (unit_of("app"), unit_of("app.socket")),
            ("app.service".to_owned(), "app.socket".to_owned())
        );
    }
}
