//! `end_process`: the one process that number, start and image name together.

use tidemark_model::{ActionSpec, Timestamp};
use tidemark_platform::remedy::process;

use super::deed::{Deed, Halt};
use crate::actions::desk::booted_at;

pub(super) fn end(deed: &mut Deed<'_>) -> Result<(), Halt> {
    let ActionSpec::EndProcess {
        pid,
        started_at_ms,
        image,
    } = &deed.order.spec
    else {
        return Ok(());
    };
    let started_at = Timestamp::from_unix_ms(*started_at_ms);
    let booted_at = booted_at(deed.hands.clock.now());
    let target = process::find(*pid, started_at, image, booted_at)?;
    deed.plan_step(&format!("end {image} ({pid})"), "");
    deed.begin()?;
    target.end(&mut |step| deed.note(step))?;
    Ok(())
}
