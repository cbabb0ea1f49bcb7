//! The whole identifier of an event of some source: which upper bits it has is known by the source's own messages alone.

/// Severity in the two highest bits (`winerror.h`): success, information, warning, error.
const SEVERITIES: [u32; 4] = [0, 1, 2, 3];
/// The bit that marks identifiers of other makers than Microsoft.
const CUSTOMER: u32 = 1 << 29;

/// The identifiers that event `number` of `severity` (1 information, 2 warning, 3 error) may have, the likeliest first:
/// that severity, none as of programs that do without, then the others, each with and without the customer's bit.
pub fn candidates(number: u16, severity: u32) -> impl Iterator<Item = u32> {
    let others = SEVERITIES
        .into_iter()
        .filter(move |other| *other != severity && *other != 0);
    [severity, 0]
        .into_iter()
        .chain(others)
        .flat_map(move |severity| {
            let plain = (severity << 30) | u32::from(number);
            [plain, plain | CUSTOMER]
        })
}

/// Files that hold a source's messages, as `EventMessageFile` lists them: separated by semicolons, variables replaced.
pub fn message_files(listed: &str) -> impl Iterator<Item = &str> {
    listed
        .split(';')
        .map(str::trim)
        .filter(|file| !file.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_severity_asked_for_is_tried_first_and_no_identifier_twice() {
        let found: Vec<u32> = candidates(1001, 2).collect();
        assert_eq!(found.first(), Some(&0x8000_03E9));
        assert_eq!(found.get(2), Some(&0x0000_03E9));
        assert!(found.contains(&0xE000_03E9) && found.len() == 8);
        let mut once = found.clone();
        once.sort_unstable();
        once.dedup();
        assert_eq!(once.len(), found.len());
        assert_eq!(candidates(5001, 3).next(), Some(0xC000_1389));
    }

    #[test]
    fn a_list_of_message_files_is_taken_apart() {
        let files: Vec<&str> = message_files(r"C:\a b\x.dll; C:\y.dll;;").collect();
        assert_eq!(files, [r"C:\a b\x.dll", r"C:\y.dll"]);
    }
}
