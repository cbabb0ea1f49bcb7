//! The journal of actions on disk: one line a record, durable before anything follows from it.
//!
//! A torn last line was never durable, so nothing followed from it. Damage elsewhere, and fewer records than there were,
//! mean that something may have been forgotten: orders made before that moment are refused, and nothing is begun anew.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use tidemark_agent_core::actions::ledger::Undoing;
use tidemark_agent_core::actions::{Entry, JournalRecord, Ledger};
use tidemark_disk::{Access, Disk, DiskFile, Opening, SystemDisk, replace_file};
use tidemark_model::{ActionId, ActionReport, ActionState, Timestamp};

use super::line;

/// From this size on the journal is written anew when something in it may go.
const COMPACT_BYTES: u64 = 1024 * 1024;
/// Largest journal that is read: the ledger's limit of actions, with their largest orders and reports, stays below.
const READ_BYTES_MAX: u64 = 1024 * 1024 * 1024;
/// More than a mark holds.
const MARK_BYTES_MAX: u64 = 64;

/// The open journal.
#[derive(Debug)]
pub(super) struct Journal {
    disk: Arc<dyn Disk>,
    path: PathBuf,
    /// `None` when writing it anew failed: it is opened again for the next record.
    file: Option<Box<dyn DiskFile>>,
    /// Of whole records; what stands behind them counts for nothing.
    bytes: u64,
    /// Whether something may stand behind them.
    has_tail: bool,
    /// Records that were ever written.
    written: u64,
}

/// Why a record was not added.
#[derive(Debug, thiserror::Error)]
pub(super) enum AppendError {
    /// The journal is as it was.
    #[error("the journal of actions cannot be written")]
    Refused(#[source] io::Error),
    /// The journal may hold it after a crash, and may not.
    #[error("the journal of actions cannot be written, nor put back to what it was")]
    Doubtful(#[source] io::Error),
}

/// What opening the journal came upon.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Found {
    /// A whole journal.
    Whole,
    /// None, nor a note of one: this is the first start.
    Missing,
    /// None, though there was one: somebody removed it.
    Removed,
    /// A damaged one, which was set aside there.
    Damaged(PathBuf),
    /// One from before the last records, as out of a backup.
    Older,
}

/// What is told in place of what a damaged or older journal has lost.
const LOST: &str = "the host's journal lost what became of it; it may have been done or not, and it is not repeated: look at \
                    the host";

/// The journal of an agent whose folder this is.
pub(super) fn path_in(folder: &Path) -> PathBuf {
    folder.join("actions.journal")
}

impl Journal {
    /// Opens the journal at `path` and rebuilds the ledger. Without a whole journal the ledger's floor is `now`, and what had
    /// not begun by it is taken for lost.
    ///
    /// # Errors
    /// What the file system says; then nothing may be done, since nothing could be remembered.
    pub(super) fn open(path: &Path, now: Timestamp) -> io::Result<(Self, Ledger, Found)> {
        Self::open_on(Arc::new(SystemDisk), path, now)
    }

    fn open_on(
        disk: Arc<dyn Disk>,
        path: &Path,
        now: Timestamp,
    ) -> io::Result<(Self, Ledger, Found)> {
        let mut ledger = Ledger::default();
        let mark = Mark::read(&*disk, path)?;
        let (found, written) = match read(&*disk, path)? {
            None if mark == Mark::None => (Found::Missing, 0),
            None => (Found::Removed, 0),
            Some(text) => match replay(&text, &mut ledger) {
                (true, written) if mark.allows(written) => (Found::Whole, written),
                (true, written) => (Found::Older, written),
                (false, written) => {
                    // What can still be read is kept: it may only widen what is refused.
                    let aside = path.with_extension(format!("damaged-{}", now.unix_ms()));
                    disk.rename(path, &aside)?;
                    (Found::Damaged(aside), written)
                }
            },
        };
        if found != Found::Whole {
            let floor = JournalRecord::Floor {
                at_ms: now,
                written: 0,
            };
            ledger.apply(floor);
            give_up_lost(&mut ledger, &found, now);
        }
        ledger.prune(now);
        let journal = Self::write_anew(disk, path, &ledger, mark.at_least(written))?;
        journal.leave_mark();
        Ok((journal, ledger, found))
    }

