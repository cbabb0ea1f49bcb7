//! `set_tcp_parameter`: one value, kept for the next starts, read back.

use tidemark_model::action::spec::TcpParameter;
use tidemark_platform::remedy::settings;

use super::deed::{Deed, Halt};

pub(super) fn set(
    deed: &mut Deed<'_>,
    parameter: TcpParameter,
    value: Option<u32>,
) -> Result<(), Halt> {
    let before = settings::parameter(parameter)?;
    // What is removed leaves the running value, where there is one beside what is kept.
    let wish = if settings::KEEPS_BESIDE {
        value.or(before)
    } else {
        value
    };
    deed.plan_change(parameter.as_str(), shown(before), shown(wish));
    if settings::KEEPS_BESIDE {
        let kept = settings::kept_parameter(parameter)?;
        let name = format!("{}, for the next starts", parameter.as_str());
        deed.plan_change(&name, shown(kept), shown(value));
    }
    if settings::needs_reboot(parameter) {
        deed.needs_reboot();
    }
    deed.begin()?;
    settings::set_parameter(parameter, value)?;
    let after = settings::parameter(parameter)?;
    if value.is_some() && after != value {
        let shown = shown(after).unwrap_or_else(|| "nothing".to_owned());
        return Err(Halt::Failed(format!(
            "{} was set, and reads {shown}",
            parameter.as_str()
        )));
    }
    deed.done(&format!("set {}", parameter.as_str()), "");
    Ok(())
}

/// A number as a report shows it.
pub(super) fn shown(value: Option<u32>) -> Option<String> {
    value.map(|value| value.to_string())
}
