//! The named pipe by which a running agent is asked without a port. It takes no input: whoever connects is answered.
//!
//! Only SYSTEM, Administrators and the agent's own user may connect, from this host alone. Whoever asks trusts the
//! answer only when one of these made the pipe: any user may make one of this name while no agent runs.
#![expect(unsafe_code, reason = "named pipes are made through Win32")]

use std::fs::{File, OpenOptions};
use std::io::{self, Read as _};
use std::os::windows::fs::OpenOptionsExt as _;
use std::os::windows::io::AsRawHandle as _;
use std::sync::Arc;
use std::thread::{Builder, JoinHandle};
use std::{mem, ptr};

use windows_sys::Win32::Foundation::{
    CloseHandle, ERROR_ACCESS_DENIED, ERROR_IO_PENDING, ERROR_PIPE_BUSY, ERROR_PIPE_CONNECTED,
    HANDLE, INVALID_HANDLE_VALUE, WAIT_OBJECT_0,
};
use windows_sys::Win32::Security::SECURITY_ATTRIBUTES;
use windows_sys::Win32::Storage::FileSystem::{
    FILE_FLAG_FIRST_PIPE_INSTANCE, FILE_FLAG_OVERLAPPED, PIPE_ACCESS_OUTBOUND, WriteFile,
};
use windows_sys::Win32::System::IO::{CancelIo, GetOverlappedResult, OVERLAPPED};
use windows_sys::Win32::System::Pipes::{
    ConnectNamedPipe, CreateNamedPipeW, PIPE_READMODE_BYTE, PIPE_REJECT_REMOTE_CLIENTS,
    PIPE_TYPE_BYTE, PIPE_WAIT, WaitNamedPipeW,
};
use windows_sys::Win32::System::Threading::{
    CreateEventW, INFINITE, SetEvent, WaitForMultipleObjects, WaitForSingleObject,
};

use super::private;
use super::text::wide;
use super::wine;
use crate::local_answer::{ANSWER_BYTES_MAX, Answer, LocalAnswerError};

const NAME: &str = r"\\.\pipe\tidemark-agent";
/// One that is answered, one that waits, and some whose client is slow to go.
const INSTANCES_MAX: u32 = 8;
/// How long a client may take to be written to: the buffer holds the answer.
const WRITE_TIMEOUT_MS: u32 = 2_000;
/// How long it takes at most until an instance is free again.
const BUSY_TIMEOUT_MS: u32 = 2_000;
/// How long after a failure the next client is waited for.
const FAILURE_PAUSE_MS: u32 = 1_000;
/// `SECURITY_ANONYMOUS` (`winbase.h`): whoever made the pipe learns nothing of who asks, and cannot act as them.
const ANONYMOUS: u32 = 0;

/// A pipe that answers, until it is dropped.
#[derive(Debug)]
pub struct LocalPipe {
    stop: Arc<Event>,
    thread: Option<JoinHandle<()>>,
}

impl LocalPipe {
    /// Answers everyone who asks, until it is dropped.
    ///
    /// # Errors
    /// [`LocalAnswerError::Taken`] when another process has the name.
    pub fn open(answer: Answer) -> Result<Self, LocalAnswerError> {
        let stop = Arc::new(Event::new().map_err(LocalAnswerError::Failed)?);
        let first = Instance::first()?;
        let stopped = Arc::clone(&stop);
        let thread = Builder::new()
            .name("local-pipe".to_owned())
            .spawn(move || serve(first, &answer, &stopped))
            .map_err(LocalAnswerError::Failed)?;
        Ok(Self {
            stop,
            thread: Some(thread),
        })
    }
}

impl Drop for LocalPipe {
    fn drop(&mut self) {
        self.stop.set();
        if let Some(thread) = self.thread.take() {
            // A panic in there has told itself, and nothing depends on the pipe.
            thread.join().ok();
        }
    }
}

/// Asks the agent that runs on this host.
///
/// # Errors
/// [`LocalAnswerError::Failed`] when none runs, or when it may not be asked; [`LocalAnswerError::Untrusted`] when
/// somebody else answers.
pub fn ask() -> Result<Vec<u8>, LocalAnswerError> {
    let pipe = connect().map_err(LocalAnswerError::Failed)?;
    // Wine's pipes have no owner.
    if wine::version().is_none() {
        let is_trusted =
            private::is_owner_trusted(pipe.as_raw_handle()).map_err(LocalAnswerError::Failed)?;
        if !is_trusted {
            return Err(LocalAnswerError::Untrusted);
        }
    }
    let mut answer = Vec::new();
    let limit = u64::try_from(ANSWER_BYTES_MAX).unwrap_or(u64::MAX);
    pipe.take(limit)
        .read_to_end(&mut answer)
        .map_err(LocalAnswerError::Failed)?;
    Ok(answer)
}

