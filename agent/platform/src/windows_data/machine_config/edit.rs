//! A `machine.config` with another limit for every address: one element is set, the rest of the file stays letter by letter.

use std::ops::Range;

use quick_xml::Reader;
use quick_xml::events::{BytesStart, Event};

use super::{MachineConfigError, PATH, attribute, connection_limits, decoded, name_of};

/// Where the file would be changed.
#[derive(Default)]
struct Places {
    /// `add` of every address.
    add: Option<Tag>,
    management: Option<Tag>,
    net: Option<Tag>,
    /// Where the file's outermost element ends.
    end: Option<usize>,
}

/// The first tag of an element.
struct Tag {
    span: Range<usize>,
    /// Whether it is the whole element, as in `<add />`.
    is_whole: bool,
}

/// The file with `connections` for the address `*`, in its own encoding.
///
/// # Errors
/// When it is no `machine.config`, or is written so that one element does not set the limit.
pub fn with_limit(file: &[u8], connections: u32) -> Result<Vec<u8>, MachineConfigError> {
    let text = decoded(file).ok_or(MachineConfigError::Encoding)?;
    // Known to be well-formed and not too deep from here on.
    connection_limits(file)?;
    let places = places(&text)?;
    let edited = edited(&text, &places, connections).ok_or(MachineConfigError::Foreign)?;
    let edited = encoded_like(file, &edited);
    let limits = connection_limits(&edited)?;
    let is_set = limits
        .iter()
        .any(|limit| limit.address == "*" && limit.connections == connections);
    is_set.then_some(edited).ok_or(MachineConfigError::Foreign)
}

/// The file without a limit for the address `*`, in its own encoding.
///
/// # Errors
/// As [`with_limit`].
pub fn without_limit(file: &[u8]) -> Result<Vec<u8>, MachineConfigError> {
    let text = decoded(file).ok_or(MachineConfigError::Encoding)?;
    connection_limits(file)?;
    let Some(tag) = places(&text)?.add else {
        return Ok(file.to_vec());
    };
    if !tag.is_whole {
        return Err(MachineConfigError::Foreign);
    }
    // With the line that it is on.
    let before = text.get(..tag.span.start).map(str::trim_end);
    let from = before.map_or(tag.span.start, str::len);
    let edited = replaced(&text, &(from..tag.span.end), "").ok_or(MachineConfigError::Foreign)?;
    let edited = encoded_like(file, &edited);
    let is_gone = connection_limits(&edited)?
        .iter()
        .all(|limit| limit.address != "*");
    is_gone.then_some(edited).ok_or(MachineConfigError::Foreign)
}

/// `text` in the encoding of `file`, with its mark.
fn encoded_like(file: &[u8], text: &str) -> Vec<u8> {
    let units = |mark: &[u8], bytes_of: fn(u16) -> [u8; 2]| {
        let units = text.encode_utf16().flat_map(bytes_of);
        mark.iter().copied().chain(units).collect()
    };
    match file {
        [0xff, 0xfe, ..] => units(&[0xff, 0xfe], u16::to_le_bytes),
        [0xfe, 0xff, ..] => units(&[0xfe, 0xff], u16::to_be_bytes),
        [0xef, 0xbb, 0xbf, ..] => [&[0xef, 0xbb, 0xbf], text.as_bytes()].concat(),
        _ => text.as_bytes().to_vec(),
    }
}

