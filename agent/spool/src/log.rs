//! The segments of one epoch: records in, records out, whole segments away. Knows nothing of acks and gaps.

use std::collections::VecDeque;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use tidemark_disk::{Disk, DiskFile, Opening};

use crate::error::SpoolError;
use crate::frame::{self, HEADER_BYTES, Record, Worth};
use crate::limits::ByteLimits;
use crate::scan::{Expected, scan};
use crate::segment::{self, Segment, SegmentWriter};
use crate::thin::Thinned;

/// Segments in ascending order; the last one may take appends.
#[derive(Debug)]
pub(crate) struct SegmentLog {
    disk: Arc<dyn Disk>,
    dir: PathBuf,
    epoch: u64,
    limits: ByteLimits,
    segments: VecDeque<Segment>,
    writer: Option<SegmentWriter>,
    /// Newest record that is synced.
    synced_last: u64,
    cursor: Option<Cursor>,
}

/// Where the next record stands, after one was read.
#[derive(Debug)]
struct Cursor {
    file: Box<dyn DiskFile>,
    path: PathBuf,
    seq: u64,
    offset: u64,
}

/// A record, or how many there are none.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Lookup {
    Found {
        worth: Worth,
        age_ms: u64,
        payload: Vec<u8>,
    },
    /// Neither the seq asked for nor any up to `through` is there.
    Missing { through: u64 },
}

/// Records that were appended and then lost, because they could not be synced.
#[derive(Debug)]
pub(crate) struct SyncFailure {
    pub(crate) first: u64,
    pub(crate) last: u64,
    pub(crate) error: SpoolError,
}

impl SegmentLog {
    /// The log of these segments, ascending. All their records are synced; `newest` is the newest seq given out.
    pub(crate) fn new(
        disk: Arc<dyn Disk>,
        dir: &Path,
        epoch: u64,
        limits: ByteLimits,
        segments: VecDeque<Segment>,
        newest: u64,
    ) -> Self {
        Self {
            disk,
            dir: dir.to_owned(),
            epoch,
            limits,
            synced_last: newest,
            segments,
            writer: None,
            cursor: None,
        }
    }

    /// Appends go on in the last segment.
    pub(crate) fn reopen_last(&mut self) -> Result<(), SpoolError> {
        if let Some(last) = self.segments.back() {
            self.writer = Some(SegmentWriter::reopen(&*self.disk, &last.path, last.bytes)?);
        }
        Ok(())
    }

    /// Bytes of all segments.
    pub(crate) fn bytes(&self) -> u64 {
        self.segments.iter().map(|segment| segment.bytes).sum()
    }

    /// Newest record, or the newest seq at the opening; 0 before the first.
    pub(crate) fn last(&self) -> u64 {
        let last = self.segments.back().map_or(0, |segment| segment.last);
        last.max(self.synced_last)
    }

    pub(crate) fn is_synced(&self) -> bool {
        self.writer.as_ref().is_none_or(SegmentWriter::is_synced)
    }

    /// Whether the active segment has its size, so that the next append opens another.
    fn is_full(&self) -> bool {
        self.writer
            .as_ref()
            .is_some_and(|writer| writer.bytes() >= self.limits.segment)
    }

    /// How many bytes this record will take, with the header of the segment that it begins where none takes appends.
    pub(crate) fn bytes_to_append(&self, record: Record<'_>) -> u64 {
        let segment_header = self.writer.as_ref().map_or(segment::HEADER_BYTES, |_| 0);
        (segment_header + HEADER_BYTES + record.payload.len()) as u64
    }

