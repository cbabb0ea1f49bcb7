//! `apply`: what files hold, put in force together or not at all.

pub(super) mod file;

use super::show::show_once;
use super::{Ctx, budgets, policies, windows};
use crate::api::Effect;
use crate::args::ApplyArgs;
use crate::failure::Failure;

/// Applies every file together, or shows what that would do.
pub async fn apply(ctx: &Ctx<'_>, wanted: &ApplyArgs) -> Result<(), Failure> {
    let mut found = file::Found::default();
    for path in &wanted.files {
        file::read(path, &mut found)?;
    }
    let effect = Effect::of(wanted.dry_run);
    let api = ctx.api()?;
    let kinds = [&found.budgets, &found.policies, &found.windows];
    if kinds.iter().filter(|kind| !kind.is_empty()).count() > 1 {
        // The controller takes each kind as a whole; half of a mixture might be in force.
        return Err(Failure::usage(
            "the files hold several of budgets, policies and windows; apply each kind by itself, so that it is applied whole or not at all",
        ));
    }
    if !found.budgets.is_empty() {
        let applied = api.apply_budgets(found.budgets, effect).await?;
        return show_once(ctx, &budgets::Applied(applied));
    }
    if !found.policies.is_empty() {
        let applied = api.apply_policies(found.policies, effect).await?;
        return show_once(ctx, &policies::Applied(applied));
    }
    let applied = api.apply_windows(found.windows, effect).await?;
    show_once(ctx, &windows::Applied(applied))
}
