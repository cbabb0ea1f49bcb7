//! What is kept of a segment when room is made: the lasting records, without the ordinary ones between them.

use std::path::Path;

use tidemark_disk::{Access, Disk, write_over};

use crate::error::SpoolError;
use crate::frame::Worth;
use crate::scan::{Expected, scan};
use crate::segment::{self, Segment};

/// Written before it takes the segment's place; a crash leaves at most this one, which the next thinning writes over.
const TEMPORARY: &str = "thinned.tmp";

/// A segment without its ordinary records, not yet on disk.
#[derive(Debug)]
pub(crate) struct Thinned {
    bytes: Vec<u8>,
    /// Of the lasting records; ascending.
    seqs: Vec<u64>,
    newest_age_ms: u64,
}

impl Thinned {
    /// What would be kept of `segment` behind `acked_through`. A segment that cannot be read has nothing to keep.
    pub(crate) fn of(disk: &dyn Disk, segment: &Segment, epoch: u64, acked_through: u64) -> Self {
        let mut thinned = Self {
            bytes: segment::header(epoch, segment.first),
            seqs: Vec::new(),
            newest_age_ms: 0,
        };
        let loaded = segment::load(disk, &segment.path).unwrap_or_default();
        let expected = Expected {
            epoch,
            seqs: segment.first..=segment.last,
        };
        scan(&loaded, &expected, |found| {
            let header = found.header;
            let is_kept = header.worth == Worth::Lasting
                && header.seq > acked_through
                && found.payload.is_some();
            let end = found.offset + header.frame_bytes();
            if let Some(frame) = loaded.get(found.offset..end).filter(|_| is_kept) {
                thinned.bytes.extend_from_slice(frame);
                thinned.seqs.push(header.seq);
                thinned.newest_age_ms = thinned.newest_age_ms.max(header.age_ms);
            }
        });
        thinned
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.seqs.is_empty()
    }

    /// The seqs from `first` to `last` that are not kept, as runs.
    pub(crate) fn runs_lost(&self, first: u64, last: u64) -> Vec<(u64, u64)> {
        let mut runs = Vec::new();
        let mut expected = first;
        for seq in self.seqs.iter().copied().chain([last + 1]) {
            if seq > expected {
                runs.push((expected, seq - 1));
            }
            expected = seq + 1;
        }
        runs
    }

    /// Takes the segment's place on disk, at once as a crash sees it.
    pub(crate) fn replace(
        self,
        segment: &mut Segment,
        disk: &dyn Disk,
        dir: &Path,
    ) -> Result<(), SpoolError> {
        let temporary = dir.join(TEMPORARY);
        write_over(disk, &temporary, &segment.path, &self.bytes, Access::Owner)
            .map_err(SpoolError::io("replacing", &segment.path))?;
        segment.bytes = self.bytes.len() as u64;
        segment.newest_age_ms = self.newest_age_ms;
        segment.is_thinned = true;
        segment::sync_dir(disk, dir)
    }
}
