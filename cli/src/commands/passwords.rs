//! Passwords from a file, from standard input, or as they are typed; never from the command line.

use std::io::Read as _;
use std::path::Path;

use tidemark_model::Secret;
use tidemark_model::view::PasswordText;

use super::Ctx;
use crate::failure::Failure;

/// Longest file that a password is read from, in bytes.
const FILE_BYTES_MAX: u64 = 8 * 1024;

/// A password that somebody has: from its file, or asked for once with `question`.
pub fn known(ctx: &Ctx<'_>, file: Option<&Path>, question: &str) -> Result<PasswordText, Failure> {
    match file {
        Some(path) => read(path),
        None if ctx.console.can_ask() => Ok(text_of(&ctx.console.ask_secret(question)?)),
        None => Err(Failure::usage(
            "there is no terminal to ask for the password; give --password-file FILE, or - for standard input",
        )),
    }
}

/// A password that somebody makes up: from its file, or asked for twice.
pub fn new(ctx: &Ctx<'_>, file: Option<&Path>, question: &str) -> Result<PasswordText, Failure> {
    if file.is_some() || !ctx.console.can_ask() {
        return known(ctx, file, question);
    }
    let first = ctx.console.ask_secret(question)?;
    let again = ctx.console.ask_secret("Once more: ")?;
    if first != again {
        return Err(Failure::usage("the two passwords differ"));
    }
    Ok(text_of(&first))
}

/// The password in the first line of a file.
pub fn read(path: &Path) -> Result<PasswordText, Failure> {
    let failed = |source| Failure::File {
        what: "password file",
        path: path.to_owned(),
        source,
    };
    let mut text = String::new();
    if path.as_os_str() == "-" {
        let stdin = std::io::stdin().lock();
        stdin.take(FILE_BYTES_MAX).read_to_string(&mut text)
    } else {
        let file = std::fs::File::open(path).map_err(failed)?;
        file.take(FILE_BYTES_MAX).read_to_string(&mut text)
    }
    .map_err(failed)?;
    let text = Secret::new(text);
    let line = text.expose().lines().next().unwrap_or_default();
    if line.is_empty() {
        return Err(Failure::usage(format!(
            "{} does not hold a password in its first line",
            path.display()
        )));
    }
    Ok(PasswordText::new(line.to_owned()))
}

fn text_of(secret: &Secret<String>) -> PasswordText {
    PasswordText::new(secret.expose().clone())
}
