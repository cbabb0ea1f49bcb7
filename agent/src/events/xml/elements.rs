//! Collects the parts of an event from its elements as they open and close. Knows where each part stands, not what it
//! means.

use std::sync::Arc;

use quick_xml::escape::resolve_xml_entity;
use quick_xml::events::{BytesRef, BytesStart};
use tidemark_model::Timestamp;
use tidemark_model::event::EventDatum;
use tidemark_proto::convert::record::{
    EVENT_BINARY_BYTES_MAX, EVENT_DATA_MAX, EVENT_DATUM_BYTES_MAX, EVENT_SOURCE_BYTES_MAX,
};

/// Bytes of text kept of one element: enough for the longest binary part, two digits a byte.
const TEXT_BYTES_MAX: usize = 2 * EVENT_BINARY_BYTES_MAX;

/// What an event's elements say; `None` for those that are missing or say nothing legal.
#[derive(Debug, Default)]
pub(super) struct Found {
    pub(super) source: Option<String>,
    /// The name under which a source of the older kind is registered.
    pub(super) source_alias: Option<String>,
    pub(super) code: Option<u32>,
    pub(super) qualifiers: Option<u16>,
    pub(super) level: Option<u8>,
    pub(super) at: Option<Timestamp>,
    pub(super) record_id: Option<u64>,
    pub(super) process_id: Option<u32>,
    pub(super) thread_id: Option<u32>,
    pub(super) channel: Option<String>,
    pub(super) computer: Option<String>,
    pub(super) data: Vec<EventDatum>,
    /// Hexadecimal digits.
    pub(super) binary: Option<String>,
    /// The text as a forwarding system rendered it, in its own language.
    pub(super) message: Option<String>,
}

/// The elements that are open, and what was found so far.
#[derive(Debug, Default)]
pub(super) struct Elements {
    open: Vec<Element>,
    found: Found,
    /// An `Event` element was closed.
    is_event: bool,
}

#[derive(Debug)]
struct Element {
    name: String,
    text: String,
    /// The `Name` of a value.
    given_name: Option<Arc<str>>,
    has_children: bool,
}

impl Elements {
    pub(super) fn depth(&self) -> usize {
        self.open.len()
    }

    pub(super) fn open(&mut self, start: &BytesStart<'_>) {
        if let Some(parent) = self.open.last_mut() {
            parent.has_children = true;
        }
        let name = start.local_name();
        let name: &str = name.as_ref();
        let mut element = Element {
            name: cut(name).to_owned(),
            text: String::new(),
            given_name: None,
            has_children: false,
        };
        // Values are other people's text: what looks like a part of `System` counts only where that stands.
        let is_system = self
            .open
            .iter()
            .map(|element| element.name.as_str())
            .eq(["Event", "System"]);
        for attribute in start.attributes().flatten() {
            let value = unescaped(&attribute.value);
            let value = cut(&value);
            let attribute = attribute.key.local_name();
            if is_system {
                self.system_attribute(name, attribute.as_ref(), value);
            } else if name == "Data" && attribute.as_ref() == "Name" {
                element.given_name = named(value).map(Arc::from);
            }
        }
        self.open.push(element);
    }

    fn system_attribute(&mut self, element: &str, attribute: &str, value: &str) {
        let found = &mut self.found;
        match (element, attribute) {
            ("Provider", "Name") => found.source = named(value),
            ("Provider", "EventSourceName") => found.source_alias = named(value),
            ("EventID", "Qualifiers") => found.qualifiers = value.trim().parse().ok(),
            ("TimeCreated", "SystemTime") => found.at = time(value),
            ("Execution", "ProcessID") => found.process_id = value.trim().parse().ok(),
            ("Execution", "ThreadID") => found.thread_id = value.trim().parse().ok(),
            _ => {}
        }
    }

    pub(super) fn text(&mut self, text: &str) {
        if let Some(element) = self.open.last_mut() {
            let room = TEXT_BYTES_MAX.saturating_sub(element.text.len());
            let kept = text.get(..text.floor_char_boundary(room));
            element.text.push_str(kept.unwrap_or(text));
        }
    }

