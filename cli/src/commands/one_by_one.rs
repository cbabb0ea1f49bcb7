//! Several things done one after the other: what was done is said at once, and what failed is told apart at the end.

use tidemark_model::view::HostView;

use super::Ctx;
use crate::api::Api;
use crate::failure::Failure;
use crate::render::text::visible;

/// The hosts of these names or ids, and their names in one line: all are looked up before anything is done to one.
pub async fn hosts_named(api: &Api, names: &[String]) -> Result<(Vec<HostView>, String), Failure> {
    let mut hosts = Vec::with_capacity(names.len());
    for name in names {
        hosts.push(api.host(name).await?.host);
    }
    let listed: Vec<String> = hosts.iter().map(|host| visible(&host.name)).collect();
    Ok((hosts, listed.join(", ")))
}

/// Does `act` to each thing; `said` is what the reader sees of one that was done.
pub async fn one_by_one<T>(
    ctx: &Ctx<'_>,
    things: &[T],
    said: impl Fn(&T) -> String,
    act: impl AsyncFn(&T) -> Result<(), Failure>,
) -> Result<(), Failure> {
    let mut outcomes = Vec::new();
    for thing in things {
        let outcome = act(thing).await;
        if outcome.is_ok() {
            ctx.console.write(&said(thing))?;
        }
        outcomes.push(outcome);
    }
    all_or_partly(outcomes)
}

/// Success when all succeeded, the failure when there was one thing or all failed alike, else partly done.
pub fn all_or_partly(outcomes: Vec<Result<(), Failure>>) -> Result<(), Failure> {
    let total = outcomes.len();
    let mut failures: Vec<Failure> = outcomes.into_iter().filter_map(Result::err).collect();
    match (failures.len(), failures.pop()) {
        (_, None) => Ok(()),
        (failed, Some(last)) if failed == total && failed == 1 => Err(last),
        (failed, Some(last)) => {
            failures.push(last);
            let partly = Failure::Partly {
                done: total.saturating_sub(failed),
                total,
                failures,
            };
            Err(partly)
        }
    }
}
