//! `apply`, `get budgets`, `describe budget` and `budget remove`: what may be held of hosts' ports.

mod file;
mod report;

use self::report::{Applied, BudgetList, Description, HostBudgets};
use super::Ctx;
use super::revoke::all_or_partly;
use super::show::{show, show_once};
use crate::api::Effect;
use crate::args::{ApplyArgs, BudgetsArgs};
use crate::failure::Failure;

/// Applies every file together, or shows what that would do.
pub async fn apply(ctx: &Ctx<'_>, wanted: &ApplyArgs) -> Result<(), Failure> {
    let mut budgets = Vec::new();
    for path in &wanted.files {
        budgets.extend(file::read(path)?);
    }
    let effect = if wanted.dry_run {
        Effect::DryRun
    } else {
        Effect::Store
    };
    let applied = ctx.api()?.apply_budgets(budgets, effect).await;
    show_once(ctx, &Applied(applied?))
}

/// Lists budgets with how hosts stand to them, or how one host stands to all.
pub async fn list(ctx: &Ctx<'_>, wanted: &BudgetsArgs) -> Result<(), Failure> {
    let api = ctx.api()?;
    match &wanted.host {
        Some(host) => {
            show(ctx, async || {
                api.budgets_of_host(host).await.map(HostBudgets)
            })
            .await
        }
        None => show(ctx, async || api.budgets().await.map(BudgetList)).await,
    }
}

/// Describes one budget.
pub async fn describe(ctx: &Ctx<'_>, name: &str) -> Result<(), Failure> {
    let api = ctx.api()?;
    show(ctx, async || api.budget(name).await.map(Description)).await
}

/// Deletes budgets.
pub async fn remove(ctx: &Ctx<'_>, names: &[String]) -> Result<(), Failure> {
    let api = ctx.api()?;
    let mut outcomes = Vec::new();
    for name in names {
        let outcome = api.delete_budget(name).await;
        if outcome.is_ok() {
            ctx.console.write(&format!("deleted budget {name}\n"))?;
        }
        outcomes.push(outcome);
    }
    all_or_partly(outcomes)
}
