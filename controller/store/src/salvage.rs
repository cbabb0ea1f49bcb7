//! What can be read of a damaged SQLite file, copied row by row into a new one.
//!
//! The file's pages are read here and not by SQLite, which stops at the first damaged page of a table; the new file is SQLite's
//! own work, and takes no row that contradicts its table. Nothing is ever written to the damaged one.

use std::collections::BTreeMap;
use std::io;
use std::path::Path;
use std::sync::{Arc, Mutex};

use sqlx::SqliteConnection;
use tidemark_model::{HostId, Timestamp};

use crate::{OpenError, StoreError, Tier};

mod audit;
mod cells;
mod copy;
mod draft;
mod known;
mod pages;
mod reader;
mod record;
mod settle;
mod shape;
mod wal;
mod walk;

use reader::Reader;

/// Why nothing is salvaged of a file.
#[derive(Debug, thiserror::Error)]
pub enum SalvageError {
    /// There is nothing to begin with.
    #[error("{found}: nothing can be salvaged from it; restore a backup")]
    Beyond {
        /// What is damaged.
        found: String,
    },
    /// A newer release has changed the tables.
    #[error("it was changed by a newer release (migration {version}): use that one's program")]
    Newer {
        /// The migration that this release does not know.
        version: i64,
    },
    /// The file cannot be read.
    #[error("it cannot be read")]
    File(#[source] io::Error),
    /// The new file cannot be made.
    #[error("the new database cannot be made")]
    Draft(#[source] OpenError),
    /// The new file cannot be written.
    #[error("the new database cannot be written")]
    Store(#[from] StoreError),
}

impl From<sqlx::Error> for SalvageError {
    fn from(error: sqlx::Error) -> Self {
        Self::Store(error.into())
    }
}

/// One piece of history, to be judged by who knows what its bytes mean.
#[derive(Clone, Copy, Debug)]
pub struct HistoryPiece<'a> {
    /// Of which tier; `None` for a recent one.
    pub tier: Option<Tier>,
    /// How many points it should have.
    pub points: u64,
    /// Its bytes.
    pub body: &'a [u8],
}

/// Whether a piece of history can be decoded.
pub type Judge = fn(HistoryPiece<'_>) -> bool;

/// What became of a table's rows.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SalvagedTable {
    /// Its name.
    pub name: String,
    /// Rows that are in the new file.
    pub kept: u64,
    /// Rows that are not, as far as is known.
    pub lost: u64,
    /// Whether these are all; otherwise there may be more.
    pub is_exact: bool,
    /// Those of the lost that could be read, and belonged to a row that is lost.
    pub orphans: u64,
    /// Those of the lost that could be read, and contradicted their table or could not be decoded.
    pub refused: u64,
    /// Between which keys rows are lost, in words.
    pub ranges: Vec<String>,
}

/// History of a host that is lost.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LostHistory {
    /// Pieces of it, of every tier, and events.
    pub pieces: u64,
    /// Those of them that held records as the host delivered them: each held one at least.
    pub records_min: u64,
    /// When the earliest of it is of, as far as is known.
    pub from: Timestamp,
    /// When the latest of it is of.
    pub to: Timestamp,
}

/// What became of the audit log.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SalvagedLog {
    /// Entries that follow one another from the first; the log ends with them.
    pub kept: u64,
    /// Entries that could be read behind the first that is lost.
    pub cut: u64,
    /// The newest entry that is known to have been.
    pub newest: u64,
    /// Why it ends where it does; `None` when nothing is known to be lost.
    pub why: Option<String>,
    /// Signed checkpoints of more entries than are kept.
    pub checkpoints: Vec<String>,
}

/// What was salvaged.
#[derive(Clone, Debug, Default)]
pub struct Salvaged {
    /// Every table.
    pub tables: Vec<SalvagedTable>,
    /// History that is lost, by host; what is of hosts that are not known is in the tables alone.
    pub history: BTreeMap<HostId, LostHistory>,
    /// The audit log.
    pub log: SalvagedLog,
    /// Pages of tables that are damaged.
    pub pages_damaged: u64,
    /// Pages that are not there, since the file is cut off.
    pub pages_cut_off: u64,
    /// Whether commits of the write-ahead log cannot be read.
    pub log_is_damaged: bool,
}

