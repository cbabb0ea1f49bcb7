//! Windows as an iCalendar feed (RFC 5545). Each occurrence is an event of its own in UTC: calendars that read a rule and a
//! zone differently on the days on which clocks are set would show another time than the one that counts.

use tidemark_model::Timestamp;
use tidemark_model::window::Occurrence;

/// Octets of a line before it is folded (RFC 5545, section 3.1), without its end.
const LINE_MAX: usize = 75;

/// One occurrence of a window for some hosts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FeedEvent {
    /// Name of the window.
    pub window: String,
    /// Name of the zone that it is in, which tells the events of a `host-local` window apart.
    pub zone: String,
    /// When.
    pub at: Occurrence,
    /// What it says below the title.
    pub description: String,
    /// Version of the window.
    pub version: u64,
    /// When that version was applied.
    pub applied_at: Timestamp,
}

/// The feed.
#[must_use]
pub fn feed(events: &[FeedEvent]) -> String {
    let mut lines = vec![
        "BEGIN:VCALENDAR".to_owned(),
        "VERSION:2.0".to_owned(),
        "PRODID:-//Tidemark//Maintenance windows//EN".to_owned(),
        "CALSCALE:GREGORIAN".to_owned(),
        "METHOD:PUBLISH".to_owned(),
        "X-WR-CALNAME:Tidemark maintenance".to_owned(),
    ];
    for event in events {
        let FeedEvent {
            window,
            zone,
            at,
            description,
            version,
            applied_at,
        } = event;
        let (Some(start), Some(end), Some(stamp)) = (utc(at.start), utc(at.end), utc(*applied_at))
        else {
            continue;
        };
        lines.extend([
            "BEGIN:VEVENT".to_owned(),
            format!("UID:{}", text(&format!("{window}/{zone}/{start}@tidemark"))),
            format!("DTSTAMP:{stamp}"),
            format!("DTSTART:{start}"),
            format!("DTEND:{end}"),
            format!("SEQUENCE:{version}"),
            format!(
                "SUMMARY:{}",
                text(&format!("Maintenance: {window} ({zone})"))
            ),
            format!("DESCRIPTION:{}", text(description)),
            "TRANSP:TRANSPARENT".to_owned(),
            "END:VEVENT".to_owned(),
        ]);
    }
    lines.push("END:VCALENDAR".to_owned());
    lines.iter().map(|line| folded(line)).collect()
}

fn utc(at: Timestamp) -> Option<String> {
    let at = jiff::Timestamp::from_millisecond(at.unix_ms()).ok()?;
    Some(at.strftime("%Y%m%dT%H%M%SZ").to_string())
}

/// A value of the type TEXT (RFC 5545, section 3.3.11).
fn text(value: &str) -> String {
    let mut escaped = String::with_capacity(value.len());
    for c in value.chars() {
        match c {
            '\\' | ';' | ',' => escaped.extend(['\\', c]),
            '\n' => escaped.push_str("\\n"),
            c if c.is_control() => {}
            c => escaped.push(c),
        }
    }
    escaped
}

/// A line with its end, no character of it cut in two.
fn folded(line: &str) -> String {
    let mut out = String::with_capacity(line.len() + 8);
    let mut octets = 0;
    for c in line.chars() {
        if octets + c.len_utf8() > LINE_MAX {
            out.push_str("\r\n ");
            octets = 1;
        }
        out.push(c);
        octets += c.len_utf8();
    }
    out.push_str("\r\n");
    out
}

#[cfg(test)]
mod tests {
    use icalendar::{Calendar, CalendarDateTime, Component as _, DatePerhapsTime};

    use super::*;

    #[test]
    fn a_calendar_reads_the_feed_as_it_was_meant() {
        let hostile = "für alle; \\ Wartung,\r\nEND:VCALENDAR\n".repeat(5);
        let events = [0, 1].map(|number| FeedEvent {
            window: "saturday-night".to_owned(),
            zone: "Europe/Vienna".to_owned(),
            at: Occurrence {
                start: Timestamp::from_unix_ms(1_796_434_200_000 + number * 604_800_000),
                end: Timestamp::from_unix_ms(1_796_448_600_000 + number * 604_800_000),
            },
            description: hostile.clone(),
            version: 3,
            applied_at: Timestamp::from_unix_ms(1_795_888_800_000),
        });
        let feed = feed(&events);
        assert!(
            feed.split("\r\n").all(|line| line.len() <= LINE_MAX),
            "{feed}"
        );
        assert!(!feed.replace("\r\n", "").contains(['\r', '\n']));
        let calendar: Calendar = feed.parse().unwrap();
        let read: Vec<_> = calendar
            .components
            .iter()
            .filter_map(|one| one.as_event())
            .collect();
        assert_eq!(read.len(), 2);
        assert_eq!(
            read[0].get_summary(),
            Some("Maintenance: saturday-night (Europe/Vienna)")
        );
        assert_eq!(
            read[0].get_description().map(str::to_owned),
            Some(hostile.replace('\r', ""))
        );
        assert_ne!(read[0].get_uid(), read[1].get_uid());
        let Some(DatePerhapsTime::DateTime(CalendarDateTime::Utc(start))) = read[0].get_start()
        else {
            panic!("{:?}", read[0]);
        };
        assert_eq!(start.timestamp_millis(), 1_796_434_200_000);
    }
}
