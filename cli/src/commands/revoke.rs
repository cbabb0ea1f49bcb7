//! `revoke host` and `token revoke`: shutting out, one after the other, with what failed told apart.

use super::Ctx;
use crate::failure::Failure;
use crate::render::text::visible;

/// Whether the operator still has to agree.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Consent {
    /// With `--yes`.
    Given,
    /// Ask, listing the hosts by name.
    Ask,
}

/// Shuts hosts out for good. All of them are looked up first, so that a misspelt name stops it before anything is done.
pub async fn hosts(ctx: &Ctx<'_>, names: &[String], consent: Consent) -> Result<(), Failure> {
    let api = ctx.api()?;
    let mut found = Vec::new();
    for name in names {
        found.push(api.host(name).await?.host);
    }
    let listed: Vec<_> = found.iter().map(|host| visible(&host.name)).collect();
    if consent == Consent::Ask {
        if !ctx.console.can_ask() {
            return Err(Failure::usage(format!(
                "this shuts out {} for good; add --yes to do it",
                listed.join(", ")
            )));
        }
        let question = format!(
            "Shut out {} for good? Their agents need a new identity to come back. [y/N] ",
            listed.join(", ")
        );
        let answer = ctx.console.ask(&question)?.to_lowercase();
        if answer != "y" && answer != "yes" {
            ctx.console.note("nothing was done");
            return Ok(());
        }
    }
    let mut outcomes = Vec::new();
    for host in &found {
        let outcome = api.revoke_host(&host.id).await;
        if outcome.is_ok() {
            ctx.console.write(&format!(
                "revoked host {} ({})",
                visible(&host.name),
                visible(&host.id)
            ))?;
        }
        outcomes.push(outcome.map(drop));
    }
    all_or_partly(outcomes)
}

/// Ends join tokens.
pub async fn tokens(ctx: &Ctx<'_>, ids: &[String]) -> Result<(), Failure> {
    let api = ctx.api()?;
    let mut outcomes = Vec::new();
    for id in ids {
        let outcome = api.revoke_token(id).await;
        if outcome.is_ok() {
            ctx.console
                .write(&format!("revoked token {}", visible(id)))?;
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
