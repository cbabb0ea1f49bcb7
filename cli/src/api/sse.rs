//! Server-sent events from bytes, after the WHATWG HTML standard, section 9.2.6. Knows nothing of what they carry.

/// Longest event that is taken, in bytes: a host with many port spaces has some tens of kilobytes.
pub const EVENT_BYTES_MAX: usize = 4 * 1024 * 1024;

/// One event.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServerEvent {
    /// Its name; `message` when it has none.
    pub name: String,
    /// Its data lines, joined by line feeds.
    pub data: String,
}

/// An event or line that is longer than [`EVENT_BYTES_MAX`].
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("an event is longer than {EVENT_BYTES_MAX} bytes")]
pub struct EventTooLong;

/// Takes bytes as they come and gives events as they end.
#[derive(Debug, Default)]
pub struct EventParser {
    line: Vec<u8>,
    name: String,
    data: Option<String>,
    after_carriage_return: bool,
}

impl EventParser {
    /// Takes `bytes` and appends the events that end in them to `events`.
    pub fn push(
        &mut self,
        bytes: &[u8],
        events: &mut impl Extend<ServerEvent>,
    ) -> Result<(), EventTooLong> {
        for &byte in bytes {
            let is_second_of_pair = byte == b'\n' && self.after_carriage_return;
            self.after_carriage_return = byte == b'\r';
            match byte {
                _ if is_second_of_pair => {}
                b'\n' | b'\r' => events.extend(self.end_line()),
                _ => {
                    if self.line.len() + self.data.as_ref().map_or(0, String::len)
                        >= EVENT_BYTES_MAX
                    {
                        return Err(EventTooLong);
                    }
                    self.line.push(byte);
                }
            }
        }
        Ok(())
    }

    fn end_line(&mut self) -> Option<ServerEvent> {
        let line = String::from_utf8_lossy(&self.line).into_owned();
        self.line.clear();
        if line.is_empty() {
            let name = std::mem::take(&mut self.name);
            let data = self.data.take()?;
            let name = if name.is_empty() {
                "message".to_owned()
            } else {
                name
            };
            return Some(ServerEvent { name, data });
        }
        let (field, value) = line.split_once(':').unwrap_or((&line, ""));
        let value = value.strip_prefix(' ').unwrap_or(value);
        match field {
            "event" => value.clone_into(&mut self.name),
            "data" => match &mut self.data {
                Some(data) => {
                    data.push('\n');
                    data.push_str(value);
                }
                None => self.data = Some(value.to_owned()),
            },
            // Comments keep the connection alive; ids and retry times are not used here.
            _ => {}
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn parse(chunks: &[&[u8]]) -> Vec<ServerEvent> {
        let mut parser = EventParser::default();
        let mut events = Vec::new();
        for chunk in chunks {
            parser.push(chunk, &mut events).unwrap();
        }
        events
    }

    fn event(name: &str, data: &str) -> ServerEvent {
        ServerEvent {
            name: name.to_owned(),
            data: data.to_owned(),
        }
    }

    #[test]
    fn events_come_out_as_they_went_in() {
        let text = b": keep-alive\n\nevent: host\ndata: {\"a\":1}\nid: 7\n\ndata:one\ndata: two\n\nevent: lonely\n\n";
        assert_eq!(
            parse(&[text]),
            [event("host", "{\"a\":1}"), event("message", "one\ntwo")]
        );
    }

    #[test]
    fn every_kind_of_line_end_counts_once() {
        assert_eq!(
            parse(&[b"data: a\r\n\r\ndata: b\r\rdata: c\n\n"]),
            ["a", "b", "c"].map(|data| event("message", data))
        );
    }

    #[test]
    fn an_endless_event_is_refused() {
        let mut parser = EventParser::default();
        let long = vec![b'x'; EVENT_BYTES_MAX + 1];
        assert_eq!(parser.push(&long, &mut Vec::new()), Err(EventTooLong));
    }

    proptest! {
        #[test]
        fn it_does_not_matter_where_the_network_cuts(bytes in prop::collection::vec(
            prop_oneof![Just(b'\n'), Just(b'\r'), Just(b':'), Just(b' '), Just(b'd'), any::<u8>()], 0..200),
            cut in 0_usize..200)
        {
            let mut text = b"data: x\n".to_vec();
            text.extend(bytes);
            let (head, tail) = text.split_at(cut.min(text.len()));
            prop_assert_eq!(parse(&[head, tail]), parse(&[&text]));
        }
    }
}
