//! Opens a spool: rebuilds its state from what the disk holds, whatever that is.

use std::collections::{BTreeMap, VecDeque};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use tidemark_disk::{Disk, Lock, SystemDisk};
use tidemark_model::{Epoch, GapReason, Timestamp};

use crate::error::SpoolError;
use crate::gaps::{DropCounts, GapLedger};
use crate::limits::SpoolLimits;
use crate::log::SegmentLog;
use crate::meta::{self, Loaded, Meta};
use crate::scan::{Expected, Tail, scan};
use crate::segment::{self, SEQ_MAX, Segment};
use crate::spool::{AgeClock, Spool};

/// Folder inside a spool's into which an unintelligible spool is moved; it holds one, the newest.
const SET_ASIDE: &str = "set-aside";
const LOCK: &str = "lock";

/// What opening a spool found and did.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Recovery {
    /// There was no spool.
    pub created: bool,
    /// Generations of the state file that were illegible, 0 to 2.
    pub state_files_lost: u8,
    /// Records found damaged or missing; they are gaps.
    pub records_damaged: u64,
    /// Bytes of an unfinished record at the end that were cut off; nobody had seen it.
    pub torn_bytes: u64,
    /// The end of the newest segment was damaged, so that the seqs that were given out are not known: what is held moved
    /// into the new epoch.
    pub epoch_restarted: bool,
    /// A newer agent's spool that this one cannot read was moved here.
    pub set_aside: Option<PathBuf>,
}

impl Spool {
    /// Opens the spool in `dir`, or creates it. `fresh_epoch` is random; it is used when an epoch has to begin.
    ///
    /// # Errors
    /// When the folder cannot be used at all, another process uses it, or a new epoch has to begin and cannot be written.
    /// Damage is not an error.
    pub fn open(
        dir: &Path,
        limits: SpoolLimits,
        now: Timestamp,
        fresh_epoch: Epoch,
    ) -> Result<(Self, Recovery), SpoolError> {
        Self::open_on(Arc::new(SystemDisk), dir, limits, now, fresh_epoch)
    }

    /// As [`Spool::open`], on any disk.
    ///
    /// # Errors
    /// As [`Spool::open`].
    pub fn open_on(
        disk: Arc<dyn Disk>,
        dir: &Path,
        limits: SpoolLimits,
        now: Timestamp,
        fresh_epoch: Epoch,
    ) -> Result<(Self, Recovery), SpoolError> {
        disk.make_folder(dir)
            .map_err(SpoolError::io("creating", dir))?;
        let lock = lock(&*disk, dir)?;
        let bytes = limits.in_bytes();
        let mut recovery = Recovery::default();
        let meta = load_meta(&*disk, dir, fresh_epoch, &mut recovery)?;
        let mut found = FoundSegments::load(&*disk, dir, meta.epoch)?;
        let newest = meta.newest.max(found.newest);
        let segments = std::mem::take(&mut found.segments);
        let log = SegmentLog::new(Arc::clone(&disk), dir, meta.epoch, bytes, segments, newest);
        let mut spool = Self {
            disk,
            dir: dir.to_owned(),
            limits,
            bytes,
            _lock: lock,
            generation: meta.generation,
            epoch: meta.epoch,
            age: AgeClock {
                age_ms: meta.age_ms.max(found.newest_age_ms),
                read_at: now,
            },
            log,
            next: newest + 1,
            acked_through: meta.acked_through,
            durable: newest,
            opened_newest: newest,
            gaps: meta.gaps,
            settled: meta.settled,
            meta_dirty: true,
            synced_at: None,
        };
        let lost_before = spool.gaps.counts().total();
        for (first, last) in found.holes_up_to(meta.acked_through, newest) {
            spool.lose(first, last, GapReason::Damaged);
        }
        recovery.records_damaged = spool.gaps.counts().total() - lost_before;
        spool.finish_opening(&found, fresh_epoch, &mut recovery)?;
        Ok((spool, recovery))
    }

