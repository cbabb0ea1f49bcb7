//! What is known of rows that are lost: an index has the keys of every row of its table, also of those whose page is damaged.

use std::collections::BTreeMap;
use std::ops::ControlFlow;
use std::sync::{Arc, PoisonError};

use sqlx::SqliteConnection;
use tidemark_model::{HostId, Timestamp};
use tokio::sync::mpsc;

use super::cells::Keys;
use super::copy::{Progress, SharedReader};
use super::record::Value;
use super::shape::{Index, Shape, bound};
use super::{LostHistory, SalvageError};

/// Entries that are looked for at once.
const BATCH: usize = 512;

/// Pieces of history that are lost, by the number of their row.
#[derive(Debug, Default)]
pub(super) struct LostPieces(BTreeMap<i64, Piece>);

#[derive(Clone, Copy, Debug)]
struct Piece {
    host: HostId,
    from: i64,
    to: i64,
    holds_records: bool,
}

impl LostPieces {
    /// Notes a row that is lost, if it is history of a host.
    pub(super) fn note(&mut self, shape: &Shape, values: &[Value]) {
        let columns = shape.stored.iter().map(|name| Some(name.as_str()));
        self.take(&shape.name, columns.zip(values), None);
    }

    fn take<'a>(
        &mut self,
        table: &str,
        columns: impl Iterator<Item = (Option<&'a str>, &'a Value)>,
        rowid: Option<i64>,
    ) {
        let (from, to) = match table {
            "recent" => ("first_at", "last_at"),
            "segments" => ("from_at", "to_at"),
            "events" => ("at", "at"),
            _ => return,
        };
        let columns: BTreeMap<&str, &Value> = columns
            .filter_map(|(name, value)| Some((name?, value)))
            .collect();
        let number = |name| columns.get(name).and_then(|value| value.integer());
        let host = columns.get("host").and_then(|value| value.text());
        let (Some(host), Some(to), Some(row)) = (
            host.and_then(|host| host.parse().ok()),
            number(to),
            rowid.or_else(|| number("id")),
        ) else {
            return;
        };
        let piece = Piece {
            host,
            from: number(from).unwrap_or(to),
            to,
            // The coarser tiers are made of the finest.
            holds_records: number("tier").is_none_or(|tier| tier == 0),
        };
        // What the row itself says is more than what its index does.
        self.0.entry(row).or_insert(piece);
    }

    /// Adds them up by host.
    pub(super) fn add_to(&self, history: &mut BTreeMap<HostId, LostHistory>) {
        for piece in self.0.values() {
            let (from, to) = (
                Timestamp::from_unix_ms(piece.from),
                Timestamp::from_unix_ms(piece.to),
            );
            let sum = history.entry(piece.host).or_insert(LostHistory {
                pieces: 0,
                records_min: 0,
                from,
                to,
            });
            sum.pieces += 1;
            sum.records_min += u64::from(piece.holds_records);
            sum.from = sum.from.min(from);
            sum.to = sum.to.max(to);
        }
    }
}

/// How many rows an undamaged index has that the new table has not; `None` without such an index.
pub(super) async fn missing(
    draft: &mut SqliteConnection,
    reader: &SharedReader,
    table: &mut Progress,
) -> Result<Option<u64>, SalvageError> {
    for index in table.shape.indexes(draft).await? {
        let Some(lookup) = Lookup::of(&table.shape, &index) else {
            continue;
        };
        let (entries, mut waiting) = mpsc::channel::<Vec<Vec<Value>>>(2);
        let (name, columns) = (index.name.clone(), index.columns.len());
        let shared = Arc::clone(reader);
        let reading = tokio::task::spawn_blocking(move || {
            let mut reader = shared.lock().unwrap_or_else(PoisonError::into_inner);
            let root = reader.root("index", &name)?;
            let mut batch = Vec::new();
            let mut sink = |row: super::walk::Row| {
                batch.push(row.values);
                if batch.len() < BATCH {
                    return ControlFlow::Continue(());
                }
                match entries.blocking_send(std::mem::take(&mut batch)) {
                    Ok(()) => ControlFlow::Continue(()),
                    Err(_) => ControlFlow::Break(()),
                }
            };
            let found = reader.walk(root, Keys::Columns(columns), &mut sink);
            entries.blocking_send(batch).ok();
            Some(found)
        });
        let mut lost = Vec::new();
        while let Some(batch) = waiting.recv().await {
            for entry in batch {
                if entry.len() != columns || lookup.is_there(draft, &entry).await? {
                    continue;
                }
                lost.push(entry);
            }
        }
        let walked = reading
            .await
            .map_err(|error| SalvageError::File(std::io::Error::other(error)))?;
        let is_whole =
            walked.is_some_and(|(losses, disputed)| losses.is_nothing() && disputed.is_empty());
        for entry in &lost {
            let rowid = lookup.rowid(entry);
            let names = index.columns.iter().map(Option::as_deref);
            table
                .pieces
                .take(&table.shape.name, names.zip(entry), rowid);
            table.losses.rowid_max = table.losses.rowid_max.max(rowid.unwrap_or_default());
        }
        if is_whole {
            return Ok(Some(lost.len() as u64));
        }
    }
    Ok(None)
}

/// How an entry of an index is looked for in the table.
struct Lookup {
    statement: String,
    /// Where the entry has the columns of the key.
    places: Vec<usize>,
    has_rowid: bool,
}

impl Lookup {
    /// `None` when the index does not lead to the table's key.
    fn of(shape: &Shape, index: &Index) -> Option<Self> {
        let last = index.columns.len().checked_sub(1)?;
        let (keys, places) = if shape.rowid.is_some() {
            (shape.primary.clone(), vec![last])
        } else {
            let place = |key: &String| {
                let mut columns = index.columns.iter();
                columns.position(|column| column.as_ref() == Some(key))
            };
            let places: Option<Vec<usize>> = shape.primary.iter().map(place).collect();
            (shape.primary.clone(), places?)
        };
        let conditions: Vec<String> = keys.iter().map(|key| format!("\"{key}\" = ?")).collect();
        let statement = format!(
            "SELECT 1 FROM \"{}\" WHERE {}",
            shape.target(),
            conditions.join(" AND ")
        );
        Some(Self {
            statement,
            places,
            has_rowid: shape.rowid.is_some(),
        })
    }

    fn rowid(&self, entry: &[Value]) -> Option<i64> {
        entry.last().filter(|_| self.has_rowid)?.integer()
    }

    async fn is_there(
        &self,
        draft: &mut SqliteConnection,
        entry: &[Value],
    ) -> Result<bool, sqlx::Error> {
        let key: Vec<Value> = self
            .places
            .iter()
            .filter_map(|place| entry.get(*place).cloned())
            .collect();
        let found = bound(self.statement.clone(), key)
            .fetch_optional(draft)
            .await?;
        Ok(found.is_some())
    }
}
