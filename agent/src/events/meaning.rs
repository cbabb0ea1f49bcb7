//! What an event says, in one sentence of ours: the system's own text is localised, and is not in its XML anyway.

use std::fmt::Write as _;

use tidemark_model::event::EventDatum;

/// Values that are repeated in the text of an event that is not known here.
const VALUES_SHOWN: usize = 8;
/// Characters of one of them.
const VALUE_CHARS_MAX: usize = 120;

/// The sentence for an event, by source and id; for others what a forwarding system rendered, else the values.
#[must_use]
pub fn text(source: &str, code: u32, data: &[EventDatum], rendered: Option<&str>) -> String {
    known(source, code, data)
        .or_else(|| rendered.map(one_line))
        .unwrap_or_else(|| values(data))
}

fn known(source: &str, code: u32, data: &[EventDatum]) -> Option<String> {
    let is = |name: &str| source.eq_ignore_ascii_case(name);
    if is("AFD") && code == 16_002 {
        return Some(hanging_close(data));
    }
    if is("EventLog") && code == 6_013 {
        // The fifth value is the uptime in seconds.
        let seconds: Option<u64> = data
            .get(4)
            .and_then(|datum| datum.value.trim().parse().ok());
        return Some(match seconds {
            Some(seconds) => format!("the system has been up for {seconds} s"),
            None => "the system says how long it has been up".to_owned(),
        });
    }
    let text = match code {
        4227 if is("Tcpip") => {
            "an outgoing TCP connection failed: its local endpoint was used too recently towards the same remote endpoint \
             (connections are opened and closed too fast)"
        }
        4231 if is("Tcpip") => "no dynamic TCP port could be had: all of them are in use",
        4265 if is("Tcpip") => "UDP has reached its limit of endpoints",
        4266 if is("Tcpip") => "no dynamic UDP port could be had: all of them are in use",
        16_001 if is("AFD") => {
            "a TDI filter is in the way of every socket; such filters leak sockets"
        }
        5_719 if is("NETLOGON") => {
            "no domain controller could be reached: a common consequence of exhausted ports"
        }
        1_129 if is("Microsoft-Windows-GroupPolicy") => {
            "group policy failed for want of a domain controller: a common consequence of exhausted ports"
        }
        6_005 if is("EventLog") => "the event log service started: the system booted",
        6_006 if is("EventLog") => "the event log service stopped: the system shut down",
        6_008 if is("EventLog") => "the shutdown before this start was unexpected",
        104 if is("Microsoft-Windows-Eventlog") => "a log was cleared: what it held is gone",
        _ => return None,
    };
    Some(text.to_owned())
}

/// AFD 16002 is the one event that names a port and a process.
fn hanging_close(data: &[EventDatum]) -> String {
    let advice = "its port stays taken meanwhile (usually a network or security driver misbehaves)";
    match port_and_process(data) {
        Some((port, process)) => {
            format!(
                "closing the TCP socket on local port {port} of process {process} takes too long: {advice}"
            )
        }
        None => format!("closing a TCP socket takes too long: {advice}"),
    }
}

/// Local port and process of an AFD 16002: the only two numbers among its values. Their order is not documented, so that the
/// one that no port can be is the process; where both could be, the order of the text decides, port first. Process ids are
/// multiples of four.
#[must_use]
pub fn port_and_process(data: &[EventDatum]) -> Option<(u16, u32)> {
    let mut numbers = data
        .iter()
        .filter_map(|datum| datum.value.trim().parse::<u32>().ok());
    let (first, second, none) = (numbers.next()?, numbers.next()?, numbers.next());
    if none.is_some() {
        return None;
    }
    let pair = |port: u32, process: u32| {
        let port = u16::try_from(port).ok().filter(|port| *port > 0)?;
        process.is_multiple_of(4).then_some((port, process))
    };
    pair(first, second).or_else(|| pair(second, first))
}

/// A rendered text without its line breaks.
fn one_line(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

fn values(data: &[EventDatum]) -> String {
    let mut text = String::new();
    for datum in data
        .iter()
        .filter(|datum| !datum.value.trim().is_empty())
        .take(VALUES_SHOWN)
    {
        let separator = if text.is_empty() { "" } else { "; " };
        let value: String = datum.value.trim().chars().take(VALUE_CHARS_MAX).collect();
        // Writing to a String cannot fail.
        match &datum.name {
            Some(name) => write!(text, "{separator}{name}: {value}").ok(),
            None => write!(text, "{separator}{value}").ok(),
        };
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn data(values: &[&str]) -> Vec<EventDatum> {
        values
            .iter()
            .map(|value| EventDatum {
                name: None,
                value: (*value).into(),
            })
            .collect()
    }

    #[test]
    fn the_port_and_the_process_are_told_apart_in_either_order() {
        let cases: [(&[&str], _); 7] = [
            (&["", "53187", "14280"], Some((53_187, 14_280))),
            (&["14280", "53187"], Some((53_187, 14_280))),
            (&["114280", "53188"], Some((53_188, 114_280))),
            // Both could be a port and both a process: the order of the text decides.
            (&["53188", "14280"], Some((53_188, 14_280))),
            (&["53187", "14281"], None),
            (&["53187"], None),
            (&["1", "4", "8"], None),
        ];
        for (values, expected) in cases {
            assert_eq!(port_and_process(&data(values)), expected, "{values:?}");
        }
    }

    #[test]
    fn an_event_is_known_by_source_and_id_together() {
        let text =
            |source, code| text(source, code, &data(&["a", " ", "b"]), Some("Der\r\n  Port"));
        assert!(text("TCPIP", 4231).contains("no dynamic TCP port"));
        assert_eq!(text("SomeApp", 4231), "Der Port");
        assert_eq!(
            super::text("SomeApp", 1, &data(&["a", " ", "b"]), None),
            "a; b"
        );
    }

    #[test]
    fn the_uptime_is_the_fifth_value() {
        let values = data(&["", "", "", "", "42949673", "60", "0 UTC"]);
        assert_eq!(
            text("EventLog", 6_013, &values, None),
            "the system has been up for 42949673 s"
        );
    }
}
