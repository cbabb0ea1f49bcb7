//! The list of running services, from the service control manager.
#![expect(unsafe_code, reason = "services are listed through advapi32")]

use std::collections::HashMap;
use std::{io, ptr};

use windows_sys::Win32::Foundation::ERROR_MORE_DATA;
use windows_sys::Win32::System::Services::{
    CloseServiceHandle, EnumServicesStatusExW, OpenSCManagerW, SC_ENUM_PROCESS_INFO, SC_HANDLE,
    SC_MANAGER_ENUMERATE_SERVICE, SERVICE_ACTIVE, SERVICE_WIN32,
};

use crate::answer_buffer::{AnswerBuffer, Attempt};
use crate::windows_data::service_list::services;

/// `EnumServicesStatusExW` takes no more room than this at a time.
const ROOM_BYTES_MAX: u32 = 256 * 1024;
/// More batches than this are no list: a host has some hundred services, a batch holds a thousand.
const BATCHES_MAX: u32 = 64;

/// Key names of running services by process, ordered.
pub(in crate::windows) fn list() -> io::Result<HashMap<u32, Vec<String>>> {
    let manager = Manager::open()?;
    let mut answer = AnswerBuffer::default();
    let mut by_process: HashMap<u32, Vec<String>> = HashMap::new();
    let mut resume = 0;
    for _ in 0..BATCHES_MAX {
        let batch = manager.batch(&mut answer, resume)?;
        let found = services(answer.bytes(), answer.address(), batch.services);
        let found = found.map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))?;
        for service in found.filter(|service| service.process != 0) {
            by_process
                .entry(service.process)
                .or_default()
                .push(service.name);
        }
        resume = batch.resume;
        if resume == 0 {
            break;
        }
    }
    for names in by_process.values_mut() {
        names.sort_unstable();
    }
    Ok(by_process)
}

/// How many services an answer has, and where the next one goes on; 0 after the last.
#[derive(Clone, Copy, Default)]
struct Batch {
    services: u32,
    resume: u32,
}

/// The service control manager of this host; closed when dropped.
struct Manager(SC_HANDLE);

impl Manager {
    fn open() -> io::Result<Self> {
        // SAFETY: null names are this host and its active database.
        let manager =
            unsafe { OpenSCManagerW(ptr::null(), ptr::null(), SC_MANAGER_ENUMERATE_SERVICE) };
        if manager.is_null() {
            Err(io::Error::last_os_error())
        } else {
            Ok(Self(manager))
        }
    }

    fn batch(&self, answer: &mut AnswerBuffer, from: u32) -> io::Result<Batch> {
        let mut batch = Batch::default();
        let filled = answer.fill(|room, room_bytes| {
            batch = Batch {
                services: 0,
                resume: from,
            };
            let mut missing = 0;
            // SAFETY: the manager is open, the room has that many bytes and is aligned for pointers, and a null name
            // is every group of services.
            let succeeded = unsafe {
                EnumServicesStatusExW(
                    self.0,
                    SC_ENUM_PROCESS_INFO,
                    SERVICE_WIN32,
                    SERVICE_ACTIVE,
                    room.cast(),
                    room_bytes.min(ROOM_BYTES_MAX),
                    &raw mut missing,
                    &raw mut batch.services,
                    &raw mut batch.resume,
                    ptr::null(),
                )
            };
            if succeeded != 0 {
                batch.resume = 0;
                return Attempt::Answered;
            }
            let error = io::Error::last_os_error().raw_os_error().unwrap_or(0);
            let is_more = u32::try_from(error) == Ok(ERROR_MORE_DATA);
            if is_more && batch.services > 0 && batch.resume != 0 {
                Attempt::Answered
            } else if is_more {
                Attempt::NeedsRoom(usize::try_from(missing).unwrap_or(0))
            } else {
                Attempt::Failed(error)
            }
        });
        filled.map_err(|unanswered| io::Error::from_raw_os_error(unanswered.0))?;
        Ok(batch)
    }
}

impl Drop for Manager {
    fn drop(&mut self) {
        // SAFETY: the handle is open and nobody else has it.
        unsafe { CloseServiceHandle(self.0) };
    }
}
