//! .NET's `machine.config`: how many connections an application may open to each address.

mod edit;

pub use edit::{with_limit, without_limit};

use quick_xml::Reader;
use quick_xml::events::{BytesStart, Event};

/// Where the limits stand.
const PATH: [&str; 3] = ["configuration", "system.net", "connectionManagement"];
/// Limits that are kept.
const LIMITS_MAX: usize = 64;
/// Elements inside one another, beyond which it is no `machine.config`.
const DEPTH_MAX: usize = 64;
/// Characters of an address that are kept.
const ADDRESS_CHARS_MAX: usize = 80;

/// Why a file is no `machine.config`.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum MachineConfigError {
    /// It is no XML.
    #[error("it is not well-formed XML, at byte {at}")]
    Malformed {
        /// Where.
        at: u64,
    },
    /// Its elements lie too deep.
    #[error("its elements lie more than {DEPTH_MAX} deep")]
    Deep,
    /// It is in no encoding that .NET writes.
    #[error("it is neither UTF-8 nor UTF-16")]
    Encoding,
    /// Its limit for every address is not set by one element.
    #[error(
        "its limit for every address is not set by one element of configuration/system.net/connectionManagement"
    )]
    Foreign,
}

/// The limit for one address.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConnectionLimit {
    /// Address as the file writes it; `*` for every other one.
    pub address: String,
    /// Connections to it at once.
    pub connections: u32,
}

/// The limits that a `machine.config` sets, those of one address in the order of the file; `clear` and `remove` are obeyed.
///
/// # Errors
/// When it is no such file. Limits that are no number are passed over.
pub fn connection_limits(file: &[u8]) -> Result<Vec<ConnectionLimit>, MachineConfigError> {
    let text = decoded(file).ok_or(MachineConfigError::Encoding)?;
    let mut reader = Reader::from_str(&text);
    let mut open: Vec<String> = Vec::new();
    let mut limits = Vec::new();
    loop {
        let event = reader
            .read_event()
            .map_err(|_| MachineConfigError::Malformed {
                at: reader.error_position(),
            })?;
        match event {
            Event::Start(start) => {
                take(&open, &start, &mut limits);
                if open.len() >= DEPTH_MAX {
                    return Err(MachineConfigError::Deep);
                }
                open.push(name_of(&start));
            }
            Event::Empty(start) => take(&open, &start, &mut limits),
            Event::End(_) => drop(open.pop()),
            Event::Eof if open.is_empty() => return Ok(limits),
            Event::Eof => {
                return Err(MachineConfigError::Malformed {
                    at: reader.buffer_position(),
                });
            }
            Event::Text(_)
            | Event::CData(_)
            | Event::Comment(_)
            | Event::Decl(_)
            | Event::PI(_)
            | Event::DocType(_)
            | Event::GeneralRef(_) => {}
        }
    }
}

/// The text of a file in UTF-8 or UTF-16 with its mark.
fn decoded(file: &[u8]) -> Option<String> {
    let units = |bytes: &[u8], unit: fn([u8; 2]) -> u16| {
        let units = bytes.as_chunks().0.iter().map(|pair| unit(*pair));
        char::decode_utf16(units)
            .collect::<Result<String, _>>()
            .ok()
    };
    match file {
        [0xff, 0xfe, rest @ ..] => units(rest, u16::from_le_bytes),
        [0xfe, 0xff, rest @ ..] => units(rest, u16::from_be_bytes),
        [0xef, 0xbb, 0xbf, rest @ ..] => String::from_utf8(rest.to_vec()).ok(),
        bytes => String::from_utf8(bytes.to_vec()).ok(),
    }
}

fn name_of(start: &BytesStart<'_>) -> String {
    let name = start.local_name();
    let name: &str = name.as_ref();
    name.chars().take(ADDRESS_CHARS_MAX).collect()
}

