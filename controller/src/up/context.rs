//! The context `local` of the command line: address and API token of the controller on this machine.

use anyhow::Context as _;
use tidemark_model::Secret;
use tidemark_model::role::Role;
use tidemark_runtime::contexts::{self, Context, Contexts, Selection};

use crate::access::{ApiKey, Credential, Holder};
use crate::app::App;

/// Name of the context.
pub(super) const NAME: &str = "local";

/// Writes the context, with the token that is in it already if that still opens this controller. Says its name.
pub(super) async fn write(app: &App, server: &str) -> anyhow::Result<String> {
    let path = contexts::default_path()?;
    let known = Contexts::load(&path)?;
    let key = match known
        .contexts
        .get(NAME)
        .and_then(|context| context.token.as_ref())
    {
        Some(token) => working_key(app, token.expose()).await?,
        None => None,
    };
    let key = match key {
        Some(key) => key,
        None => app
            .make_api_key(
                Holder::of_all_hosts("quick start on this machine", Role::Admin),
                None,
            )
            .await
            .context("no API token could be made")?,
    };
    let context = Context::with_token(server.to_owned(), Secret::new(key.expose_text()));
    Contexts::update(&path, |contexts| {
        contexts.put(NAME, context, Selection::KeepCurrent)
    })??;
    Ok(NAME.to_owned())
}

async fn working_key(app: &App, text: &str) -> anyhow::Result<Option<ApiKey>> {
    let Ok(key) = text.parse::<ApiKey>() else {
        return Ok(None);
    };
    let caller = app
        .caller_of(Credential::Token(key.id), &key.secret)
        .await?;
    Ok(caller
        .filter(|caller| caller.role == Role::Admin)
        .map(|_| key))
}
