//! Which events are read: the queries for the live logs, and the same choice for files.

use std::fmt::Write as _;
use std::time::Duration;

use tidemark_model::sample::EventHit;

/// Who writes events.
#[derive(Clone, Copy, Debug)]
enum Provider {
    /// A provider of this name.
    Named(&'static str),
    /// One of this name, or, of an instance, whose name begins with the second. The log can only be asked for the ids of
    /// these, since its queries have no functions for text.
    Instances(&'static str, &'static str),
}

/// How often events of a kind are told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Volume {
    /// Each time.
    Each,
    /// So many times an hour at most, and not of the time before the first start: they put others into context, and a
    /// host may write thousands of them.
    Some,
}

/// Events of one provider.
#[derive(Clone, Copy, Debug)]
struct Choice {
    provider: Provider,
    codes: &'static [u32],
    volume: Volume,
    /// Words of which each group must be among the event's values with at least one; none for most.
    words: &'static [&'static [&'static str]],
}

const fn each(provider: &'static str, codes: &'static [u32]) -> Choice {
    Choice {
        provider: Provider::Named(provider),
        codes,
        volume: Volume::Each,
        words: &[],
    }
}

const fn some(provider: &'static str, codes: &'static [u32]) -> Choice {
    Choice {
        volume: Volume::Some,
        ..each(provider, codes)
    }
}

/// A log, and what is read of it.
#[derive(Clone, Copy, Debug)]
pub struct LogSelection {
    /// The log's name.
    pub channel: &'static str,
    /// Name of the bookmark's files in the agent's data folder.
    pub bookmark: &'static str,
    choices: &'static [Choice],
}

/// The system's own events. Tcpip: the ports; AFD: sockets that hang in a driver; NETLOGON, Group Policy and the client of
/// DNS: who suffers from it first; srv and Resource-Exhaustion-Detector: memory of the kernel, the other reason for error
/// 10055; NDIS: network adapters that were reset; `EventLog`, Kernel-General and User32: starts, stops and uptime of the
/// system; Service Control Manager: services that crashed, started, stopped; Eventlog: a log that was cleared.
pub static SYSTEM: LogSelection = LogSelection {
    channel: "System",
    bookmark: "events",
    choices: &[
        each("Tcpip", &[4227, 4231, 4265, 4266]),
        each("AFD", &[16_001, 16_002]),
        each("NETLOGON", &[5_719]),
        each("Microsoft-Windows-GroupPolicy", &[1_129]),
        each("EventLog", &[6_005, 6_006, 6_008, 6_009, 6_013]),
        each(LOG_SERVICE, &[LOG_CLEARED]),
        some("Microsoft-Windows-DNS-Client", &[1_014, 8_015]),
        some("srv", &[2_017, 2_019, 2_020, 2_021, 2_022]),
        some("Microsoft-Windows-Resource-Exhaustion-Detector", &[2_004]),
        some("Microsoft-Windows-NDIS", &[10_400]),
        some("Service Control Manager", &[7_031, 7_034, 7_036, 7_040]),
        each("User32", &[1_074]),
        // Before Windows 10.
        each("USER32", &[1_074]),
        each("Microsoft-Windows-Kernel-General", &[12, 13]),
    ],
};

/// What programs say of ports that they could not have: SQL Server, and programs of .NET that end with such an error.
pub static APPLICATION: LogSelection = LogSelection {
    channel: "Application",
    bookmark: "events-application",
    choices: &[
        Choice {
            provider: Provider::Instances("MSSQLSERVER", "MSSQL$"),
            codes: &[17_182, 26_023, 26_075],
            volume: Volume::Some,
            words: &[],
        },
        Choice {
            words: &[&["SocketException"], &["10055", "10048"]],
            ..some(".NET Runtime", &[1_026])
        },
    ],
};

/// Every log that is read.
pub static LOGS: [&LogSelection; 2] = [&SYSTEM, &APPLICATION];

/// Provider of what the log service says about its logs.
const LOG_SERVICE: &str = "Microsoft-Windows-Eventlog";
/// "The log file was cleared."
const LOG_CLEARED: u32 = 104;

/// Events of a kind that is written often that are told in an hour.
pub const SOME_AN_HOUR: u32 = 20;

/// At the first start events are taken that are not older than this (2,592,000,000 ms in the log's own query language).
pub const BACKFILL_AGE: Duration = Duration::from_secs(30 * 86_400);
/// And at most so many, the newest: a host that fails every second must not fill its spool with what is over.
pub const BACKFILL_HITS_MAX: usize = 1_000;

impl LogSelection {
    /// What the live log is asked for. A structured list, because one expression may hold about 20 terms; every line names
    /// its provider where it can, because ids mean nothing without it.
    #[must_use]
    pub fn query(&self) -> String {
        self.query_of(self.choices.iter(), "")
    }

