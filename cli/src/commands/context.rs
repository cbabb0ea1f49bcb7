//! `context list|use|show`: the remembered controllers.

use serde::Serialize;
use tidemark_runtime::contexts::{self, Context, Contexts};

use super::Ctx;
use super::show::show_once;
use crate::args::ContextCommand;
use crate::failure::Failure;
use crate::render::paint::Tone;
use crate::render::sheet::{Sheet, Value};
use crate::render::table::{Align, Cell, Table};
use crate::render::text::visible;
use crate::render::{Report, Screen};

/// Does what is wanted with the contexts.
pub fn context(ctx: &Ctx<'_>, wanted: &ContextCommand) -> Result<(), Failure> {
    let path = contexts::default_path()?;
    match wanted {
        ContextCommand::List => {
            let contexts = Contexts::load(&path)?;
            let rows = contexts
                .contexts
                .iter()
                .map(|(name, context)| row(name, context, contexts.current.as_ref()));
            show_once(
                ctx,
                &ContextList {
                    contexts: rows.collect(),
                },
            )
        }
        ContextCommand::Use { name } => {
            Contexts::update(&path, |contexts| choose(contexts, name))??;
            ctx.console.write(&format!("using {name}"))
        }
        ContextCommand::Show => {
            let mut contexts = Contexts::load(&path)?;
            let name = ctx
                .global
                .context
                .clone()
                .or(contexts.current.clone())
                .ok_or(Failure::NoContext)?;
            match contexts.contexts.remove(&name) {
                Some(context) => {
                    let row = row(&name, &context, contexts.current.as_ref());
                    show_once(
                        ctx,
                        &ContextList {
                            contexts: vec![row],
                        },
                    )
                }
                None => Err(unknown(name, contexts)),
            }
        }
    }
}

fn choose(contexts: &mut Contexts, name: &str) -> Result<(), Failure> {
    if !contexts.contexts.contains_key(name) {
        return Err(unknown(name.to_owned(), contexts.clone()));
    }
    contexts.current = Some(name.to_owned());
    Ok(())
}

fn unknown(name: String, contexts: Contexts) -> Failure {
    Failure::UnknownContext {
        name,
        known: contexts.contexts.into_keys().collect(),
    }
}

/// A context without its secret.
#[derive(Debug, Serialize)]
struct ContextRow {
    name: String,
    server: String,
    token: String,
    current: bool,
}

fn row(name: &str, context: &Context, current: Option<&String>) -> ContextRow {
    let token = match (&context.token, &context.token_file) {
        (Some(_), _) => "kept here".to_owned(),
        (None, Some(path)) => format!("in {}", path.display()),
        (None, None) => "none".to_owned(),
    };
    ContextRow {
        name: name.to_owned(),
        server: context.server.clone(),
        token,
        current: current.is_some_and(|current| current == name),
    }
}

#[derive(Debug, Serialize)]
#[serde(transparent)]
struct ContextList {
    contexts: Vec<ContextRow>,
}

impl Report for ContextList {
    fn table(&self, screen: &Screen) -> String {
        if self.contexts.is_empty() {
            return "No controllers are remembered. Log in: tidemark login --server https://HOST:7080\n".to_owned();
        }
        let mut table =
            Table::new(&["", "NAME", "SERVER", "TOKEN"].map(|name| (name, Align::Left)));
        for context in &self.contexts {
            table.row([
                Cell::toned(if context.current { "→" } else { "" }, Tone::Accent),
                context.name.as_str().into(),
                context.server.as_str().into(),
                context.token.as_str().into(),
            ]);
        }
        table.draw(screen)
    }

    fn sheet(&self, _screen: &Screen) -> Sheet {
        let row = |context: &ContextRow| {
            vec![
                Value::text(visible(&context.name)),
                Value::text(&context.server),
                Value::text(&context.token),
                Value::number(context.current),
            ]
        };
        Sheet {
            header: vec!["name", "server", "token", "current"],
            rows: self.contexts.iter().map(row).collect(),
        }
    }
}