fn places(text: &str) -> Result<Places, MachineConfigError> {
    let mut reader = Reader::from_str(text);
    let mut open: Vec<String> = Vec::new();
    let mut found = Places::default();
    loop {
        let from = place(reader.buffer_position());
        let event = reader
            .read_event()
            .map_err(|_| MachineConfigError::Malformed {
                at: reader.error_position(),
            })?;
        let span = from..place(reader.buffer_position());
        match event {
            Event::Start(start) => {
                let tag = Tag {
                    span,
                    is_whole: false,
                };
                found.note(&open, &start, tag);
                open.push(name_of(&start));
            }
            Event::Empty(start) => {
                let tag = Tag {
                    span,
                    is_whole: true,
                };
                found.note(&open, &start, tag);
            }
            Event::End(_) => {
                open.pop();
                if open.is_empty() {
                    found.end = Some(span.start);
                }
            }
            Event::Eof => return Ok(found),
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

fn place(position: u64) -> usize {
    usize::try_from(position).unwrap_or(usize::MAX)
}

impl Places {
    /// The last one of its kind counts, as it does for .NET.
    fn note(&mut self, open: &[String], start: &BytesStart<'_>, tag: Tag) {
        let name = name_of(start);
        let is_at = |depth: usize| {
            open.len() == depth && open.iter().zip(PATH).all(|(open, name)| open == name)
        };
        if is_at(1) && name == PATH[1] {
            self.net = Some(tag);
        } else if is_at(2) && name == PATH[2] {
            self.management = Some(tag);
        } else if is_at(3) && name == "add" && attribute(start, "address").as_deref() == Some("*") {
            self.add = Some(tag);
        }
    }
}

fn edited(text: &str, places: &Places, connections: u32) -> Option<String> {
    let add = format!("<add address=\"*\" maxconnection=\"{connections}\"");
    let within = |name: &str, inner: &str| format!("<{name}>\r\n      {inner}\r\n    </{name}>");
    let management = within(PATH[2], &format!("{add} />"));
    if let Some(tag) = &places.add {
        let close = if tag.is_whole { " />" } else { ">" };
        return replaced(text, &tag.span, &format!("{add}{close}"));
    }
    if let Some(tag) = &places.management {
        return if tag.is_whole {
            replaced(text, &tag.span, &management)
        } else {
            let behind = tag.span.end..tag.span.end;
            replaced(text, &behind, &format!("\r\n      {add} />"))
        };
    }
    if let Some(tag) = &places.net {
        return if tag.is_whole {
            replaced(text, &tag.span, &within(PATH[1], &management))
        } else {
            let behind = tag.span.end..tag.span.end;
            replaced(text, &behind, &format!("\r\n    {management}"))
        };
    }
    // At the end, because `configSections` has to be the first.
    let end = places.end?;
    let net = within(PATH[1], &management);
    replaced(text, &(end..end), &format!("  {net}\r\n"))
}

fn replaced(text: &str, span: &Range<usize>, new: &str) -> Option<String> {
    let (before, after) = (text.get(..span.start)?, text.get(span.end..)?);
    Some(format!("{before}{new}{after}"))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn set(text: &str) -> String {
        String::from_utf8(with_limit(text.as_bytes(), 200).unwrap()).unwrap()
    }

    #[test]
    fn a_limit_that_is_there_is_replaced_and_nothing_else() {
        let text = "<?xml version=\"1.0\"?>\r\n<configuration>\r\n <!-- add address=\"*\" -->\r\n <system.net><connectionManagement>\
                    <add address=\"a\" maxconnection=\"4\"/><add maxconnection='2' address='*' />\
                    </connectionManagement></system.net>\r\n</configuration>\r\n";
        let expected = text.replace(
            "<add maxconnection='2' address='*' />",
            "<add address=\"*\" maxconnection=\"200\" />",
        );
        assert_eq!(set(text), expected);
        assert_eq!(set(&expected), expected);
    }

    #[test]
    fn a_limit_that_is_not_there_is_added_wherever_the_file_has_room_for_it() {
        for text in [
            "<configuration></configuration>",
            "<configuration><configSections/><x/></configuration>",
            "<configuration><system.net/></configuration>",
            "<configuration><system.net><y/></system.net></configuration>",
            "<configuration><system.net><connectionManagement/></system.net></configuration>",
            "<configuration><system.net><connectionManagement><add address=\"a\" maxconnection=\"4\"/></connectionManagement></system.net></configuration>",
            "<configuration><system.net><connectionManagement><add address=\"*\" maxconnection=\"4\"></add></connectionManagement></system.net></configuration>",
            "<configuration><other><system.net/></other></configuration>",
        ] {
            let edited = set(text);
            let limits = connection_limits(edited.as_bytes()).unwrap();
            let every = limits.iter().find(|limit| limit.address == "*");
            assert_eq!(every.map(|limit| limit.connections), Some(200), "{edited}");
            let others = connection_limits(text.as_bytes()).unwrap();
            for other in others.iter().filter(|limit| limit.address != "*") {
                assert!(limits.contains(other), "{edited}");
            }
        }
    }

    #[test]
    fn a_limit_that_was_added_can_be_taken_out_again() {
        let text = "<configuration>\r\n  <system.net>\r\n    <connectionManagement>\r\n    </connectionManagement>\r\n  </system.net>\r\n</configuration>";
        let without = |text: &str| without_limit(text.as_bytes()).map(String::from_utf8);
        assert_eq!(without(&set(text)), Ok(Ok(text.to_owned())));
        assert_eq!(without(text), Ok(Ok(text.to_owned())));
        let odd = "<configuration><system.net><connectionManagement><add address=\"*\" maxconnection=\"4\"></add>\
                   </connectionManagement></system.net></configuration>";
        assert_eq!(without(odd), Err(MachineConfigError::Foreign));
    }

    #[test]
    fn a_file_keeps_its_encoding_and_mark() {
        let text = "<configuration><a b=\"\u{e4}\"/></configuration>";
        for mark in [&[0xff_u8, 0xfe][..], &[0xfe, 0xff], &[0xef, 0xbb, 0xbf]] {
            let file = encoded_like(mark, text);
            let edited = with_limit(&file, 200).unwrap();
            assert!(edited.starts_with(mark));
            let back = decoded(&edited).unwrap();
            assert!(back.contains('\u{e4}') && back.contains("200"), "{back}");
        }
    }

    #[test]
    fn what_cannot_be_set_by_one_element_is_left_alone() {
        let cleared = "<configuration><system.net><connectionManagement><add address=\"*\" maxconnection=\"4\"/><clear/>\
                       </connectionManagement></system.net></configuration>";
        for text in [cleared, "<configuration/>", "<other></other>"] {
            let refused = with_limit(text.as_bytes(), 200);
            assert_eq!(refused, Err(MachineConfigError::Foreign), "{text}");
        }
        with_limit(b"<configuration>", 200).unwrap_err();
    }

    proptest! {
        #[test]
        fn whatever_is_in_the_file_is_no_harm(text in "[<>/a\"= *!\\-]{0,60}") {
            if let Ok(edited) = with_limit(text.as_bytes(), 7) {
                prop_assert!(connection_limits(&edited).is_ok());
            }
        }
    }
}
