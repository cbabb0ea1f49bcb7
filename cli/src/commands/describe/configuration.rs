//! The part of a description that comes from the newest audit: how the host is configured, since when, and what of it
//! deserves a look.

use tidemark_model::audit::view::{FactView, HostAuditView};

use crate::render::paint::Tone;
use crate::render::table::{Align, Cell, Table};
use crate::render::text::visible;
use crate::render::{Screen, words};

/// A topic of which only how many and the last are told: a server has hundreds of updates.
const COUNTED_TOPIC: &str = "hotfixes";

/// What an audit says, for people.
pub fn section(audit: &HostAuditView, screen: &Screen) -> String {
    let title = screen.paint.bold("Configuration");
    let Some(taken_ms) = audit.taken_ms else {
        return format!(
            "\n{title}\n  Not told yet: agents tell it when they connect, unless their setting audit.interval is 0.\n"
        );
    };
    let taken = words::date_time(taken_ms, &screen.zone, screen.now);
    let mut text = format!("\n{title}  as of {taken}\n");
    for (topic, reason) in &audit.unread {
        text.push_str(&format!(
            "  {} could not be read: {}\n",
            visible(topic),
            visible(reason)
        ));
    }
    let mut table = Table::new(&[
        ("FACT", Align::Left),
        ("VALUE", Align::Left),
        ("SINCE", Align::Whole),
        ("LOOK", Align::Left),
    ]);
    for fact in &audit.facts {
        if fact.topic != COUNTED_TOPIC {
            table.row(row(fact, screen));
        }
    }
    text.push_str(&indented(&table.draw(screen)));
    let counted = audit
        .facts
        .iter()
        .filter(|fact| fact.topic == COUNTED_TOPIC);
    let updates = counted.count();
    if updates > 0 {
        text.push_str(&format!("  {updates} updates; all of them: -o json\n"));
    }
    text
}

/// The section while the configuration cannot be told.
pub fn unknown(hindrance: &str, screen: &Screen) -> String {
    let title = screen.paint.bold("Configuration");
    format!("\n{title}\n  Unknown: {}\n", visible(hindrance))
}

/// A fact's name with the thing that it is of.
pub fn fact_name(name: &str, item: Option<&str>) -> String {
    match item {
        Some(item) => format!("{name}[{item}]"),
        None => name.to_owned(),
    }
}

fn row(fact: &FactView, screen: &Screen) -> [Cell; 4] {
    let value = match (&fact.value, &fact.reason) {
        (Some(value), _) => value.as_str().into(),
        (None, Some(reason)) => Cell::toned(format!("unknown: {reason}"), Tone::Muted),
        (None, None) => Cell::toned(&fact.state, Tone::Muted),
    };
    let since = fact.since_ms.map_or_else(String::new, |ms| {
        words::date_time(ms, &screen.zone, screen.now)
    });
    [
        fact_name(&fact.name, fact.item.as_deref()).into(),
        value,
        Cell::toned(since, Tone::Muted),
        Cell::toned(fact.concern.as_deref().unwrap_or_default(), Tone::Watch),
    ]
}

fn indented(text: &str) -> String {
    text.lines().map(|line| format!("  {line}\n")).collect()
}
