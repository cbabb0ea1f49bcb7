//! Tables, row by row: a thread reads the damaged file, and what it finds goes into the new one in bounded batches.

use std::ops::ControlFlow;
use std::sync::{Arc, Mutex, PoisonError};

use sqlx::{Connection as _, SqliteConnection};
use tokio::sync::mpsc;

use super::audit;
use super::known::{self, LostPieces};
use super::reader::{Object, Reader};
use super::record::Value;
use super::settle;
use super::shape::{Shape, bound};
use super::walk::{Claim, Losses, LostRange, Row};
use super::{HistoryPiece, Judge, SalvageError, Salvaged, SalvagedTable};
use crate::Tier;

/// Rows of a batch.
const BATCH_ROWS: usize = 256;
/// Bytes of a batch, about.
const BATCH_BYTES: usize = 1 << 20;
/// Batches that wait.
const BATCHES: usize = 2;
/// Ranges of lost keys that are named for a table.
const RANGES_MAX: usize = 8;

/// The damaged file, which one thread reads at a time.
pub(super) type SharedReader = Arc<Mutex<Reader>>;

/// What is done so far of a table.
pub(super) struct Progress {
    pub shape: Shape,
    pub root: u32,
    pub losses: Losses,
    disputed: Vec<Claim>,
    kept: u64,
    refused: u64,
    pub pieces: LostPieces,
}

enum Step {
    Row(Vec<Value>),
    /// It can be read, and is none of its table.
    Foreign,
    /// It can be read, and its history cannot be decoded.
    Undecodable(Vec<Value>),
}

/// Copies every table, and settles what hangs together.
pub(super) async fn tables(
    draft: &mut SqliteConnection,
    reader: &SharedReader,
    (objects, judge): (&[Object], Judge),
    found: &mut Salvaged,
) -> Result<(), SalvageError> {
    audit::make_rest(draft).await?;
    let mut all = Vec::new();
    for shape in Shape::all(draft).await? {
        let mut objects = objects.iter();
        let root = objects
            .find(|object| object.kind == "table" && object.name == shape.name)
            .map_or(0, |object| object.root);
        let mut progress = Progress {
            shape,
            root,
            losses: Losses::default(),
            disputed: Vec::new(),
            kept: 0,
            refused: 0,
            pieces: LostPieces::default(),
        };
        progress.copy(draft, reader, (Vec::new(), judge)).await?;
        all.push(progress);
    }
    // What the pointer map contradicts is believed when nothing else has a claim to it.
    for progress in &mut all {
        let disputed = std::mem::take(&mut progress.disputed);
        if !disputed.is_empty() {
            progress.copy(draft, reader, (disputed, judge)).await?;
        }
    }
    let sequences = settle::sequences(reader).await?;
    for mut progress in all {
        let missing = progress.missing(draft, reader).await?;
        settle::keep_numbers(draft, &progress, &sequences).await?;
        found.pages_damaged += progress.losses.pages;
        progress.pieces.add_to(&mut found.history);
        found.tables.push(progress.report(missing));
    }
    audit::settle(draft, found).await?;
    settle::orphans(draft, found).await?;
    Ok(())
}

impl Progress {
    /// Copies what the thread reads: the whole table, or what is below `disputed` pages.
    async fn copy(
        &mut self,
        draft: &mut SqliteConnection,
        reader: &SharedReader,
        (disputed, judge): (Vec<Claim>, Judge),
    ) -> Result<(), SalvageError> {
        let (batches, mut waiting) = mpsc::channel(BATCHES);
        let (shape, root, reader) = (self.shape.clone(), self.root, Arc::clone(reader));
        let reading = tokio::task::spawn_blocking(move || {
            let mut reader = reader.lock().unwrap_or_else(PoisonError::into_inner);
            read(&mut reader, (&shape, root, disputed), judge, &batches)
        });
        while let Some(batch) = waiting.recv().await {
            self.write(draft, batch).await?;
        }
        let (losses, disputed) = reading
            .await
            .map_err(|error| SalvageError::File(std::io::Error::other(error)))?;
        self.losses.add(losses);
        self.disputed.extend(disputed);
        Ok(())
    }

    async fn write(
        &mut self,
        draft: &mut SqliteConnection,
        batch: Vec<Step>,
    ) -> Result<(), SalvageError> {
        let mut tx = draft.begin().await?;
        for step in batch {
            let values = match step {
                Step::Row(values) => values,
                Step::Foreign => {
                    self.refused += 1;
                    continue;
                }
                Step::Undecodable(values) => {
                    self.refused += 1;
                    self.pieces.note(&self.shape, &values);
                    continue;
                }
            };
            let statement = self.shape.insert(values.len());
            match bound(statement, values.clone()).execute(&mut *tx).await {
                Ok(_) => self.kept += 1,
                Err(error) if is_refusal(&error) => {
                    self.refused += 1;
                    self.pieces.note(&self.shape, &values);
                }
                Err(error) => return Err(error.into()),
            }
        }
        Ok(tx.commit().await?)
    }

