//! Questions to the service control manager about one service, each on a thread of its own: the manager may hang.
#![expect(
    unsafe_code,
    reason = "dependents and processes are asked for through advapi32"
)]

use std::ffi::OsString;
use std::io;
use std::ptr;
use std::time::Duration;

use windows_service::service::{Service, ServiceAccess, ServiceStatus};
use windows_service::service_manager::{ServiceManager, ServiceManagerAccess};
use windows_sys::Win32::Foundation::ERROR_MORE_DATA;
use windows_sys::Win32::System::Services::{
    EnumDependentServicesW, QueryServiceStatusEx, SC_STATUS_PROCESS_INFO, SERVICE_ACTIVE,
    SERVICE_ENUMERATE_DEPENDENTS, SERVICE_STATUS_PROCESS, SERVICE_WIN32_OWN_PROCESS,
};

use crate::answer_buffer::{AnswerBuffer, Attempt};
use crate::windows::patience::Patience;
use crate::windows_data::service_list;

/// `EnumDependentServicesW` takes no more room than this.
const ROOM_BYTES_MAX: u32 = 64 * 1024;

/// The manager waits 30 s for a service to take an order, and for others that start before.
static MANAGER: Patience = Patience::new("the service control manager", Duration::from_secs(90), 4);

/// How a service stands.
pub(super) fn status(name: &str) -> io::Result<ServiceStatus> {
    ask(name, ServiceAccess::QUERY_STATUS, Service::query_status)
}

/// The process in which a service runs or hangs, when it is the service's alone.
pub(super) fn own_process(name: &str) -> io::Result<Option<u32>> {
    let status = ask(name, ServiceAccess::QUERY_STATUS, |service| {
        whole_status(service).map_err(windows_service::Error::Winapi)
    })?;
    let is_alone = status.dwServiceType & SERVICE_WIN32_OWN_PROCESS != 0;
    Ok((is_alone && status.dwProcessId != 0).then_some(status.dwProcessId))
}

/// The crate tells the process of services that run alone.
fn whole_status(service: &Service) -> io::Result<SERVICE_STATUS_PROCESS> {
    let mut status = SERVICE_STATUS_PROCESS::default();
    let bytes = u32::try_from(size_of_val(&status)).map_err(io::Error::other)?;
    let mut needed = 0;
    // SAFETY: the service is open, and `bytes` is the size of the structure.
    let succeeded = unsafe {
        QueryServiceStatusEx(
            service.raw_handle(),
            SC_STATUS_PROCESS_INFO,
            ptr::from_mut(&mut status).cast(),
            bytes,
            &raw mut needed,
        )
    };
    if succeeded == 0 {
        return Err(io::Error::last_os_error());
    }
    Ok(status)
}

/// Tells a service to stop; it may run on when this returns.
pub(super) fn stop(name: &str) -> io::Result<()> {
    ask(name, ServiceAccess::STOP, |service| {
        service.stop().map(drop)
    })
}

/// Has a service started; it may not run yet when this returns.
pub(super) fn start(name: &str) -> io::Result<()> {
    ask(name, ServiceAccess::START, |service| {
        service.start::<OsString>(&[])
    })
}

/// Names of the running services that depend on one, in the order in which they are stopped.
pub(super) fn dependents(name: &str) -> io::Result<Vec<String>> {
    let rights = ServiceAccess::from_bits_retain(SERVICE_ENUMERATE_DEPENDENTS);
    ask(name, rights, |service| {
        list_dependents(service).map_err(windows_service::Error::Winapi)
    })
}

fn list_dependents(service: &Service) -> io::Result<Vec<String>> {
    let mut answer = AnswerBuffer::default();
    let mut count = 0;
    let filled = answer.fill(|room, room_bytes| {
        let mut missing = 0;
        // SAFETY: the service is open, and the room has that many bytes and is aligned for pointers.
        let succeeded = unsafe {
            EnumDependentServicesW(
                service.raw_handle(),
                SERVICE_ACTIVE,
                room.cast(),
                room_bytes.min(ROOM_BYTES_MAX),
                &raw mut missing,
                &raw mut count,
            )
        };
        if succeeded != 0 {
            return Attempt::Answered;
        }
        let error = io::Error::last_os_error().raw_os_error().unwrap_or(0);
        if error == ERROR_MORE_DATA.cast_signed() {
            Attempt::NeedsRoom(usize::try_from(missing).unwrap_or(usize::MAX))
        } else {
            Attempt::Failed(error)
        }
    });
    filled.map_err(|unanswered| io::Error::from_raw_os_error(unanswered.0))?;
    let names = service_list::names(answer.bytes(), answer.address(), count);
    let names = names.map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))?;
    Ok(names.collect())
}

fn ask<T: Send + 'static>(
    name: &str,
    rights: ServiceAccess,
    question: impl FnOnce(&Service) -> windows_service::Result<T> + Send + 'static,
) -> io::Result<T> {
    let name = OsString::from(name);
    MANAGER.ask(move || {
        let answered = ServiceManager::local_computer(None::<&str>, ServiceManagerAccess::CONNECT)
            .and_then(|manager| manager.open_service(&name, rights))
            .and_then(|service| question(&service));
        answered.map_err(|error| {
            if let windows_service::Error::Winapi(error) = error {
                error
            } else {
                io::Error::other(error)
            }
        })
    })
}