    fn finish_opening(
        &mut self,
        found: &FoundSegments,
        fresh_epoch: Epoch,
        recovery: &mut Recovery,
    ) -> Result<(), SpoolError> {
        if found.tail == Tail::Unclear {
            // At least one record is in there, as long as there are seqs.
            if self.next <= SEQ_MAX {
                self.next += 1;
                self.lose(self.next - 1, self.next - 1, GapReason::Damaged);
                recovery.records_damaged += 1;
            }
            recovery.epoch_restarted = true;
            self.move_to_epoch(fresh_epoch.get(), 0)?;
            // The limits may have become tighter.
            let _counted = self.make_room(0);
            return Ok(());
        }
        recovery.torn_bytes = found.tail_bytes;
        if let Err(error) = self.log.reopen_last() {
            tracing::warn!(
                error = error.with_sources(),
                "the newest segment takes no more records"
            );
        }
        self.remove_settled();
        // The limits may have become tighter.
        let _counted = self.make_room(0);
        if self.meta_dirty
            && let Err(error) = self.persist()
        {
            tracing::warn!(
                error = error.with_sources(),
                "the spool's state cannot be written"
            );
        }
        Ok(())
    }
}

fn lock(disk: &dyn Disk, dir: &Path) -> Result<Box<dyn Lock>, SpoolError> {
    let path = dir.join(LOCK);
    disk.lock(&path).map_err(|error| {
        if error.kind() == io::ErrorKind::WouldBlock {
            SpoolError::InUse {
                path: dir.to_owned(),
            }
        } else {
            SpoolError::io("locking", path)(error)
        }
    })
}

/// The state to start from: the newest legible state file, or what the segments' names tell.
fn load_meta(
    disk: &dyn Disk,
    dir: &Path,
    fresh_epoch: Epoch,
    recovery: &mut Recovery,
) -> Result<Meta, SpoolError> {
    let empty = |epoch| Meta {
        generation: 0,
        epoch,
        acked_through: 0,
        newest: 0,
        age_ms: 0,
        settled: DropCounts::default(),
        gaps: GapLedger::default(),
    };
    match meta::load(disk, dir)? {
        Loaded::Found { meta, damaged } => {
            recovery.state_files_lost = u8::from(damaged);
            return Ok(meta);
        }
        Loaded::Foreign => {
            recovery.set_aside = Some(set_aside(disk, dir)?);
            recovery.created = true;
            return Ok(empty(fresh_epoch.get()));
        }
        Loaded::Absent => {}
        Loaded::Lost => recovery.state_files_lost = 2,
    }
    let Some((epoch, first)) = surviving_epoch(disk, dir)? else {
        recovery.created = recovery.state_files_lost == 0;
        return Ok(empty(fresh_epoch.get()));
    };
    recovery.state_files_lost = 2;
    // What came before the first segment was trimmed or dropped; the controller knows which.
    Ok(Meta {
        acked_through: first.saturating_sub(1),
        newest: first.saturating_sub(1),
        ..empty(epoch)
    })
}

/// The epoch with most segments, and the first seq of the first of them.
fn surviving_epoch(disk: &dyn Disk, dir: &Path) -> Result<Option<(u64, u64)>, SpoolError> {
    let mut epochs: BTreeMap<u64, (usize, u64)> = BTreeMap::new();
    for (_, epoch, first) in segment_files(disk, dir)? {
        let (count, lowest) = epochs.entry(epoch).or_insert((0, first));
        *count += 1;
        *lowest = first.min(*lowest);
    }
    let most = epochs.into_iter().max_by_key(|(_, (count, _))| *count);
    Ok(most.map(|(epoch, (_, first))| (epoch, first)))
}

fn segment_files(disk: &dyn Disk, dir: &Path) -> Result<Vec<(PathBuf, u64, u64)>, SpoolError> {
    let names = disk.list(dir).map_err(SpoolError::io("listing", dir))?;
    Ok(names
        .into_iter()
        .filter_map(|name| {
            let (epoch, first) = segment::parse_name(&name)?;
            Some((dir.join(name), epoch, first))
        })
        .collect())
}

/// Moves everything but the lock out of the way. What was moved before goes: one is enough to look into.
fn set_aside(disk: &dyn Disk, dir: &Path) -> Result<PathBuf, SpoolError> {
    let aside = dir.join(SET_ASIDE);
    match disk.remove_folder(&aside) {
        Ok(()) => {}
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        Err(error) => return Err(SpoolError::io("removing", &aside)(error)),
    }
    disk.make_folder(&aside)
        .map_err(SpoolError::io("creating", &aside))?;
    for name in disk.list(dir).map_err(SpoolError::io("listing", dir))? {
        if name == SET_ASIDE || name == LOCK {
            continue;
        }
        let path = dir.join(&name);
        disk.rename(&path, &aside.join(&name))
            .map_err(SpoolError::io("moving", path))?;
    }
    segment::sync_dir(disk, dir)?;
    Ok(aside)
}

