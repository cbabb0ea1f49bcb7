//! `write_event`: one entry in the host's own log.

use tidemark_model::ActionSpec;
use tidemark_model::action::{Step, StepState};
use tidemark_platform::remedy::event_log;

use super::deed::{Deed, Halt};

pub(super) fn write(deed: &mut Deed<'_>) -> Result<(), Halt> {
    let ActionSpec::WriteEvent {
        log,
        source,
        id,
        level,
        text,
    } = &deed.order.spec
    else {
        return Ok(());
    };
    let entry = event_log::Entry {
        log: log.as_deref(),
        source: source.as_deref(),
        id: *id,
        level: *level,
        text,
    };
    let place = event_log::look(&entry)?;
    deed.plan_step(&format!("write event {id}"), &place);
    if deed.is_dry_run() {
        return Ok(());
    }
    deed.begin()?;
    event_log::write(&entry)?;
    deed.note(Step {
        what: format!("write event {id}"),
        state: StepState::Done,
        text: place,
    });
    Ok(())
}
