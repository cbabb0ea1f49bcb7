//! `apply`: what files hold, put in force together or not at all.

pub(super) mod file;

use super::show::show_once;
use super::{Ctx, budgets, windows};
use crate::api::Effect;
use crate::args::ApplyArgs;
use crate::failure::Failure;

/// Applies every file together, or shows what that would do.
pub async fn apply(ctx: &Ctx<'_>, wanted: &ApplyArgs) -> Result<(), Failure> {
    let mut found = file::Found::default();
    for path in &wanted.files {
        file::read(path, &mut found)?;
    }
    let effect = if wanted.dry_run {
        Effect::DryRun
    } else {
        Effect::Store
    };
    let api = ctx.api()?;
    match (found.budgets.is_empty(), found.windows.is_empty()) {
        // The controller takes each kind as a whole; half of a mixture might be in force.
        (false, false) => Err(Failure::usage(
            "the files hold budgets and windows; apply each kind by itself, so that it is applied whole or not at all",
        )),
        (false, true) => {
            let applied = api.apply_budgets(found.budgets, effect).await?;
            show_once(ctx, &budgets::Applied(applied))
        }
        (true, _) => {
            let applied = api.apply_windows(found.windows, effect).await?;
            show_once(ctx, &windows::Applied(applied))
        }
    }
}
