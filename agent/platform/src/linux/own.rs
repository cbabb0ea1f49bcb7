//! What this process costs its host, and time that no clock change touches.

use std::io;
use std::process::Command;
use std::time::Duration;

use rustix::param::page_size;
use rustix::process::{getpriority_process, setpriority_process};
use rustix::time::{ClockId, clock_gettime};

use super::procfile;

/// What the agent's unit sets as `Nice=`.
const NICE: i32 = 5;
/// The lowest priority there is.
const LEAST_NICE: i32 = 19;

/// Nothing: a program needs no console here.
pub const fn detach_from_console(_: &mut Command) {}

/// Lets everything else on the host go first, where nobody did so for this process. Threads that exist already keep what
/// they have (`setpriority(2)`, bugs).
///
/// # Errors
/// What the kernel says.
pub fn yield_to_others() -> io::Result<()> {
    if getpriority_process(None)? < NICE {
        setpriority_process(None, NICE)?;
    }
    Ok(())
}

/// Lets everything else go before this thread: for work that may take long. Disks follow the processor's order.
///
/// # Errors
/// What the kernel says.
pub fn yield_thread_to_others() -> io::Result<()> {
    // Number 0 is the calling thread, not its process (`setpriority(2)`, bugs).
    Ok(setpriority_process(None, LEAST_NICE)?)
}

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
    resident_in("/proc/self/statm")
}

/// Resident memory of another process in bytes; `None` when it is gone or may not be looked at.
#[must_use]
pub fn resident_bytes_of(process: u32) -> Option<u64> {
    resident_in(&format!("/proc/{process}/statm"))
}

fn resident_in(statm: &str) -> Option<u64> {
    let text = procfile::text(statm).ok()?;
    let pages: u64 = text.split_whitespace().nth(1)?.parse().ok()?;
    pages.checked_mul(u64::try_from(page_size()).ok()?)
}

fn elapsed(clock: ClockId) -> Duration {
    let time = clock_gettime(clock);
    let seconds = u64::try_from(time.tv_sec).unwrap_or(0);
    let nanoseconds = u32::try_from(time.tv_nsec).unwrap_or(0);
    Duration::new(seconds, nanoseconds)
}
