//! `login`: remembers a controller and a token that it accepts.

use std::path::Path;

use tidemark_model::Secret;
use tidemark_model::view::SignInRequest;
use tidemark_runtime::contexts::{self, Context, Contexts, Selection};

use super::{Ctx, passwords};
use crate::api::{Api, Target, read_token};
use crate::args::LoginArgs;
use crate::failure::Failure;
use crate::render::text::visible;
use crate::render::words;

/// Checks the token with the controller, and writes it to the contexts file.
pub async fn login(ctx: &Ctx<'_>, wanted: &LoginArgs) -> Result<(), Failure> {
    let Some(server) = ctx.global.server.clone() else {
        return Err(Failure::usage(
            "which controller? add --server https://HOST:7080",
        ));
    };
    let name = ctx
        .global
        .context
        .clone()
        .unwrap_or_else(|| name_from(&server));
    contexts::check_name(&name)?;
    let ca_file = ctx.global.ca_file.as_deref().map(absolute).transpose()?;
    if server.starts_with("http://") && !is_this_machine(&server) {
        ctx.console
            .note("what lets you in travels unencrypted to this address; https protects it");
    }
    let reach = |token| {
        let target = Target {
            server: server.clone(),
            token,
            ca_file: ca_file.clone(),
        };
        Api::new(target, ctx.global.timeout)
    };
    let token = match &wanted.user {
        None => token(ctx)?,
        Some(name) => sign_in(ctx, &reach(None)?, name, wanted).await?,
    };
    let api = reach(Some(token.clone()))?;
    let version = if wanted.offline {
        None
    } else {
        Some(api.status().await?.version)
    };

    let mut context = Context::with_token(server.clone(), token);
    context.ca_file = ca_file;
    let path = contexts::default_path()?;
    Contexts::update(&path, |contexts| {
        contexts.put(&name, context, Selection::Use)
    })??;
    let controller = version.map_or_else(
        || server.clone(),
        |version| format!("{server} (version {})", visible(&version)),
    );
    ctx.console.write(&format!(
        "logged in to {controller} as context {name}, kept in {}",
        path.display()
    ))
}

/// A token for the user's name and password.
async fn sign_in(
    ctx: &Ctx<'_>,
    api: &Api,
    name: &str,
    wanted: &LoginArgs,
) -> Result<Secret<String>, Failure> {
    let question = format!("Password of {}: ", visible(name));
    let request = SignInRequest {
        name: name.to_owned(),
        password: passwords::known(ctx, wanted.password_file.as_deref(), &question)?,
    };
    let made = api.sign_in(&request).await?;
    let left = made.expires_ms.map(|at| {
        let at = words::relative(at, ctx.clock.now());
        format!("; the sign-in ends {at}")
    });
    ctx.console.note(&format!(
        "signed in as {}, {}{}",
        visible(&made.name),
        visible(&made.role),
        left.unwrap_or_default()
    ));
    Ok(Secret::new(made.token))
}

fn token(ctx: &Ctx<'_>) -> Result<Secret<String>, Failure> {
    match &ctx.global.token_file {
        Some(path) => read_token(path),
        None if ctx.console.can_ask() => {
            let text = ctx.console.ask_secret("API token: ")?;
            if text.expose().is_empty() {
                Err(Failure::usage("no token was given"))
            } else {
                Ok(text)
            }
        }
        None => read_token(Path::new("-")),
    }
}

fn absolute(path: &Path) -> Result<std::path::PathBuf, Failure> {
    std::path::absolute(path).map_err(|source| Failure::File {
        what: "authorities",
        path: path.to_owned(),
        source,
    })
}

fn host_of(server: &str) -> &str {
    let after_scheme = server.split_once("://").map_or(server, |(_, rest)| rest);
    let authority = after_scheme.split('/').next().unwrap_or(after_scheme);
    match authority
        .strip_prefix('[')
        .and_then(|rest| rest.split_once(']'))
    {
        Some((address, _)) => address,
        None => authority
            .rsplit_once(':')
            .map_or(authority, |(host, _)| host),
    }
}

fn is_this_machine(server: &str) -> bool {
    let host = host_of(server);
    host == "localhost"
        || host
            .parse()
            .is_ok_and(|address: std::net::IpAddr| address.is_loopback())
}

/// A context is named after its server where nothing else is said.
fn name_from(server: &str) -> String {
    if is_this_machine(server) {
        "local".to_owned()
    } else {
        host_of(server).replace(':', "-")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn contexts_are_named_after_their_server() {
        for (server, name) in [
            ("http://127.0.0.1:7080", "local"),
            ("http://[::1]:7080", "local"),
            ("https://tidemark.example:7080/x", "tidemark.example"),
            ("https://[2001:db8::1]", "2001-db8--1"),
        ] {
            assert_eq!(name_from(server), name);
        }
    }
}