impl Salvaged {
    /// Whether everything that the file held is in the new one, as far as can be known.
    #[must_use]
    pub fn is_whole(&self) -> bool {
        self.pages_damaged == 0
            && self.pages_cut_off == 0
            && !self.log_is_damaged
            && self.log.why.is_none()
            && self
                .tables
                .iter()
                .all(|table| table.lost == 0 && table.is_exact)
    }
}

/// A new file that holds what could be salvaged, and is not whole before [`Salvage::finish`].
pub struct Salvage {
    draft: SqliteConnection,
    path: std::path::PathBuf,
    /// What was salvaged.
    pub found: Salvaged,
}

impl Salvage {
    /// Reads the damaged file `from`, with the write-ahead log beside it, into a new file at `draft`, where nothing is yet.
    ///
    /// # Errors
    /// [`SalvageError`]; what there is of the new file then is of no use.
    pub async fn read(from: &Path, draft: &Path, judge: Judge) -> Result<Self, SalvageError> {
        let source = from.to_owned();
        let reader = tokio::task::spawn_blocking(move || Reader::open(&source))
            .await
            .map_err(|error| SalvageError::File(io::Error::other(error)))??;
        let mut found = Salvaged {
            pages_cut_off: u64::from(reader.pages.cut_off()),
            log_is_damaged: reader.pages.log_is_damaged(),
            ..Salvaged::default()
        };
        let objects = reader.objects.clone();
        let mut connection = draft::make(draft, &reader).await?;
        let reader = Arc::new(Mutex::new(reader));
        copy::tables(&mut connection, &reader, (&objects, judge), &mut found).await?;
        Ok(Self {
            draft: connection,
            path: draft.to_owned(),
            found,
        })
    }

    /// Makes the new file whole and durable.
    ///
    /// # Errors
    /// When it cannot be written.
    pub async fn finish(self) -> Result<Salvaged, SalvageError> {
        use sqlx::Connection as _;
        self.draft.close().await?;
        let file = tokio::fs::File::open(&self.path)
            .await
            .map_err(SalvageError::File)?;
        file.sync_all().await.map_err(SalvageError::File)?;
        Ok(self.found)
    }
}

/// Why a file cannot be read at all.
#[derive(Debug)]
enum Beyond {
    File(io::Error),
    Foreign(&'static str),
    Beginning(String),
    Schema,
    NoRelease,
}

impl From<io::Error> for Beyond {
    fn from(error: io::Error) -> Self {
        Self::File(error)
    }
}

impl From<Beyond> for SalvageError {
    fn from(beyond: Beyond) -> Self {
        let found = match beyond {
            Beyond::File(error) => return Self::File(error),
            Beyond::Foreign(found) => found.to_owned(),
            Beyond::Beginning(found) => format!("the beginning of the file is damaged ({found})"),
            Beyond::Schema => "the pages that say where its tables are are damaged".to_owned(),
            Beyond::NoRelease => "its tables are of no release that this one knows".to_owned(),
        };
        Self::Beyond { found }
    }
}

/// Pages that belong to something already: none belongs to two.
struct Seen(Vec<u64>);

impl Seen {
    fn of(pages: u32) -> Self {
        Self(vec![0; pages as usize / 64 + 1])
    }

    /// Takes a page; `false` when it is taken, or beyond the file.
    fn take(&mut self, page: u32) -> bool {
        let Some(bits) = self.0.get_mut(page as usize / 64) else {
            return false;
        };
        let bit = 1 << (page % 64);
        let is_new = *bits & bit == 0;
        *bits |= bit;
        is_new
    }

    fn has(&self, page: u32) -> bool {
        let bits = self.0.get(page as usize / 64);
        bits.is_none_or(|bits| bits & (1 << (page % 64)) != 0)
    }
}

/// A big-endian number of four bytes.
fn number(bytes: &[u8], at: usize) -> Option<u32> {
    let (found, _) = bytes.get(at..)?.split_first_chunk::<4>()?;
    Some(u32::from_be_bytes(*found))
}

/// A big-endian number of two bytes.
fn number16(bytes: &[u8], at: usize) -> Option<u16> {
    let (found, _) = bytes.get(at..)?.split_first_chunk::<2>()?;
    Some(u16::from_be_bytes(*found))
}
