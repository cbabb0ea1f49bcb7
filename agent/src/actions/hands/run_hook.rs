//! `run_hook`: a script that the host's administrators put into the hooks folder, with arguments in its environment.

use std::path::Path;
use std::time::Duration;

use tidemark_model::ActionSpec;
use tidemark_model::action::{Step, StepState};
use tidemark_platform::remedy::hook;

use super::deed::{Deed, Halt};

/// How long a hook may take.
const PATIENCE: Duration = Duration::from_secs(300);

pub(super) fn run(deed: &mut Deed<'_>, folder: &Path) -> Result<(), Halt> {
    let ActionSpec::RunHook { name, arguments } = &deed.order.spec else {
        return Ok(());
    };
    let script = hook::find(folder, name)?;
    deed.plan_step(&format!("run {name}"), &script.display().to_string());
    if deed.is_dry_run() {
        return Ok(());
    }
    deed.begin()?;
    let variables: Vec<(String, &str)> = arguments
        .iter()
        .map(|(key, value)| {
            let name = format!("TIDEMARK_ARG_{}", key.to_ascii_uppercase());
            (name, value.as_str())
        })
        .collect();
    let ran = hook::run(&script, &variables, PATIENCE);
    let (state, text) = match &ran {
        Ok(said) => (StepState::Done, said.clone()),
        Err(error) => (StepState::Failed, error.to_string()),
    };
    deed.note(Step {
        what: format!("run {name}"),
        state,
        text,
    });
    ran?;
    Ok(())
}
