//! `install`: a fresh join token in the exact lines that give a host its agent.

use serde::Serialize;
use tidemark_model::install::{Installation, System, Way};
use tidemark_model::view::JoinTokenCreated;

use super::Ctx;
use super::show::show_once;
use super::tokens;
use crate::args::InstallArgs;
use crate::failure::Failure;
use crate::render::sheet::{Sheet, Value};
use crate::render::{Report, Screen};

/// Makes a join token and shows how to install agents with it.
pub async fn install(ctx: &Ctx<'_>, wanted: &InstallArgs) -> Result<(), Failure> {
    let token = tokens::make(ctx, &wanted.token).await?;
    let installation =
        Installation::new(&token.controller, &token.token).map_err(|source| Failure::NoLines {
            token: token.id.clone(),
            source,
        })?;
    let system = wanted.os.map(System::from);
    let ways = Way::ALL
        .into_iter()
        .filter(|way| system.is_none_or(|system| way.is_for(system)))
        .map(|way| HowTo {
            way,
            title: way.title(),
            note: way.note(),
            lines: installation.lines(way),
        })
        .collect();
    show_once(ctx, &Installing { token, ways })
}

#[derive(Debug, Serialize)]
struct Installing {
    #[serde(flatten)]
    token: JoinTokenCreated,
    ways: Vec<HowTo>,
}

#[derive(Debug, Serialize)]
struct HowTo {
    way: Way,
    title: &'static str,
    note: &'static str,
    lines: String,
}

impl Report for Installing {
    fn table(&self, screen: &Screen) -> String {
        let mut text = tokens::headline(&self.token, screen);
        for how in &self.ways {
            text.push_str(&format!("\n{}\n{}\n\n", how.title, how.note));
            for line in how.lines.lines() {
                text.push_str(&format!("  {line}\n"));
            }
        }
        text.push('\n');
        text.push_str(tokens::loopback_warning(&self.token.controller));
        text.push_str(tokens::FAREWELL);
        text
    }

    fn sheet(&self, _screen: &Screen) -> Sheet {
        let row = |how: &HowTo| {
            vec![
                Value::text(&self.token.id),
                Value::number(self.token.expires_ms),
                Value::text(how.way.as_str()),
                Value::text(&how.lines),
            ]
        };
        Sheet {
            header: vec!["id", "expires_ms", "way", "lines"],
            rows: self.ways.iter().map(row).collect(),
        }
    }
}
