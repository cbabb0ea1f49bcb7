//! Facts and totals of the whole host.
#![expect(unsafe_code, reason = "the system is asked about itself through Win32")]

use std::io;
use std::ptr;
use std::time::Duration;

use windows_sys::Wdk::System::SystemServices::RtlGetVersion;
use windows_sys::Win32::Foundation::FILETIME;
use windows_sys::Win32::System::ProcessStatus::{K32GetPerformanceInfo, PERFORMANCE_INFORMATION};
use windows_sys::Win32::System::SystemInformation::{
    ComputerNamePhysicalDnsHostname, GetComputerNameExW, GetSystemTimeAsFileTime, OSVERSIONINFOW,
};
use windows_sys::Win32::System::Threading::{ALL_PROCESSOR_GROUPS, GetActiveProcessorCount};

use super::own::{duration_of, tick_time};
use super::text::from_wide;
use super::{registry, wine};
use crate::ReadError;
use crate::windows_name::{WindowsVersion, system_name};

const CURRENT_VERSION: &str = r"SOFTWARE\Microsoft\Windows NT\CurrentVersion";
/// Counts boots where prefetching is not switched off.
const PREFETCH: &str =
    r"SYSTEM\CurrentControlSet\Control\Session Manager\Memory Management\PrefetchParameters";
/// 1601-01-01, from which a `FILETIME` counts, to 1970-01-01, in seconds.
const FILETIME_EPOCH: Duration = Duration::from_secs(11_644_473_600);

/// The host's name as its network settings have it, without the domain; a cluster's virtual names do not change it.
#[must_use]
pub fn name() -> String {
    let mut units = [0_u16; 256];
    let mut length = 256_u32;
    // SAFETY: `length` is the size of the buffer.
    let succeeded = unsafe {
        GetComputerNameExW(
            ComputerNamePhysicalDnsHostname,
            units.as_mut_ptr(),
            &raw mut length,
        )
    };
    if succeeded == 0 {
        return String::new();
    }
    from_wide(&units)
}

/// The operating system, as in `Windows Server 2019 Datacenter 10.0.17763.1234`.
#[must_use]
pub fn os() -> String {
    system_name(
        registry::text(CURRENT_VERSION, "ProductName").as_deref(),
        version(),
        wine::version(),
    )
}

/// The version that the kernel has, whatever this program declares that it can run on.
#[must_use]
pub fn version() -> WindowsVersion {
    let mut info = OSVERSIONINFOW {
        dwOSVersionInfoSize: u32::try_from(size_of::<OSVERSIONINFOW>()).unwrap_or(0),
        ..OSVERSIONINFOW::default()
    };
    // SAFETY: the structure says its size, and the call cannot fail.
    unsafe { RtlGetVersion(ptr::from_mut(&mut info)) };
    WindowsVersion {
        major: info.dwMajorVersion,
        minor: info.dwMinorVersion,
        build: info.dwBuildNumber,
        revision: registry::number(CURRENT_VERSION, "UBR"),
    }
}

/// Whether this is Wine, which lacks some of Windows.
#[must_use]
pub fn is_wine() -> bool {
    wine::version().is_some()
}

/// Text that changes with each boot: the number of the boot where Windows counts them, else when it was, to the minute.
///
/// # Errors
/// Never.
pub fn boot_id() -> Result<String, ReadError> {
    match registry::number(PREFETCH, "BootId") {
        Some(number) => Ok(format!("boot-{number}")),
        None => Ok(format!("booted-{}", boot_time()?.as_secs() / 60)),
    }
}

/// IANA name of the time zone of the clock on the wall, by the Unicode consortium's table of Windows' names; `None` where
/// that has none.
#[must_use]
pub fn time_zone() -> Option<String> {
    let zone = jiff::tz::TimeZone::try_system().ok()?;
    zone.iana_name().map(str::to_owned)
}

/// When the host booted, since the Unix epoch by the host's clock as it is set at the moment.
///
/// # Errors
/// When the clock is before 1970.
pub fn boot_time() -> Result<Duration, ReadError> {
    let mut now = FILETIME {
        dwLowDateTime: 0,
        dwHighDateTime: 0,
    };
    // SAFETY: the time outlives the call, which cannot fail.
    unsafe { GetSystemTimeAsFileTime(&raw mut now) };
    let since_epoch = duration_of(now).checked_sub(FILETIME_EPOCH);
    let booted = since_epoch.and_then(|now| now.checked_sub(tick_time()));
    booted.ok_or_else(|| ReadError::System {
        what: "when it booted",
        source: io::Error::from(io::ErrorKind::InvalidData),
    })
}

/// Open handles of the whole host.
///
/// # Errors
/// When the system does not tell.
pub fn open_files() -> Result<u64, ReadError> {
    Ok(u64::from(
        performance("how many handles are open")?.HandleCount,
    ))
}

/// Memory of the whole host.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Memory {
    pub(super) physical_bytes: u64,
    /// Nonpaged pool of the kernel.
    pub(super) kernel_nonpaged_bytes: u64,
}

/// How much memory there is, and how much of it the kernel holds for good.
pub(super) fn memory() -> Result<Memory, ReadError> {
    let info = performance("how much memory it has")?;
    // Both are counted in pages.
    let bytes = |pages: usize| {
        let bytes = pages.saturating_mul(info.PageSize);
        u64::try_from(bytes).unwrap_or(u64::MAX)
    };
    Ok(Memory {
        physical_bytes: bytes(info.PhysicalTotal),
        kernel_nonpaged_bytes: bytes(info.KernelNonpaged),
    })
}

/// Processors that the system uses, of all groups; `None` when it does not tell.
pub(super) fn processors() -> Option<u32> {
    // SAFETY: the call takes a number alone.
    let processors = unsafe { GetActiveProcessorCount(ALL_PROCESSOR_GROUPS) };
    (processors > 0).then_some(processors)
}

fn performance(what: &'static str) -> Result<PERFORMANCE_INFORMATION, ReadError> {
    let mut info = PERFORMANCE_INFORMATION::default();
    let bytes = u32::try_from(size_of_val(&info)).unwrap_or(0);
    // SAFETY: the structure is as large as `bytes` says.
    let succeeded = unsafe { K32GetPerformanceInfo(ptr::from_mut(&mut info), bytes) };
    if succeeded == 0 {
        return Err(ReadError::System {
            what,
            source: io::Error::last_os_error(),
        });
    }
    Ok(info)
}

/// Whether the owner of every socket can be told: Windows tells everybody, Wine tells nobody.
#[must_use]
pub fn sees_all_processes() -> bool {
    !is_wine()
}

/// Whether this process may enter other network compartments: it never does.
#[must_use]
pub const fn enters_namespaces() -> bool {
    false
}
