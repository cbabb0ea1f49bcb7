//! Readers of what the kernel, other programs and their files say, for the fuzz targets (`tests/fuzz`): private elsewhere.

use std::io::Cursor;

use tidemark_model::Protocol;

use super::{counters, diag, dpkg, elf_notes, host, ports, process};
use crate::{SocketRow, TableError};

/// Hands the rows of a sock_diag answer to `on_row`; says how the dump ended, when it did.
///
/// # Errors
/// When the datagram is malformed.
pub fn socket_rows(
    datagram: &[u8],
    protocol: Protocol,
    sequence: u32,
    mut on_row: impl FnMut(&SocketRow),
) -> Result<Option<i32>, TableError> {
    let mut rows = 0_u32;
    let parsed = diag::parse(datagram, protocol, sequence, &mut |row| {
        rows += 1;
        on_row(row);
    })?;
    assert_eq!(
        parsed.rows, rows,
        "rows that were counted and not handed out"
    );
    Ok(parsed.end)
}

/// Whether the notes of an executable can be read and say something.
#[must_use]
pub fn executable_notes(file: &[u8]) -> bool {
    match elf_notes::read(Cursor::new(file)) {
        Ok(notes) => notes != elf_notes::Notes::default(),
        Err(_) => false,
    }
}

/// Whether the kernel's counters say anything: the files `snmp`, `netstat` and `snmp6`, or `sockstat` twice.
#[must_use]
pub fn counters(text: &str) -> bool {
    let all = counters::ProtocolCounters::parse(text, text, text);
    let totals = counters::SocketTotals::parse(text, text);
    // Neither is larger than what it is made of.
    let _hidden = totals.hidden_tcp();
    all != counters::ProtocolCounters::default() || totals != counters::SocketTotals::default()
}

/// Whether the text is a port range, or a list of reserved ports, each within its bounds.
#[must_use]
pub fn port_settings(text: &str) -> bool {
    let mut count = 0_u64;
    let listed = ports::parse_reserved(text, |range| {
        assert!(range.first <= range.last);
        count += 1;
    });
    assert!(count <= text.len() as u64);
    ports::parse_range(text).is_some() || listed.is_some()
}

/// Whether the files of one process under `/proc` say when it started or what it belongs to.
#[must_use]
pub fn process_files(bytes: &[u8]) -> bool {
    let text = String::from_utf8_lossy(bytes);
    let unit = process::unit_in(&text);
    let _behind = process::descriptor_behind(bytes);
    let number = process::number_in(bytes);
    let (short, whole) = text.split_once('\n').unwrap_or((&text, ""));
    let name = process::whole_name(short, Some(whole));
    assert!(
        name.starts_with(short),
        "{name:?} is not the whole of {short:?}"
    );
    unit.is_some() || process::start_ticks_in(bytes).is_some() || number.is_some()
}

/// Whether the text names a system, a kernel's version or a time zone.
#[must_use]
pub fn host_files(text: &str) -> bool {
    host::distribution(text).is_some()
        || host::parse_version(text).is_some()
        || host::zone_name(text).is_some()
        || crate::hosts_file::addresses_of_localhost(text).is_some()
}

/// Whether dpkg's list has versions of these packages.
#[must_use]
pub fn package_list(list: &[u8], packages: &[&str]) -> bool {
    let versions = dpkg::versions_in(list, packages).expect("memory can be read");
    assert!(
        versions
            .keys()
            .all(|name| packages.contains(&name.as_str()))
    );
    !versions.is_empty()
}
