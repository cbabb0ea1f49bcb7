//! `recycle_app_pool`: a new worker process, while the old one finishes what it has.

use tidemark_platform::remedy::app_pool;

use super::deed::{Deed, Halt};

pub(super) fn recycle(deed: &mut Deed<'_>, pool: &str) -> Result<(), Halt> {
    let state = app_pool::look(pool)?;
    let what = format!("recycle {pool}");
    deed.plan_step(&what, &state);
    deed.begin()?;
    app_pool::recycle(pool)?;
    deed.done(
        &what,
        "the old worker process ends within its shutdown time limit",
    );
    Ok(())
}
