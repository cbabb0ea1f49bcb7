//! Which events are read: the query for the live log, and the same choice for files.

use std::time::Duration;

use tidemark_model::sample::EventHit;

/// The log that is read.
pub const CHANNEL: &str = "System";

/// What the live log is asked for. A structured list, because one expression may hold about 20 terms; every line names its
/// provider, because ids mean nothing without it. Tcpip: the ports; AFD: sockets that hang in a driver; NETLOGON and Group
/// Policy: who suffers from it first; `EventLog`: starts, stops and uptime of the system; Eventlog: a log that was cleared.
pub const QUERY: &str = "\
<QueryList><Query Id=\"0\" Path=\"System\">
<Select Path=\"System\">*[System[Provider[@Name='Tcpip'] and (EventID=4227 or EventID=4231 or EventID=4265 or EventID=4266)]]</Select>
<Select Path=\"System\">*[System[Provider[@Name='AFD'] and (EventID=16001 or EventID=16002)]]</Select>
<Select Path=\"System\">*[System[Provider[@Name='NETLOGON'] and EventID=5719]]</Select>
<Select Path=\"System\">*[System[Provider[@Name='Microsoft-Windows-GroupPolicy'] and EventID=1129]]</Select>
<Select Path=\"System\">*[System[Provider[@Name='EventLog'] and (EventID=6005 or EventID=6006 or EventID=6008 or EventID=6013)]]</Select>
<Select Path=\"System\">*[System[Provider[@Name='Microsoft-Windows-Eventlog'] and EventID=104]]</Select>
</Query></QueryList>";

/// The same as [`QUERY`]: providers and their ids.
const SELECTED: [(&str, &[u32]); 6] = [
    ("Tcpip", &[4227, 4231, 4265, 4266]),
    ("AFD", &[16_001, 16_002]),
    ("NETLOGON", &[5_719]),
    ("Microsoft-Windows-GroupPolicy", &[1_129]),
    ("EventLog", &[6_005, 6_006, 6_008, 6_013]),
    (LOG_SERVICE, &[LOG_CLEARED]),
];

/// Provider of what the log service says about its logs.
const LOG_SERVICE: &str = "Microsoft-Windows-Eventlog";
/// "The log file was cleared."
const LOG_CLEARED: u32 = 104;

/// At the first start events are taken that are not older than this (2,592,000,000 ms in the log's own query language).
pub const BACKFILL_AGE: Duration = Duration::from_secs(30 * 86_400);
/// And at most so many, the newest: a host that fails every second must not fill its spool with what is over.
pub const BACKFILL_HITS_MAX: usize = 1_000;

/// [`QUERY`], of events not older than `age`.
#[must_use]
pub fn query_within(age: Duration) -> String {
    let within = format!(
        "*[System[TimeCreated[timediff(@SystemTime) &lt;= {}] and ",
        age.as_millis()
    );
    QUERY.replace("*[System[", &within)
}

/// Whether the live log would be asked for this event.
#[must_use]
pub fn is_selected(hit: &EventHit) -> bool {
    SELECTED.iter().any(|(provider, codes)| {
        hit.source.eq_ignore_ascii_case(provider) && codes.contains(&hit.code)
    })
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

    #[test]
    fn the_query_asks_for_exactly_what_is_selected_from_files() {
        let expected: Vec<String> = SELECTED
            .iter()
            .map(|(provider, codes)| {
                let terms: Vec<String> =
                    codes.iter().map(|code| format!("EventID={code}")).collect();
                let terms = terms.join(" or ");
                let terms = if codes.len() > 1 {
                    format!("({terms})")
                } else {
                    terms
                };
                format!("*[System[Provider[@Name='{provider}'] and {terms}]]")
            })
            .collect();
        assert_eq!(texts_of(QUERY, "Select"), expected);
    }

    #[test]
    fn a_query_with_an_age_is_the_same_with_an_age() {
        let query = query_within(BACKFILL_AGE);
        assert!(
            query.contains("&lt;= 2592000000] and Provider[@Name='Tcpip']"),
            "{query}"
        );
        let age = "TimeCreated[timediff(@SystemTime) &lt;= 2592000000] and ";
        assert_eq!(query.matches(age).count(), SELECTED.len());
        assert_eq!(query.replace(age, ""), QUERY);
    }

    #[test]
    fn no_line_of_the_query_is_beyond_what_the_log_service_takes() {
        for line in texts_of(QUERY, "Select") {
            assert!(line.matches("EventID").count() < 20, "{line}");
            assert!(!line.contains("contains("), "it has no functions for text");
        }
    }
}
