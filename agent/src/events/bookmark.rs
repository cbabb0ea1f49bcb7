//! The place in the log up to which the controller has every hit, across restarts.
//!
//! Kept in two generations; a lost one means that events are read twice, which the controller notices, never that any are
//! passed over.

use std::io;
use std::path::Path;
use std::sync::Arc;

use quick_xml::escape::escape;
use serde::{Deserialize, Serialize};
use tidemark_model::Timestamp;
use tidemark_model::sample::EventHit;

use super::selection::LogSelection;
use crate::state_file::StateFile;

/// Version of the state's form.
const VERSION: u32 = 1;

/// A record's place in its log.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LogPlace {
    /// Number of the record.
    pub record_id: u64,
    /// When it was written, by the host's clock.
    pub at: Timestamp,
    /// When its log was created, in unix milliseconds; 0 where that is unknown.
    pub log_epoch: i64,
}

impl LogPlace {
    /// Where a hit stands; `None` when it does not say its record.
    #[must_use]
    pub fn of(hit: &EventHit) -> Option<Self> {
        let log = hit.log.as_deref()?;
        Some(Self {
            record_id: log.record_id?,
            at: hit.at,
            log_epoch: log.log_epoch,
        })
    }
}

/// A place in a log that is named.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Bookmark {
    /// The log.
    pub channel: Arc<str>,
    /// The last record that need not be read again.
    pub place: LogPlace,
}

impl Bookmark {
    /// As the log service takes it (`EvtCreateBookmark`).
    #[must_use]
    pub fn to_xml(&self) -> String {
        format!(
            "<BookmarkList><Bookmark Channel='{}' RecordId='{}' IsCurrent='true'/></BookmarkList>",
            escape(&*self.channel),
            self.place.record_id
        )
    }
}

/// The bookmark on disk.
#[derive(Clone, Debug)]
pub struct BookmarkFile {
    file: StateFile,
    channel: Arc<str>,
}

/// What is on disk.
#[derive(Debug, Serialize, Deserialize)]
struct Stored {
    version: u32,
    channel: String,
    place: LogPlace,
}

/// What was found on disk.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Kept {
    /// Nothing was ever kept: the first start.
    Nothing,
    /// The newest whole generation.
    Bookmark(Bookmark),
    /// There was one, but every generation is damaged or of a newer agent.
    Lost,
}

impl BookmarkFile {
    /// The bookmark of a log in the agent's data folder.
    #[must_use]
    pub fn new(folder: &Path, log: &LogSelection) -> Self {
        Self {
            file: StateFile::new(folder, log.bookmark),
            channel: log.channel.into(),
        }
    }

    /// What is kept.
    #[must_use]
    pub fn read(&self) -> Kept {
        let found = self.file.read();
        let bookmark = found.whole.iter().find_map(|stored| {
            let stored: Stored = serde_json::from_slice(&stored.payload).ok()?;
            (stored.version == VERSION && *stored.channel == *self.channel).then(|| Bookmark {
                channel: Arc::clone(&self.channel),
                place: stored.place,
            })
        });
        match bookmark {
            Some(bookmark) => Kept::Bookmark(bookmark),
            None if found.is_absent() => Kept::Nothing,
            None => Kept::Lost,
        }
    }

    /// Keeps `place`.
    ///
    /// # Errors
    /// What the file system says; what was kept before stays.
    pub fn write(&self, place: &LogPlace) -> io::Result<()> {
        let stored = Stored {
            version: VERSION,
            channel: self.channel.as_ref().to_owned(),
            place: place.clone(),
        };
        self.file.write(&serde_json::to_vec(&stored)?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::events::selection::{APPLICATION, SYSTEM};

    fn place(record_id: u64) -> LogPlace {
        LogPlace {
            record_id,
            at: Timestamp::from_unix_ms(5),
            log_epoch: 7,
        }
    }

    #[test]
    fn the_newest_place_is_kept_and_its_loss_falls_back_to_the_one_before() {
        let folder = tempfile::tempdir().unwrap();
        let file = BookmarkFile::new(folder.path(), &SYSTEM);
        assert_eq!(file.read(), Kept::Nothing);
        for record_id in [1, 2, 3] {
            file.write(&place(record_id)).unwrap();
        }
        let bookmark = |record_id| {
            Kept::Bookmark(Bookmark {
                channel: "System".into(),
                place: place(record_id),
            })
        };
        assert_eq!(file.read(), bookmark(3));
        // The third write went to the second slot, as the first one did.
        std::fs::write(folder.path().join("events.b"), [0; 99]).unwrap();
        assert_eq!(file.read(), bookmark(2));
        std::fs::write(folder.path().join("events.a"), b"damage").unwrap();
        assert_eq!(file.read(), Kept::Lost);
        file.write(&place(9)).unwrap();
        assert_eq!(file.read(), bookmark(9));
    }

    #[test]
    fn a_bookmark_of_another_log_is_not_taken() {
        let folder = tempfile::tempdir().unwrap();
        let file = |log| BookmarkFile::new(folder.path(), log);
        file(&SYSTEM).write(&place(1)).unwrap();
        assert_eq!(file(&APPLICATION).read(), Kept::Nothing);
        let other = BookmarkFile {
            channel: APPLICATION.channel.into(),
            ..file(&SYSTEM)
        };
        assert_eq!(other.read(), Kept::Lost);
    }

    #[test]
    fn the_log_service_is_given_a_list_of_one() {
        let bookmark = Bookmark {
            channel: "A'b<c>&".into(),
            place: place(123),
        };
        assert_eq!(
            bookmark.to_xml(),
            "<BookmarkList><Bookmark Channel='A&apos;b&lt;c&gt;&amp;' RecordId='123' IsCurrent='true'/></BookmarkList>"
        );
    }
}
