//! What was applied under one name, version by version: of a policy, a window, a budget.

use super::table::{Align, Cell, Table};
use super::{Screen, words};

/// One version.
#[derive(Clone, Debug)]
pub struct Version<'a> {
    /// Its number, from 1.
    pub number: u64,
    /// When it was applied, in unix milliseconds.
    pub at_ms: i64,
    /// By whom.
    pub by: &'a str,
    /// What it says; `None` for one that deleted.
    pub what: Option<String>,
}

/// The versions as a table, what each says under `heading`.
pub fn versions<'a>(
    screen: &Screen,
    heading: &'static str,
    all: impl Iterator<Item = Version<'a>>,
) -> String {
    let mut table = Table::new(&[
        ("VERSION", Align::Right),
        ("APPLIED", Align::Whole),
        ("BY", Align::Left),
        (heading, Align::Left),
    ]);
    for version in all {
        let what = version.what.unwrap_or_else(|| "deleted".to_owned());
        table.row([
            Cell::from(version.number),
            Cell::from(words::date_time(version.at_ms, &screen.zone, screen.now)),
            Cell::from(version.by),
            Cell::from(what),
        ]);
    }
    table.draw(screen)
}
