//! A log file that does not grow: when it is full it becomes the one before, and the one before that goes.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

/// A log file and the one before it, whose name ends in `.1`.
#[derive(Debug)]
pub struct LogFile {
    path: PathBuf,
    bytes_max: u64,
    /// `None` after the next file could not be opened: the next line tries again.
    file: Option<File>,
    bytes: u64,
}

impl LogFile {
    /// Goes on with the file in `path`, or makes it. It holds `bytes_max` bytes at most, and a longer line alone.
    ///
    /// # Errors
    /// What the file system says.
    pub fn open(path: &Path, bytes_max: u64) -> io::Result<Self> {
        let file = open(path)?;
        Ok(Self {
            path: path.to_owned(),
            bytes_max,
            bytes: file.metadata()?.len(),
            file: Some(file),
        })
    }

    fn turn(&mut self) -> io::Result<()> {
        // Windows renames no file that is open.
        self.file = None;
        let mut before = self.path.clone().into_os_string();
        before.push(".1");
        fs::rename(&self.path, before)?;
        self.bytes = 0;
        Ok(())
    }
}

impl Write for LogFile {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        let length = u64::try_from(line.len()).unwrap_or(u64::MAX);
        if self.bytes > 0 && self.bytes.saturating_add(length) > self.bytes_max {
            self.turn()?;
        }
        let file = match &mut self.file {
            Some(file) => file,
            closed => closed.insert(open(&self.path)?),
        };
        let written = file.write(line)?;
        self.bytes = self
            .bytes
            .saturating_add(u64::try_from(written).unwrap_or(0));
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.as_mut().map_or(Ok(()), File::flush)
    }
}

fn open(path: &Path) -> io::Result<File> {
    OpenOptions::new().create(true).append(true).open(path)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_full_log_becomes_the_one_before_and_no_line_is_cut() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("agent.log");
        let mut log = LogFile::open(&path, 20).unwrap();
        for line in ["first line\n", "second\n", "third line\n"] {
            log.write_all(line.as_bytes()).unwrap();
        }
        drop(log);
        let mut log = LogFile::open(&path, 20).unwrap();
        log.write_all(b"fourth\n").unwrap();
        let read = |name: &str| fs::read_to_string(folder.path().join(name)).unwrap();
        assert_eq!(read("agent.log.1"), "first line\nsecond\n");
        assert_eq!(read("agent.log"), "third line\nfourth\n");
        log.write_all(b"a line that is longer than the file\n")
            .unwrap();
        assert_eq!(read("agent.log.1"), "third line\nfourth\n");
        assert_eq!(read("agent.log"), "a line that is longer than the file\n");
    }
}
