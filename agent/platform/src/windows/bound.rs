//! TCP sockets that are bound and neither connected nor listening: in none of the public tables.
//!
//! `iphlpapi.dll` exports the list that `netstat -q` shows, undocumented; Wine and old systems have no such export. There
//! `fallback` makes lists by WMI and by handles.
#![expect(
    unsafe_code,
    reason = "an export that may be missing is called through a pointer"
)]

pub(super) mod fallback;
mod handle;
mod managed;
mod scan;

use std::ffi::c_void;
use std::io::{self, Read as _};
use std::net::{IpAddr, Ipv4Addr};
use std::os::windows::io::AsRawHandle as _;
use std::process::{Child, Command, Stdio};
use std::ptr;
use std::sync::OnceLock;

use tidemark_model::Protocol;
use windows_sys::Win32::Foundation::{HANDLE, NO_ERROR, WAIT_OBJECT_0};
use windows_sys::Win32::System::LibraryLoader::{GetModuleHandleW, GetProcAddress};
use windows_sys::Win32::System::Memory::{GetProcessHeap, HeapFree, HeapSize};
use windows_sys::Win32::System::Threading::WaitForSingleObject;
use windows_sys::core::PCSTR;
use windows_sys::{s, w};

use super::{attempt, host, wine};
use crate::Family;
use crate::table_query::{BOUND_SELF_TEST, BOUND_SELF_TEST_PASSED};
use crate::windows_data::socket_rows::{Table, rows, table_bytes};

/// The first build on which the export is known to behave: the one from which System Informer calls it.
const KNOWN_GOOD_BUILD: u32 = 17_763;
/// How long the self-test may take; it takes milliseconds.
const SELF_TEST_MS: u32 = 10_000;

/// Lets the callee allocate a table from a heap: where to put its address, the heap, and flags for the allocation.
type ListFn = unsafe extern "system" fn(*mut *mut c_void, HANDLE, u32) -> u32;

/// How bound sockets are listed.
#[derive(Clone, Copy, Debug)]
pub(super) enum Source {
    /// By the exports of `iphlpapi.dll`.
    Export(Export),
    /// By `fallback`, for this reason.
    Fallback(&'static str),
}

/// Both exports.
#[derive(Clone, Copy, Debug)]
pub(super) struct Export {
    v4: ListFn,
    v6: ListFn,
}

/// How they are listed on this system, found out once.
pub(super) fn source() -> Source {
    static SOURCE: OnceLock<Source> = OnceLock::new();
    *SOURCE.get_or_init(|| match Export::resolve() {
        Some(export) if is_trusted() => Source::Export(export),
        Some(_) => {
            Source::Fallback("the list of this build failed its test in a process of its own")
        }
        None if wine::version().is_some() => Source::Fallback("Wine has no list of them"),
        None => Source::Fallback(
            "this Windows has no list of them; KB3123245 brings it to Server 2012 R2",
        ),
    })
}

/// What the program's self-test does: it binds a socket, and looks whether the export lists it for this process.
pub(super) fn self_test() -> bool {
    let Some(export) = Export::resolve() else {
        return false;
    };
    let any = IpAddr::V4(Ipv4Addr::UNSPECIFIED);
    let Ok(port) = attempt::hold_port(Protocol::Tcp, any) else {
        return false;
    };
    let Ok(list) = export.list(Family::V4) else {
        return false;
    };
    let is_listed = rows(list.bytes(), Table::TcpBound, Family::V4).is_ok_and(|mut rows| {
        rows.any(|row| row.local_port == port.number() && row.holder == std::process::id())
    });
    is_listed && export.list(Family::V6).is_ok()
}

/// On older builds the export is called only after a child process has called it and lived: nothing says what it did
/// there, and an agent must not be what brings a host down.
fn is_trusted() -> bool {
    host::version().build >= KNOWN_GOOD_BUILD
        || (wine::version().is_none() && passes_in_child().unwrap_or(false))
}

fn passes_in_child() -> io::Result<bool> {
    let mut child = Command::new(std::env::current_exe()?)
        .arg(BOUND_SELF_TEST)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()?;
    if !ends_in_time(&child) {
        child.kill().ok();
        child.wait()?;
        return Ok(false);
    }
    let mut said = String::new();
    if let Some(output) = child.stdout.take() {
        output.take(1024).read_to_string(&mut said)?;
    }
    // A program that is not the agent ends well without having tested anything.
    Ok(child.wait()?.success() && said.trim_end() == BOUND_SELF_TEST_PASSED)
}

fn ends_in_time(child: &Child) -> bool {
    // SAFETY: the handle is open for as long as the child is borrowed.
    let waited = unsafe { WaitForSingleObject(child.as_raw_handle(), SELF_TEST_MS) };
    waited == WAIT_OBJECT_0
}

impl Export {
    fn resolve() -> Option<Self> {
        Some(Self {
            v4: list_function(s!("InternalGetBoundTcpEndpointTable"))?,
            v6: list_function(s!("InternalGetBoundTcp6EndpointTable"))?,
        })
    }

    /// The endpoints of a family.
    pub(super) fn list(self, family: Family) -> io::Result<EndpointList> {
        let function = match family {
            Family::V4 => self.v4,
            Family::V6 => self.v6,
        };
        // SAFETY: takes nothing; the heap lives as long as the process.
        let heap = unsafe { GetProcessHeap() };
        let mut table = ptr::null_mut();
        // SAFETY: the export has this signature (System Informer, `netprv.h`): it stores the address of a table that
        // it allocates from `heap`, or null.
        let code = unsafe { function(&raw mut table, heap, 0) };
        let list = EndpointList {
            heap,
            table,
            family,
        };
        if code == NO_ERROR {
            Ok(list)
        } else {
            let code = i32::try_from(code).unwrap_or(i32::MAX);
            Err(io::Error::from_raw_os_error(code))
        }
    }
}

/// A table that the system allocated; freed when dropped.
#[derive(Debug)]
pub(super) struct EndpointList {
    heap: HANDLE,
    table: *mut c_void,
    family: Family,
}

impl EndpointList {
    /// The table; one without rows when there is none.
    pub(super) fn bytes(&self) -> &[u8] {
        const EMPTY: &[u8] = &[0; 4];
        if self.table.is_null() {
            return EMPTY;
        }
        // SAFETY: the table was allocated from this heap, and nobody else frees it.
        let allocated = unsafe { HeapSize(self.heap, 0, self.table) };
        if allocated == usize::MAX || allocated < EMPTY.len() {
            return EMPTY;
        }
        // SAFETY: the allocation has these four bytes, the number of rows.
        let count = unsafe { self.table.cast::<u32>().read_unaligned() };
        let written = table_bytes(Table::TcpBound, self.family, count);
        // SAFETY: the allocation has that many bytes, of which the callee has written those of the rows it counts.
        unsafe { std::slice::from_raw_parts(self.table.cast(), written.min(allocated)) }
    }
}

impl Drop for EndpointList {
    fn drop(&mut self) {
        if !self.table.is_null() {
            // SAFETY: the table was allocated from this heap and is freed once.
            unsafe { HeapFree(self.heap, 0, self.table) };
        }
    }
}

fn list_function(name: PCSTR) -> Option<ListFn> {
    // SAFETY: both names end with a zero, and the library stays loaded because this program imports from it.
    let function = unsafe { GetProcAddress(GetModuleHandleW(w!("iphlpapi.dll")), name)? };
    // SAFETY: both exports have this signature, see `Export::list`.
    Some(unsafe { std::mem::transmute::<unsafe extern "system" fn() -> isize, ListFn>(function) })
}
