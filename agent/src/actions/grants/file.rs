//! The book of grants on disk: replaced whole and durably, with a checksum, and a note beside it of how far it is, so that one
//! out of a backup is known as such.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use tidemark_agent_core::actions::grants::Book;
use tidemark_model::Timestamp;
use tidemark_runtime::durable::{self, Access};

use super::super::line;

/// Largest book that is read: the most grants, uses and ends stay below.
const READ_BYTES_MAX: u64 = 1024 * 1024;

/// Where the book is.
#[derive(Clone, Debug)]
pub(super) struct BookFile {
    path: PathBuf,
}

impl BookFile {
    /// The book of an agent whose folder this is.
    pub(super) fn in_folder(folder: &Path) -> Self {
        Self {
            path: folder.join("grants.book"),
        }
    }

    fn mark(&self) -> PathBuf {
        self.path.with_extension("mark")
    }

    /// Reads it. What is damaged, lost or older than the note beside it says grants nothing for a day of running, and nothing
    /// that was made before `now` ever again.
    pub(super) fn read(&self, now: Timestamp) -> Book {
        let noted = match fs::read_to_string(self.mark()) {
            Ok(text) => text.trim().parse::<u64>().ok(),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Some(0),
            Err(_) => None,
        };
        let text = match self.text() {
            Ok(None) if noted == Some(0) => return Book::default(),
            Ok(text) => text,
            Err(error) => {
                tracing::error!(path = %self.path.display(), %error, "the book of grants cannot be read");
                None
            }
        };
        let Some(book) = text.as_deref().and_then(parse) else {
            tracing::error!(
                path = %self.path.display(),
                "the book of grants is lost; nothing is granted until the agent has run for a day"
            );
            return Book::barred(now);
        };
        match noted {
            Some(noted) if noted <= book.sequence => book,
            Some(_) | None => {
                tracing::error!(
                    path = %self.path.display(),
                    "the book of grants is an old one; nothing is granted until the agent has run for a day"
                );
                book.bar(now)
            }
        }
    }

    fn text(&self) -> io::Result<Option<String>> {
        match fs::metadata(&self.path) {
            Ok(found) if found.len() > READ_BYTES_MAX => Err(io::Error::new(
                io::ErrorKind::InvalidData,
                "it is larger than any book of grants",
            )),
            Ok(_) => fs::read_to_string(&self.path).map(Some),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Replaces it; it is durable when this returns.
    ///
    /// # Errors
    /// What the file system says; the former one may stay.
    pub(super) fn write(&self, book: &Book) -> io::Result<()> {
        durable::replace_file(&self.path, line::of(book)?.as_bytes(), Access::Owner)?;
        let mark = format!("{}\n", book.sequence);
        durable::replace_file(&self.mark(), mark.as_bytes(), Access::Owner)
    }
}

fn parse(text: &str) -> Option<Book> {
    let line = text.strip_suffix('\n')?;
    line::read::<Book>(line.as_bytes()).map(Book::reread)
}
