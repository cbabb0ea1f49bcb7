//! `reboot`: what proves it is another boot than the one in which it began.

use std::time::Duration;

use tidemark_model::ActionSpec;
use tidemark_platform::remedy::restart;

use super::deed::{Deed, Halt};
use crate::actions::confirm::Waited;

/// How long a host may take to go down once it was told to, beyond the warning.
const DOWN_PATIENCE: Duration = Duration::from_secs(600);

pub(super) fn begin(deed: &mut Deed<'_>) -> Result<(), Halt> {
    let ActionSpec::Reboot {
        grace_s,
        reason,
        force,
    } = &deed.order.spec
    else {
        return Ok(());
    };
    let by = restart::look()?;
    deed.plan_step("restart the host", by);
    deed.begin()?;
    let grace = Duration::from_secs(u64::from(*grace_s));
    restart::begin(grace, reason, *force)?;
    deed.done("ask the system to restart", by);
    deed.progress("the host restarts");
    // Nothing confirms it; the agent ends with the host, and the next start takes it up.
    match deed.await_confirmation(grace.saturating_add(DOWN_PATIENCE)) {
        Waited::Stopped => Err(Halt::Stopped),
        Waited::Late | Waited::Confirmed => Err(Halt::Failed(
            "the system took the request, and the host did not go down".to_owned(),
        )),
    }
}

pub(super) fn take_up(deed: &mut Deed<'_>) -> Result<(), Halt> {
    let now = super::boot_id();
    let before = deed.boot_id().unwrap_or_default().to_owned();
    if now.is_empty() || before.is_empty() {
        return Err(Halt::Failed(
            "the host does not tell its boots apart, so that a restart cannot be proven".to_owned(),
        ));
    }
    if now == before {
        return Err(Halt::Failed(
            "the agent was restarted, the host was not".to_owned(),
        ));
    }
    deed.plan_change("boot", Some(before), Some(now));
    Ok(())
}
