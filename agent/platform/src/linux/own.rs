//! What this process costs its host, and time that no clock change touches.

use std::time::Duration;

use rustix::param::page_size;
use rustix::time::{ClockId, clock_gettime};

use super::procfile;

/// CPU time of this process since it started, all threads, user and system.
#[must_use]
pub fn cpu_time() -> Duration {
    elapsed(ClockId::ProcessCPUTime)
}

/// Time since the host booted, suspends included: never set, never goes back.
#[must_use]
pub fn time_since_boot() -> Duration {
    elapsed(ClockId::Boottime)
}

/// Resident memory of this process in bytes; `None` when `/proc` is not readable.
#[must_use]
pub fn resident_bytes() -> Option<u64> {
    let text = procfile::text("/proc/self/statm").ok()?;
    let pages: u64 = text.split_whitespace().nth(1)?.parse().ok()?;
    pages.checked_mul(u64::try_from(page_size()).ok()?)
}

fn elapsed(clock: ClockId) -> Duration {
    let time = clock_gettime(clock);
    let seconds = u64::try_from(time.tv_sec).unwrap_or(0);
    let nanoseconds = u32::try_from(time.tv_nsec).unwrap_or(0);
    Duration::new(seconds, nanoseconds)
}
