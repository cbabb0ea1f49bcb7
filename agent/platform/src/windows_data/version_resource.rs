//! The file version of an executable, found by way of its headers: a few kilobytes of a file of any size are read.

use std::io::{self, Read, Seek};

use object::LittleEndian as LE;
use object::pe::{
    IMAGE_DIRECTORY_ENTRY_RESOURCE, IMAGE_NT_OPTIONAL_HDR32_MAGIC, ImageDosHeader,
    ImageNtHeaders32, ImageNtHeaders64, ImageResourceDataEntry, RT_VERSION,
};
use object::read::pe::{
    ImageNtHeaders, ResourceDirectory, ResourceDirectoryTable, SectionTable, optional_header_magic,
};
use object::{ReadCache, ReadRef};

use super::file_version;

/// The tables of resources stand before the resources; more than this of them is not read.
const TABLES_BYTES_MAX: u32 = 256 * 1024;
/// Longest version resource that is read; one of thirty languages has some 20 KB.
const VERSION_BYTES_MAX: u32 = 64 * 1024;

/// The version that an image states, as in `10.0.17763.1234`; `None` when it states none.
///
/// # Errors
/// When it is no image, is damaged, or cannot be read.
pub fn in_image(image: impl Read + Seek) -> io::Result<Option<String>> {
    let cache = ReadCache::new(image);
    let magic = optional_header_magic(&cache).map_err(damaged)?;
    if magic == IMAGE_NT_OPTIONAL_HDR32_MAGIC {
        in_headers::<ImageNtHeaders32, _>(&cache)
    } else {
        in_headers::<ImageNtHeaders64, _>(&cache)
    }
}

fn damaged(error: object::Error) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, error)
}

fn in_headers<'a, Headers: ImageNtHeaders, Data: ReadRef<'a>>(
    data: Data,
) -> io::Result<Option<String>> {
    let dos = ImageDosHeader::parse(data).map_err(damaged)?;
    let mut offset = dos.nt_headers_offset().into();
    let (headers, directories) = Headers::parse(data, &mut offset).map_err(damaged)?;
    let sections = headers.sections(data, offset).map_err(damaged)?;
    let Some(directory) = directories.get(IMAGE_DIRECTORY_ENTRY_RESOURCE) else {
        return Ok(None);
    };
    let address = directory.virtual_address.get(LE);
    if address == 0 {
        return Ok(None);
    }
    let tables = bytes_at(data, &sections, address, TABLES_BYTES_MAX)?;
    let Some(entry) = version_entry(ResourceDirectory::new(tables)).map_err(damaged)? else {
        return Ok(None);
    };
    let bytes = entry.size.get(LE).min(VERSION_BYTES_MAX);
    let resource = bytes_at(data, &sections, entry.offset_to_data.get(LE), bytes)?;
    Ok(file_version::in_image(resource))
}

/// At most `bytes_max` bytes from an address of the image on.
fn bytes_at<'a>(
    data: impl ReadRef<'a>,
    sections: &SectionTable<'a>,
    address: u32,
    bytes_max: u32,
) -> io::Result<&'a [u8]> {
    let outside = || io::Error::new(io::ErrorKind::InvalidData, "resources outside of the file");
    let (offset, bytes) = sections.pe_file_range_at(address).ok_or_else(outside)?;
    data.read_bytes_at(offset.into(), bytes.min(bytes_max).into())
        .map_err(|()| outside())
}

/// The version, in the first language there is.
fn version_entry(
    directory: ResourceDirectory<'_>,
) -> object::read::Result<Option<&ImageResourceDataEntry>> {
    let root = directory.root()?;
    let mut types = root.entries.iter();
    let Some(kind) = types.find(|entry| entry.name_or_id().id() == Some(RT_VERSION)) else {
        return Ok(None);
    };
    let Some(names) = kind.data(directory)?.table() else {
        return Ok(None);
    };
    let first = |table: ResourceDirectoryTable<'_>| match table.entries.first() {
        Some(entry) => entry.data(directory).map(Some),
        None => Ok(None),
    };
    let Some(languages) = first(names)?.and_then(|data| data.table()) else {
        return Ok(None);
    };
    Ok(first(languages)?.and_then(|data| data.data()))
}

