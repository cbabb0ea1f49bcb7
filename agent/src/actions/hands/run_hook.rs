//! `run_hook`: a script that the host's administrators put into the hooks folder, with arguments in its environment.

use std::path::Path;
use std::time::Duration;

use tidemark_model::ActionSpec;
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
    deed.begin()?;
    let variables: Vec<(String, &str)> = arguments
        .iter()
        .map(|(key, value)| {
            let name = format!("TIDEMARK_ARG_{}", key.to_ascii_uppercase());
            (name, value.as_str())
        })
        .collect();
    let ran = hook::run(&script, &variables, PATIENCE);
    deed.tried(&format!("run {name}"), ran, String::clone)?;
    Ok(())
}
