//! Which controller is meant and with which token: flags over environment over the contexts file.

use std::io::Read as _;
use std::path::{Path, PathBuf};

use tidemark_model::Secret;
use tidemark_runtime::contexts::{self, Contexts};

use crate::args::Global;
use crate::failure::Failure;

/// Longest token that is read, in bytes.
const TOKEN_BYTES_MAX: u64 = 8 * 1024;

/// A controller and the token for it.
#[derive(Debug)]
pub struct Target {
    /// Its address.
    pub server: String,
    /// The token; without one only what is public answers.
    pub token: Option<Secret<String>>,
    /// The only authorities to trust.
    pub ca_file: Option<PathBuf>,
}

impl Target {
    /// Finds out whom the global options mean. With `--server` alone, the token of a context with that server is used.
    pub fn find(global: &Global) -> Result<Self, Failure> {
        let explicit_token = global.token_file.as_deref().map(read_token).transpose()?;
        let context = named_context(global)?;
        let server = global
            .server
            .clone()
            .or_else(|| context.as_ref().map(|context| context.server.clone()));
        let token = match (explicit_token, &context) {
            (Some(token), _) => Some(token),
            (None, Some(context)) => match (&context.token, &context.token_file) {
                (Some(token), _) => Some(token.clone()),
                (None, Some(path)) => Some(read_token(path)?),
                (None, None) => None,
            },
            (None, None) => None,
        };
        Ok(Self {
            server: server.ok_or(Failure::NoContext)?,
            token,
            ca_file: global
                .ca_file
                .clone()
                .or_else(|| context.and_then(|context| context.ca_file)),
        })
    }
}

/// The context that is meant. A token must only go to the server that it is for: with `--server`, a context counts only
/// when it is named or has that very server.
fn named_context(global: &Global) -> Result<Option<contexts::Context>, Failure> {
    if global.server.is_some() && global.token_file.is_some() && global.context.is_none() {
        return Ok(None);
    }
    let mut contexts = Contexts::load(&contexts::default_path()?)?;
    if let Some(name) = &global.context {
        return match contexts.contexts.remove(name) {
            Some(context) => Ok(Some(context)),
            None => Err(Failure::UnknownContext {
                name: name.clone(),
                known: contexts.contexts.into_keys().collect(),
            }),
        };
    }
    if let Some(server) = &global.server {
        let same = |address: &str| address.trim_end_matches('/') == server.trim_end_matches('/');
        return Ok(contexts
            .contexts
            .into_values()
            .find(|context| same(&context.server)));
    }
    let Some(current) = contexts.current else {
        return Ok(None);
    };
    match contexts.contexts.remove(&current) {
        Some(context) => Ok(Some(context)),
        None => Err(Failure::UnknownContext {
            name: current,
            known: contexts.contexts.into_keys().collect(),
        }),
    }
}

/// Reads a token from a file, or from standard input when the path is `-`. White space around it does not count.
pub fn read_token(path: &Path) -> Result<Secret<String>, Failure> {
    let failed = |source| Failure::File {
        what: "token file",
        path: path.to_owned(),
        source,
    };
    let mut text = String::new();
    if path.as_os_str() == "-" {
        std::io::stdin()
            .lock()
            .take(TOKEN_BYTES_MAX)
            .read_to_string(&mut text)
            .map_err(failed)?;
    } else {
        let file = std::fs::File::open(path).map_err(failed)?;
        file.take(TOKEN_BYTES_MAX)
            .read_to_string(&mut text)
            .map_err(failed)?;
    }
    let token = text.trim();
    if token.is_empty() || !token.chars().all(|character| character.is_ascii_graphic()) {
        return Err(Failure::usage(format!(
            "{} does not hold a token: one line of printable characters",
            path.display()
        )));
    }
    Ok(Secret::new(token.to_owned()))
}
