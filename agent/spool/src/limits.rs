//! How much of its host a spool may take.

use std::time::Duration;

/// Bounds of a spool; the tightest one counts. Beyond them the oldest segments go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SpoolLimits {
    /// Bytes on disk, at least 64 KiB.
    pub bytes_max: u64,
    /// Age of the oldest record.
    pub age_max: Duration,
    /// Bytes on disk that the file system's size allows, as its owner worked it out; `None` when the size is not known.
    /// The spool asks no operating system about disks.
    pub disk_share_max: Option<u64>,
    /// Size at which a segment is closed. The spool drops and trims whole segments, so it is small beside `bytes_max`: at
    /// most a quarter of it, and at least 4 KiB.
    pub segment_bytes: u64,
}

impl Default for SpoolLimits {
    /// 256 MiB, 7 days, no share of the disk, segments of 4 MiB.
    fn default() -> Self {
        Self {
            bytes_max: 256 * 1024 * 1024,
            age_max: Duration::from_secs(7 * 24 * 3600),
            disk_share_max: None,
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
    /// The limits in bytes.
    pub(crate) fn in_bytes(self) -> ByteLimits {
        let of_disk = self.disk_share_max.unwrap_or(u64::MAX);
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_share_of_a_small_disk_bounds_the_spool_and_leaves_room_for_work() {
        let bounded = |disk_share_max| SpoolLimits {
            disk_share_max,
            ..SpoolLimits::default()
        };
        let bytes = bounded(Some(200 * 1024)).in_bytes();
        assert_eq!((bytes.total, bytes.segment), (200 * 1024, 50 * 1024));
        assert_eq!(bounded(Some(0)).in_bytes().total, BYTES_MAX_MIN);
        assert_eq!(bounded(None).in_bytes().total, 256 * 1024 * 1024);
    }
}
