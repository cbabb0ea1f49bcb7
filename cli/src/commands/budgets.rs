//! `get budgets`, `describe budget` and `budget remove`: what may be held of hosts' ports.

mod report;

pub use self::report::Applied;
use self::report::{BudgetList, Description, HostBudgets};
use super::Ctx;
use super::one_by_one::one_by_one;
use super::show::show;
use crate::args::BudgetsArgs;
use crate::failure::Failure;

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
    let said = |name: &String| format!("deleted budget {name}");
    one_by_one(ctx, names, said, async |name| api.delete_budget(name).await).await
}