/// The segments of an epoch, scanned.
#[derive(Debug)]
struct FoundSegments {
    segments: VecDeque<Segment>,
    /// Intact records as runs of seqs, ascending.
    runs: Vec<(u64, u64)>,
    /// Newest seq that is known to have been given out: a segment's name tells where the one before it ended.
    newest: u64,
    newest_age_ms: u64,
    /// What stands at the end of the newest file.
    tail: Tail,
    tail_bytes: u64,
}

impl FoundSegments {
    /// Scans the segments of `epoch` and removes those of others, which a restart of the epoch left.
    fn load(disk: &dyn Disk, dir: &Path, epoch: u64) -> Result<Self, SpoolError> {
        let mut files = segment_files(disk, dir)?;
        for (path, ..) in files.extract_if(.., |(_, of, _)| *of != epoch) {
            disk.remove_file(&path)
                .map_err(SpoolError::io("removing", &path))?;
        }
        files.sort_unstable_by_key(|(_, _, first)| *first);
        let mut found = Self {
            segments: VecDeque::new(),
            runs: Vec::new(),
            newest: 0,
            newest_age_ms: 0,
            tail: Tail::Clean,
            tail_bytes: 0,
        };
        let ends: Vec<u64> = files
            .iter()
            .skip(1)
            .map(|(_, _, first)| first - 1)
            .chain([SEQ_MAX])
            .collect();
        for ((path, epoch, first), end) in files.into_iter().zip(ends) {
            let expected = Expected {
                epoch,
                seqs: first..=end,
            };
            found.add(disk, path, &expected)?;
        }
        Ok(found)
    }

    fn add(
        &mut self,
        disk: &dyn Disk,
        path: PathBuf,
        expected: &Expected,
    ) -> Result<(), SpoolError> {
        let loaded = match segment::load(disk, &path) {
            Ok(bytes) => Some(bytes),
            Err(error) if segment::is_damage(&error) => None,
            Err(error) => return Err(SpoolError::io("reading", path)(error)),
        };
        let bytes = loaded.as_deref().unwrap_or_default();
        let mut segment = Segment {
            path,
            first: *expected.seqs.start(),
            last: expected.seqs.start() - 1,
            bytes: bytes.len() as u64,
            newest_age_ms: 0,
            is_thinned: false,
        };
        let end = scan(bytes, expected, |found| {
            segment.last = found.header.seq;
            segment.newest_age_ms = segment.newest_age_ms.max(found.header.age_ms);
            if found.payload.is_some() {
                self.extend_runs(found.header.seq);
            }
        });
        self.newest = self.newest.max(segment.last);
        self.newest_age_ms = self.newest_age_ms.max(segment.newest_age_ms);
        self.tail = if loaded.is_some() {
            end.tail
        } else {
            Tail::Unclear
        };
        self.tail_bytes = (bytes.len() - end.valid_bytes) as u64;
        if self.tail == Tail::Torn {
            segment.bytes = end.valid_bytes as u64;
        }
        // One that holds nothing stays as well, until what is before it is settled: its name ends the one before.
        self.segments.push_back(segment);
        Ok(())
    }

    fn extend_runs(&mut self, seq: u64) {
        match self.runs.last_mut() {
            Some((_, last)) if *last + 1 == seq => *last = seq,
            Some(_) | None => self.runs.push((seq, seq)),
        }
    }

    /// The seqs behind `acked_through` up to `newest` of which there is no record.
    fn holes_up_to(&self, acked_through: u64, newest: u64) -> Vec<(u64, u64)> {
        let mut holes = Vec::new();
        let mut expected = acked_through + 1;
        for (first, last) in self.runs.iter().copied().chain([(newest + 1, newest + 1)]) {
            if first > expected {
                holes.push((expected, first - 1));
            }
            expected = expected.max(last + 1);
        }
        holes
    }
}
