//! `key …`: operators' signing keys, which no controller ever sees, and what is signed about them.

mod fleet;
mod statements;

use serde::Serialize;
use tidemark_model::Secret;
use tidemark_model::signing::PublicKey;
use tidemark_runtime::Entropy;

use super::Ctx;
use super::consent::Consent;
use super::show::show_once;
use crate::args::{Key, PassphraseArgs, TokenArgs};
use crate::failure::Failure;
use crate::keys::{self, KeptKey, OpenKey, SealedKey, TokenKey, TokenPlace};
use crate::render::sheet::{Sheet, Value};
use crate::render::table::{Align, Cell, Table};
use crate::render::text::visible;
use crate::render::{Report, Screen};

pub use fleet::{keys as list_fleet, statements as list_statements};

/// Does what was asked.
pub async fn run(ctx: &Ctx<'_>, wanted: &Key) -> Result<(), Failure> {
    match wanted {
        Key::New {
            name,
            token,
            passphrase,
        } => new(ctx, name, token, passphrase),
        Key::Add {
            name,
            pkcs11,
            token,
            object,
            passphrase,
        } => {
            let place = TokenPlace {
                module: pkcs11.clone(),
                token: token.clone(),
            };
            add(ctx, (name, object.as_deref()), place, passphrase)
        }
        Key::List => list(ctx),
        Key::Show { name } => {
            let key = KeptKey::read(&keys::folder()?, name)?;
            show_once(ctx, &Shown::of(&key))
        }
        Key::Rotate(wanted) => statements::rotate(ctx, wanted).await,
        Key::Revoke(wanted) => statements::revoke(ctx, wanted).await,
        Key::Sign {
            id,
            key,
            yes,
            passphrase,
        } => statements::sign(ctx, id, (key, passphrase), Consent::of(*yes)).await,
    }
}

fn new(ctx: &Ctx<'_>, name: &str, token: &TokenArgs, from: &PassphraseArgs) -> Result<(), Failure> {
    let (Some(module), Some(token)) = (&token.pkcs11, &token.token) else {
        let key = make_sealed(ctx, name, from)?;
        return show_once(ctx, &Shown::of(&key));
    };
    let folder = keys::folder()?;
    KeptKey::check_free(&folder, name)?;
    let place = TokenPlace {
        module: module.clone(),
        token: token.clone(),
    };
    let pin = pin(ctx, token, from)?;
    keep_token(ctx, TokenKey::make(name, place, &pin)?)
}

fn add(
    ctx: &Ctx<'_>,
    (name, object): (&str, Option<&str>),
    place: TokenPlace,
    from: &PassphraseArgs,
) -> Result<(), Failure> {
    KeptKey::check_free(&keys::folder()?, name)?;
    let pin = pin(ctx, &place.token, from)?;
    let key = TokenKey::add(name, object.unwrap_or(name), place, &pin)?;
    keep_token(ctx, key)
}

fn keep_token(ctx: &Ctx<'_>, key: TokenKey) -> Result<(), Failure> {
    let key = KeptKey::Token(key);
    key.write(&keys::folder()?)?;
    show_once(ctx, &Shown::of(&key))?;
    ctx.console.note(&format!(
        "the key is in the {}, and cannot leave it; this machine remembers where",
        visible(&key.place())
    ));
    Ok(())
}

/// Makes a key in a file of this machine.
fn make_sealed(ctx: &Ctx<'_>, name: &str, from: &PassphraseArgs) -> Result<KeptKey, Failure> {
    let passphrase = passphrase(ctx, from, || {
        let first = ctx
            .console
            .ask_secret(&format!("Passphrase for {}: ", visible(name)))?;
        let again = ctx.console.ask_secret("Once more: ")?;
        if first == again {
            Ok(first)
        } else {
            Err(Failure::usage("the two passphrases differ"))
        }
    })?;
    let key = KeptKey::Sealed(SealedKey::make(name, &passphrase, &Entropy::System)?);
    let path = key.write(&keys::folder()?)?;
    ctx.console.note(&format!(
        "the key is in {}; without its passphrase it is worth nothing, and nobody can bring that back",
        visible(&path.display().to_string())
    ));
    Ok(key)
}

/// The public part of a key of this machine.
pub fn public_of(name: &str) -> Result<PublicKey, Failure> {
    Ok(KeptKey::read(&keys::folder()?, name)?.public())
}

/// Opens a key of this machine.
pub fn open(ctx: &Ctx<'_>, name: &str, from: &PassphraseArgs) -> Result<OpenKey, Failure> {
    open_kept(ctx, &KeptKey::read(&keys::folder()?, name)?, from)
}