    /// How many rows are missing by an index that has all of them; `None` when nothing tells.
    async fn missing(
        &mut self,
        draft: &mut SqliteConnection,
        reader: &SharedReader,
    ) -> Result<Option<u64>, SalvageError> {
        if self.losses.is_nothing() && self.refused == 0 {
            return Ok(Some(0));
        }
        if self.losses.ranges.is_empty() && self.losses.rows == 0 {
            return Ok(Some(self.refused));
        }
        known::missing(draft, reader, self).await
    }

    fn report(self, missing: Option<u64>) -> SalvagedTable {
        let in_ranges: u64 = self.losses.ranges.iter().map(|range| range.rows_min).sum();
        let least = self.losses.rows + in_ranges + self.refused;
        SalvagedTable {
            name: self.shape.name,
            kept: self.kept,
            lost: missing.unwrap_or(least),
            is_exact: missing.is_some() || self.losses.ranges.is_empty(),
            orphans: 0,
            refused: self.refused,
            ranges: words(&self.losses.ranges),
        }
    }
}

/// Whether the new table refuses the row: it contradicts a key, a check or a type.
fn is_refusal(error: &sqlx::Error) -> bool {
    let code = error.as_database_error().and_then(|error| error.code());
    let code: i32 = code.and_then(|code| code.parse().ok()).unwrap_or_default();
    // TOOBIG, CONSTRAINT, MISMATCH: https://www.sqlite.org/rescode.html.
    matches!(code & 0xff, 18..=20)
}

fn read(
    reader: &mut Reader,
    (shape, root, disputed): (&Shape, u32, Vec<Claim>),
    judge: Judge,
    batches: &mpsc::Sender<Vec<Step>>,
) -> (Losses, Vec<Claim>) {
    let (mut batch, mut bytes) = (Vec::new(), 0);
    let mut sink = |row: Row| {
        bytes += row.values.iter().map(size).sum::<usize>();
        batch.push(judged(shape, row, judge));
        if batch.len() < BATCH_ROWS && bytes < BATCH_BYTES {
            return ControlFlow::Continue(());
        }
        bytes = 0;
        match batches.blocking_send(std::mem::take(&mut batch)) {
            Ok(()) => ControlFlow::Continue(()),
            Err(_) => ControlFlow::Break(()),
        }
    };
    let found = if disputed.is_empty() {
        reader.walk(root, shape.keys, &mut sink)
    } else {
        (
            reader.walk_disputed(disputed, shape.keys, &mut sink),
            Vec::new(),
        )
    };
    // Nobody takes it when the new file failed, which is told there.
    batches.blocking_send(batch).ok();
    found
}

fn judged(shape: &Shape, row: Row, judge: Judge) -> Step {
    let Some(values) = shape.values(row) else {
        return Step::Foreign;
    };
    let column = |name: &str| {
        let place = shape.stored.iter().position(|column| column == name)?;
        values.get(place)
    };
    let is_history = matches!(shape.name.as_str(), "recent" | "segments");
    let (Some(Value::Blob(body)), true) = (column("body"), is_history) else {
        return Step::Row(values);
    };
    let number = |name: &str| column(name).and_then(Value::integer);
    let tier = number("tier").and_then(Tier::from_number);
    let points = number("points").and_then(|points| u64::try_from(points).ok());
    let is_sound = points.is_some_and(|points| judge(HistoryPiece { tier, points, body }));
    if is_sound {
        Step::Row(values)
    } else {
        Step::Undecodable(values)
    }
}

fn size(value: &Value) -> usize {
    match value {
        Value::Null | Value::Integer(_) | Value::Real(_) => 8,
        Value::Text(text) => text.len(),
        Value::Blob(bytes) => bytes.len(),
    }
}

/// Ranges in words, those that follow one another as one.
fn words(ranges: &[LostRange]) -> Vec<String> {
    let key = |key: &[Value]| {
        let parts: Vec<String> = key.iter().map(Value::words).collect();
        parts.join(", ")
    };
    let mut joined: Vec<(Option<String>, Option<String>)> = Vec::new();
    for range in ranges {
        let (after, through) = (
            range.after.as_deref().map(key),
            range.through.as_deref().map(key),
        );
        match joined.last_mut() {
            Some((_, end)) if end.is_some() && *end == after => *end = through,
            _ => joined.push((after, through)),
        }
    }
    let more = joined.len().saturating_sub(RANGES_MAX);
    let mut words: Vec<String> = joined
        .into_iter()
        .take(RANGES_MAX)
        .map(|range| match range {
            (None, None) => "anywhere".to_owned(),
            (Some(after), None) => format!("after {after}"),
            (None, Some(through)) => format!("up to {through}"),
            (Some(after), Some(through)) => format!("after {after} up to {through}"),
        })
        .collect();
    if more > 0 {
        words.push(format!("and {more} more"));
    }
    words
}
