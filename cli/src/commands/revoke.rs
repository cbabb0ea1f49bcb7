//! `revoke host` and `token revoke`: shutting out, one after the other, with what failed told apart.

use tidemark_model::view::HostView;

use super::Ctx;
use super::consent::Consent;
use super::one_by_one::{hosts_named, one_by_one};
use crate::failure::Failure;
use crate::render::text::visible;

/// Shuts hosts out for good. All of them are looked up first, so that a misspelt name stops it before anything is done.
pub async fn hosts(ctx: &Ctx<'_>, names: &[String], consent: Consent) -> Result<(), Failure> {
    let api = ctx.api()?;
    let (found, listed) = hosts_named(&api, names).await?;
    let question =
        format!("Shut out {listed} for good? Their agents need a new identity to come back.");
    let else_say = format!("this shuts out {listed} for good");
    if !consent.is_given(ctx, &question, &else_say)? {
        return Ok(());
    }
    let said = |host: &HostView| {
        let (name, id) = (visible(&host.name), visible(&host.id));
        format!("revoked host {name} ({id})")
    };
    one_by_one(ctx, &found, said, async |host| {
        api.revoke_host(&host.id).await.map(drop)
    })
    .await
}

/// Ends join tokens.
pub async fn tokens(ctx: &Ctx<'_>, ids: &[String]) -> Result<(), Failure> {
    let api = ctx.api()?;
    let said = |id: &String| format!("revoked token {}", visible(id));
    one_by_one(ctx, ids, said, async |id| api.revoke_token(id).await).await
}
