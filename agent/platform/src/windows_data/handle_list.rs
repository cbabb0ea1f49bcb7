//! `PROCESS_HANDLE_SNAPSHOT_INFORMATION`: the handles that a process has open, by kind of object.

use super::DataError;
use super::bytes::Bytes;

const WHAT: &str = "list of handles";
/// The number of handles, and a word that nobody uses.
const HEADER_BYTES: usize = 16;
const ENTRY_BYTES: usize = 40;
const TYPE_AT: usize = 28;

/// One handle.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ListedHandle {
    /// What the process calls it.
    pub value: u64,
    /// Which kind of object it is: a number that is the same for all processes until the next boot.
    pub object_type: u32,
}

/// The handles in `list`.
///
/// # Errors
/// When the list is cut short: not one handle is handed out then.
pub fn handles(list: &[u8]) -> Result<impl Iterator<Item = ListedHandle> + Clone, DataError> {
    let entries = list.get(HEADER_BYTES..);
    let (Some(count), Some(entries)) = (Bytes(list).u64(0), entries) else {
        return Err(DataError::Short {
            what: WHAT,
            bytes: list.len(),
            needed: HEADER_BYTES,
        });
    };
    let room = entries.len() / ENTRY_BYTES;
    let announced = usize::try_from(count).unwrap_or(usize::MAX);
    if announced > room {
        return Err(DataError::Count {
            what: WHAT,
            rows: u32::try_from(count).unwrap_or(u32::MAX),
            room,
        });
    }
    let entries = entries.chunks_exact(ENTRY_BYTES).take(announced);
    Ok(entries.filter_map(|entry| {
        Some(ListedHandle {
            value: Bytes(entry).u64(0)?,
            object_type: Bytes(entry).u32(TYPE_AT)?,
        })
    }))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const LIST: &[u8] = include_bytes!("golden/handles.bin");

    #[test]
    fn handles_are_told_by_kind_wherever_the_list_lies() {
        let expected = [(0x44, 37), (0x1_0000_0048, 16), (0x4c, 37)];
        for offset in 0..8 {
            let mut moved = vec![0xee; offset];
            moved.extend_from_slice(LIST);
            let found: Vec<_> = handles(&moved[offset..])
                .unwrap()
                .map(|handle| (handle.value, handle.object_type))
                .collect();
            assert_eq!(found, expected);
        }
    }

    #[test]
    fn a_list_that_is_cut_short_has_no_handles() {
        let used = HEADER_BYTES + 3 * ENTRY_BYTES;
        for length in 0..used {
            assert!(handles(&LIST[..length]).is_err(), "{length}");
        }
        assert_eq!(handles(&[0; HEADER_BYTES]).unwrap().count(), 0);
    }

    proptest! {
        #[test]
        fn hostile_lists_are_no_harm(count: u64, small in 0_u64..5, bytes: Vec<u8>) {
            for count in [count, small] {
                let mut list = count.to_le_bytes().to_vec();
                list.extend_from_slice(&bytes);
                if let Ok(found) = handles(&list) {
                    prop_assert_eq!(found.count() as u64, count);
                }
            }
        }
    }
}