    /// What is told of the time before the first start, of events not older than `age`.
    #[must_use]
    pub fn query_within(&self, age: Duration) -> String {
        let within = format!(
            "TimeCreated[timediff(@SystemTime) &lt;= {}] and ",
            age.as_millis()
        );
        let told = |choice: &&Choice| choice.volume == Volume::Each;
        self.query_of(self.choices.iter().filter(told), &within)
    }

    /// How often such an event is told; `None` for one that the live log would not be asked for, or that says nothing
    /// about ports.
    #[must_use]
    pub fn volume(&self, hit: &EventHit) -> Option<Volume> {
        let choice = self.choices.iter().find(|choice| choice.is_of(hit))?;
        Some(choice.volume)
    }

    /// Every source and id that is read, as `(source, id)`.
    pub fn kinds(&self) -> impl Iterator<Item = (&'static str, u32)> {
        self.choices.iter().flat_map(|choice| {
            let (Provider::Named(source) | Provider::Instances(source, _)) = choice.provider;
            choice.codes.iter().map(move |code| (source, *code))
        })
    }

    fn query_of<'c>(&self, choices: impl Iterator<Item = &'c Choice>, within: &str) -> String {
        let mut query = format!("<QueryList><Query Id=\"0\" Path=\"{}\">\n", self.channel);
        for choice in choices {
            // Writing to a String cannot fail.
            writeln!(
                query,
                "<Select Path=\"{}\">*[System[{within}{}]]</Select>",
                self.channel,
                choice.terms()
            )
            .ok();
        }
        query.push_str("</Query></QueryList>");
        query
    }
}

impl Choice {
    fn terms(&self) -> String {
        let codes: Vec<String> = self
            .codes
            .iter()
            .map(|code| format!("EventID={code}"))
            .collect();
        let codes = if let [code] = codes.as_slice() {
            code.clone()
        } else {
            format!("({})", codes.join(" or "))
        };
        match self.provider {
            Provider::Named(name) => format!("Provider[@Name='{name}'] and {codes}"),
            Provider::Instances(..) => codes,
        }
    }

    fn is_of(&self, hit: &EventHit) -> bool {
        let is_named = |name: &str| hit.source.eq_ignore_ascii_case(name);
        let is_provider = match self.provider {
            Provider::Named(name) => is_named(name),
            Provider::Instances(name, prefix) => {
                is_named(name)
                    || hit
                        .source
                        .get(..prefix.len())
                        .is_some_and(|begin| begin.eq_ignore_ascii_case(prefix))
            }
        };
        is_provider && self.codes.contains(&hit.code) && self.is_said(hit)
    }

    fn is_said(&self, hit: &EventHit) -> bool {
        let says = |word: &&str| {
            let mut values = hit.log.iter().flat_map(|log| &log.data);
            values.any(|datum| datum.value.contains(*word))
        };
        self.words.iter().all(|group| group.iter().any(says))
    }
}

/// Whether one of the live logs would be asked for this event, and it would be told.
#[must_use]
pub fn is_selected(hit: &EventHit) -> bool {
    LOGS.iter().any(|log| log.volume(hit).is_some())
}

/// Whether it says that its log was cleared.
#[must_use]
pub fn says_log_cleared(hit: &EventHit) -> bool {
    hit.source.eq_ignore_ascii_case(LOG_SERVICE) && hit.code == LOG_CLEARED
}

#[cfg(test)]
mod tests {
    use quick_xml::Reader;
    use quick_xml::events::Event;
    use tidemark_model::Timestamp;
    use tidemark_model::event::{EventDatum, LogRecord};

    use super::*;

    /// The texts of a query list's elements of that name.
    fn texts_of(query: &str, element: &str) -> Vec<String> {
        let mut reader = Reader::from_str(query);
        let mut texts = Vec::new();
        let mut inside = false;
        loop {
            let event = reader.read_event().unwrap();
            if let Event::Text(text) = &event
                && inside
            {
                texts.push(text.to_string());
            }
            if event == Event::Eof {
                return texts;
            }
            inside =
                matches!(&event, Event::Start(start) if start.local_name().as_ref() == element);
        }
    }

    fn hit(source: &str, code: u32, value: &str) -> EventHit {
        let datum = EventDatum {
            name: None,
            value: value.into(),
        };
        EventHit {
            at: Timestamp::EPOCH,
            source: source.into(),
            code,
            count: 1,
            text: "".into(),
            log: Some(Box::new(LogRecord {
                data: vec![datum],
                ..LogRecord::default()
            })),
        }
    }