    /// A character, or one of the five entities of XML itself; any other one stays as it is written.
    pub(super) fn reference(&mut self, reference: &BytesRef<'_>) {
        match reference.resolve_char_ref() {
            Ok(Some(character)) => self.text(character.encode_utf8(&mut [0; 4])),
            Ok(None) | Err(_) => {
                let name: &str = reference;
                match resolve_xml_entity(name) {
                    Some(text) => self.text(text),
                    None => self.text(&format!("&{name};")),
                }
            }
        }
    }

    pub(super) fn close(&mut self) {
        let Some(element) = self.open.pop() else {
            return;
        };
        let mut path = self.open.iter().map(|element| element.name.as_str());
        match (path.next(), path.next()) {
            (None, _) => self.is_event |= element.name == "Event",
            (Some("Event"), Some("System")) => self.system(&element),
            (Some("Event"), Some("EventData")) if path.next().is_none() => self.event_data(element),
            (Some("Event"), Some("UserData")) => self.user_data(element),
            (Some("Event"), Some("RenderingInfo")) if element.name == "Message" => {
                self.found.message = named(element.text.trim());
            }
            (Some("Event"), None) if element.name == "BinaryEventData" => {
                self.found.binary = named(element.text.trim());
            }
            (Some(_), _) => {}
        }
    }

    fn system(&mut self, element: &Element) {
        let text = element.text.trim();
        let found = &mut self.found;
        match element.name.as_str() {
            "EventID" => found.code = text.parse().ok(),
            "Level" => found.level = text.parse().ok(),
            "EventRecordID" => found.record_id = text.parse().ok(),
            "Channel" => found.channel = named(cut(text)),
            "Computer" => found.computer = named(cut(text)),
            _ => {}
        }
    }

    fn event_data(&mut self, element: Element) {
        match element.name.as_str() {
            "Data" => self.datum(element.given_name, &element.text),
            "Binary" => self.found.binary = named(element.text.trim()),
            _ => {}
        }
    }

    /// Whatever a manifest makes of it: the innermost elements are the values.
    fn user_data(&mut self, element: Element) {
        if element.has_children {
            return;
        }
        if element.name == "Binary" {
            self.found.binary = named(element.text.trim());
            return;
        }
        let name = element
            .given_name
            .unwrap_or_else(|| element.name.as_str().into());
        self.datum(Some(name), &element.text);
    }

    fn datum(&mut self, name: Option<Arc<str>>, value: &str) {
        if self.found.data.len() < EVENT_DATA_MAX {
            let value = value
                .get(..value.floor_char_boundary(EVENT_DATUM_BYTES_MAX))
                .unwrap_or(value);
            self.found.data.push(EventDatum {
                name,
                value: value.into(),
            });
        }
    }

    /// What was found; `None` unless it was one whole event.
    pub(super) fn finish(self) -> Option<Found> {
        (self.is_event && self.open.is_empty()).then_some(self.found)
    }
}

fn named(text: &str) -> Option<String> {
    (!text.is_empty()).then(|| text.to_owned())
}

fn cut(text: &str) -> &str {
    text.get(..text.floor_char_boundary(EVENT_SOURCE_BYTES_MAX))
        .unwrap_or(text)
}

/// An attribute's value; one with an entity that XML does not have stays as it is written.
fn unescaped(value: &str) -> std::borrow::Cow<'_, str> {
    quick_xml::escape::unescape(value).unwrap_or(value.into())
}

/// `2026-01-05T08:00:00.1234567Z`; some readers write a space and `UTC`.
fn time(text: &str) -> Option<Timestamp> {
    let text = text.trim();
    let text = text
        .strip_suffix(" UTC")
        .map_or_else(|| text.to_owned(), |text| format!("{text}Z"));
    let at: jiff::Timestamp = text.parse().ok()?;
    Some(Timestamp::from_unix_ms(at.as_millisecond()))
}
