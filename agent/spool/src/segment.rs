//! Segment files: a header that names epoch and first seq, then records. Named `<epoch>-<first seq>.seg`, both in hex.

use std::ffi::OsStr;
use std::io;
use std::path::{Path, PathBuf};

use tidemark_disk::{Disk, DiskFile, Opening};

use crate::error::SpoolError;

const MAGIC: [u8; 8] = *b"TMSEG\0\0\x01";
/// Bytes before the first record.
pub(crate) const HEADER_BYTES: usize = 32;
/// Most bytes that are read of a segment: more than any segment of any limits holds.
const READ_BYTES_MAX: u64 = 64 * 1024 * 1024;

/// Largest seq: it has to fit the controller's databases.
pub(crate) const SEQ_MAX: u64 = i64::MAX as u64;

/// What is known of a segment file.
#[derive(Clone, Debug)]
pub(crate) struct Segment {
    pub(crate) path: PathBuf,
    /// First seq that was planned for it.
    pub(crate) first: u64,
    /// Last seq that it holds.
    pub(crate) last: u64,
    pub(crate) bytes: u64,
    /// Age clock of its newest record.
    pub(crate) newest_age_ms: u64,
    /// Known to hold lasting records alone.
    pub(crate) is_thinned: bool,
}

/// Epoch and first seq from a segment's file name; `None` for other files.
pub(crate) fn parse_name(name: &OsStr) -> Option<(u64, u64)> {
    let (epoch, first) = name.to_str()?.strip_suffix(".seg")?.split_once('-')?;
    let hex = |text: &str| (text.len() == 16).then(|| u64::from_str_radix(text, 16).ok())?;
    let first = hex(first)?;
    (1..=SEQ_MAX)
        .contains(&first)
        .then_some((hex(epoch)?, first))
}

fn name(epoch: u64, first: u64) -> String {
    format!("{epoch:016x}-{first:016x}.seg")
}

/// Where the records of a segment begin: behind its header, or at its start when the header is damaged.
pub(crate) fn records_offset(bytes: &[u8], epoch: u64) -> usize {
    let intact = bytes
        .split_at_checked(HEADER_BYTES)
        .is_some_and(|(found, _)| {
            let first = found
                .get(16..24)
                .and_then(|first| first.try_into().ok())
                .map(u64::from_le_bytes);
            first.is_some_and(|first| header(epoch, first) == found)
        });
    if intact { HEADER_BYTES } else { 0 }
}

/// What a segment begins with.
pub(crate) fn header(epoch: u64, first: u64) -> Vec<u8> {
    let mut header = Vec::with_capacity(HEADER_BYTES);
    header.extend_from_slice(&MAGIC);
    header.extend_from_slice(&epoch.to_le_bytes());
    header.extend_from_slice(&first.to_le_bytes());
    let crc = crc32c::crc32c(&header);
    header.extend_from_slice(&crc.to_le_bytes());
    header.resize(HEADER_BYTES, 0);
    header
}

/// The bytes of a segment file. A medium that fails is asked twice: what it refuses then counts as lost.
pub(crate) fn load(disk: &dyn Disk, path: &Path) -> io::Result<Vec<u8>> {
    match disk.read(path, READ_BYTES_MAX) {
        Err(error) if is_failing_medium(&error) => disk.read(path, READ_BYTES_MAX),
        read => read,
    }
}

/// Whether an error means that the bytes are gone, rather than that they cannot be had now.
pub(crate) fn is_damage(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::NotFound | io::ErrorKind::UnexpectedEof
    ) || is_failing_medium(error)
}

fn is_failing_medium(error: &io::Error) -> bool {
    error
        .raw_os_error()
        .is_some_and(|code| MEDIUM_ERRORS.contains(&code))
}

/// What the system says when the medium has lost the bytes: EIO.
#[cfg(unix)]
const MEDIUM_ERRORS: [i32; 1] = [5];
/// What the system says when the medium has lost the bytes: ERROR_CRC, ERROR_SECTOR_NOT_FOUND, ERROR_READ_FAULT,
/// ERROR_DISK_CORRUPT, ERROR_IO_DEVICE (`winerror.h`).
#[cfg(not(unix))]
const MEDIUM_ERRORS: [i32; 5] = [23, 27, 30, 1393, 1117];

