//! Processes and the sockets among their file descriptors, from `/proc`.

use std::fs;
use std::mem::MaybeUninit;
use std::time::Duration;

use rustix::fd::OwnedFd;
use rustix::fs::{AtFlags, CWD, Mode, OFlags, RawDir, openat, readlinkat_raw, statat};
use rustix::io::Errno;
use rustix::param::clock_ticks_per_second;
use rustix::path::DecInt;
use tidemark_model::Timestamp;

use super::procfile::{self, unexpected};
use crate::ReadError;
pub use crate::descriptor::{Descriptor, DescriptorVisitor, ProcessDescription};

/// Entries of a folder are read this many bytes at a time: about 1,300 descriptors.
const LISTING_BYTES: usize = 32 * 1024;

/// How many processes may have their start compared in one sample: each costs a file that is read.
pub const START_CHECKS: usize = 16;

/// Reads processes. Holds the buffers, so that a pass over thousands of descriptors allocates nothing.
#[derive(Debug)]
pub struct Processes {
    root: OwnedFd,
    listing: Box<[MaybeUninit<u8>]>,
}

/// When a process started, in clock ticks since boot. With its number it names one process for good.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ProcessStart(u64);

impl ProcessStart {
    /// The same by the clock of a host that booted at `booted_at`.
    #[must_use]
    pub fn at(self, booted_at: Timestamp) -> Timestamp {
        let since_boot = Duration::from_millis(ticks_to_ms(self.0).unwrap_or(0));
        booted_at.saturating_add(since_boot)
    }
}

impl Processes {
    /// Opens `/proc`.
    ///
    /// # Errors
    /// When there is none.
    pub fn open() -> Result<Self, ReadError> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let root = openat(CWD, "/proc", flags, Mode::empty()).map_err(|errno| ReadError::Io {
            path: "/proc".into(),
            source: errno.into(),
        })?;
        Ok(Self {
            root,
            listing: vec![MaybeUninit::uninit(); LISTING_BYTES].into_boxed_slice(),
        })
    }

    /// Forgets what was read of processes. Here nothing is kept.
    ///
    /// # Errors
    /// Never.
    pub const fn renew(&mut self) -> Result<(), ReadError> {
        Ok(())
    }

    /// Hands the number of every process to `on_process`, in ascending order.
    ///
    /// # Errors
    /// When `/proc` cannot be listed.
    pub fn list(&mut self, mut on_process: impl FnMut(u32)) -> Result<(), ReadError> {
        let failed = |errno: Errno| ReadError::Io {
            path: "/proc".into(),
            source: errno.into(),
        };
        // A listing has a position of its own, so the folder is opened anew for each.
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let folder = openat(&self.root, ".", flags, Mode::empty()).map_err(failed)?;
        let mut entries = RawDir::new(folder, &mut self.listing);
        while let Some(entry) = entries.next() {
            if let Some(number) = number_in(entry.map_err(failed)?.file_name().to_bytes()) {
                on_process(number);
            }
        }
        Ok(())
    }

    /// How many file descriptors a process has open; `None` when it is gone or may not be looked at.
    ///
    /// Kernels before 6.2 say 0 for every process, which comes out as `Some(0)`.
    #[must_use]
    pub fn descriptor_count(&self, process: u32) -> Option<u32> {
        let path = ProcessPath::new(process, "/fd");
        let stat = statat(&self.root, path.as_bytes(), AtFlags::empty()).ok()?;
        u32::try_from(stat.st_size).ok()
    }

    /// When a process started; `None` when it is gone.
    #[must_use]
    pub fn start(&self, process: u32) -> Option<ProcessStart> {
        let path = ProcessPath::new(process, "/stat");
        let file = openat(
            &self.root,
            path.as_bytes(),
            OFlags::RDONLY | OFlags::CLOEXEC,
            Mode::empty(),
        );
        let mut buffer = [0; 1024];
        let bytes = rustix::io::read(file.ok()?, &mut buffer[..]).ok()?;
        start_ticks_in(buffer.get(..bytes)?).map(ProcessStart)
    }

    /// Offers every descriptor of a process to `visitor`, and looks behind those it wants. Descriptors that close
    /// meanwhile are skipped.
    ///
    /// # Errors
    /// When the process is gone or may not be looked at.
    pub fn descriptors(
        &mut self,
        process: u32,
        visitor: &mut impl DescriptorVisitor,
    ) -> Result<(), ReadError> {
        let folder = self.open_descriptors(process)?;
        let mut entries = RawDir::new(&folder, &mut self.listing);
        while !visitor.is_done() {
            let Some(entry) = entries.next() else { break };
            let entry = entry.map_err(|errno| descriptors_error(process, errno))?;
            if let Some(number) = number_in(entry.file_name().to_bytes()) {
                look_behind(&folder, number, visitor);
            }
        }
        Ok(())
    }

    /// As [`Processes::descriptors`] for `numbers` alone, without listing the others: far cheaper for a process that
    /// has thousands.
    ///
    /// # Errors
    /// When the process is gone or may not be looked at.
    pub fn descriptors_among(
        &mut self,
        process: u32,
        numbers: impl Iterator<Item = u32>,
        visitor: &mut impl DescriptorVisitor,
    ) -> Result<(), ReadError> {
        let folder = self.open_descriptors(process)?;
        for number in numbers {
            if visitor.is_done() {
                break;
            }
            look_behind(&folder, number, visitor);
        }
        Ok(())
    }

    fn open_descriptors(&self, process: u32) -> Result<OwnedFd, ReadError> {
        let path = ProcessPath::new(process, "/fd");
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        openat(&self.root, path.as_bytes(), flags, Mode::empty())
            .map_err(|errno| descriptors_error(process, errno))
    }

    /// What a process is called; `None` when it is gone.
    #[must_use]
    pub fn describe(&self, process: u32) -> Option<ProcessDescription> {
        let short_name = self.short_name(process)?;
        let executable = fs::read_link(format!("/proc/{process}/exe")).ok();
        let executable = executable.map(|path| path.to_string_lossy().into_owned());
        Some(ProcessDescription {
            name: whole_name(&short_name, executable.as_deref()).to_owned(),
            short_name,
            executable,
        })
    }

    /// The systemd unit of a process, as in `postgresql.service`; `None` when it belongs to none. No tag is known here.
    #[must_use]
    pub fn service(&self, process: u32, _tag: u32) -> Option<String> {
        let cgroup = procfile::text(&format!("/proc/{process}/cgroup")).unwrap_or_default();
        unit_in(&cgroup).map(str::to_owned)
    }

    /// Changes when services may have other names than before. Here a process never changes its unit.
    #[must_use]
    pub const fn services_version(&self) -> u64 {
        0
    }

    /// The short name of a process, which changes when it executes another program; `None` when it is gone.
    #[must_use]
    pub fn short_name(&self, process: u32) -> Option<String> {
        let name = procfile::text(&format!("/proc/{process}/comm")).ok()?;
        Some(name.trim_end_matches('\n').to_owned())
    }
}

