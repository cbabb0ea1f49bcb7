//! Processes: all of them by one system call, their images and services when somebody asks.
#![expect(
    unsafe_code,
    reason = "processes are asked about through Win32 and ntdll"
)]

mod open;

use std::collections::{BTreeSet, HashMap};
use std::io;

use tidemark_model::Timestamp;
use windows_sys::Wdk::System::SystemInformation::{
    NtQuerySystemInformation, SystemProcessInformation,
};
use windows_sys::Win32::Foundation::{
    NTSTATUS, RtlNtStatusToDosError, STATUS_INFO_LENGTH_MISMATCH,
};
use windows_sys::Win32::System::Threading::PROCESS_QUERY_LIMITED_INFORMATION;

pub(super) use self::open::ProcessHandle;
use super::service::Services;
use crate::ReadError;
use crate::answer_buffer::{AnswerBuffer, Attempt, Unanswered};
pub use crate::descriptor::{Descriptor, DescriptorVisitor, ProcessDescription};
use crate::windows_data::file_time;
use crate::windows_data::process_list::{ListedProcess, each_process};
use crate::windows_data::suspects::HandleCount;

/// How many processes may have their start compared in one sample: it costs nothing, they are in memory.
pub const START_CHECKS: usize = usize::MAX;
/// Reads processes. What it tells is as of the last [`Processes::renew`].
#[derive(Debug)]
pub struct Processes {
    answer: AnswerBuffer,
    known: HashMap<u32, Known>,
    services: Services,
}

#[derive(Debug)]
struct Known {
    start: ProcessStart,
    handles: u32,
    name: String,
    is_present: bool,
}

/// When a process started, as a `FILETIME`. With its number it names one process for good.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ProcessStart(u64);

impl ProcessStart {
    /// The same by the host's clock, which needs no boot time here.
    #[must_use]
    pub fn at(self, _booted_at: Timestamp) -> Timestamp {
        file_time::timestamp(self.0).unwrap_or(Timestamp::EPOCH)
    }
}

impl Processes {
    /// Lists processes for the first time, and starts to look after their services on a thread of its own.
    ///
    /// # Errors
    /// Never: a system that does not list them may do so later, and ports can be counted without.
    pub fn open() -> Result<Self, ReadError> {
        let mut processes = Self {
            answer: AnswerBuffer::default(),
            known: HashMap::new(),
            services: Services::start(),
        };
        processes.renew().ok();
        Ok(processes)
    }

    /// Lists processes anew: one system call.
    ///
    /// # Errors
    /// When the system does not list them; what was known stays.
    pub fn renew(&mut self) -> Result<(), ReadError> {
        let failed = |source| ReadError::System {
            what: "its processes",
            source,
        };
        let filled = self.answer.fill(ask_processes);
        filled.map_err(|Unanswered(code)| failed(io::Error::from_raw_os_error(code)))?;
        for known in self.known.values_mut() {
            known.is_present = false;
        }
        let known = &mut self.known;
        let walked = each_process(self.answer.bytes(), self.answer.address(), |listed| {
            note(known, &listed);
        });
        walked.map_err(|error| failed(io::Error::new(io::ErrorKind::InvalidData, error)))?;
        self.known.retain(|_, known| known.is_present);
        Ok(())
    }

    /// Hands the number of every process to `on_process`.
    ///
    /// # Errors
    /// Never.
    pub fn list(&mut self, on_process: impl FnMut(u32)) -> Result<(), ReadError> {
        self.known.keys().copied().for_each(on_process);
        Ok(())
    }

    /// How many handles a process has open; `None` when it is gone.
    #[must_use]
    pub fn descriptor_count(&self, process: u32) -> Option<u32> {
        Some(self.known.get(&process)?.handles)
    }

    /// When a process started; `None` when it is gone.
    #[must_use]
    pub fn start(&self, process: u32) -> Option<ProcessStart> {
        Some(self.known.get(&process)?.start)
    }

    /// Offers every handle of a process to `visitor`: none is offered, because rows name processes.
    ///
    /// # Errors
    /// Never.
    pub const fn descriptors(
        &mut self,
        _process: u32,
        _visitor: &mut impl DescriptorVisitor,
    ) -> Result<(), ReadError> {
        Ok(())
    }

