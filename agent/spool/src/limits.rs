//! How much of its host a spool may take.

use std::path::Path;
use std::time::Duration;

/// Bounds of a spool; the tightest one counts. Beyond them the oldest segments go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SpoolLimits {
    /// Bytes on disk, at least 64 KiB.
    pub bytes_max: u64,
    /// Age of the oldest record.
    pub age_max: Duration,
    /// Share of the file system's size, in per cent, 1 to 100.
    pub disk_percent_max: u8,
    /// Size at which a segment is closed. The spool drops and trims whole segments, so it is small beside `bytes_max`: at
    /// most a quarter of it, and at least 4 KiB.
    pub segment_bytes: u64,
}

impl Default for SpoolLimits {
    /// 256 MiB, 7 days, 5 % of the disk, segments of 4 MiB.
    fn default() -> Self {
        Self {
            bytes_max: 256 * 1024 * 1024,
            age_max: Duration::from_secs(7 * 24 * 3600),
            disk_percent_max: 5,
            segment_bytes: 4 * 1024 * 1024,
        }
    }
}

/// Largest record that a spool takes.
pub const RECORD_BYTES_MAX: usize = 1024 * 1024;
/// Smallest bound that leaves room for work.
const BYTES_MAX_MIN: u64 = 64 * 1024;
/// Smallest segment.
const SEGMENT_BYTES_MIN: u64 = 4 * 1024;

impl SpoolLimits {
    /// The limits in bytes for a spool in `dir`, with the disk's size taken into account. A disk whose size cannot be read
    /// sets no limit.
    pub(crate) fn for_dir(self, dir: &Path) -> ByteLimits {
        let of_disk = rustix::fs::statvfs(dir).map_or(u64::MAX, |disk| {
            let size = disk.f_blocks.saturating_mul(disk.f_frsize);
            size / 100 * u64::from(self.disk_percent_max.clamp(1, 100))
        });
        let total = self.bytes_max.min(of_disk).max(BYTES_MAX_MIN);
        ByteLimits {
            total,
            segment: self.segment_bytes.min(total / 4).max(SEGMENT_BYTES_MIN),
        }
    }
}

/// [`SpoolLimits`] in bytes.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ByteLimits {
    pub(crate) total: u64,
    pub(crate) segment: u64,
}
