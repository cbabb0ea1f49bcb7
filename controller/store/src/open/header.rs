//! The first 100 bytes of a SQLite file (<https://www.sqlite.org/fileformat.html>, section 1.3), read before SQLite
//! touches it: opening another program's file would already change its journal mode.

/// "Tide", as the first migration sets it.
pub(crate) const APPLICATION_ID: u32 = 0x5469_6465;
/// Length of the header.
pub(crate) const HEADER_BYTES: usize = 100;

const MAGIC: &[u8; 16] = b"SQLite format 3\0";

/// How the note begins that stands in a database's place while it is repaired; the name of the damaged file follows.
pub const REPAIR_NOTE: &[u8] = b"Tidemark repair of ";

/// What a file's header says of it.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// A database of ours that should have at least this many bytes; 0 when the header does not know.
    Ours { bytes_min: u64 },
    /// Not a database of ours.
    Foreign(&'static str),
    /// The note of a repair that did not come to its end.
    Repairing,
    /// No database of anybody any more.
    Damaged(&'static str),
}

/// Judges the first bytes of a file, [`HEADER_BYTES`] of them unless it is shorter.
pub(crate) fn judge(header: &[u8]) -> Verdict {
    if header.is_empty() {
        return Verdict::Damaged("it is empty");
    }
    if header.iter().all(|byte| *byte == 0) {
        return Verdict::Damaged("it begins with zeros only");
    }
    if header.starts_with(REPAIR_NOTE) {
        return Verdict::Repairing;
    }
    let Some((magic, _)) = header.split_first_chunk::<16>() else {
        return Verdict::Foreign("it is too short for a database");
    };
    if magic != MAGIC {
        return Verdict::Foreign("it is not a SQLite database");
    }
    let (Some(page_size), Some(changes), Some(pages), Some(application_id), Some(valid_for)) = (
        number(header, 16).map(|both| both >> 16),
        number(header, 24),
        number(header, 28),
        number(header, 68),
        number(header, 92),
    ) else {
        return Verdict::Damaged("its header is cut off");
    };
    if application_id != APPLICATION_ID {
        return Verdict::Foreign("it is another program's SQLite database");
    }
    // 1 stands for 65,536, which does not fit.
    let page_bytes = if page_size == 1 { 65_536 } else { page_size };
    let counted = if changes == valid_for { pages } else { 0 };
    Verdict::Ours {
        bytes_min: u64::from(page_bytes) * u64::from(counted),
    }
}

fn number(header: &[u8], at: usize) -> Option<u32> {
    let (bytes, _) = header.get(at..)?.split_first_chunk::<4>()?;
    Some(u32::from_be_bytes(*bytes))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn header(application_id: u32) -> Vec<u8> {
        let mut bytes = vec![0; HEADER_BYTES];
        bytes[..16].copy_from_slice(MAGIC);
        bytes[16..18].copy_from_slice(&4_096_u16.to_be_bytes());
        bytes[28..32].copy_from_slice(&10_u32.to_be_bytes());
        bytes[68..72].copy_from_slice(&application_id.to_be_bytes());
        bytes
    }

    #[test]
    fn only_our_own_files_pass() {
        assert_eq!(
            judge(&header(APPLICATION_ID)),
            Verdict::Ours { bytes_min: 40_960 }
        );
        assert!(matches!(judge(&header(0)), Verdict::Foreign(_)));
        assert!(matches!(judge(b"-- a text file"), Verdict::Foreign(_)));
        assert!(matches!(judge(b""), Verdict::Damaged(_)));
        assert!(matches!(judge(&[0; 100]), Verdict::Damaged(_)));
        assert!(matches!(
            judge(&header(APPLICATION_ID)[..50]),
            Verdict::Damaged(_)
        ));
    }

    #[test]
    fn a_page_count_that_is_not_current_is_not_trusted() {
        let mut stale = header(APPLICATION_ID);
        stale[24] = 1;
        assert_eq!(judge(&stale), Verdict::Ours { bytes_min: 0 });
    }

    proptest! {
        #[test]
        fn any_bytes_are_judged_without_a_panic(bytes in proptest::collection::vec(any::<u8>(), 0..120)) {
            let mut ours = MAGIC.to_vec();
            ours.extend_from_slice(&bytes);
            judge(&bytes);
            judge(&ours);
        }
    }
}