/// Makes what was created, renamed or removed in a folder durable.
pub(crate) fn sync_dir(disk: &dyn Disk, dir: &Path) -> Result<(), SpoolError> {
    disk.sync_folder(dir)
        .map_err(SpoolError::io("syncing", dir))
}

/// The segment that takes appends.
#[derive(Debug)]
pub(crate) struct SegmentWriter {
    file: Box<dyn DiskFile>,
    path: PathBuf,
    bytes: u64,
    synced_bytes: u64,
    /// A write failed and could not be undone.
    broken: bool,
}

impl SegmentWriter {
    /// Creates a segment whose first record is to be `first`.
    pub(crate) fn create(
        disk: &dyn Disk,
        dir: &Path,
        epoch: u64,
        first: u64,
    ) -> Result<Self, SpoolError> {
        let path = dir.join(name(epoch, first));
        let mut writer = disk
            .open(&path, Opening::WriteOrMake)
            .map(|file| Self {
                file,
                path: path.clone(),
                bytes: 0,
                synced_bytes: 0,
                broken: false,
            })
            .map_err(SpoolError::io("creating", &path))?;
        // A file of that name held no record, or its seq would not be given out again.
        let created = writer.truncate(0).and_then(|()| {
            writer.append(&header(epoch, first))?;
            writer.sync()?;
            sync_dir(disk, dir)
        });
        if let Err(error) = created {
            let _removed_or_scanned_as_empty = disk.remove_file(&writer.path);
            return Err(error);
        }
        Ok(writer)
    }

    /// Goes on in a segment whose records end at `bytes`; what lies behind is cut off.
    pub(crate) fn reopen(disk: &dyn Disk, path: &Path, bytes: u64) -> Result<Self, SpoolError> {
        let file = disk
            .open(path, Opening::Write)
            .map_err(SpoolError::io("opening", path))?;
        let mut writer = Self {
            file,
            path: path.to_owned(),
            bytes,
            synced_bytes: bytes,
            broken: false,
        };
        writer.truncate(bytes)?;
        writer.sync()?;
        Ok(writer)
    }

    /// Adds bytes at the end, all or none.
    ///
    /// # Errors
    /// When the disk is full or failing; the segment is as it was, or [`SegmentWriter::is_broken`].
    pub(crate) fn append(&mut self, bytes: &[u8]) -> Result<(), SpoolError> {
        if let Err(source) = self.file.write_at(self.bytes, bytes) {
            self.broken = self.truncate(self.bytes).is_err();
            return Err(SpoolError::io("writing", &self.path)(source));
        }
        self.bytes += bytes.len() as u64;
        Ok(())
    }

    /// Makes everything durable.
    pub(crate) fn sync(&mut self) -> Result<(), SpoolError> {
        if !self.is_synced() {
            self.file
                .sync()
                .map_err(SpoolError::io("syncing", &self.path))?;
            self.synced_bytes = self.bytes;
        }
        Ok(())
    }

    /// Cuts off what is not durable.
    pub(crate) fn cut_unsynced(&mut self) -> Result<(), SpoolError> {
        self.truncate(self.synced_bytes)
    }

    /// Cuts the file; appends go on at its end.
    fn truncate(&mut self, bytes: u64) -> Result<(), SpoolError> {
        self.file
            .set_len(bytes)
            .map_err(SpoolError::io("truncating", &self.path))?;
        self.bytes = bytes;
        self.synced_bytes = self.synced_bytes.min(bytes);
        Ok(())
    }

    /// Whether nothing may be appended any more.
    pub(crate) const fn is_broken(&self) -> bool {
        self.broken
    }

    pub(crate) const fn is_synced(&self) -> bool {
        self.bytes == self.synced_bytes
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    pub(crate) const fn bytes(&self) -> u64 {
        self.bytes
    }

    #[cfg(test)]
    pub(crate) const fn synced_bytes(&self) -> u64 {
        self.synced_bytes
    }
}
