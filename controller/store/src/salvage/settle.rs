//! What hangs together across tables: numbers that are never given twice, and rows that belong to others.

use std::collections::BTreeMap;
use std::ops::ControlFlow;
use std::sync::{Arc, PoisonError};

use sqlx::{AssertSqlSafe, SqliteConnection};

use super::cells::Keys;
use super::copy::{Progress, SharedReader};
use super::{SalvageError, Salvaged};

const NUMBERS: &str =
    "SELECT EXISTS (SELECT 1 FROM sqlite_schema WHERE name = $1 AND sql LIKE '%AUTOINCREMENT%')";
const RAISE: &str = "UPDATE sqlite_sequence SET seq = max(seq, $2) WHERE name = $1";
const BEGIN: &str = "INSERT INTO sqlite_sequence (name, seq) VALUES ($1, $2)";
const REFERENCES: &str =
    "SELECT id, \"table\", \"from\", \"to\" FROM pragma_foreign_key_list($1) ORDER BY id, seq";

/// The largest number that each table gave a row.
pub(super) async fn sequences(
    reader: &SharedReader,
) -> Result<BTreeMap<String, i64>, SalvageError> {
    let reader = Arc::clone(reader);
    let reading = tokio::task::spawn_blocking(move || {
        let mut reader = reader.lock().unwrap_or_else(PoisonError::into_inner);
        let mut found = BTreeMap::new();
        if let Some(root) = reader.root("table", "sqlite_sequence") {
            let _losses = reader.walk(root, Keys::Rowid, &mut |row| {
                if let [name, number] = row.values.as_slice()
                    && let (Some(name), Some(number)) = (name.text(), number.integer())
                {
                    found.insert(name.to_owned(), number);
                }
                ControlFlow::Continue(())
            });
        }
        found
    });
    reading
        .await
        .map_err(|error| SalvageError::File(std::io::Error::other(error)))
}

/// Has the table give no number that a lost row may have had.
pub(super) async fn keep_numbers(
    draft: &mut SqliteConnection,
    table: &Progress,
    sequences: &BTreeMap<String, i64>,
) -> Result<(), SalvageError> {
    let name = &table.shape.name;
    let gives: bool = sqlx::query_scalar(NUMBERS)
        .bind(name)
        .fetch_one(&mut *draft)
        .await?;
    let before = sequences.get(name).copied().unwrap_or_default();
    let number = before.max(table.losses.rowid_max);
    if !gives || number == 0 {
        return Ok(());
    }
    for statement in [RAISE, BEGIN] {
        let done = sqlx::query(statement)
            .bind(name)
            .bind(number)
            .execute(&mut *draft)
            .await?;
        if done.rows_affected() > 0 {
            break;
        }
    }
    Ok(())
}

/// Deletes rows that belong to a row that is lost, and counts them.
pub(super) async fn orphans(
    draft: &mut SqliteConnection,
    found: &mut Salvaged,
) -> Result<(), SalvageError> {
    let mut statements = Vec::new();
    for (place, table) in found.tables.iter().enumerate() {
        let columns: Vec<(i64, String, String, String)> = sqlx::query_as(REFERENCES)
            .bind(&table.name)
            .fetch_all(&mut *draft)
            .await?;
        let mut references: BTreeMap<i64, (String, Vec<(String, String)>)> = BTreeMap::new();
        for (id, parent, from, to) in columns {
            let reference = references.entry(id).or_insert((parent, Vec::new()));
            reference.1.push((from, to));
        }
        for (parent, columns) in references.into_values() {
            statements.push((place, delete(&table.name, &parent, &columns)));
        }
    }
    loop {
        let mut deleted = 0;
        for (place, statement) in &statements {
            let done = sqlx::query(AssertSqlSafe(statement.clone()))
                .execute(&mut *draft)
                .await?;
            deleted += done.rows_affected();
            if let Some(table) = found.tables.get_mut(*place) {
                table.orphans += done.rows_affected();
                table.lost += done.rows_affected();
                table.kept = table.kept.saturating_sub(done.rows_affected());
            }
        }
        // Others may have belonged to what went.
        if deleted == 0 {
            return Ok(());
        }
    }
}

fn delete(table: &str, parent: &str, columns: &[(String, String)]) -> String {
    let set: Vec<String> = columns
        .iter()
        .map(|(from, _)| format!("\"{table}\".\"{from}\" IS NOT NULL"))
        .collect();
    let same: Vec<String> = columns
        .iter()
        .map(|(from, to)| format!("\"{parent}\".\"{to}\" = \"{table}\".\"{from}\""))
        .collect();
    format!(
        "DELETE FROM \"{table}\" WHERE {} AND NOT EXISTS (SELECT 1 FROM \"{parent}\" WHERE {})",
        set.join(" AND "),
        same.join(" AND ")
    )
}