    /// Appends a record. The caller has synced a full segment before, see [`SegmentLog::close_full`].
    pub(crate) fn append(
        &mut self,
        seq: u64,
        age_ms: u64,
        record: Record<'_>,
    ) -> Result<(), SpoolError> {
        if self.writer.is_none() {
            let writer = SegmentWriter::create(&*self.disk, &self.dir, self.epoch, seq)?;
            self.segments.push_back(Segment {
                path: writer.path().to_owned(),
                first: seq,
                last: seq - 1,
                bytes: writer.bytes(),
                newest_age_ms: age_ms,
                is_thinned: false,
            });
            self.writer = Some(writer);
        }
        let active = "a writer belongs to the last segment";
        let writer = self.writer.as_mut().expect(active);
        let segment = self.segments.back_mut().expect(active);
        let appended = writer.append(&frame::encode(self.epoch, seq, age_ms, record));
        segment.bytes = writer.bytes();
        match appended {
            Ok(()) => {
                segment.last = seq;
                segment.newest_age_ms = age_ms;
            }
            Err(_) if writer.is_broken() => self.writer = None,
            Err(_) => {}
        }
        appended
    }

    /// Syncs and closes the active segment when it is full.
    pub(crate) fn close_full(&mut self) -> Result<(), SyncFailure> {
        if self.is_full() {
            self.sync()?;
            self.writer = None;
        }
        Ok(())
    }

    /// Makes all records durable. Those that cannot be made so are cut off, because what the system says of a file after a
    /// failed sync means nothing.
    pub(crate) fn sync(&mut self) -> Result<(), SyncFailure> {
        let synced = self.writer.as_mut().map_or(Ok(()), SegmentWriter::sync);
        let Err(error) = synced else {
            self.synced_last = self.last();
            return Ok(());
        };
        let failure = SyncFailure {
            first: self.synced_last + 1,
            last: self.last(),
            error,
        };
        if let (Some(mut writer), Some(segment)) = (self.writer.take(), self.segments.back_mut()) {
            let cut = writer.cut_unsynced();
            tracing::warn!(
                cut = cut.is_ok(),
                "records that could not be synced are given up"
            );
            segment.bytes = writer.bytes();
            segment.last = self.synced_last.max(segment.first - 1);
        }
        Err(failure)
    }

    /// The record of a seq. Damage is not an error: it makes records missing.
    ///
    /// # Errors
    /// When the system refuses for now, as when too many files are open.
    pub(crate) fn lookup(&mut self, seq: u64) -> Result<Lookup, SpoolError> {
        let index = self.segments.partition_point(|segment| segment.last < seq);
        let Some(segment) = self.segments.get(index) else {
            return Ok(Lookup::Missing { through: u64::MAX });
        };
        if seq < segment.first {
            return Ok(Lookup::Missing {
                through: segment.first - 1,
            });
        }
        if let Some(found) = self.read_at_cursor(index, seq) {
            return Ok(found);
        }
        self.cursor = None;
        match self.search(index, seq) {
            Ok(found) => Ok(found),
            Err(error) if segment::is_damage(&error) => Ok(Lookup::Missing {
                through: self.segments.get(index).map_or(seq, |segment| segment.last),
            }),
            Err(error) => Err(SpoolError::io("reading", &self.dir)(error)),
        }
    }

    /// The record, when it stands where the one before ended.
    fn read_at_cursor(&mut self, index: usize, seq: u64) -> Option<Lookup> {
        let path = &self.segments.get(index)?.path;
        let cursor = self
            .cursor
            .as_mut()
            .filter(|cursor| cursor.seq == seq && cursor.path == *path)?;
        let mut header = [0; HEADER_BYTES];
        cursor.file.read_at(cursor.offset, &mut header).ok()?;
        let header = frame::parse_header(self.epoch, &header).filter(|header| header.seq == seq)?;
        let mut payload = vec![0; header.payload_bytes];
        let behind_header = cursor.offset + HEADER_BYTES as u64;
        cursor.file.read_at(behind_header, &mut payload).ok()?;
        header.matches(&payload).then_some(())?;
        cursor.seq += 1;
        cursor.offset += header.frame_bytes() as u64;
        Some(Lookup::Found {
            worth: header.worth,
            age_ms: header.age_ms,
            payload,
        })
    }