/// What an element inside of the path changes.
fn take(open: &[String], start: &BytesStart<'_>, limits: &mut Vec<ConnectionLimit>) {
    if !open.iter().map(String::as_str).eq(PATH) {
        return;
    }
    let address: Option<String> =
        attribute(start, "address").map(|text| text.chars().take(ADDRESS_CHARS_MAX).collect());
    match (name_of(start).as_str(), address) {
        ("clear", _) => limits.clear(),
        ("remove", Some(address)) => limits.retain(|limit| limit.address != address),
        ("add", Some(address)) => {
            let connections = attribute(start, "maxconnection");
            if let Some(connections) = connections.and_then(|text| text.trim().parse().ok())
                && limits.len() < LIMITS_MAX
            {
                limits.retain(|limit| limit.address != address);
                limits.push(ConnectionLimit {
                    address,
                    connections,
                });
            }
        }
        _ => {}
    }
}

fn attribute(start: &BytesStart<'_>, name: &str) -> Option<String> {
    start.attributes().flatten().find_map(|attribute| {
        let key: &str = attribute.key.as_ref();
        (key == name).then(|| attribute.value.to_string())
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const SHIPPED: &str = r#"<?xml version="1.0" encoding="utf-8"?>
<!-- Bitte lesen -->
<configuration>
  <configSections><section name="connectionManagement" type="x"/></configSections>
  <system.net>
    <connectionManagement>
      <add address="*" maxconnection="2"/>
      <add address="http://db.example:8080" maxconnection=" 48 "></add>
      <add address="x" maxconnection="many"/><add maxconnection="7"/>
    </connectionManagement>
  </system.net>
  <runtime><add address="elsewhere" maxconnection="9"/></runtime>
</configuration>"#;

    fn told(file: &[u8]) -> Vec<(String, u32)> {
        connection_limits(file)
            .unwrap()
            .into_iter()
            .map(|limit| (limit.address, limit.connections))
            .collect()
    }

    #[test]
    fn limits_are_those_of_the_section_and_of_no_other_element() {
        let expected = [
            ("*".to_owned(), 2),
            ("http://db.example:8080".to_owned(), 48),
        ];
        assert_eq!(told(SHIPPED.as_bytes()), expected);
        let marked = [b"\xef\xbb\xbf", SHIPPED.as_bytes()].concat();
        assert_eq!(told(&marked), expected);
        let wide: Vec<u8> = [0xfeff]
            .into_iter()
            .chain(SHIPPED.encode_utf16())
            .flat_map(u16::to_le_bytes)
            .collect();
        assert_eq!(told(&wide), expected);
        assert_eq!(told(b"<configuration/>"), []);
    }

    #[test]
    fn a_later_limit_replaces_an_earlier_one_and_clear_removes_all() {
        let section = |inner: &str| {
            format!(
                "<configuration><system.net><connectionManagement>{inner}</connectionManagement></system.net></configuration>"
            )
        };
        let add = |address: &str, limit: u32| {
            format!("<add address=\"{address}\" maxconnection=\"{limit}\"/>")
        };
        let replaced =
            section(&(add("a", 1) + &add("b", 2) + &add("a", 3) + "<remove address=\"b\"/>"));
        assert_eq!(told(replaced.as_bytes()), [("a".to_owned(), 3)]);
        let cleared = section(&(add("a", 1) + "<clear/>" + &add("b", 2)));
        assert_eq!(told(cleared.as_bytes()), [("b".to_owned(), 2)]);
        let many: String = (0..10_000)
            .map(|number| add(&number.to_string(), 1))
            .collect();
        assert_eq!(told(section(&many).as_bytes()).len(), LIMITS_MAX);
    }

    #[test]
    fn what_is_no_machine_config_is_refused() {
        let deep = "<a>".repeat(100_000);
        assert_eq!(
            connection_limits(deep.as_bytes()),
            Err(MachineConfigError::Deep)
        );
        assert_eq!(
            connection_limits(b"\x80"),
            Err(MachineConfigError::Encoding)
        );
        for text in ["<a", "<a><b></a>", "<a>"] {
            let refused = connection_limits(text.as_bytes());
            assert!(
                matches!(refused, Err(MachineConfigError::Malformed { .. })),
                "{text}"
            );
        }
        // Entities are not expanded, so that a file cannot grow in memory.
        let bomb = r#"<!DOCTYPE x [<!ENTITY a "aaaa"><!ENTITY b "&a;&a;">]><configuration>&b;</configuration>"#;
        assert_eq!(told(bomb.as_bytes()), []);
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_without_a_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            drop(connection_limits(&bytes));
        }
    }
}