    /// What a journal says at the moment, for whoever only looks; nothing when there is none.
    ///
    /// # Errors
    /// What the file system says.
    pub(super) fn look(path: &Path) -> io::Result<Ledger> {
        let mut ledger = Ledger::default();
        if let Some(text) = read(&SystemDisk, path)? {
            replay(&text, &mut ledger);
        }
        Ok(ledger)
    }

    /// Adds a record; it is durable when this returns.
    ///
    /// # Errors
    /// [`AppendError`]; the record does not count then, even if a part of it was written.
    pub(super) fn append(&mut self, record: &JournalRecord) -> Result<(), AppendError> {
        let line = line::of(record).map_err(AppendError::Refused)?;
        let (file, end) = self.ready().map_err(AppendError::Refused)?;
        let appended = file
            .write_at(end, line.as_bytes())
            .and_then(|()| file.sync());
        match appended {
            Ok(()) => {
                self.bytes = self.bytes.saturating_add(line.len() as u64);
                self.written = self.written.saturating_add(1);
                self.leave_mark();
                Ok(())
            }
            Err(error) => {
                self.has_tail = true;
                match self.ready() {
                    Ok(_) => Err(AppendError::Refused(error)),
                    Err(_) => Err(AppendError::Doubtful(error)),
                }
            }
        }
    }

    /// The open file and where its records end, with nothing behind them: a part of a line in the middle would read as damage,
    /// and a whole one as a record.
    fn ready(&mut self) -> io::Result<(&mut dyn DiskFile, u64)> {
        let file = match self.file.take() {
            Some(file) => file,
            None => self.open_again()?,
        };
        let file = self.file.insert(file);
        if self.has_tail {
            file.set_len(self.bytes)?;
            file.sync()?;
            self.has_tail = false;
        }
        Ok((&mut **file, self.bytes))
    }

    /// Opens what writing the journal anew left: the new one or the old one, and they say the same. Which of them is durable before
    /// anything is added.
    fn open_again(&mut self) -> io::Result<Box<dyn DiskFile>> {
        sync_beside(&*self.disk, &self.path)?;
        self.bytes = self.disk.read(&self.path, READ_BYTES_MAX)?.len() as u64;
        self.disk.open(&self.path, Opening::Write)
    }

    /// Writes the journal anew when it has grown large and the ledger forgot something.
    ///
    /// # Errors
    /// What the file system says; nothing is lost.
    pub(super) fn compact(&mut self, ledger: &Ledger) -> io::Result<()> {
        if self.bytes < COMPACT_BYTES {
            return Ok(());
        }
        self.shorten(ledger)
    }

    fn shorten(&mut self, ledger: &Ledger) -> io::Result<()> {
        self.ready()?;
        // From here on the open file may be one that has no name any more.
        self.file = None;
        *self = Self::write_anew(Arc::clone(&self.disk), &self.path, ledger, self.written)?;
        Ok(())
    }

    /// `written` records were ever written, of which the ledger's are the last.
    fn write_anew(
        disk: Arc<dyn Disk>,
        path: &Path,
        ledger: &Ledger,
        written: u64,
    ) -> io::Result<Self> {
        let mut content = String::new();
        let remembered = (ledger.records().count() as u64).saturating_sub(1);
        for mut record in ledger.records() {
            if let JournalRecord::Floor {
                written: before, ..
            } = &mut record
            {
                *before = written.saturating_sub(remembered);
            }
            content.push_str(&line::of(&record)?);
        }
        replace_file(&*disk, path, content.as_bytes(), Access::Owner)?;
        Ok(Self {
            path: path.to_owned(),
            file: Some(disk.open(path, Opening::Write)?),
            bytes: content.len() as u64,
            has_tail: false,
            written: written.max(remembered),
            disk,
        })
    }

