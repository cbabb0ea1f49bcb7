//! `set_tcp_global`: a switch of the stack, where that version of Windows has it.

use tidemark_model::ActionSpec;
use tidemark_model::action::{Step, StepState};
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
    if deed.is_dry_run() {
        return Ok(());
    }
    deed.begin()?;
    tcp_global::set(switch, wish)?;
    deed.note(Step {
        what: format!("switch {} {}", switch.as_str(), wish.as_str()),
        state: StepState::Done,
        text: String::new(),
    });
    Ok(())
}
