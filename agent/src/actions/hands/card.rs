//! `set_nic_offload` and `set_interrupt_moderation`: a switch of one network card.

use tidemark_model::ActionSpec;
use tidemark_platform::remedy::{CardSwitch, Switch, card};

use super::deed::{Deed, Halt};

pub(super) fn set(deed: &mut Deed<'_>) -> Result<(), Halt> {
    let (adapter, switch, enabled) = if let ActionSpec::SetNicOffload {
        adapter,
        offload,
        enabled,
    } = &deed.order.spec
    {
        (adapter, CardSwitch::Offload(*offload), *enabled)
    } else if let ActionSpec::SetInterruptModeration { adapter, enabled } = &deed.order.spec {
        (adapter, CardSwitch::InterruptModeration, *enabled)
    } else {
        return Ok(());
    };
    let wish = Switch::from(enabled);
    let change = card::look(adapter, switch, wish)?;
    deed.plan_change(
        &change.what,
        Some(change.before.clone()),
        Some(change.after.clone()),
    );
    deed.needs_reboot();
    deed.begin()?;
    card::set(adapter, switch, wish)?;
    let what = format!("set {}", change.what);
    deed.done(&what, "holds once the card or the host is restarted");
    Ok(())
}
