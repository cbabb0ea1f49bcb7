//! The Application log of Windows: where its texts are registered, and how a message is written.
#![expect(unsafe_code, reason = "events are reported through advapi32")]

use std::io;
use std::path::Path;
use std::ptr;
use std::sync::{Mutex, PoisonError};

use windows_sys::Win32::Foundation::{FreeLibrary, LocalFree};
use windows_sys::Win32::System::Diagnostics::Debug::{
    FORMAT_MESSAGE_ALLOCATE_BUFFER, FORMAT_MESSAGE_FROM_HMODULE, FORMAT_MESSAGE_IGNORE_INSERTS,
    FormatMessageW,
};
use windows_sys::Win32::System::EventLog::{
    DeregisterEventSource, EVENTLOG_ERROR_TYPE, EVENTLOG_INFORMATION_TYPE, EVENTLOG_WARNING_TYPE,
    RegisterEventSourceW, ReportEventW,
};
use windows_sys::Win32::System::LibraryLoader::{LOAD_LIBRARY_AS_DATAFILE, LoadLibraryExW};

use super::own::time_since_boot;
use super::registry;
use super::text::{from_wide, wide};
use crate::application_message::{ApplicationMessage, RepeatLimit, Severity, insertable};

/// The name that the event viewer shows.
pub(super) const SOURCE: &str = "Tidemark";
const KEY: &str = r"SYSTEM\CurrentControlSet\Services\EventLog\Application\Tidemark";
/// Errors, warnings and information (`EVENTLOG_ERROR_TYPE` and the like, joined).
const TYPES: u32 = 7;
/// Longest text that is read back, in UTF-16 units.
const TEXT_UNITS_MAX: usize = 4096;

static LIMIT: Mutex<Option<RepeatLimit>> = Mutex::new(None);

/// Tells Windows that the texts of the messages are in `program`.
///
/// # Errors
/// What the registry says; it takes administrator rights.
pub fn register(program: &Path) -> io::Result<()> {
    let key = registry::Key::create(KEY)?;
    key.set_expanded_text("EventMessageFile", program.as_os_str())?;
    key.set_number("TypesSupported", TYPES)
}

/// Takes it back.
///
/// # Errors
/// What the registry says; it is no error that nothing is registered.
pub fn unregister() -> io::Result<()> {
    registry::remove(KEY)
}

/// Writes a message with `text` for operators and `facts` for programs, unless the same was written within the last
/// minute: then it is counted and told with the next one.
///
/// # Errors
/// What the log service says.
pub fn report(message: ApplicationMessage, text: &str, facts: &str) -> io::Result<()> {
    let left_out = {
        let mut limit = LIMIT.lock().unwrap_or_else(PoisonError::into_inner);
        limit
            .get_or_insert_with(RepeatLimit::default)
            .admit(message, time_since_boot())
    };
    let text = match left_out {
        None => return Ok(()),
        Some(0) => insertable(text),
        Some(more) => insertable(&format!("{text} ({more} like it were left out before)")),
    };
    write(message, [&text, &insertable(facts)])
}

fn write(message: ApplicationMessage, texts: [&str; 2]) -> io::Result<()> {
    write_event(SOURCE, message.severity(), message.id(), texts)
}

/// Writes an event of any source, by its whole identifier.
///
/// # Errors
/// What the log service says.
pub(super) fn write_event(
    source: &str,
    severity: Severity,
    id: u32,
    texts: [&str; 2],
) -> io::Result<()> {
    let kind = match severity {
        Severity::Informational => EVENTLOG_INFORMATION_TYPE,
        Severity::Warning => EVENTLOG_WARNING_TYPE,
        Severity::Error => EVENTLOG_ERROR_TYPE,
    };
    let source_name = wide(source);
    let texts = texts.map(wide);
    let pointers = texts.each_ref().map(|text| text.as_ptr());
    // SAFETY: null is this host, and the name ends with a zero.
    let source = unsafe { RegisterEventSourceW(ptr::null(), source_name.as_ptr()) };
    if source.is_null() {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: the source is open; both texts end with a zero and outlive the call; no user and no data are given. The
    // source is closed once.
    let (succeeded, error) = unsafe {
        let succeeded = ReportEventW(
            source,
            kind,
            0,
            id,
            ptr::null_mut(),
            2,
            0,
            pointers.as_ptr(),
            ptr::null(),
        );
        let error = io::Error::last_os_error();
        DeregisterEventSource(source);
        (succeeded, error)
    };
    if succeeded == 0 { Err(error) } else { Ok(()) }
}

/// What keeps an operator from reading the messages: empty when the event viewer finds the text of each.
#[must_use]
pub fn gaps() -> Vec<String> {
    let Some(program) = registry::text(KEY, "EventMessageFile") else {
        return vec!["its messages are not registered with the Application log".to_owned()];
    };
    ApplicationMessage::ALL
        .into_iter()
        .filter(|message| text_in(Path::new(&program), message.id()).is_none())
        .map(|message| format!("{program} has no text for message {}", message.number()))
        .collect()
}

/// A message's text as `program` holds it, found as the event viewer finds it.
pub(super) fn text_in(program: &Path, id: u32) -> Option<String> {
    let path = wide(program);
    // SAFETY: the path ends with a zero; as a data file nothing of the program is run.
    let module =
        unsafe { LoadLibraryExW(path.as_ptr(), ptr::null_mut(), LOAD_LIBRARY_AS_DATAFILE) };
    if module.is_null() {
        return None;
    }
    let mut found: *mut u16 = ptr::null_mut();
    // SAFETY: the module is loaded; with ALLOCATE_BUFFER the argument is where the address of the text goes; no inserts
    // are read. The module is released once, after its text was copied.
    let units = unsafe {
        let units = FormatMessageW(
            FORMAT_MESSAGE_ALLOCATE_BUFFER
                | FORMAT_MESSAGE_FROM_HMODULE
                | FORMAT_MESSAGE_IGNORE_INSERTS,
            module,
            id,
            0,
            (&raw mut found).cast(),
            0,
            ptr::null(),
        );
        FreeLibrary(module);
        units
    };
    if units == 0 || found.is_null() {
        return None;
    }
    let length = usize::try_from(units).unwrap_or(0).min(TEXT_UNITS_MAX);
    // SAFETY: Windows allocated at least that many units, and they are released once, below.
    let text = unsafe {
        let text = from_wide(std::slice::from_raw_parts(found, length));
        LocalFree(found.cast());
        text
    };
    Some(text)
}
