//! Folders that only the system, its administrators and their owner may enter: access control lists.
#![expect(
    unsafe_code,
    reason = "access control lists are read and set through Win32"
)]

mod sid;

use std::io;
use std::os::windows::io::RawHandle;
use std::path::Path;
use std::ptr;

use windows_sys::Win32::Foundation::{ERROR_ALREADY_EXISTS, LocalFree};
use windows_sys::Win32::Security::Authorization::{
    ConvertStringSecurityDescriptorToSecurityDescriptorW, GetNamedSecurityInfoW, GetSecurityInfo,
    SDDL_REVISION_1, SE_FILE_OBJECT, SE_KERNEL_OBJECT,
};
use windows_sys::Win32::Security::{
    ACCESS_ALLOWED_ACE, ACE_HEADER, ACL, DACL_SECURITY_INFORMATION, GetAce,
    OWNER_SECURITY_INFORMATION, PSECURITY_DESCRIPTOR, PSID, SECURITY_ATTRIBUTES,
};
use windows_sys::Win32::Storage::FileSystem::CreateDirectoryW;

use self::sid::{TokenUser, is_trusted, text_of};
use super::text::wide;
pub use crate::exposure::Exposure;

/// What an operator does about an [`Exposure`].
pub const REMEDY: &str = "leave it to SYSTEM and Administrators alone (icacls /inheritance:r)";

/// Protected from the folder above; full access for SYSTEM, Administrators and the owner (S-1-3-4), files and folders
/// inside included.
const PRIVATE: &str = "D:PAI(A;OICI;FA;;;SY)(A;OICI;FA;;;BA)(A;OICI;FA;;;S-1-3-4)";
/// `ACCESS_ALLOWED_ACE_TYPE` (`winnt.h`).
const ALLOWED: u8 = 0;
/// `ACCESS_ALLOWED_CALLBACK_ACE_TYPE`, whose identifier is at the same place.
const ALLOWED_CALLBACK: u8 = 9;

/// Makes a folder, and those above it, that only the system, its administrators and its owner may enter. One that is
/// there stays as it is.
///
/// # Errors
/// What the file system says.
pub fn make_folder(path: &Path) -> io::Result<()> {
    let missing: Vec<&Path> = path
        .ancestors()
        .take_while(|folder| !folder.as_os_str().is_empty() && !folder.is_dir())
        .collect();
    let descriptor = Descriptor::private()?;
    missing
        .into_iter()
        .rev()
        .try_for_each(|folder| make_with(folder, &descriptor))
}

/// Who but its owner, the system, its administrators and this process's user may enter a folder; `None` when nobody may.
///
/// # Errors
/// When the folder cannot be asked.
pub fn exposure(folder: &Path) -> io::Result<Option<Exposure>> {
    let asked = Descriptor::of(folder)?;
    let user = TokenUser::of_this_process()?;
    if !is_trusted(asked.owner, &user) {
        let owner = text_of(asked.owner);
        return Ok(Some(Exposure::new(format!("its owner is {owner}"))));
    }
    if asked.list.is_null() {
        return Ok(Some(Exposure::new(
            "it has no access control list".to_owned(),
        )));
    }
    // SAFETY: the list lives as long as the descriptor, and its header says how many entries it has.
    let count = unsafe { (*asked.list).AceCount };
    let others: Vec<String> = (0..u32::from(count))
        .filter_map(|index| asked.allowed(index))
        .filter(|sid| !is_trusted(*sid, &user))
        .map(text_of)
        .collect();
    Ok((!others.is_empty()).then(|| Exposure::new(format!("to {}", others.join(", ")))))
}

/// Who but the system, its administrators and this process's user may have written a file. Whoever may read it counts as
/// well: the agent's folders let nobody else in, and a list that does was changed by hand. `None` when nobody may.
///
/// # Errors
/// When the file cannot be asked.
pub fn meddlers(file: &Path) -> io::Result<Option<Exposure>> {
    exposure(file)
}

fn make_with(folder: &Path, descriptor: &Descriptor) -> io::Result<()> {
    let attributes = SECURITY_ATTRIBUTES {
        nLength: u32::try_from(size_of::<SECURITY_ATTRIBUTES>()).unwrap_or(0),
        lpSecurityDescriptor: descriptor.memory,
        bInheritHandle: 0,
    };
    let path = wide(folder);
    // SAFETY: the path ends with a zero, and the descriptor outlives the call.
    if unsafe { CreateDirectoryW(path.as_ptr(), ptr::from_ref(&attributes)) } != 0 {
        return Ok(());
    }
    let error = io::Error::last_os_error();
    // Somebody else made it meanwhile.
    if error.raw_os_error() == Some(ERROR_ALREADY_EXISTS.cast_signed()) {
        return Ok(());
    }
    Err(error)
}

