//! `apply`: what files hold, put in force together or not at all.

mod file;

use std::path::PathBuf;

use super::Ctx;
use super::show::show_once;
use super::windows::Applied;
use crate::api::Effect;
use crate::args::ApplyArgs;
use crate::failure::Failure;

/// Applies every file together, or shows what that would do.
pub async fn apply(ctx: &Ctx<'_>, wanted: &ApplyArgs) -> Result<(), Failure> {
    let paths: Vec<&PathBuf> = wanted.files.iter().collect();
    let found = file::read_all(&paths)?;
    let effect = if wanted.dry_run {
        Effect::DryRun
    } else {
        Effect::Store
    };
    let applied = ctx.api()?.apply_windows(found.windows, effect).await?;
    show_once(ctx, &Applied(applied))
}
