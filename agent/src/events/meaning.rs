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
        6_009 if is("EventLog") => "the system told its version: it booted",
        12 if is("Microsoft-Windows-Kernel-General") => "the kernel started: the system booted",
        13 if is("Microsoft-Windows-Kernel-General") => "the kernel ends: the system shuts down",
        10_400 if is("Microsoft-Windows-NDIS") => {
            "a network adapter's driver was reset; drivers that do so may leave ports behind"
        }
        1_014 if is("Microsoft-Windows-DNS-Client") => {
            "no DNS server answered: a common consequence of exhausted UDP ports"
        }
        8_015 if is("Microsoft-Windows-DNS-Client") => {
            "this host's name could not be registered with DNS: a common consequence of exhausted UDP ports"
        }
        2_004 if is("Microsoft-Windows-Resource-Exhaustion-Detector") => {
            "the system runs out of memory: that refuses sockets, too, with the same error 10055 as exhausted ports"
        }
        _ => {
            return memory_of_server(source, code)
                .or_else(|| service_or_shutdown(source, code, data))
                .or_else(|| program(source, code, data));
        }
    };
    Some(text.to_owned())
}

/// The file server's events of memory: the other reason why sockets are refused with error 10055.
fn memory_of_server(source: &str, code: u32) -> Option<String> {
    if !source.eq_ignore_ascii_case("srv") {
        return None;
    }
    let what = match code {
        2_017 => "reached its limit of nonpaged pool",
        2_019 => "found the system's nonpaged pool empty",
        2_020 => "found the system's paged pool empty",
        2_021 => "could not make a work item",
        2_022 => "found no free connection",
        _ => return None,
    };
    Some(format!(
        "the file server {what}: memory of the kernel, not ports, may be what error 10055 tells of"
    ))
}

/// The timeline: what services and people did to the system.
fn service_or_shutdown(source: &str, code: u32, data: &[EventDatum]) -> Option<String> {
    let value = |index: usize| shown_value(data, index);
    if source.eq_ignore_ascii_case("User32") && code == 1_074 {
        // Program, computer, reason, its code, kind, comment, user.
        return Some(format!(
            "a restart or shutdown was asked for by {}: {}",
            value(0),
            value(4)
        ));
    }
    if !source.eq_ignore_ascii_case("Service Control Manager") {
        return None;
    }
    let service = value(0);
    Some(match code {
        7_031 | 7_034 => format!(
            "the service {service} ended unexpectedly, {} time(s) by now: its ports are free again",
            value(1)
        ),
        // The state is a word of the system's language.
        7_036 => format!("the service {service} is in another state: {}", value(1)),
        7_040 => format!(
            "the start of the service {service} was changed: {} instead of {}",
            value(2),
            value(1)
        ),
        _ => return None,
    })
}

/// What programs say of ports that they could not have.
fn program(source: &str, code: u32, data: &[EventDatum]) -> Option<String> {
    const INSTANCE: &str = "MSSQL$";
    let is_server = source.eq_ignore_ascii_case("MSSQLSERVER")
        || source
            .get(..INSTANCE.len())
            .is_some_and(|begin| begin.eq_ignore_ascii_case(INSTANCE));
    let text = match code {
        26_023 | 26_075 if is_server => {
            format!(
                "SQL Server cannot listen on port {}: it is in use",
                port_among(data)
            )
        }
        17_182 if is_server => {
            "SQL Server cannot listen: its network library failed to start".to_owned()
        }
        1_026 if source.eq_ignore_ascii_case(".NET Runtime") => {
            let says = |text: &str| data.iter().any(|datum| datum.value.contains(text));
            let why = if says("10055") {
                "no port or no memory for sockets was to be had (10055)"
            } else {
                "an address was in use already (10048)"
            };
            format!("a .NET program ended by a SocketException: {why}")
        }
        _ => return None,
    };
    Some(text)
}

/// The only value that is a port.
fn port_among(data: &[EventDatum]) -> String {
    let mut ports = data
        .iter()
        .filter_map(|datum| datum.value.trim().parse::<u16>().ok())
        .filter(|port| *port > 0);
    match (ports.next(), ports.next()) {
        (Some(port), None) => port.to_string(),
        _ => "?".to_owned(),
    }
}

/// A value in quotes; `?` where it is missing. Values are hostile.
fn shown_value(data: &[EventDatum], index: usize) -> String {
    let value = data.get(index).map(|datum| one_line(&datum.value));
    match value.filter(|value| !value.is_empty()) {
        Some(value) => {
            let value: String = value.chars().take(VALUE_CHARS_MAX).collect();
            format!("\"{value}\"")
        }
        None => "?".to_owned(),
    }
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
    use crate::events::selection::LOGS;

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
    fn every_event_that_is_asked_for_has_a_sentence() {
        let kinds = LOGS.iter().flat_map(|log| log.kinds());
        let mut told = 0;
        for (source, code) in kinds {
            let text = text(source, code, &[], None);
            assert!(text.len() > 20, "{source} {code}: {text}");
            assert!(text.chars().count() < 200, "{source} {code}: {text}");
            told += 1;
        }
        assert!(told > 30, "{told}");
    }

    #[test]
    fn services_people_and_programs_are_named_as_the_event_names_them() {
        let cases: [(_, _, &[&str], _); 7] = [
            (
                "Service Control Manager",
                7_031,
                &["Mail\r\nServer", "3", "60000", "1", "Restart"],
                "the service \"Mail Server\" ended unexpectedly, \"3\" time(s) by now: its ports are free again",
            ),
            (
                "Service Control Manager",
                7_036,
                &["W3SVC", "beendet"],
                "the service \"W3SVC\" is in another state: \"beendet\"",
            ),
            (
                "Service Control Manager",
                7_040,
                &["BITS", "auto", "demand", "BITS"],
                "the start of the service \"BITS\" was changed: \"demand\" instead of \"auto\"",
            ),
            (
                "USER32",
                1_074,
                &["C:\\x.exe (SRV)", "SRV", "", "0x0", "restart", "", "AD\\op"],
                "a restart or shutdown was asked for by \"C:\\x.exe (SRV)\": \"restart\"",
            ),
            (
                "MSSQL$PAYROLL",
                26_023,
                &["'any' <ipv4>", "1433"],
                "SQL Server cannot listen on port 1433: it is in use",
            ),
            (
                "MSSQLSERVER",
                26_075,
                &["10048", "1433"],
                "SQL Server cannot listen on port ?: it is in use",
            ),
            (
                ".NET Runtime",
                1_026,
                &["SocketException (10048)"],
                "a .NET program ended by a SocketException: an address was in use already (10048)",
            ),
        ];
        for (source, code, values, expected) in cases {
            assert_eq!(text(source, code, &data(values), None), expected);
        }
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
