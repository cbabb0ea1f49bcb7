//! `restart_service`: with its dependents, in order, and only when it runs afterwards.

use std::time::Duration;

use tidemark_agent_core::actions::protected;
use tidemark_model::ActionSpec;
use tidemark_model::action::Refusal;
use tidemark_model::action::spec::OnHang;
use tidemark_platform::remedy::service;

use super::deed::{Deed, Halt};

pub(super) fn restart(deed: &mut Deed<'_>) -> Result<(), Halt> {
    let ActionSpec::RestartService {
        service: name,
        stop_timeout_s,
        on_hang,
    } = &deed.order.spec
    else {
        return Ok(());
    };
    let view = service::look(name)?;
    spare_protected(&view.dependents)?;
    let state = match view.is_running {
        Some(true) => "it runs",
        Some(false) => "it does not run",
        None => "whether it runs is not told",
    };
    for dependent in &view.dependents {
        deed.plan_step(&format!("stop {dependent}"), "depends on it");
    }
    deed.plan_step(
        &format!("stop {}", view.name),
        &format!("{}; {state}", view.keeper),
    );
    deed.plan_step(&format!("start {}", view.name), "");
    for dependent in view.dependents.iter().rev() {
        deed.plan_step(&format!("start {dependent}"), "");
    }
    deed.begin()?;
    let patience = Duration::from_secs(u64::from(*stop_timeout_s));
    service::restart(name, patience, *on_hang, &mut |step| deed.note(step))?;
    Ok(())
}

/// What is never restarted is not restarted along with something else either.
pub(super) fn spare_protected(dependents: &[String]) -> Result<(), Halt> {
    for dependent in dependents {
        let alone = ActionSpec::RestartService {
            service: dependent.clone(),
            stop_timeout_s: 120,
            on_hang: OnHang::Fail,
        };
        if let Some(reason) = protected::reason(&alone) {
            let text = format!("{dependent} depends on it and would be stopped: {reason}");
            return Err(Halt::Refused(Refusal::Protected, text));
        }
    }
    Ok(())
}