fn connect() -> io::Result<File> {
    let open = || {
        OpenOptions::new()
            .read(true)
            .security_qos_flags(ANONYMOUS)
            .open(NAME)
    };
    match open() {
        Err(error) if error.raw_os_error() == Some(ERROR_PIPE_BUSY.cast_signed()) => {
            let name = wide(NAME);
            // SAFETY: the name ends with a zero. Whether an instance is free is seen below.
            unsafe { WaitNamedPipeW(name.as_ptr(), BUSY_TIMEOUT_MS) };
            open()
        }
        opened => opened,
    }
}

fn serve(first: Instance, answer: &Answer, stop: &Event) {
    let mut instance = first;
    loop {
        match instance.wait_for_client(stop) {
            Ok(Waited::Stopped) => return,
            Ok(Waited::Client) => instance.write(&answer()),
            // The client is gone already, or there is no memory for one.
            Err(_) => {
                if stop.is_set_within(FAILURE_PAUSE_MS) {
                    return;
                }
            }
        }
        // The next one is made before this one is closed: without any, another process could take the name.
        instance = loop {
            match Instance::next() {
                Ok(next) => break next,
                // Clients hold all that there may be: one of them will go.
                Err(_) if stop.is_set_within(FAILURE_PAUSE_MS) => return,
                Err(_) => {}
            }
        };
    }
}

enum Waited {
    Client,
    Stopped,
}

/// One end of a pipe that a client may connect to; closed when dropped. What was written can still be read then.
struct Instance {
    pipe: HANDLE,
    done: Event,
}

// SAFETY: handles of pipes may be used by any thread of the process, by one at a time.
unsafe impl Send for Instance {}

impl Instance {
    /// The first of this name: refused when another process has it.
    fn first() -> Result<Self, LocalAnswerError> {
        Self::open(FILE_FLAG_FIRST_PIPE_INSTANCE).map_err(|error| {
            let code = error.raw_os_error().map(i32::cast_unsigned);
            if code == Some(ERROR_ACCESS_DENIED) || code == Some(ERROR_PIPE_BUSY) {
                LocalAnswerError::Taken(error)
            } else {
                LocalAnswerError::Failed(error)
            }
        })
    }

    fn next() -> io::Result<Self> {
        Self::open(0)
    }

    fn open(flags: u32) -> io::Result<Self> {
        let done = Event::new()?;
        let descriptor = private::Descriptor::private()?;
        let attributes = SECURITY_ATTRIBUTES {
            nLength: u32::try_from(size_of::<SECURITY_ATTRIBUTES>()).unwrap_or(0),
            lpSecurityDescriptor: descriptor.as_raw(),
            bInheritHandle: 0,
        };
        let name = wide(NAME);
        let buffer_bytes = u32::try_from(ANSWER_BYTES_MAX).unwrap_or(0);
        // SAFETY: the name ends with a zero, and the descriptor outlives the call.
        let pipe = unsafe {
            CreateNamedPipeW(
                name.as_ptr(),
                PIPE_ACCESS_OUTBOUND | FILE_FLAG_OVERLAPPED | flags,
                PIPE_TYPE_BYTE | PIPE_READMODE_BYTE | PIPE_WAIT | PIPE_REJECT_REMOTE_CLIENTS,
                INSTANCES_MAX,
                buffer_bytes,
                0,
                0,
                ptr::from_ref(&attributes),
            )
        };
        if pipe == INVALID_HANDLE_VALUE {
            return Err(io::Error::last_os_error());
        }
        Ok(Self { pipe, done })
    }

    fn wait_for_client(&self, stop: &Event) -> io::Result<Waited> {
        let mut pending = self.pending();
        // SAFETY: the pipe is open for overlapped calls, and `pending` stays until the call has ended, below.
        if unsafe { ConnectNamedPipe(self.pipe, &raw mut *pending) } != 0 {
            return Ok(Waited::Client);
        }
        let error = io::Error::last_os_error();
        match error.raw_os_error().map(i32::cast_unsigned) {
            Some(ERROR_PIPE_CONNECTED) => return Ok(Waited::Client),
            Some(ERROR_IO_PENDING) => {}
            Some(_) | None => return Err(error),
        }
        let handles = [stop.0, self.done.0];
        // SAFETY: both handles are open.
        let woken_by = unsafe { WaitForMultipleObjects(2, handles.as_ptr(), 0, INFINITE) };
        if woken_by == WAIT_OBJECT_0 + 1 {
            self.finish(&mut pending).map(|_| Waited::Client)
        } else {
            self.cancel(&mut pending);
            Ok(Waited::Stopped)
        }
    }

