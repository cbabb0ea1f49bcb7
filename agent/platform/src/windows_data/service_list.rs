//! `ENUM_SERVICE_STATUS_PROCESSW`: services with the process that each runs in.

use super::DataError;
use super::bytes::{self, Bytes};

const ENTRY_BYTES: usize = 56;
/// Size of an `ENUM_SERVICE_STATUSW`, which begins in the same way.
const PLAIN_ENTRY_BYTES: usize = 48;
const NAME_POINTER_AT: usize = 0;
const PROCESS_AT: usize = 16 + 28;
/// The longest name that a service can have (`CreateServiceW`).
const NAME_CHARS_MAX: usize = 256;

/// A service.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ListedService {
    /// Its key name, as in `Dnscache`; hostile text.
    pub name: String,
    /// The process it runs in; 0 when it does not run.
    pub process: u32,
}

/// The first `count` services of `list`, whose first byte was at address `base`; without those whose name is not in
/// the list.
///
/// # Errors
/// When there are fewer.
pub fn services(
    list: &[u8],
    base: u64,
    count: u32,
) -> Result<impl Iterator<Item = ListedService>, DataError> {
    let room = list.len() / ENTRY_BYTES;
    let announced = usize::try_from(count).unwrap_or(usize::MAX);
    if announced > room {
        return Err(DataError::Count {
            what: "list of services",
            rows: count,
            room,
        });
    }
    let entries = list.chunks_exact(ENTRY_BYTES).take(announced);
    Ok(entries.filter_map(move |entry| {
        let entry = Bytes(entry);
        let name = Bytes(list).behind(entry.u64(NAME_POINTER_AT)?, base)?;
        Some(ListedService {
            name: bytes::text(bytes::terminated(name, NAME_CHARS_MAX + 1)?),
            process: entry.u32(PROCESS_AT)?,
        })
    }))
}

/// Names of the first `count` services of a list of `ENUM_SERVICE_STATUSW`, in its order; without those whose name is not
/// in the list.
///
/// # Errors
/// When there are fewer.
pub fn names(
    list: &[u8],
    base: u64,
    count: u32,
) -> Result<impl Iterator<Item = String>, DataError> {
    let room = list.len() / PLAIN_ENTRY_BYTES;
    let announced = usize::try_from(count).unwrap_or(usize::MAX);
    if announced > room {
        return Err(DataError::Count {
            what: "list of dependent services",
            rows: count,
            room,
        });
    }
    let entries = list.chunks_exact(PLAIN_ENTRY_BYTES).take(announced);
    Ok(entries.filter_map(move |entry| {
        let name = Bytes(list).behind(Bytes(entry).u64(NAME_POINTER_AT)?, base)?;
        Some(bytes::text(bytes::terminated(name, NAME_CHARS_MAX + 1)?))
    }))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const BASE: u64 = 0x7ff6_0000_1000;

    /// Services as the service control manager lays them out: entries first, names behind them.
    fn list(services: &[(&str, u32)]) -> Vec<u8> {
        let mut entries = Vec::new();
        let mut names = Vec::new();
        let names_at = BASE + (services.len() * ENTRY_BYTES) as u64;
        for (name, process) in services {
            let mut entry = [0xee; ENTRY_BYTES];
            let pointer = names_at + names.len() as u64;
            entry[..8].copy_from_slice(&pointer.to_le_bytes());
            entry[44..48].copy_from_slice(&process.to_le_bytes());
            entries.extend_from_slice(&entry);
            names.extend(name.encode_utf16().flat_map(u16::to_le_bytes));
            names.extend_from_slice(&[0, 0]);
        }
        entries.extend(names);
        entries
    }

    #[test]
    fn services_are_listed_with_their_process() {
        let list = list(&[("Dnscache", 1212), ("Überwachung", 0)]);
        let found: Vec<_> = services(&list, BASE, 2).unwrap().collect();
        let found: Vec<_> = found.iter().map(|s| (s.name.as_str(), s.process)).collect();
        assert_eq!(found, [("Dnscache", 1212), ("Überwachung", 0)]);
    }

    #[test]
    fn dependents_are_named_in_their_order() {
        let mut list = [0_u8; 2 * PLAIN_ENTRY_BYTES].to_vec();
        for (index, name) in ["W3SVC", "WAS"].iter().enumerate() {
            let pointer = BASE + list.len() as u64;
            let at = index * PLAIN_ENTRY_BYTES;
            list[at..at + 8].copy_from_slice(&pointer.to_le_bytes());
            list.extend(name.encode_utf16().flat_map(u16::to_le_bytes));
            list.extend_from_slice(&[0, 0]);
        }
        let found: Vec<String> = names(&list, BASE, 2).unwrap().collect();
        assert_eq!(found, ["W3SVC", "WAS"]);
        assert!(names(&list, BASE, 9).is_err());
    }

    #[test]
    fn a_recorded_list_is_read() {
        let (base, list) = include_bytes!("golden/services.bin")
            .split_first_chunk()
            .unwrap();
        let found: Vec<_> = services(list, u64::from_le_bytes(*base), 16)
            .unwrap()
            .collect();
        assert_eq!(found.len(), 16);
        let spooler = found.iter().find(|service| service.name == "Spooler");
        assert_eq!(spooler.unwrap().process, 0);
        assert!(
            found.iter().any(|service| service.process != 0),
            "{found:?}"
        );
    }

    #[test]
    fn more_services_than_there_is_room_for_are_refused() {
        let list = list(&[("A", 1)]);
        let error = services(&list, BASE, 9).err().unwrap();
        assert_eq!(
            error.to_string(),
            "the list of services announces 9 rows and has room for 1"
        );
    }

    proptest! {
        #[test]
        fn hostile_bytes_are_no_harm(list: Vec<u8>, base: u64, count in 0_u32..8) {
            if let Ok(found) = services(&list, base, count) {
                prop_assert!(found.count() <= list.len() / ENTRY_BYTES);
            }
            if let Ok(found) = names(&list, base, count) {
                prop_assert!(found.count() <= list.len() / PLAIN_ENTRY_BYTES);
            }
        }
    }
}
