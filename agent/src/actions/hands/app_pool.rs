//! `recycle_app_pool`: a new worker process, while the old one finishes what it has.

use tidemark_model::action::{Step, StepState};
use tidemark_platform::remedy::app_pool;

use super::deed::{Deed, Halt};

pub(super) fn recycle(deed: &mut Deed<'_>, pool: &str) -> Result<(), Halt> {
    let state = app_pool::look(pool)?;
    let what = format!("recycle {pool}");
    deed.plan_step(&what, &state);
    if deed.is_dry_run() {
        return Ok(());
    }
    deed.begin()?;
    app_pool::recycle(pool)?;
    deed.note(Step {
        what,
        state: StepState::Done,
        text: "the old worker process ends within its shutdown time limit".to_owned(),
    });
    Ok(())
}
