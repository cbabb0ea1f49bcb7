//! What the notes of an ELF file say: its build id, and the package that its distribution stamped on it.
//!
//! Only headers and notes are read. The file may be anybody's: every count and size is checked before it is followed.

use std::io::{self, Read, Seek};

use object::elf::{self, FileHeader32, FileHeader64};
use object::read::elf::{FileHeader, ProgramHeader};
use object::{Endianness, FileKind, ReadCache, ReadRef};

/// Longest segment of notes that is read.
const NOTES_BYTES_MAX: u64 = 64 * 1024;
/// Owner and type of the note that holds a package, as JSON (systemd.io, "Package Metadata for Executable Files").
const PACKAGE_OWNER: &[u8] = b"FDO";
const PACKAGE_TYPE: u32 = 0xcafe_1a7e;
/// Longest build id that is told, in bytes: SHA-1 has 20.
const BUILD_ID_BYTES_MAX: usize = 64;

/// What was found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Notes {
    /// In hexadecimal.
    pub(super) build_id: Option<String>,
    /// Version of the package.
    pub(super) package_version: Option<String>,
}

/// The notes of a file; none when it is no ELF file.
///
/// # Errors
/// When it is damaged or cannot be read.
pub(super) fn read(file: impl Read + Seek) -> io::Result<Notes> {
    let cache = ReadCache::new(file);
    let read = match FileKind::parse(&cache) {
        Ok(FileKind::Elf64) => in_headers::<FileHeader64<Endianness>, _>(&cache),
        Ok(FileKind::Elf32) => in_headers::<FileHeader32<Endianness>, _>(&cache),
        Ok(_) | Err(_) => Ok(Notes::default()),
    };
    read.map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))
}

fn in_headers<'a, Header, Data>(data: Data) -> object::read::Result<Notes>
where
    Header: FileHeader<Endian = Endianness>,
    Data: ReadRef<'a>,
{
    let mut found = Notes::default();
    let header = Header::parse(data)?;
    let endian = header.endian()?;
    // A count that does not fit stands elsewhere, without a limit; no program has so many segments.
    if header.e_phnum(endian) == elf::PN_XNUM {
        return Ok(found);
    }
    for segment in header.program_headers(endian, data)? {
        if segment.p_filesz(endian).into() > NOTES_BYTES_MAX {
            continue;
        }
        let Some(mut notes) = segment.notes(endian, data)? else {
            continue;
        };
        while let Some(note) = notes.next()? {
            match (note.name(), note.n_type(endian)) {
                (elf::ELF_NOTE_GNU, elf::NT_GNU_BUILD_ID) => {
                    found.build_id = hexadecimal(note.desc());
                }
                (PACKAGE_OWNER, PACKAGE_TYPE) => {
                    found.package_version = version_in(note.desc());
                }
                _ => {}
            }
        }
    }
    Ok(found)
}

fn hexadecimal(bytes: &[u8]) -> Option<String> {
    let is_told = !bytes.is_empty() && bytes.len() <= BUILD_ID_BYTES_MAX;
    is_told.then(|| bytes.iter().map(|byte| format!("{byte:02x}")).collect())
}

/// `version` of a package's JSON, which ends with zeros.
fn version_in(json: &[u8]) -> Option<String> {
    let text = json.split(|byte| *byte == 0).next()?;
    let package: serde_json::Value = serde_json::from_slice(text).ok()?;
    let version = package.get("version")?.as_str()?.trim();
    (!version.is_empty()).then(|| version.to_owned())
}

#[cfg(test)]
pub(super) mod tests {
    use std::fs::File;
    use std::io::Cursor;

    use proptest::prelude::*;

    use super::*;

    fn note(owner: &[u8], kind: u32, text: &[u8]) -> Vec<u8> {
        let padded = |bytes: &[u8]| {
            let mut padded = bytes.to_vec();
            padded.resize(bytes.len().next_multiple_of(4), 0);
            padded
        };
        let mut note = Vec::new();
        for number in [owner.len(), text.len(), kind as usize] {
            note.extend(u32::try_from(number).unwrap().to_le_bytes());
        }
        note.extend(padded(owner));
        note.extend(padded(text));
        note
    }

    /// A 64-bit file of one segment, which holds a build id and a package.
    pub(in crate::linux) fn elf_of(package: &str) -> Vec<u8> {
        let mut notes = note(b"GNU\0", 3, &[0xab, 0x01]);
        notes.extend(note(b"FDO\0", PACKAGE_TYPE, package.as_bytes()));
        let mut file = b"\x7fELF\x02\x01\x01".to_vec();
        file.resize(64 + 56, 0);
        let mut put = |at: usize, value: u64, bytes: usize| {
            file[at..at + bytes].copy_from_slice(&value.to_le_bytes()[..bytes]);
        };
        // Headers of segments at 64, of 56 bytes, one of them: notes at 120.
        for (at, value, bytes) in [
            (16, 2, 2),
            (18, 62, 2),
            (20, 1, 4),
            (32, 64, 8),
            (52, 64, 2),
        ] {
            put(at, value, bytes);
        }
        for (at, value, bytes) in [(54, 56, 2), (56, 1, 2), (64, 4, 4), (72, 120, 8)] {
            put(at, value, bytes);
        }
        put(96, notes.len() as u64, 8);
        put(112, 4, 8);
        file.extend(notes);
        file
    }

    #[test]
    fn build_id_and_package_are_read_and_what_is_no_elf_file_has_none() {
        let package = r#"{"type":"rpm","name":"hello","version":"2.10-4.fc41.x86_64"}"#;
        let notes = read(Cursor::new(elf_of(package))).unwrap();
        assert_eq!(notes.build_id.as_deref(), Some("ab01"));
        assert_eq!(notes.package_version.as_deref(), Some("2.10-4.fc41.x86_64"));
        let odd = read(Cursor::new(elf_of("not JSON"))).unwrap();
        assert_eq!(odd.package_version, None);
        assert_eq!(read(Cursor::new(b"#!/bin/sh\n")).unwrap(), Notes::default());
        assert!(read(Cursor::new(&elf_of(package)[..130])).is_err());
    }

    #[test]
    fn this_programs_own_notes_can_be_read() {
        let own = File::open("/proc/self/exe").unwrap();
        assert!(read(&own).is_ok());
    }

    proptest! {
        #[test]
        fn a_damaged_file_is_read_without_a_panic(at in 0_usize..200, value in any::<u8>()) {
            let mut file = elf_of("{}");
            let at = at.min(file.len() - 1);
            file[at] = value;
            // Whether it is still read hangs on what was hit.
            read(Cursor::new(file)).ok();
        }
    }
}