/// Clock ticks since boot as milliseconds.
///
/// # Errors
/// When the kernel does not say how long a tick is.
fn ticks_to_ms(ticks: u64) -> Result<u64, ReadError> {
    let milliseconds = ticks
        .checked_mul(1000)
        .and_then(|t| t.checked_div(clock_ticks_per_second()));
    milliseconds.ok_or_else(|| unexpected("/proc/self/auxv", "the length of a tick"))
}

/// Looks behind a descriptor if the visitor wants it; one that has closed is skipped.
fn look_behind(folder: &OwnedFd, number: u32, visitor: &mut impl DescriptorVisitor) {
    if !visitor.wants(number) {
        return;
    }
    let mut target = [MaybeUninit::uninit(); 40];
    if let Ok((target, _)) = readlinkat_raw(folder, DecInt::new(number), &mut target[..]) {
        visitor.found(number, descriptor_behind(target));
    }
}

fn descriptors_error(process: u32, errno: Errno) -> ReadError {
    ReadError::Io {
        path: format!("/proc/{process}/fd").into(),
        source: errno.into(),
    }
}

/// A path like `4194304/stat`, without allocation.
struct ProcessPath {
    bytes: [u8; 16],
    length: usize,
}

impl ProcessPath {
    fn new(process: u32, suffix: &'static str) -> Self {
        let number = DecInt::new(process);
        let mut bytes = [0; 16];
        let text = number.as_bytes().iter().chain(suffix.as_bytes());
        let length = bytes
            .iter_mut()
            .zip(text)
            .map(|(to, from)| *to = *from)
            .count();
        Self { bytes, length }
    }

    fn as_bytes(&self) -> &[u8] {
        self.bytes.get(..self.length).unwrap_or_default()
    }
}

pub(super) fn number_in(name: &[u8]) -> Option<u32> {
    if name.is_empty() || name.len() > 9 {
        return None;
    }
    name.iter().try_fold(0_u32, |number, digit| {
        digit
            .is_ascii_digit()
            .then(|| number * 10 + u32::from(digit - b'0'))
    })
}

/// `socket:[inode]`, or something else.
pub(super) fn descriptor_behind(target: &[u8]) -> Descriptor {
    let inode = target
        .strip_prefix(b"socket:[")
        .and_then(|rest| rest.strip_suffix(b"]"))
        .and_then(|inode| std::str::from_utf8(inode).ok())
        .and_then(|inode| inode.parse().ok());
    inode.map_or(Descriptor::Other, Descriptor::Socket)
}

/// Bytes of a short name that the kernel keeps (`TASK_COMM_LEN` less its NUL).
pub(super) const SHORT_NAME_BYTES_MAX: usize = 15;

/// A short name as long as the kernel keeps is probably cut: the executable's file name when
/// that goes on from there. The kernel marks a file that was replaced since as deleted.
pub(super) fn whole_name<'a>(short_name: &'a str, executable: Option<&'a str>) -> &'a str {
    let file = executable.and_then(|path| path.rsplit('/').next());
    let file = file.map(|file| file.strip_suffix(" (deleted)").unwrap_or(file));
    match file {
        Some(file) if short_name.len() == SHORT_NAME_BYTES_MAX && file.starts_with(short_name) => {
            file
        }
        Some(_) | None => short_name,
    }
}

/// Field 22 of `/proc/PID/stat`. The name in field 2 may hold anything, parentheses and spaces included, so the
/// fields are counted from the last parenthesis (`proc_pid_stat(5)`).
pub(super) fn start_ticks_in(stat: &[u8]) -> Option<u64> {
    let name_end = stat.iter().rposition(|byte| *byte == b')')?;
    let fields = std::str::from_utf8(stat.get(name_end + 1..)?).ok()?;
    fields.split_ascii_whitespace().nth(19)?.parse().ok()
}

/// The innermost systemd unit in `/proc/PID/cgroup`: the last part of the unified or systemd hierarchy's path that
/// ends in `.service` or `.scope`.
pub(super) fn unit_in(cgroup: &str) -> Option<&str> {
    let path = cgroup.lines().find_map(|line| {
        line.strip_prefix("0::")
            .filter(|path| *path != "/")
            .or_else(|| Some(line.split_once(":name=systemd:")?.1))
    })?;
    path.rsplit('/')
        .find(|part| part.ends_with(".service") || part.ends_with(".scope"))
}

#[cfg(test)]
mod tests;
