//! Handles of other processes: listed, borrowed, and their sockets asked for state and address.
#![expect(
    unsafe_code,
    reason = "handles and the driver of sockets are asked through ntdll"
)]

use std::io;
use std::ptr;

use windows_sys::Wdk::Storage::FileSystem::{FileVolumeNameInformation, NtQueryInformationFile};
use windows_sys::Wdk::System::IO::NtDeviceIoControlFile;
use windows_sys::Wdk::System::Threading::{NtQueryInformationProcess, ProcessHandleInformation};
use windows_sys::Win32::Foundation::{
    CloseHandle, DUPLICATE_SAME_ACCESS, DuplicateHandle, HANDLE, NTSTATUS, STATUS_BUFFER_OVERFLOW,
    STATUS_INFO_LENGTH_MISMATCH, STATUS_PENDING, STATUS_SUCCESS, WAIT_OBJECT_0,
};
use windows_sys::Win32::System::IO::{CancelIoEx, IO_STATUS_BLOCK};
use windows_sys::Win32::System::Threading::{
    CreateEventW, GetCurrentProcess, OpenProcess, PROCESS_DUP_HANDLE, PROCESS_QUERY_INFORMATION,
    WaitForSingleObject,
};

use super::super::process::error_of;
use crate::answer_buffer::{AnswerBuffer, Attempt, Unanswered};

/// `IOCTL_AFD_GET_CONTEXT`: what Winsock keeps of a socket with the driver.
const GET_SHARED: u32 = 0x12043;
/// `IOCTL_AFD_GET_ADDRESS`.
const GET_ADDRESS: u32 = 0x1202F;
/// The driver answers at once; a request that is older is called back.
const ANSWER_MS: u32 = 1_000;
/// Room for an answer of the driver: 256 bytes.
const ROOM_WORDS: usize = 32;
/// Room for the name of `\Device\Afd` with its length, and no more: a longer name is another driver's, and does not fit.
const NAME_WORDS: usize = 4;

/// An open handle of this process; closed when dropped.
#[derive(Debug)]
pub(super) struct OwnHandle(HANDLE);

impl OwnHandle {
    fn of(handle: HANDLE) -> io::Result<Self> {
        if handle.is_null() {
            return Err(io::Error::last_os_error());
        }
        Ok(Self(handle))
    }

    /// A process, for its handles.
    pub(super) fn of_process(process: u32) -> io::Result<Self> {
        let rights = PROCESS_DUP_HANDLE | PROCESS_QUERY_INFORMATION;
        // SAFETY: asks for a handle, which is not inherited and is closed when dropped.
        Self::of(unsafe { OpenProcess(rights, 0, process) })
    }

    /// The same object as `value` is for `self`, which is a process. The object lives for as long as the handle.
    pub(super) fn borrow(&self, value: u64) -> io::Result<Self> {
        let address = usize::try_from(value).unwrap_or(0);
        let mut handle: HANDLE = ptr::null_mut();
        // SAFETY: both processes are open; a value that is no handle is refused; what is given is closed when dropped.
        let succeeded = unsafe {
            DuplicateHandle(
                self.0,
                ptr::without_provenance_mut(address),
                GetCurrentProcess(),
                &raw mut handle,
                0,
                0,
                DUPLICATE_SAME_ACCESS,
            )
        };
        if succeeded == 0 {
            return Err(io::Error::last_os_error());
        }
        Self::of(handle)
    }

    /// Fills `list` with the handles of `self`, which is a process.
    pub(super) fn list_handles(&self, list: &mut AnswerBuffer) -> io::Result<()> {
        let filled = list.fill(|room, room_bytes| {
            let mut bytes = 0;
            // SAFETY: the process is open, and the room has that many bytes and is aligned for pointers.
            let status = unsafe {
                NtQueryInformationProcess(
                    self.0,
                    ProcessHandleInformation,
                    room,
                    room_bytes,
                    &raw mut bytes,
                )
            };
            match status {
                0.. => Attempt::Answered,
                STATUS_INFO_LENGTH_MISMATCH => {
                    Attempt::NeedsRoom(usize::try_from(bytes).unwrap_or(usize::MAX))
                }
                status => Attempt::Failed(error_of(status)),
            }
        });
        filled.map_err(|Unanswered(code)| io::Error::from_raw_os_error(code))
    }

