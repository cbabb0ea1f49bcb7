//! What the agent tells the operators of a host through the Application log of Windows: numbers, texts, how often.
//!
//! Pure: writing it is `application_log`'s. The texts stand in `agent/messages/tidemark.mc`.

use std::time::Duration;

/// Most characters of one inserted text; `ReportEventW` takes 31 839.
pub const TEXT_CHARS_MAX: usize = 8_192;
/// The same message is written at most this often.
pub const REPEAT_AFTER: Duration = Duration::from_secs(60);

/// A message of the agent's message table.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ApplicationMessage {
    /// The agent runs.
    Started,
    /// An action was taken on this host.
    Acted,
    /// The agent ended because it was asked to.
    Stopped,
    /// The host is not enrolled, and an operator has to do something about it.
    NotEnrolled,
    /// An action that was due could not be taken.
    ActionFailed,
    /// The agent ends without having run.
    CannotStart,
    /// The agent ends because something in it failed.
    Failed,
}

/// How grave a message is, as the two highest bits of its identifier (`winerror.h`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Severity {
    /// Good to know.
    Informational = 1,
    /// Something is not as it should be.
    Warning = 2,
    /// Something does not work.
    Error = 3,
}

impl ApplicationMessage {
    /// Every message.
    pub const ALL: [Self; 7] = [
        Self::Started,
        Self::Acted,
        Self::Stopped,
        Self::NotEnrolled,
        Self::ActionFailed,
        Self::CannotStart,
        Self::Failed,
    ];

    /// The number that the event viewer shows.
    #[must_use]
    pub const fn number(self) -> u16 {
        match self {
            Self::Started => 1000,
            Self::Acted => 1001,
            Self::Stopped => 1002,
            Self::NotEnrolled => 1003,
            Self::ActionFailed => 5001,
            Self::CannotStart => 5002,
            Self::Failed => 5003,
        }
    }

    /// How grave it is.
    #[must_use]
    pub const fn severity(self) -> Severity {
        match self {
            Self::Started | Self::Stopped => Severity::Informational,
            Self::Acted | Self::NotEnrolled => Severity::Warning,
            Self::ActionFailed | Self::CannotStart | Self::Failed => Severity::Error,
        }
    }

    /// The whole identifier: the number alone finds no text in the table.
    #[must_use]
    pub const fn id(self) -> u32 {
        ((self.severity() as u32) << 30) | self.number() as u32
    }
}

/// A text as it may be inserted into a message: cut to [`TEXT_CHARS_MAX`], and without what the event viewer would take
/// for a place to insert something (`%1`), as addresses with a zone have it.
#[must_use]
pub fn insertable(text: &str) -> String {
    let mut out = String::with_capacity(text.len().min(TEXT_CHARS_MAX));
    let mut is_after_percent = false;
    for letter in text.chars().take(TEXT_CHARS_MAX) {
        if is_after_percent && letter.is_ascii_digit() {
            out.push(' ');
        }
        is_after_percent = letter == '%';
        // A zero ends the text for Windows.
        out.push(if letter == '\0' { ' ' } else { letter });
    }
    out
}

/// Keeps a message that repeats itself from filling the log.
#[derive(Debug, Default)]
pub struct RepeatLimit {
    said: [Option<Said>; ApplicationMessage::ALL.len()],
}

#[derive(Clone, Copy, Debug)]
struct Said {
    at: Duration,
    left_out: u64,
}

impl RepeatLimit {
    /// Whether `message` may be written at `now`, which counts from any fixed moment; if so, how many like it were left
    /// out since the last one.
    pub fn admit(&mut self, message: ApplicationMessage, now: Duration) -> Option<u64> {
        let place = ApplicationMessage::ALL
            .iter()
            .position(|known| *known == message)?;
        let said = self.said.get_mut(place)?;
        match said {
            Some(last) if now.saturating_sub(last.at) < REPEAT_AFTER => {
                last.left_out = last.left_out.saturating_add(1);
                None
            }
            _ => {
                let left_out = said.map_or(0, |last| last.left_out);
                *said = Some(Said {
                    at: now,
                    left_out: 0,
                });
                Some(left_out)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn identifiers_are_whole() {
        assert_eq!(ApplicationMessage::Acted.id(), 0x8000_03E9);
        assert_eq!(ApplicationMessage::ActionFailed.id(), 0xC000_1389);
        assert_eq!(ApplicationMessage::Started.id(), 0x4000_03E8);
    }

    /// The number, severity and text of each message in the table's source.
    fn table() -> Vec<(u16, Severity, String)> {
        let source = include_str!("../../messages/tidemark.mc").replace("\r\n", "\n");
        let value = |block: &str, key: &str| {
            let line = block.lines().find_map(|line| line.strip_prefix(key));
            line.unwrap().trim().to_owned()
        };
        let blocks = source.split("\nMessageId=").skip(1);
        blocks
            .map(|block| {
                let number = block.lines().next().unwrap().parse().unwrap();
                let severity = match value(block, "Severity=").as_str() {
                    "Informational" => Severity::Informational,
                    "Warning" => Severity::Warning,
                    other => {
                        assert_eq!(other, "Error");
                        Severity::Error
                    }
                };
                let (_, text) = block.split_once("Language=English\n").unwrap();
                let (text, _) = text.split_once("\n.\n").unwrap();
                (number, severity, text.to_owned())
            })
            .collect()
    }

    #[test]
    fn the_message_table_has_every_message_under_its_number_and_severity() {
        let table = table();
        assert_eq!(table.len(), ApplicationMessage::ALL.len());
        for (message, (number, severity, text)) in ApplicationMessage::ALL.into_iter().zip(table) {
            assert_eq!(message.number(), number);
            assert_eq!(message.severity(), severity, "{number}");
            assert!(
                text.starts_with("Tidemark ") && text.ends_with("%1\n%2"),
                "{text}"
            );
        }
    }

    #[test]
    fn what_repeats_is_written_once_a_minute_and_counted() {
        let mut limit = RepeatLimit::default();
        let at = Duration::from_secs;
        let failed = ApplicationMessage::Failed;
        assert_eq!(limit.admit(failed, at(100)), Some(0));
        assert_eq!(limit.admit(failed, at(101)), None);
        assert_eq!(limit.admit(ApplicationMessage::Started, at(101)), Some(0));
        assert_eq!(limit.admit(failed, at(159)), None);
        assert_eq!(limit.admit(failed, at(160)), Some(2));
        assert_eq!(limit.admit(failed, at(220)), Some(0));
    }

    #[test]
    fn a_zone_of_an_address_inserts_nothing() {
        assert_eq!(
            insertable("[fe80::1%12]:7443 at 100%"),
            "[fe80::1% 12]:7443 at 100%"
        );
    }

    proptest! {
        #[test]
        fn no_text_inserts_anything(text in "[%0-9a\0]{0,40}") {
            let safe = insertable(&text);
            let mut after_percent = false;
            for letter in safe.chars() {
                prop_assert!(!(after_percent && letter.is_ascii_digit()), "{}", safe);
                prop_assert!(letter != '\0');
                after_percent = letter == '%';
            }
        }
    }
}
