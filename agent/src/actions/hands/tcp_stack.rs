//! `reset_tcp_stack`: what it loses is kept first; then each step, told as it came out; it holds from the next start on.

use std::time::Duration;

use tidemark_model::ActionSpec;
use tidemark_model::action::spec::{OnHang, ResetStep};
use tidemark_model::action::{Refusal, Step, StepState};
use tidemark_platform::private;
use tidemark_platform::remedy::{RemedyError, StackView, service, tcp_stack};

use super::deed::{Deed, Halt};
use super::service::spare_protected;

const REMOTE_ACCESS: &str = "RemoteAccess";
/// How long RemoteAccess and what depends on it may take to stop.
const STOP_PATIENCE: Duration = Duration::from_secs(120);
/// Commands that are told one by one; the file has all of them.
const LOST_TOLD_MAX: usize = 32;
const BACK_UP: &str = "keep the settings that it loses";

pub(super) fn reset(deed: &mut Deed<'_>) -> Result<(), Halt> {
    let ActionSpec::ResetTcpStack {
        steps,
        lose_addresses,
    } = &deed.order.spec
    else {
        return Ok(());
    };
    let view = tcp_stack::look(steps)?;
    if !view.addresses.is_empty() && !lose_addresses {
        return Err(Halt::Refused(
            Refusal::Unsafe,
            format!(
                "the host has addresses that were given to it by hand, and would lose them and perhaps be out of reach: {}; \
                 order it with lose_addresses=true when you reach it in another way",
                view.addresses.join(", ")
            ),
        ));
    }
    plan(deed, steps, &view)?;
    if is_reset(steps) && !deed.order.dry_run {
        view.to_keep().map_err(not_reset)?;
    }
    deed.begin()?;
    if is_reset(steps) {
        back_up(deed, &view)?;
    }
    let mut failed = Vec::new();
    for step in steps {
        let outcome = match (tcp_stack::command(*step), step) {
            (None, _) => restart_remote_access(deed),
            (Some(command), step) => {
                let what = format!("netsh {command}");
                deed.tried(&what, tcp_stack::reset(*step), |()| String::new())
            }
        };
        // The rest is done all the same: the host has to be restarted anyway, and half a reset is not better.
        if let Err(error) = outcome {
            failed.push(format!("{}: {error}", step.as_str()));
        }
        deed.progress("resetting");
    }
    if failed.is_empty() {
        Ok(())
    } else {
        Err(Halt::Failed(failed.join("; ")))
    }
}

fn is_reset(steps: &[ResetStep]) -> bool {
    steps.iter().any(|step| tcp_stack::command(*step).is_some())
}

fn plan(deed: &mut Deed<'_>, steps: &[ResetStep], view: &StackView) -> Result<(), Halt> {
    for (context, command) in view.lost.iter().take(LOST_TOLD_MAX) {
        deed.plan_change(&format!("netsh {context}"), Some(command.clone()), None);
    }
    if is_reset(steps) {
        deed.needs_reboot();
        let where_to = match view.to_keep() {
            Ok(_) => folder(deed).display().to_string(),
            Err(error) => format!("nothing will be reset, because {error}"),
        };
        deed.plan_step(BACK_UP, &where_to);
    }
    for step in steps {
        match tcp_stack::command(*step) {
            Some(command) => deed.plan_step(&format!("netsh {command}"), ""),
            None => {
                let state = match remote_access()? {
                    Some(view) if view.is_running == Some(true) => "it runs",
                    Some(_) => "it does not run, and is left so",
                    None => "the host has none",
                };
                deed.plan_step(&format!("restart {REMOTE_ACCESS}"), state);
            }
        }
    }
    Ok(())
}

fn remote_access() -> Result<Option<tidemark_platform::remedy::ServiceView>, Halt> {
    match service::look(REMOTE_ACCESS) {
        Ok(view) => {
            spare_protected(&view.dependents)?;
            Ok(Some(view))
        }
        // As shipped it is disabled, so that it could not be started again: then it does not run either.
        Err(RemedyError::NoSuchTarget(_) | RemedyError::Unsafe(_)) => Ok(None),
        Err(error) => Err(error.into()),
    }
}

fn folder(deed: &Deed<'_>) -> std::path::PathBuf {
    let name = deed.order.id.to_string();
    deed.hands.folder.join("tcp_stack").join(name)
}

fn back_up(deed: &mut Deed<'_>, view: &StackView) -> Result<(), Halt> {
    let folder = folder(deed);
    let made = folder
        .parent()
        .map_or(Ok(()), private::make_folder)
        .and_then(|()| private::make_folder(&folder))
        .map_err(|error| {
            RemedyError::Failed(format!("{} cannot be made: {error}", folder.display()))
        });
    let kept = made.and_then(|()| tcp_stack::back_up(&folder, view));
    let kept = deed.tried(BACK_UP, kept, |files| {
        let files: Vec<_> = files
            .iter()
            .map(|file| file.display().to_string())
            .collect();
        format!(
            "{}; `netsh -f` takes the first, `reg import` the others",
            files.join(", ")
        )
    });
    kept.map(drop)
        .map_err(|error| Halt::Failed(format!("nothing was reset, because {error}")))
}

/// Refused before anything is touched.
fn not_reset(error: RemedyError) -> Halt {
    Halt::Refused(
        Refusal::Unsupported,
        format!("nothing was reset, because {error}"),
    )
}

fn restart_remote_access(deed: &mut Deed<'_>) -> Result<(), RemedyError> {
    let runs = matches!(service::look(REMOTE_ACCESS), Ok(view) if view.is_running == Some(true));
    if !runs {
        deed.note(Step {
            what: format!("restart {REMOTE_ACCESS}"),
            state: StepState::Skipped,
            text: "it does not run".to_owned(),
        });
        return Ok(());
    }
    service::restart(REMOTE_ACCESS, STOP_PATIENCE, OnHang::Fail, &mut |step| {
        deed.note(step)
    })
}
