//! What `appcmd list apppool NAME /xml` says of an application pool of IIS.

use quick_xml::Reader;
use quick_xml::events::Event;

/// The state of the pool of that name, as in `Started`; `None` when the answer has no such pool.
#[must_use]
pub fn state_in(answer: &str, name: &str) -> Option<String> {
    let mut reader = Reader::from_str(answer);
    loop {
        match reader.read_event().ok()? {
            Event::Start(element) | Event::Empty(element) => {
                let attribute = |wanted: &str| {
                    element.attributes().flatten().find_map(|attribute| {
                        let key: &str = attribute.key.as_ref();
                        let value = quick_xml::escape::unescape(&attribute.value).ok()?;
                        (key == wanted).then(|| value.into_owned())
                    })
                };
                let is_it = attribute("APPPOOL.NAME")
                    .is_some_and(|found| found.to_lowercase() == name.to_lowercase());
                if is_it {
                    return attribute("state");
                }
            }
            Event::Eof => return None,
            Event::End(_)
            | Event::Text(_)
            | Event::CData(_)
            | Event::Comment(_)
            | Event::Decl(_)
            | Event::PI(_)
            | Event::DocType(_)
            | Event::GeneralRef(_) => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// As documented for IIS 8.5 (`appcmd list apppool /xml`).
    const ANSWER: &str = "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\r\n<appcmd>\r\n    <APPPOOL APPPOOL.NAME=\"R&amp;D Pool\" \
                          PipelineMode=\"Integrated\" RuntimeVersion=\"v4.0\" state=\"Started\" />\r\n</appcmd>\r\n";

    #[test]
    fn the_state_of_the_pool_asked_for_is_read() {
        assert_eq!(state_in(ANSWER, "r&d pool").as_deref(), Some("Started"));
        assert_eq!(state_in(ANSWER, "Other"), None);
        assert_eq!(state_in("<appcmd></appcmd>", "x"), None);
        assert_eq!(state_in("", "x"), None);
    }
}