    /// The name of the device behind a file, as `FILE_VOLUME_NAME_INFORMATION`, where it is as short as that of the
    /// driver of sockets. Unlike the name of the object, it can be asked without waiting for anybody's reads.
    pub(super) fn device(&self) -> Option<[u8; NAME_WORDS * 8]> {
        let mut room = [0_u64; NAME_WORDS];
        let mut block = IO_STATUS_BLOCK::default();
        let bytes = u32::try_from(size_of_val(&room)).ok()?;
        // SAFETY: the file is open; the room has `bytes` bytes, and both outlive the call, which ends when it is done.
        let status = unsafe {
            NtQueryInformationFile(
                self.0,
                &raw mut block,
                room.as_mut_ptr().cast(),
                bytes,
                FileVolumeNameInformation,
            )
        };
        (status == STATUS_SUCCESS).then(|| bytes_of(room))
    }
}

impl Drop for OwnHandle {
    fn drop(&mut self) {
        // SAFETY: the handle is open and nobody else has it.
        unsafe { CloseHandle(self.0) };
    }
}

/// Asks the driver of sockets, one question after the other.
#[derive(Debug)]
pub(super) struct Driver {
    event: OwnHandle,
    exchange: Box<Exchange>,
}

/// What the driver writes to, perhaps later: it lies on the heap, and is left there when an answer never comes.
#[derive(Default)]
struct Exchange {
    block: IO_STATUS_BLOCK,
    room: [u64; ROOM_WORDS],
}

impl std::fmt::Debug for Exchange {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Exchange").finish_non_exhaustive()
    }
}

impl Driver {
    pub(super) fn open() -> io::Result<Self> {
        const RESET_BY_HAND: i32 = 1;
        // SAFETY: no attributes and no name are given; the handle is closed when dropped.
        let event = unsafe { CreateEventW(ptr::null(), RESET_BY_HAND, 0, ptr::null()) };
        Ok(Self {
            event: OwnHandle::of(event)?,
            exchange: Box::default(),
        })
    }

    /// `SOCK_SHARED_INFO` of a socket; `None` where Winsock keeps none.
    ///
    /// # Errors
    /// When the driver hangs: nothing more is to be asked of it then.
    pub(super) fn shared(&mut self, socket: &OwnHandle) -> io::Result<Option<&[u8]>> {
        self.ask(socket, GET_SHARED)
    }

    /// The local address of a socket; `None` where it has none.
    ///
    /// # Errors
    /// When the driver hangs: nothing more is to be asked of it then.
    pub(super) fn address(&mut self, socket: &OwnHandle) -> io::Result<Option<&[u8]>> {
        self.ask(socket, GET_ADDRESS)
    }

    fn ask(&mut self, socket: &OwnHandle, question: u32) -> io::Result<Option<&[u8]>> {
        *self.exchange = Exchange::default();
        let bytes = u32::try_from(size_of::<[u64; ROOM_WORDS]>()).unwrap_or(0);
        // SAFETY: socket and event are open; block and room lie on the heap, and stay there until the driver is done
        // with them (`settled`). No context is given, so that nobody who waits for the socket is told of this.
        let status = unsafe {
            NtDeviceIoControlFile(
                socket.0,
                self.event.0,
                None,
                ptr::null(),
                &raw mut self.exchange.block,
                question,
                ptr::null(),
                0,
                self.exchange.room.as_mut_ptr().cast(),
                bytes,
            )
        };
        let status = if status == STATUS_PENDING {
            self.settled(socket)?
        } else {
            status
        };
        if status != STATUS_SUCCESS && status != STATUS_BUFFER_OVERFLOW {
            return Ok(None);
        }
        let room = &self.exchange.room;
        // SAFETY: the integers are initialised, a byte has no alignment, and the length is theirs.
        let answer = unsafe { std::slice::from_raw_parts(room.as_ptr().cast(), size_of_val(room)) };
        Ok(Some(answer))
    }

    /// Waits for an answer that did not come at once, and calls the request back when it does not come at all.
    fn settled(&mut self, socket: &OwnHandle) -> io::Result<NTSTATUS> {
        // SAFETY: the event is open.
        let is_done = || unsafe { WaitForSingleObject(self.event.0, ANSWER_MS) } == WAIT_OBJECT_0;
        if !is_done() {
            // SAFETY: the socket is open; null means all requests of this process for this handle.
            unsafe { CancelIoEx(socket.0, ptr::null()) };
            if !is_done() {
                // The driver may still write to it.
                std::mem::forget(std::mem::take(&mut self.exchange));
                return Err(io::Error::new(
                    io::ErrorKind::TimedOut,
                    "the driver of sockets does not answer",
                ));
            }
        }
        // SAFETY: the driver is done, and has written the status.
        Ok(unsafe { self.exchange.block.Anonymous.Status })
    }
}

fn bytes_of(words: [u64; NAME_WORDS]) -> [u8; NAME_WORDS * 8] {
    let mut bytes = [0; NAME_WORDS * 8];
    for (to, word) in bytes.chunks_exact_mut(8).zip(words) {
        to.copy_from_slice(&word.to_ne_bytes());
    }
    bytes
}