    /// The record, by reading its segment from the start.
    fn search(&mut self, index: usize, seq: u64) -> io::Result<Lookup> {
        let Some(segment) = self.segments.get(index) else {
            return Ok(Lookup::Missing { through: seq });
        };
        let bytes = segment::load(&*self.disk, &segment.path)?;
        let expected = Expected {
            epoch: self.epoch,
            seqs: segment.first..=segment.last,
        };
        let mut hit = None;
        let mut following = None;
        scan(&bytes, &expected, |found| {
            if found.header.seq == seq {
                hit = found
                    .payload
                    .map(|payload| (found.header, found.offset, payload));
            } else if found.header.seq > seq && found.payload.is_some() && following.is_none() {
                following = Some(found.header.seq);
            }
        });
        let Some((header, offset, payload)) = hit else {
            let through = following.map_or(segment.last, |following| following - 1);
            return Ok(Lookup::Missing { through });
        };
        self.cursor = Some(Cursor {
            file: self.disk.open(&segment.path, Opening::Read)?,
            path: segment.path.clone(),
            seq: seq + 1,
            offset: (offset + header.frame_bytes()) as u64,
        });
        Ok(Lookup::Found {
            worth: header.worth,
            age_ms: header.age_ms,
            payload: payload.to_vec(),
        })
    }

    /// Takes the oldest segment out if `unwanted` says so and it does not take appends. Its file stays until
    /// [`SegmentLog::remove_files`].
    pub(crate) fn take_oldest_if(
        &mut self,
        unwanted: impl FnOnce(&Segment, u64) -> bool,
    ) -> Option<Segment> {
        let active = self.segments.len() == 1 && self.writer.is_some();
        let total = self.bytes();
        let oldest = self.segments.front()?;
        if active || !unwanted(oldest, total) {
            return None;
        }
        self.segments.pop_front()
    }

    /// What would be left of the oldest segment that has ordinary records, with its first and last seq; `None` when only
    /// the active one may have some.
    pub(crate) fn thin_oldest(&self, acked_through: u64) -> Option<(u64, u64, Thinned)> {
        let closed = self.segments.len() - usize::from(self.writer.is_some());
        let segment = self
            .segments
            .iter()
            .take(closed)
            .find(|segment| !segment.is_thinned)?;
        let thinned = Thinned::of(&*self.disk, segment, self.epoch, acked_through);
        Some((segment.first, segment.last, thinned))
    }

    /// Puts what is left of a segment into its place; the segment that begins with `first` goes when that is nothing, or
    /// cannot be written.
    pub(crate) fn replace_thinned(&mut self, first: u64, thinned: Thinned) -> Result<(), Segment> {
        let Some(index) = self
            .segments
            .iter()
            .position(|segment| segment.first == first)
        else {
            return Ok(());
        };
        self.cursor = None;
        let replaced = match self.segments.get_mut(index) {
            Some(segment) if !thinned.is_empty() => {
                thinned.replace(segment, &*self.disk, &self.dir)
            }
            Some(_) | None => return self.segments.remove(index).map_or(Ok(()), Err),
        };
        match replaced {
            Ok(()) => Ok(()),
            Err(error) => {
                tracing::warn!(
                    error = error.with_sources(),
                    "a segment cannot be thinned and goes as a whole"
                );
                self.segments.remove(index).map_or(Ok(()), Err)
            }
        }
    }

    /// Deletes the files of segments that were taken out. A file that cannot be deleted is found at the next start.
    pub(crate) fn remove_files(&mut self, segments: &[Segment]) {
        for segment in segments {
            if self
                .cursor
                .as_ref()
                .is_some_and(|cursor| cursor.path == segment.path)
            {
                self.cursor = None;
            }
            if let Err(error) = self.disk.remove_file(&segment.path) {
                tracing::warn!(path = %segment.path.display(), %error, "a segment cannot be removed");
            }
        }
    }

    /// File, durable length and length of the active segment.
    #[cfg(test)]
    pub(crate) fn unsynced(&self) -> Option<(PathBuf, u64, u64)> {
        let writer = self.writer.as_ref()?;
        Some((
            writer.path().to_owned(),
            writer.synced_bytes(),
            writer.bytes(),
        ))
    }

    /// All segments, to be removed.
    pub(crate) fn into_segments(self) -> Vec<Segment> {
        self.segments.into()
    }
}
