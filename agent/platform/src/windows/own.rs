//! What this process costs its host, and time that no clock change touches.
#![expect(unsafe_code, reason = "clocks and counters are asked through Win32")]

use std::io;
use std::os::windows::process::CommandExt as _;
use std::process::Command;
use std::ptr;
use std::sync::OnceLock;
use std::time::Duration;

use windows_sys::Win32::Foundation::{FILETIME, HANDLE};
use windows_sys::Win32::System::Performance::{QueryPerformanceCounter, QueryPerformanceFrequency};
use windows_sys::Win32::System::ProcessStatus::{K32GetProcessMemoryInfo, PROCESS_MEMORY_COUNTERS};
use windows_sys::Win32::System::SystemInformation::GetTickCount64;
use windows_sys::Win32::System::Threading::{
    BELOW_NORMAL_PRIORITY_CLASS, DETACHED_PROCESS, GetCurrentProcess, GetCurrentThread,
    GetProcessTimes, PROCESS_QUERY_LIMITED_INFORMATION, SetPriorityClass, SetThreadPriority,
    THREAD_MODE_BACKGROUND_BEGIN,
};

use super::process::ProcessHandle;

/// Units of 100 ns that a `FILETIME` counts in a second.
const FILETIME_PER_SECOND: u64 = 10_000_000;

/// Has a program of this agent start without a console, which a service has not either: Windows would make one for it, with a
/// process beside it.
pub fn detach_from_console(command: &mut Command) {
    command.creation_flags(DETACHED_PROCESS);
}

/// Lets everything else on the host go first: below normal priority.
///
/// # Errors
/// What Windows says.
pub fn yield_to_others() -> io::Result<()> {
    // SAFETY: the pseudo handle needs no closing.
    if unsafe { SetPriorityClass(GetCurrentProcess(), BELOW_NORMAL_PRIORITY_CLASS) } == 0 {
        return Err(io::Error::last_os_error());
    }
    Ok(())
}

/// Lets everything else go before this thread, for the processor and for disks: for work that may take long.
///
/// # Errors
/// What Windows says.
pub fn yield_thread_to_others() -> io::Result<()> {
    // SAFETY: the pseudo handle names this thread and needs no closing.
    if unsafe { SetThreadPriority(GetCurrentThread(), THREAD_MODE_BACKGROUND_BEGIN) } == 0 {
        return Err(io::Error::last_os_error());
    }
    Ok(())
}

/// CPU time of this process since it started, all threads, user and system.
#[must_use]
pub fn cpu_time() -> Duration {
    let zero = FILETIME {
        dwLowDateTime: 0,
        dwHighDateTime: 0,
    };
    let [mut created, mut exited, mut kernel, mut user] = [zero; 4];
    // SAFETY: the pseudo handle needs no closing, and the four times are written whole or not at all.
    unsafe {
        GetProcessTimes(
            GetCurrentProcess(),
            &raw mut created,
            &raw mut exited,
            &raw mut kernel,
            &raw mut user,
        );
    }
    duration_of(kernel).saturating_add(duration_of(user))
}

/// Time since the host booted, sleep included: never set, never goes back. Fine enough to measure microseconds.
#[must_use]
pub fn time_since_boot() -> Duration {
    static ORIGIN: OnceLock<(Duration, u64)> = OnceLock::new();
    let count = performance_count();
    // The ticks tell when the host booted, in steps of 16 ms; the performance counter tells what passed since.
    let (booted, first) = *ORIGIN.get_or_init(|| (tick_time(), count));
    let passed = u128::from(count.saturating_sub(first)) * 1_000_000_000;
    let nanoseconds = passed / u128::from(performance_frequency());
    booted.saturating_add(Duration::from_nanos(
        u64::try_from(nanoseconds).unwrap_or(u64::MAX),
    ))
}

/// Resident memory of this process in bytes; `None` when the system does not tell.
#[must_use]
pub fn resident_bytes() -> Option<u64> {
    // SAFETY: the pseudo handle needs no closing.
    working_set(unsafe { GetCurrentProcess() })
}

/// Resident memory of another process in bytes; `None` when it is gone or may not be looked at.
#[must_use]
pub fn resident_bytes_of(process: u32) -> Option<u64> {
    let opened = ProcessHandle::open(process, PROCESS_QUERY_LIMITED_INFORMATION);
    opened.ok()?.resident_bytes()
}

/// Resident memory of the process of a handle that may ask for it.
pub(super) fn working_set(process: HANDLE) -> Option<u64> {
    let mut counters = PROCESS_MEMORY_COUNTERS::default();
    let bytes = u32::try_from(size_of_val(&counters)).ok()?;
    counters.cb = bytes;
    // SAFETY: the structure is as large as `bytes` says; a handle that is none is refused.
    let succeeded =
        unsafe { K32GetProcessMemoryInfo(process, ptr::from_mut(&mut counters), bytes) };
    (succeeded != 0).then_some(counters.WorkingSetSize as u64)
}

/// Time since boot in steps of 16 ms, sleep included.
pub(super) fn tick_time() -> Duration {
    // SAFETY: takes nothing and cannot fail.
    Duration::from_millis(unsafe { GetTickCount64() })
}

/// A span of 100 ns units.
pub(super) fn duration_of(time: FILETIME) -> Duration {
    let units = (u64::from(time.dwHighDateTime) << 32) | u64::from(time.dwLowDateTime);
    let nanoseconds = u32::try_from(units % FILETIME_PER_SECOND * 100).unwrap_or(0);
    Duration::new(units / FILETIME_PER_SECOND, nanoseconds)
}

fn performance_count() -> u64 {
    let mut count = 0_i64;
    // SAFETY: the number outlives the call, which cannot fail since Windows XP.
    unsafe { QueryPerformanceCounter(&raw mut count) };
    u64::try_from(count).unwrap_or(0)
}

fn performance_frequency() -> u64 {
    static FREQUENCY: OnceLock<u64> = OnceLock::new();
    *FREQUENCY.get_or_init(|| {
        let mut frequency = 0_i64;
        // SAFETY: the number outlives the call, which cannot fail since Windows XP.
        unsafe { QueryPerformanceFrequency(&raw mut frequency) };
        u64::try_from(frequency).unwrap_or(0).max(1)
    })
}