    /// A client that went away, or does not read for long, has no need of the rest.
    fn write(&self, answer: &[u8]) {
        let answer = answer.get(..ANSWER_BYTES_MAX).unwrap_or(answer);
        let length = u32::try_from(answer.len()).unwrap_or(0);
        let mut pending = self.pending();
        // SAFETY: the pipe is open for overlapped calls; the answer and `pending` stay until the call has ended, below.
        let written = unsafe {
            WriteFile(
                self.pipe,
                answer.as_ptr(),
                length,
                ptr::null_mut(),
                &raw mut *pending,
            )
        };
        let error = io::Error::last_os_error();
        let is_pending =
            written == 0 && error.raw_os_error() == Some(ERROR_IO_PENDING.cast_signed());
        if !is_pending {
            return;
        }
        // SAFETY: the event is open.
        if unsafe { WaitForSingleObject(self.done.0, WRITE_TIMEOUT_MS) } == WAIT_OBJECT_0 {
            self.finish(&mut pending).ok();
        } else {
            self.cancel(&mut pending);
        }
    }

    fn pending(&self) -> Box<OVERLAPPED> {
        // SAFETY: a structure of numbers and handles, for all of which zero is a value.
        let mut pending: Box<OVERLAPPED> = Box::new(unsafe { mem::zeroed() });
        pending.hEvent = self.done.0;
        pending
    }

    /// Ends a call, which must not outlive what it was given.
    fn cancel(&self, pending: &mut OVERLAPPED) {
        // SAFETY: the pipe is open; the thread that cancels is the one that called.
        unsafe { CancelIo(self.pipe) };
        self.finish(pending).ok();
    }

    /// Waits until a call has ended.
    fn finish(&self, pending: &mut OVERLAPPED) -> io::Result<u32> {
        let mut bytes = 0;
        // SAFETY: `pending` is that of a call on this pipe; 1 waits for its end.
        let succeeded =
            unsafe { GetOverlappedResult(self.pipe, ptr::from_mut(pending), &raw mut bytes, 1) };
        if succeeded == 0 {
            Err(io::Error::last_os_error())
        } else {
            Ok(bytes)
        }
    }
}

impl Drop for Instance {
    fn drop(&mut self) {
        // SAFETY: it is open, owned, and closed here alone; no call on it is under way.
        unsafe { CloseHandle(self.pipe) };
    }
}

/// An event object that stays set once it is; closed when dropped.
#[derive(Debug)]
struct Event(HANDLE);

// SAFETY: handles of event objects may be used by any thread of the process.
unsafe impl Send for Event {}
// SAFETY: as above, by several at once.
unsafe impl Sync for Event {}

impl Event {
    fn new() -> io::Result<Self> {
        // SAFETY: it takes no name and the default security; 1 asks for a manual reset, 0 for not being set.
        let event = unsafe { CreateEventW(ptr::null(), 1, 0, ptr::null()) };
        if event.is_null() {
            return Err(io::Error::last_os_error());
        }
        Ok(Self(event))
    }

    fn set(&self) {
        // SAFETY: it is open; setting cannot fail then.
        unsafe { SetEvent(self.0) };
    }

    fn is_set_within(&self, milliseconds: u32) -> bool {
        // SAFETY: it is open.
        unsafe { WaitForSingleObject(self.0, milliseconds) == WAIT_OBJECT_0 }
    }
}

impl Drop for Event {
    fn drop(&mut self) {
        // SAFETY: it is open, owned, and closed here alone.
        unsafe { CloseHandle(self.0) };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn everyone_who_asks_is_answered_and_one_process_has_the_name() {
        let pipe = LocalPipe::open(Box::new(|| b"well".to_vec())).unwrap();
        for _ in 0..20 {
            assert_eq!(ask().unwrap(), b"well");
        }
        // A client that does not read keeps nobody from being answered.
        let idle = connect().unwrap();
        assert_eq!(ask().unwrap(), b"well");
        drop(idle);
        LocalPipe::open(Box::new(Vec::new)).unwrap_err();
        drop(pipe);
        ask().unwrap_err();
    }
}
