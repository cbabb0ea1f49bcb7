//! `get policies`, `describe policy`, `policy dry-run` and `policy remove`: what is done by itself when.

mod report;

pub use self::report::Applied;
use self::report::{Description, PolicyList, Replay};
use super::Ctx;
use super::one_by_one::one_by_one;
use super::show::{show, show_once};
use crate::args::Policy;
use crate::failure::Failure;

/// Lists policies.
pub async fn list(ctx: &Ctx<'_>) -> Result<(), Failure> {
    let api = ctx.api()?;
    show(ctx, async || api.policies().await.map(PolicyList)).await
}

/// Describes one policy.
pub async fn describe(ctx: &Ctx<'_>, name: &str) -> Result<(), Failure> {
    let api = ctx.api()?;
    show(ctx, async || {
        api.policy(name).await.map(|detail| Description {
            name: name.to_owned(),
            detail,
        })
    })
    .await
}

/// Does what is wanted of policies.
pub async fn run(ctx: &Ctx<'_>, wanted: &Policy) -> Result<(), Failure> {
    match wanted {
        Policy::DryRun { name, days } => dry_run(ctx, name, *days).await,
        Policy::Remove { names } => remove(ctx, names).await,
    }
}

/// Shows what a policy would have done.
async fn dry_run(ctx: &Ctx<'_>, name: &str, days: u64) -> Result<(), Failure> {
    let replay = ctx.api()?.replay_policy(name, days).await?;
    show_once(ctx, &Replay(replay))
}

/// Deletes policies.
async fn remove(ctx: &Ctx<'_>, names: &[String]) -> Result<(), Failure> {
    let api = ctx.api()?;
    let said = |name: &String| format!("deleted policy {name}");
    one_by_one(ctx, names, said, async |name| api.delete_policy(name).await).await
}
