//! `key new|list|show`: operators' signing keys, which no controller ever sees.

use serde::Serialize;
use tidemark_model::Secret;
use tidemark_model::signing::{KeyId, PrivateKey};
use tidemark_runtime::Entropy;

use super::Ctx;
use super::show::show_once;
use crate::args::{Key, PassphraseArgs};
use crate::failure::Failure;
use crate::keys::{self, SealedKey};
use crate::render::sheet::{Sheet, Value};
use crate::render::table::{Align, Cell, Table};
use crate::render::text::visible;
use crate::render::{Report, Screen};

/// Does what was asked.
pub fn run(ctx: &Ctx<'_>, wanted: &Key) -> Result<(), Failure> {
    match wanted {
        Key::New { name, passphrase } => new(ctx, name, passphrase),
        Key::List => list(ctx),
        Key::Show { name } => {
            let key = SealedKey::read(&keys::folder()?, name)?;
            show_once(ctx, &Shown::of(&key))
        }
    }
}

fn new(ctx: &Ctx<'_>, name: &str, from: &PassphraseArgs) -> Result<(), Failure> {
    let passphrase = passphrase(ctx, from, || {
        let first = ctx.console.ask_secret("Passphrase: ")?;
        let again = ctx.console.ask_secret("Once more: ")?;
        if first == again {
            Ok(first)
        } else {
            Err(Failure::usage("the two passphrases differ"))
        }
    })?;
    let key = SealedKey::make(name, &passphrase, &Entropy::System)?;
    let path = key.write(&keys::folder()?)?;
    show_once(ctx, &Shown::of(&key))?;
    ctx.console.note(&format!(
        "the key is in {}; without its passphrase it is worth nothing, and nobody can bring that back",
        visible(&path.display().to_string())
    ));
    Ok(())
}

/// The id of a key of this machine.
pub fn id_of(name: &str) -> Result<KeyId, Failure> {
    Ok(SealedKey::read(&keys::folder()?, name)?.public.id())
}

/// Opens a key of this machine.
pub fn open(ctx: &Ctx<'_>, name: &str, from: &PassphraseArgs) -> Result<PrivateKey, Failure> {
    let key = SealedKey::read(&keys::folder()?, name)?;
    let question = format!("Passphrase of {name}: ");
    let passphrase = passphrase(ctx, from, || ctx.console.ask_secret(&question))?;
    Ok(key.open(&passphrase)?)
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

fn list(ctx: &Ctx<'_>) -> Result<(), Failure> {
    let folder = keys::folder()?;
    let mut shown = Vec::new();
    for key in SealedKey::list(&folder)? {
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
}

impl Shown {
    fn of(key: &SealedKey) -> Self {
        Self {
            name: key.name.clone(),
            id: key.public.id().to_string(),
            public: key.public.to_string(),
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
            ("PUBLIC", Align::Left),
        ]);
        for key in &self.0 {
            table.row([
                Cell::from(key.name.clone()),
                Cell::from(key.id.clone()),
                Cell::from(key.public.clone()),
            ]);
        }
        table.draw(screen)
    }

    fn sheet(&self, _screen: &Screen) -> Sheet {
        Sheet {
            header: vec!["name", "id", "public"],
            rows: self
                .0
                .iter()
                .map(|key| {
                    vec![
                        Value::text(&key.name),
                        Value::text(&key.id),
                        Value::text(&key.public),
                    ]
                })
                .collect(),
        }
    }
}
