//! The service behind a tag: threads of a process that several services share carry the tag of theirs, and so do the
//! sockets that they open.
#![expect(
    unsafe_code,
    reason = "an undocumented export is called through a pointer"
)]

use std::ffi::c_void;
use std::ptr;
use std::sync::OnceLock;

use windows_sys::Win32::Foundation::LocalFree;
use windows_sys::Win32::System::LibraryLoader::{
    GetProcAddress, LOAD_LIBRARY_SEARCH_SYSTEM32, LoadLibraryExW,
};
use windows_sys::{s, w};

use crate::windows::wine;

/// Longest name of a service, in UTF-16 units (`CreateServiceW`).
const NAME_UNITS_MAX: usize = 256;
/// `eTagInfoLevelNameFromTag` (System Informer, `subprocesstag.h`).
const NAME_FROM_TAG: i32 = 1;

/// Which host (null for this), what is asked for, and the question with room for the answer.
type QueryFn = unsafe extern "system" fn(*const u16, i32, *mut c_void) -> u32;

/// `TAG_INFO_NAME_FROM_TAG`.
#[repr(C)]
struct NameFromTag {
    process: u32,
    tag: u32,
    kind: u32,
    name: *mut u16,
}

/// The key name of the service; `None` when the system does not know.
pub(super) fn name(process: u32, tag: u32) -> Option<String> {
    static QUERY: OnceLock<Option<QueryFn>> = OnceLock::new();
    let query = (*QUERY.get_or_init(resolve))?;
    let mut question = NameFromTag {
        process,
        tag,
        kind: 0,
        name: ptr::null_mut(),
    };
    // SAFETY: the question is laid out as this level wants it; the name, when there is one, is ours to free.
    let code = unsafe { query(ptr::null(), NAME_FROM_TAG, (&raw mut question).cast()) };
    if question.name.is_null() {
        return None;
    }
    // SAFETY: the name ends with a zero.
    let name = unsafe { terminated(question.name) };
    // SAFETY: the name was allocated for the caller by `LocalAlloc`, and is not used any more.
    unsafe { LocalFree(question.name.cast()) };
    (code == 0).then_some(name).flatten()
}

/// `None` under Wine, where it is a stub that ends the process, and where it is missing.
fn resolve() -> Option<QueryFn> {
    if wine::version().is_some() {
        return None;
    }
    // It moved to sechost.dll with Windows 8.1.
    let libraries = [w!("sechost.dll"), w!("advapi32.dll")];
    let function = libraries.into_iter().find_map(|library| {
        // SAFETY: both names end with a zero; system libraries are loaded from the system's folder alone, and stay.
        unsafe {
            let library = LoadLibraryExW(library, ptr::null_mut(), LOAD_LIBRARY_SEARCH_SYSTEM32);
            GetProcAddress(library, s!("I_QueryTagInformation"))
        }
    })?;
    // SAFETY: the export has this signature (System Informer, `subprocesstag.h`).
    Some(unsafe { std::mem::transmute::<unsafe extern "system" fn() -> isize, QueryFn>(function) })
}

/// The text before the first zero; `None` when it is longer than a name can be.
///
/// # Safety
/// `text` must end with a zero.
unsafe fn terminated(text: *const u16) -> Option<String> {
    let mut units = Vec::new();
    for at in 0..=NAME_UNITS_MAX {
        // SAFETY: no unit before this one was zero, so that this one belongs to the text.
        let unit = unsafe { text.add(at).read_unaligned() };
        if unit == 0 {
            return Some(String::from_utf16_lossy(&units));
        }
        units.push(unit);
    }
    None
}