    /// Notes beside the journal how far it is, so that one out of a backup is known as such. Behind the journal it only
    /// knows fewer of them.
    fn leave_mark(&self) {
        let path = mark_beside(&self.path);
        let text = format!("{}\n", self.written);
        if let Err(error) = replace_file(&*self.disk, &path, text.as_bytes(), Access::Owner) {
            tracing::warn!(%error, path = %path.display(), "how far the journal is cannot be noted");
        }
    }
}

/// How far the journal was, by the note beside it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Mark {
    /// Nobody noted it.
    None,
    /// So many records.
    At(u64),
    /// The note is no number.
    Unreadable,
}

impl Mark {
    fn read(disk: &dyn Disk, journal: &Path) -> io::Result<Self> {
        let text = match disk.read(&mark_beside(journal), MARK_BYTES_MAX) {
            Ok(bytes) => String::from_utf8_lossy(&bytes).into_owned(),
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Self::None),
            Err(error) => return Err(error),
        };
        Ok(text.trim().parse().map_or(Self::Unreadable, Self::At))
    }

    /// Whether a journal of so many records can be the last one.
    const fn allows(self, written: u64) -> bool {
        match self {
            Self::None => true,
            Self::At(noted) => noted <= written,
            Self::Unreadable => false,
        }
    }

    /// So many records, or those that were noted.
    fn at_least(self, written: u64) -> u64 {
        match self {
            Self::At(noted) => noted.max(written),
            Self::None | Self::Unreadable => written,
        }
    }
}

fn mark_beside(journal: &Path) -> PathBuf {
    journal.with_extension("mark")
}

/// Ends what the lost records may have been about: what looks as if it had not begun may have been done. What had begun is
/// taken up as after any crash, unless it may have ended since.
fn give_up_lost(ledger: &mut Ledger, found: &Found, now: Timestamp) {
    let is_lost = |entry: &&Entry| {
        let was_running = entry
            .report
            .as_ref()
            .is_some_and(|report| report.state == ActionState::Running);
        let has_begun = was_running || entry.undoing == Undoing::Begun;
        !has_begun || *found == Found::Older
    };
    let lost: Vec<ActionId> = ledger
        .unfinished()
        .into_iter()
        .filter(is_lost)
        .map(|entry| entry.order.id)
        .collect();
    for id in lost {
        let report = ActionReport::new(id, ActionState::Failed, now, LOST);
        ledger.apply(JournalRecord::Reported { report });
    }
}

fn sync_beside(disk: &dyn Disk, path: &Path) -> io::Result<()> {
    path.parent()
        .map_or(Ok(()), |folder| disk.sync_folder(folder))
}

fn read(disk: &dyn Disk, path: &Path) -> io::Result<Option<Vec<u8>>> {
    let text = match disk.read(path, READ_BYTES_MAX + 1) {
        Ok(text) => text,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error),
    };
    if text.len() as u64 > READ_BYTES_MAX {
        let text = format!("{} is larger than any journal", path.display());
        return Err(io::Error::new(io::ErrorKind::InvalidData, text));
    }
    Ok(Some(text))
}

/// Applies every line; whether all were whole, but for a torn last one, and how many records were ever written. A journal is
/// never without a whole first line, its floor, which it is made with: one that is has lost everything.
fn replay(text: &[u8], ledger: &mut Ledger) -> (bool, u64) {
    let mut is_whole = text.contains(&b'\n');
    let mut written: u64 = 0;
    for line in text.split_inclusive(|byte| *byte == b'\n') {
        let Some(line) = line.strip_suffix(b"\n") else {
            break;
        };
        let Some(record) = line::read(line) else {
            is_whole = false;
            continue;
        };
        let counts = match &record {
            JournalRecord::Floor { written, .. } => *written,
            JournalRecord::Began { .. }
            | JournalRecord::Reported { .. }
            | JournalRecord::Undoing { .. }
            | JournalRecord::Acked { .. }
            | JournalRecord::Forgotten { .. } => 1,
        };
        written = written.saturating_add(counts);
        ledger.apply(record);
    }
    (is_whole, written)
}

#[cfg(test)]
mod tests;
