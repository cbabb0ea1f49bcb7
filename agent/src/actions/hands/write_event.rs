//! `write_event`: one entry in the host's own log.

use tidemark_model::ActionSpec;
use tidemark_platform::remedy::{EventEntry, event_log};

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
    let entry = EventEntry {
        log: log.as_deref(),
        source: source.as_deref(),
        id: *id,
        level: *level,
        text,
    };
    let place = event_log::look(&entry)?;
    deed.plan_step(&format!("write event {id}"), &place);
    deed.begin()?;
    event_log::write(&entry)?;
    deed.done(&format!("write event {id}"), &place);
    Ok(())
}