/// Whether the system, its administrators or this process's user own an open pipe or the like.
///
/// # Errors
/// When it cannot be asked.
pub(super) fn is_owner_trusted(handle: RawHandle) -> io::Result<bool> {
    let mut asked = Descriptor::empty();
    // SAFETY: the handle is open while it is borrowed; what is not asked for is null; the owner points into `memory`.
    let status = unsafe {
        GetSecurityInfo(
            handle,
            SE_KERNEL_OBJECT,
            OWNER_SECURITY_INFORMATION,
            &raw mut asked.owner,
            ptr::null_mut(),
            ptr::null_mut(),
            ptr::null_mut(),
            &raw mut asked.memory,
        )
    };
    if status != 0 {
        return Err(io::Error::from_raw_os_error(status.cast_signed()));
    }
    Ok(is_trusted(asked.owner, &TokenUser::of_this_process()?))
}

/// A security descriptor in memory that Windows gave, with pointers into it.
pub(super) struct Descriptor {
    memory: PSECURITY_DESCRIPTOR,
    owner: PSID,
    list: *mut ACL,
}

impl Descriptor {
    const fn empty() -> Self {
        Self {
            memory: ptr::null_mut(),
            owner: ptr::null_mut(),
            list: ptr::null_mut(),
        }
    }

    /// The descriptor itself, for as long as this lives.
    pub(super) const fn as_raw(&self) -> PSECURITY_DESCRIPTOR {
        self.memory
    }

    /// That of what nobody but the system, its administrators and the owner may use.
    pub(super) fn private() -> io::Result<Self> {
        let text = wide(PRIVATE);
        let mut memory = ptr::null_mut();
        // SAFETY: the text ends with a zero; the size is not asked for.
        let succeeded = unsafe {
            ConvertStringSecurityDescriptorToSecurityDescriptorW(
                text.as_ptr(),
                SDDL_REVISION_1,
                &raw mut memory,
                ptr::null_mut(),
            )
        };
        if succeeded == 0 {
            return Err(io::Error::last_os_error());
        }
        Ok(Self {
            memory,
            owner: ptr::null_mut(),
            list: ptr::null_mut(),
        })
    }

    fn of(folder: &Path) -> io::Result<Self> {
        let path = wide(folder);
        let mut asked = Self::empty();
        // SAFETY: the path ends with a zero; group and system list are not asked for; the others point into `memory`.
        let status = unsafe {
            GetNamedSecurityInfoW(
                path.as_ptr(),
                SE_FILE_OBJECT,
                OWNER_SECURITY_INFORMATION | DACL_SECURITY_INFORMATION,
                &raw mut asked.owner,
                ptr::null_mut(),
                &raw mut asked.list,
                ptr::null_mut(),
                &raw mut asked.memory,
            )
        };
        if status == 0 {
            Ok(asked)
        } else {
            Err(io::Error::from_raw_os_error(status.cast_signed()))
        }
    }

    /// Whom entry `index` of the list allows something; `None` when it allows nobody anything.
    fn allowed(&self, index: u32) -> Option<PSID> {
        let mut entry = ptr::null_mut();
        // SAFETY: the list lives as long as `memory`; an index beyond it is refused.
        if unsafe { GetAce(self.list, index, &raw mut entry) } == 0 {
            return None;
        }
        // SAFETY: every entry begins with a header.
        let header = unsafe { ptr::read_unaligned(entry.cast::<ACE_HEADER>()) };
        if header.AceType != ALLOWED && header.AceType != ALLOWED_CALLBACK {
            return None;
        }
        let entry = entry.cast::<ACCESS_ALLOWED_ACE>();
        // SAFETY: entries of these types have a mask, and behind it the identifier, which begins in this field.
        let (mask, sid) = unsafe {
            (
                ptr::read_unaligned(&raw const (*entry).Mask),
                &raw mut (*entry).SidStart,
            )
        };
        (mask != 0).then_some(sid.cast())
    }
}

impl Drop for Descriptor {
    fn drop(&mut self) {
        // SAFETY: Windows allocated it with LocalAlloc, and nothing points into it any more.
        unsafe { LocalFree(self.memory) };
    }
}
