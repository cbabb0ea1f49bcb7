//! What a repair lost: said to whoever repairs, counted as dropped where its host is known, and told at each host.

use std::collections::BTreeMap;
use std::io::Write as _;

use tidemark_model::delivery::GapReason;
use tidemark_model::notice::NoticeKind;
use tidemark_model::{HostId, Timestamp};
use tidemark_store::{Cursor, LostHistory, NewNotice, Salvaged, SalvagedTable, StoreError, Tx};

use super::files::when;

/// Hosts whose lost history is listed; every one of them has a notice.
const HOSTS_MAX: usize = 20;

/// Says what was read and what is lost, table by table.
pub(super) fn say(found: &Salvaged) -> std::io::Result<()> {
    let mut to = std::io::stdout().lock();
    if found.pages_cut_off > 0 {
        writeln!(
            to,
            "the file is cut off: {} pages are missing",
            found.pages_cut_off
        )?;
    }
    if found.log_is_damaged {
        writeln!(
            to,
            "the write-ahead log is damaged: what was committed last is lost, and how much that is, is unknown"
        )?;
    }
    writeln!(to, "{} pages of tables are damaged", found.pages_damaged)?;
    writeln!(to, "{:<26}{:>12}  lost", "table", "kept")?;
    for table in &found.tables {
        if table.kept > 0 || !is_whole(table) {
            let lost = words(table);
            writeln!(to, "{:<26}{:>12}  {lost}", table.name, table.kept)?;
        }
    }
    for (host, lost) in found.history.iter().take(HOSTS_MAX) {
        writeln!(to, "host {host}: {}", history(lost))?;
    }
    if let Some(more) = found
        .history
        .len()
        .checked_sub(HOSTS_MAX)
        .filter(|n| *n > 0)
    {
        writeln!(to, "history of {more} more hosts is lost")?;
    }
    if let Some(why) = &found.log.why {
        writeln!(
            to,
            "the audit log ends with entry {} of {} at least: {why}; its hosts will tell that it was cut",
            found.log.kept, found.log.newest
        )?;
    }
    Ok(())
}

/// The same in one line, for the audit log.
pub(super) fn summary(found: &Salvaged) -> String {
    let tables = found.tables.iter().filter(|table| !is_whole(table));
    let mut parts: Vec<String> = tables
        .map(|table| format!("{}: {}", table.name, count(table)))
        .collect();
    if found.log_is_damaged {
        parts.push("commits of the write-ahead log: unknown".to_owned());
    }
    if parts.is_empty() {
        "nothing".to_owned()
    } else {
        parts.join("; ")
    }
}

fn is_whole(table: &SalvagedTable) -> bool {
    table.lost == 0 && table.is_exact
}

fn count(table: &SalvagedTable) -> String {
    match (table.lost, table.is_exact) {
        (lost, true) => lost.to_string(),
        (0, false) => "unknown".to_owned(),
        (lost, false) => format!("at least {lost}"),
    }
}

fn words(table: &SalvagedTable) -> String {
    let mut notes = Vec::new();
    if !table.ranges.is_empty() {
        notes.push(table.ranges.join("; "));
    }
    if table.refused > 0 {
        notes.push(format!("{} could be read and are not sound", table.refused));
    }
    if table.orphans > 0 {
        notes.push(format!("{} belonged to rows that are lost", table.orphans));
    }
    if notes.is_empty() {
        count(table)
    } else {
        format!("{} ({})", count(table), notes.join("; "))
    }
}

fn history(lost: &LostHistory) -> String {
    format!(
        "history between {} and {} is lost: {} pieces",
        when(lost.from),
        when(lost.to),
        lost.pieces
    )
}

/// Leaves a notice at each host whose history is lost.
///
/// # Errors
/// When the database fails.
pub(super) async fn tell_hosts(
    tx: &mut Tx,
    found: &Salvaged,
    now: Timestamp,
) -> Result<(), StoreError> {
    let notices: Vec<NewNotice> = found
        .history
        .iter()
        .map(|(host, lost)| NewNotice {
            at: now,
            host: Some(*host),
            kind: NoticeKind::Controller,
            text: format!("the database was damaged, and repaired: {}", history(lost)).into(),
        })
        .collect();
    tx.notices_append(&notices).await?;
    Ok(())
}

/// Counts records as lost that the database says are stored and that it has no more: one for each piece that is lost of a host, since
/// nothing tells how many were in it, and what the lost reasons of drops had counted. Answers how many.
///
/// # Errors
/// When the database fails.
pub(super) async fn count_lost(
    tx: &mut Tx,
    found: &Salvaged,
    now: Timestamp,
) -> Result<u64, StoreError> {
    let mut cursors: BTreeMap<HostId, Vec<Cursor>> = BTreeMap::new();
    let mut changed = Vec::new();
    let mut counted = 0;
    tx.cursors_each(|mut cursor| {
        let dropped: u64 = cursor.dropped.values().sum();
        let known = cursor.stored.saturating_add(dropped);
        let unknown = cursor.through_seq.get().saturating_sub(known);
        if unknown > 0 {
            counted += unknown;
            lose(&mut cursor, unknown, now);
        }
        if unknown > 0 || found.history.contains_key(&cursor.host) {
            cursors.entry(cursor.host).or_default().push(cursor);
        }
    })
    .await?;
    for (host, mut of_host) in cursors {
        let lost = found.history.get(&host);
        let mut left = lost.map_or(0, |lost| lost.records_min);
        of_host.sort_by_key(|cursor| std::cmp::Reverse(cursor.updated_at));
        for mut cursor in of_host {
            let here = cursor.stored.min(left);
            if here > 0 {
                left -= here;
                counted += here;
                cursor.stored -= here;
                lose(&mut cursor, here, now);
            }
            changed.push(cursor);
        }
    }
    tx.cursors_save(&changed).await?;
    Ok(counted)
}

fn lose(cursor: &mut Cursor, records: u64, now: Timestamp) {
    *cursor.dropped.entry(GapReason::LostAfterAck).or_default() += records;
    cursor.updated_at = cursor.updated_at.max(now);
}
