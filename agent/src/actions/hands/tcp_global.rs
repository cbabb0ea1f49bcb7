//! `set_tcp_global`: a switch of the stack, where that version of Windows has it.

use tidemark_model::ActionSpec;
use tidemark_platform::remedy::{Switch, tcp_global};

use super::deed::{Deed, Halt};

pub(super) fn set(deed: &mut Deed<'_>) -> Result<(), Halt> {
    let ActionSpec::SetTcpGlobal { switch, enabled } = &deed.order.spec else {
        return Ok(());
    };
    let (switch, wish) = (*switch, Switch::from(*enabled));
    let before = tcp_global::look(switch)?.as_str();
    let (before, after) = (before.to_owned(), wish.as_str().to_owned());
    deed.plan_change(switch.as_str(), Some(before), Some(after));
    deed.begin()?;
    tcp_global::set(switch, wish)?;
    deed.done(&format!("switch {} {}", switch.as_str(), wish.as_str()), "");
    Ok(())
}