    #[test]
    fn the_system_log_is_asked_for_these() {
        let expected = [
            "Provider[@Name='Tcpip'] and (EventID=4227 or EventID=4231 or EventID=4265 or EventID=4266)",
            "Provider[@Name='AFD'] and (EventID=16001 or EventID=16002)",
            "Provider[@Name='NETLOGON'] and EventID=5719",
            "Provider[@Name='Microsoft-Windows-GroupPolicy'] and EventID=1129",
            "Provider[@Name='EventLog'] and (EventID=6005 or EventID=6006 or EventID=6008 or EventID=6009 or EventID=6013)",
            "Provider[@Name='Microsoft-Windows-Eventlog'] and EventID=104",
            "Provider[@Name='Microsoft-Windows-DNS-Client'] and (EventID=1014 or EventID=8015)",
            "Provider[@Name='srv'] and (EventID=2017 or EventID=2019 or EventID=2020 or EventID=2021 or EventID=2022)",
            "Provider[@Name='Microsoft-Windows-Resource-Exhaustion-Detector'] and EventID=2004",
            "Provider[@Name='Microsoft-Windows-NDIS'] and EventID=10400",
            "Provider[@Name='Service Control Manager'] and (EventID=7031 or EventID=7034 or EventID=7036 or EventID=7040)",
            "Provider[@Name='User32'] and EventID=1074",
            "Provider[@Name='USER32'] and EventID=1074",
            "Provider[@Name='Microsoft-Windows-Kernel-General'] and (EventID=12 or EventID=13)",
        ];
        let expected = expected.map(|terms| format!("*[System[{terms}]]"));
        assert_eq!(texts_of(&SYSTEM.query(), "Select"), expected);
        assert!(SYSTEM.query().contains("<Select Path=\"System\">"));
    }

    #[test]
    fn the_application_log_is_asked_for_these() {
        let expected = [
            "*[System[(EventID=17182 or EventID=26023 or EventID=26075)]]",
            "*[System[Provider[@Name='.NET Runtime'] and EventID=1026]]",
        ];
        assert_eq!(texts_of(&APPLICATION.query(), "Select"), expected);
        assert!(
            APPLICATION
                .query()
                .contains("<Select Path=\"Application\">")
        );
    }

    #[test]
    fn what_is_told_of_the_past_is_not_drowned_by_what_is_written_often() {
        let query = SYSTEM.query_within(BACKFILL_AGE);
        assert!(
            query.contains("&lt;= 2592000000] and Provider[@Name='Tcpip']"),
            "{query}"
        );
        let age = "TimeCreated[timediff(@SystemTime) &lt;= 2592000000] and ";
        let lines = query.matches("<Select").count();
        assert_eq!(query.matches(age).count(), lines);
        for line in query.replace(age, "").lines() {
            assert!(SYSTEM.query().contains(line), "{line}");
        }
        assert!(!query.contains("Service Control Manager"), "{query}");
        assert!(lines >= 9, "{query}");
    }

    #[test]
    fn an_event_is_told_by_source_id_and_words_together() {
        let socket = "Exception Info: System.Net.Sockets.SocketException (10055): no buffer space";
        let cases = [
            (hit("TCPIP", 4231, ""), Some(Volume::Each)),
            (hit("Tcpip", 4228, ""), None),
            (
                hit("Service Control Manager", 7_036, ""),
                Some(Volume::Some),
            ),
            (hit("MSSQLSERVER", 26_023, ""), Some(Volume::Some)),
            (hit("MSSQL$PAYROLL", 17_182, ""), Some(Volume::Some)),
            (hit("MSSQ", 17_182, ""), None),
            (hit("SomeApp", 26_023, ""), None),
            (hit(".NET Runtime", 1_026, socket), Some(Volume::Some)),
            (hit(".NET Runtime", 1_026, "System.Exception: 10055"), None),
            (hit(".NET Runtime", 1_026, "SocketException (10061)"), None),
        ];
        for (hit, expected) in cases {
            let volume = LOGS.iter().find_map(|log| log.volume(&hit));
            assert_eq!(volume, expected, "{hit:?}");
            assert_eq!(is_selected(&hit), expected.is_some(), "{hit:?}");
        }
    }

    #[test]
    fn no_line_of_a_query_is_beyond_what_the_log_service_takes() {
        for line in LOGS.iter().flat_map(|log| texts_of(&log.query(), "Select")) {
            assert!(line.matches("EventID").count() < 20, "{line}");
            assert!(!line.contains("contains("), "it has no functions for text");
        }
    }
}