fn open_kept(ctx: &Ctx<'_>, key: &KeptKey, from: &PassphraseArgs) -> Result<OpenKey, Failure> {
    let secret = match key {
        KeptKey::Sealed(key) => {
            let question = format!("Passphrase of {}: ", visible(&key.name));
            passphrase(ctx, from, || ctx.console.ask_secret(&question))?
        }
        KeptKey::Token(key) => pin(ctx, &key.token, from)?,
    };
    Ok(key.open(&secret)?)
}

/// The passphrase from its file, or as it is answered.
fn passphrase(
    ctx: &Ctx<'_>,
    from: &PassphraseArgs,
    ask: impl FnOnce() -> Result<Secret<String>, Failure>,
) -> Result<Secret<String>, Failure> {
    match &from.passphrase_file {
        Some(path) => Ok(keys::passphrase_from(path)?),
        None if ctx.console.can_ask() => ask(),
        None => Err(Failure::usage(
            "there is no terminal to ask for the passphrase; give --passphrase-file",
        )),
    }
}

/// A token's PIN from its file, from the environment, or as it is answered.
fn pin(ctx: &Ctx<'_>, token: &str, from: &PassphraseArgs) -> Result<Secret<String>, Failure> {
    if let Some(path) = &from.pin_file {
        return Ok(keys::passphrase_from(path)?);
    }
    if let Ok(pin) = std::env::var("TIDEMARK_PIN") {
        return Ok(Secret::new(pin));
    }
    if ctx.console.can_ask() {
        let question = format!("PIN of the token {}: ", visible(token));
        return ctx.console.ask_secret(&question);
    }
    Err(Failure::usage(
        "there is no terminal to ask for the token's PIN; give --pin-file or TIDEMARK_PIN",
    ))
}

fn list(ctx: &Ctx<'_>) -> Result<(), Failure> {
    let folder = keys::folder()?;
    let mut shown = Vec::new();
    for key in KeptKey::list(&folder)? {
        match key {
            Ok(key) => shown.push(Shown::of(&key)),
            Err(error) => ctx.console.note(&visible(&error.to_string())),
        }
    }
    show_once(ctx, &Listed(shown))
}

#[derive(Debug, Serialize)]
struct Shown {
    name: String,
    id: String,
    public: String,
    place: String,
}

impl Shown {
    fn of(key: &KeptKey) -> Self {
        Self {
            name: key.name().to_owned(),
            id: key.public().id().to_string(),
            public: key.public().to_string(),
            place: key.place(),
        }
    }
}

impl Report for Shown {
    fn table(&self, _screen: &Screen) -> String {
        let (name, id, public) = (visible(&self.name), &self.id, &self.public);
        format!(
            "Key {name} ({id}). Hosts whose policy.toml lists it take what it signed:\n\n\
             \x20 [[key]]\n\
             \x20 name = \"{name}\"\n\
             \x20 public = \"{public}\"\n\
             \x20 tier_max = 1   # 0 look, 1 restarts and settings, 2 ends processes, 3 reboots\n"
        )
    }

    fn sheet(&self, screen: &Screen) -> Sheet {
        Listed(vec![Self {
            name: self.name.clone(),
            id: self.id.clone(),
            public: self.public.clone(),
            place: self.place.clone(),
        }])
        .sheet(screen)
    }
}

#[derive(Debug, Serialize)]
struct Listed(Vec<Shown>);

impl Report for Listed {
    fn table(&self, screen: &Screen) -> String {
        if self.0.is_empty() {
            return "No keys on this machine; `tidemark key new NAME` makes one.\n".to_owned();
        }
        let mut table = Table::new(&[
            ("NAME", Align::Left),
            ("ID", Align::Left),
            ("IN", Align::Left),
            ("PUBLIC", Align::Left),
        ]);
        for key in &self.0 {
            table.row([
                Cell::from(key.name.clone()),
                Cell::from(key.id.clone()),
                Cell::from(key.place.clone()),
                Cell::from(key.public.clone()),
            ]);
        }
        table.draw(screen)
    }

    fn sheet(&self, _screen: &Screen) -> Sheet {
        Sheet {
            header: vec!["name", "id", "public", "place"],
            rows: self
                .0
                .iter()
                .map(|key| {
                    vec![
                        Value::text(&key.name),
                        Value::text(&key.id),
                        Value::text(&key.public),
                        Value::text(&key.place),
                    ]
                })
                .collect(),
        }
    }
}
