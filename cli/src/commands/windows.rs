//! `get windows`, `describe window`, `window next` and `window remove`: when hosts are in maintenance.

mod report;

use self::report::{Description, Times, WindowList};
use super::Ctx;
use super::one_by_one::one_by_one;
use super::show::{show, show_once};
use crate::api::Query;
use crate::failure::Failure;

pub use self::report::Applied;

/// Lists windows.
pub async fn list(ctx: &Ctx<'_>) -> Result<(), Failure> {
    let api = ctx.api()?;
    show(ctx, async || api.windows().await.map(WindowList)).await
}

/// Describes one window.
pub async fn describe(ctx: &Ctx<'_>, name: &str) -> Result<(), Failure> {
    let api = ctx.api()?;
    show(ctx, async || {
        api.window(name).await.map(|detail| Description {
            name: name.to_owned(),
            detail,
        })
    })
    .await
}

/// Shows when a window comes.
pub async fn next(
    ctx: &Ctx<'_>,
    name: &str,
    host: Option<&str>,
    count: u32,
) -> Result<(), Failure> {
    let mut query: Query = vec![("count", count.to_string())];
    query.extend(host.map(|host| ("host", host.to_owned())));
    let times = ctx.api()?.window_times(name, query).await?;
    show_once(ctx, &Times(times))
}

/// Deletes windows.
pub async fn remove(ctx: &Ctx<'_>, names: &[String]) -> Result<(), Failure> {
    let api = ctx.api()?;
    let said = |name: &String| format!("deleted window {name}");
    one_by_one(ctx, names, said, async |name| api.delete_window(name).await).await
}