    /// As [`Processes::descriptors`] for `numbers` alone.
    ///
    /// # Errors
    /// Never.
    pub fn descriptors_among(
        &mut self,
        _process: u32,
        _numbers: impl Iterator<Item = u32>,
        _visitor: &mut impl DescriptorVisitor,
    ) -> Result<(), ReadError> {
        Ok(())
    }

    /// What a process is called; `None` when it is gone.
    #[must_use]
    pub fn describe(&self, process: u32) -> Option<ProcessDescription> {
        let known = self.known.get(&process)?;
        Some(ProcessDescription {
            short_name: known.name.clone(),
            name: known.name.clone(),
            executable: image_path(process, known.start),
        })
    }

    /// The file name of a process's image, as in `w3wp.exe`; `None` when it is gone.
    #[must_use]
    pub fn short_name(&self, process: u32) -> Option<String> {
        Some(self.known.get(&process)?.name.clone())
    }

    /// The service of a process, as in `Dnscache`; where several share it, the one that `tag` names, else all of them
    /// as in `Dnscache, NlaSvc`. `None` when it belongs to none or that is not known yet.
    #[must_use]
    pub fn service(&self, process: u32, tag: u32) -> Option<String> {
        self.services.name_of(process, tag)
    }

    /// Changes when services may have other names than before.
    #[must_use]
    pub fn services_version(&self) -> u64 {
        self.services.version()
    }
}

/// Open handles of every process at this moment.
///
/// # Errors
/// When the system does not list processes.
pub(super) fn handle_counts() -> io::Result<Vec<HandleCount>> {
    let mut counts = Vec::new();
    each_listed(|listed| {
        counts.push(HandleCount {
            process: listed.process,
            handles: listed.handles,
        });
    })?;
    Ok(counts)
}

/// File names of the images of all processes, in lower case.
///
/// # Errors
/// When the system does not list processes.
pub(super) fn names() -> io::Result<BTreeSet<String>> {
    let mut names = BTreeSet::new();
    each_listed(|listed| {
        names.insert(listed.name().to_lowercase());
    })?;
    Ok(names)
}

/// Shows every process that the system lists.
fn each_listed(on: impl FnMut(ListedProcess<'_>)) -> io::Result<()> {
    let mut answer = AnswerBuffer::default();
    let filled = answer.fill(ask_processes);
    filled.map_err(|Unanswered(code)| io::Error::from_raw_os_error(code))?;
    let walked = each_process(answer.bytes(), answer.address(), on);
    walked.map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))
}

/// Takes a process over into what is known.
fn note(known: &mut HashMap<u32, Known>, listed: &ListedProcess<'_>) {
    // Number 0 is the idle process, which is none; rows say 0 when they mean nobody.
    if listed.process == 0 {
        return;
    }
    let start = ProcessStart(listed.started);
    if let Some(before) = known.get_mut(&listed.process)
        && before.start == start
    {
        before.handles = listed.handles;
        before.is_present = true;
        return;
    }
    known.insert(
        listed.process,
        Known {
            start,
            handles: listed.handles,
            name: listed.name(),
            is_present: true,
        },
    );
}

fn ask_processes(room: *mut std::ffi::c_void, room_bytes: u32) -> Attempt {
    let mut bytes = 0;
    // SAFETY: the room has that many bytes and is aligned for pointers.
    let status = unsafe {
        NtQuerySystemInformation(SystemProcessInformation, room, room_bytes, &raw mut bytes)
    };
    match status {
        0.. => Attempt::Answered,
        STATUS_INFO_LENGTH_MISMATCH => {
            Attempt::NeedsRoom(usize::try_from(bytes).unwrap_or(usize::MAX))
        }
        status => Attempt::Failed(error_of(status)),
    }
}

pub(super) fn error_of(status: NTSTATUS) -> i32 {
    // SAFETY: a translation of one number into another.
    let code = unsafe { RtlNtStatusToDosError(status) };
    i32::try_from(code).unwrap_or(i32::MAX)
}

/// Absolute path of the image of a process that started at `start`; `None` when it may not be read (protected
/// processes, the kernel) or the number has been given away.
fn image_path(process: u32, start: ProcessStart) -> Option<String> {
    let handle = ProcessHandle::open(process, PROCESS_QUERY_LIMITED_INFORMATION).ok()?;
    if handle.start() != Some(start) {
        return None;
    }
    handle.image()
}

#[cfg(test)]
mod tests;
