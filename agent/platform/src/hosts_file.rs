//! The hosts file, as far as `localhost` goes; one syntax on both systems (RFC 952, `hosts(5)`).

/// Addresses of the file that are kept.
const ADDRESSES_MAX: usize = 8;

/// The addresses that the file gives `localhost`, in its order, separated by blanks; `None` when it gives none, so that
/// the system's own answer holds.
pub(crate) fn addresses_of_localhost(hosts: &str) -> Option<String> {
    let addresses: Vec<&str> = hosts
        .lines()
        .filter_map(address_of_localhost)
        .take(ADDRESSES_MAX)
        .collect();
    (!addresses.is_empty()).then(|| addresses.join(" "))
}

fn address_of_localhost(line: &str) -> Option<&str> {
    let line = line.trim_start_matches('\u{feff}');
    let entry = line.split('#').next()?;
    let mut words = entry.split_whitespace();
    let address = words.next()?;
    let is_named = words.any(|name| name.eq_ignore_ascii_case("localhost"));
    is_named.then_some(address)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_addresses_of_localhost_come_in_the_files_order() {
        let hosts = "\u{feff}# 127.0.0.1 localhost\r\n::1 ip6-localhost LOCALHOST # both\r\n\
            10.0.0.1 localhost.example\n127.0.0.1\tlocalhost web\n";
        assert_eq!(
            addresses_of_localhost(hosts).as_deref(),
            Some("::1 127.0.0.1")
        );
        assert_eq!(addresses_of_localhost("# 127.0.0.1 localhost\n::1\n"), None);
    }

    #[test]
    fn a_file_that_is_full_of_it_is_cut() {
        let hosts = "127.0.0.1 localhost\n".repeat(100_000);
        let addresses = addresses_of_localhost(&hosts).unwrap();
        assert_eq!(addresses.split(' ').count(), ADDRESSES_MAX);
    }
}