#[cfg(test)]
mod tests {
    use std::io::Cursor;

    use proptest::prelude::*;

    use super::*;

    const RESOURCES_AT: usize = 0x200;
    const RESOURCES_ADDRESS: u32 = 0x1000;

    fn put(image: &mut [u8], at: usize, value: u32, bytes: usize) {
        image[at..at + bytes].copy_from_slice(&value.to_le_bytes()[..bytes]);
    }

    /// A 64-bit image of one section, whose resources are a version.
    fn image() -> Vec<u8> {
        let mut image = vec![0; 0x400];
        image[..2].copy_from_slice(b"MZ");
        put(&mut image, 0x3c, 0x40, 4);
        image[0x40..0x44].copy_from_slice(b"PE\0\0");
        put(&mut image, 0x44, 0x8664, 2);
        // One section; 240 bytes of optional header with 16 directories, of which the third is the resources'.
        put(&mut image, 0x46, 1, 2);
        put(&mut image, 0x54, 240, 2);
        put(&mut image, 0x58, 0x20b, 2);
        put(&mut image, 0x58 + 108, 16, 4);
        put(&mut image, 0x58 + 112 + 16, RESOURCES_ADDRESS, 4);
        put(&mut image, 0x58 + 112 + 20, 0x200, 4);
        let section = 0x58 + 240;
        image[section..section + 5].copy_from_slice(b".rsrc");
        for (at, value) in [
            (8, 0x200),
            (12, RESOURCES_ADDRESS),
            (16, 0x200),
            (20, 0x200),
        ] {
            put(&mut image, section + at, value, 4);
        }
        // Three tables of one entry each, of 24 bytes: type, name, language; then where the bytes are.
        let tables = [
            (u32::from(RT_VERSION), 0x8000_0018),
            (1, 0x8000_0030),
            (1033, 0x48),
        ];
        for (number, (id, to)) in tables.into_iter().enumerate() {
            let table = RESOURCES_AT + number * 24;
            put(&mut image, table + 14, 1, 2);
            put(&mut image, table + 16, id, 4);
            put(&mut image, table + 20, to, 4);
        }
        put(&mut image, RESOURCES_AT + 0x48, RESOURCES_ADDRESS + 0x60, 4);
        put(&mut image, RESOURCES_AT + 0x4c, 0x80, 4);
        let mut version: Vec<u8> = "VS_VERSION_INFO\0"
            .encode_utf16()
            .flat_map(u16::to_le_bytes)
            .collect();
        for number in [0xfeef_04bd_u32, 0x0001_0000, 0x000f_0000, 0x1036_0003] {
            version.extend(number.to_le_bytes());
        }
        let at = RESOURCES_AT + 0x60;
        image[at..at + version.len()].copy_from_slice(&version);
        image
    }

    fn version(image: &[u8]) -> io::Result<Option<String>> {
        in_image(Cursor::new(image))
    }

    #[test]
    fn the_version_is_found_by_way_of_the_headers() {
        let with = image();
        assert_eq!(version(&with).unwrap().as_deref(), Some("15.0.4150.3"));
        let mut other = with.clone();
        put(&mut other, RESOURCES_AT + 16, 3, 4);
        assert_eq!(version(&other).unwrap(), None, "icons alone");
        let mut none = with.clone();
        put(&mut none, 0x58 + 112 + 16, 0, 4);
        assert_eq!(version(&none).unwrap(), None);
        assert!(version(b"#!/bin/sh").is_err());
        assert!(version(&with[..0x200]).is_err());
    }

    proptest! {
        #[test]
        fn a_damaged_image_is_read_without_a_panic(at in 0_usize..0x400, value in any::<u32>()) {
            let mut image = image();
            let at = at.min(image.len() - 4);
            put(&mut image, at, value, 4);
            // Whether it is still found hangs on what was hit.
            version(&image).ok();
        }
    }
}
