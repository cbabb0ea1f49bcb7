//! Events of every shape that systems write, and of some that only an enemy does.

use proptest::prelude::*;
use tidemark_model::event::EventDatum;

use super::*;
use crate::events::selection::is_selected;

const TCPIP_4227: &str = include_str!("fixtures/tcpip_4227.xml");
pub(in crate::events) const TCPIP_4231: &str = include_str!("fixtures/tcpip_4231.xml");
const TCPIP_4231_2012R2: &str = include_str!("fixtures/tcpip_4231_2012r2.xml");
const TCPIP_4231_GERMAN: &str = include_str!("fixtures/tcpip_4231_german.xml");
const TCPIP_4266: &str = include_str!("fixtures/tcpip_4266.xml");
const AFD_16002_EVENT_DATA: &str = include_str!("fixtures/afd_16002_event_data.xml");
const AFD_16002_USER_DATA: &str = include_str!("fixtures/afd_16002_user_data.xml");
const SCM_7031: &str = include_str!("fixtures/scm_7031.xml");
const SCM_7036_2012R2: &str = include_str!("fixtures/scm_7036_2012r2.xml");
const SRV_2019: &str = include_str!("fixtures/srv_2019.xml");
const NDIS_10400: &str = include_str!("fixtures/ndis_10400.xml");
const RESOURCE_2004: &str = include_str!("fixtures/resource_2004.xml");
const USER32_1074_2012R2: &str = include_str!("fixtures/user32_1074_2012r2.xml");
const KERNEL_GENERAL_12: &str = include_str!("fixtures/kernel_general_12.xml");
const DNS_1014: &str = include_str!("fixtures/dns_1014.xml");
const MSSQL_26023: &str = include_str!("fixtures/mssql_26023.xml");
const DOTNET_1026: &str = include_str!("fixtures/dotnet_1026.xml");

/// Every fixture, for readers of files.
pub(in crate::events) const ALL: [&str; 17] = [
    TCPIP_4227,
    TCPIP_4231,
    TCPIP_4231_2012R2,
    TCPIP_4231_GERMAN,
    TCPIP_4266,
    AFD_16002_EVENT_DATA,
    AFD_16002_USER_DATA,
    SCM_7031,
    SCM_7036_2012R2,
    SRV_2019,
    NDIS_10400,
    RESOURCE_2004,
    USER32_1074_2012R2,
    KERNEL_GENERAL_12,
    DNS_1014,
    MSSQL_26023,
    DOTNET_1026,
];

const READ_AT: Timestamp = Timestamp::from_unix_ms(99);

fn try_parse(xml: &str) -> Result<EventHit, EventXmlError> {
    let reading = Reading {
        read_at: READ_AT,
        log_epoch: 7,
    };
    parse(xml, reading)
}

fn hit_of(xml: &str) -> (EventHit, LogRecord) {
    let hit = try_parse(xml).unwrap();
    let log = hit.log.as_deref().unwrap().clone();
    (hit, log)
}

fn event(inside: &str) -> String {
    format!(
        "<Event><System><Provider Name='Tcpip'/><EventID>4231</EventID></System>{inside}</Event>"
    )
}

#[test]
fn every_part_of_a_record_is_read() {
    let (hit, log) = hit_of(TCPIP_4227);
    assert_eq!((&*hit.source, hit.code, hit.count), ("Tcpip", 4227, 1));
    assert_eq!(hit.at, Timestamp::from_unix_ms(1_767_599_998_123));
    assert!(hit.text.contains("used too recently"), "{}", hit.text);
    assert_eq!(log.channel.as_deref(), Some("System"));
    assert_eq!(log.record_id, Some(123_455));
    assert_eq!(log.computer.as_deref(), Some("SRV01.contoso.com"));
    assert_eq!((log.level, log.qualifiers), (Some(3), Some(32_768)));
    assert_eq!((log.process_id, log.thread_id), (Some(4), Some(11_924)));
    assert_eq!(log.log_epoch, 7);
    assert_eq!(log.error_code, Some(0x8000_1083));
    assert_eq!(log.final_status, Some(0));
    let empty = EventDatum {
        name: None,
        value: "".into(),
    };
    assert_eq!(log.data, [empty]);
    assert_eq!(log.binary.as_deref().map(<[u8]>::len), Some(40));
    assert_eq!(log.xml.as_deref(), Some(TCPIP_4227));
}

#[test]
fn ports_that_ran_out_are_told_whatever_the_system_and_its_language() {
    let cases = [
        (TCPIP_4227, 4227, 0x8000_1083_u32),
        (TCPIP_4231, 4231, 0x8000_1087),
        (TCPIP_4231_2012R2, 4231, 0x8000_1087),
        (TCPIP_4231_GERMAN, 4231, 0x8000_1087),
        (TCPIP_4266, 4266, 0x8000_10aa),
    ];
    for (xml, code, error_code) in cases {
        let (hit, log) = hit_of(xml);
        assert!(hit.says_port_refused(), "{xml}");
        assert_eq!((hit.code, log.error_code), (code, Some(error_code)));
    }
}

#[test]
fn a_record_of_an_older_system_lacks_parts_and_is_read() {
    let (hit, log) = hit_of(TCPIP_4231_2012R2);
    assert_eq!(hit.at, Timestamp::from_unix_ms(1_502_273_472_000));
    assert_eq!((log.process_id, log.thread_id), (None, None));
    assert_eq!(log.computer.as_deref(), Some("OLD01"));
}

#[test]
fn a_localised_text_says_the_same() {
    let (german, log) = hit_of(TCPIP_4231_GERMAN);
    assert_eq!(german.text, hit_of(TCPIP_4231).0.text);
    assert_eq!(log.computer.as_deref(), Some("SRV-MÜNCHEN.contoso.de"));
    // The words of the rendering do not stand in for the record's own parts.
    assert_eq!(log.level, Some(3));
}

#[test]
fn both_shapes_of_a_hanging_close_name_the_port_and_the_process() {
    let (classic, log) = hit_of(AFD_16002_EVENT_DATA);
    assert_eq!(log.error_code, Some(0x8000_3e82));
    assert!(
        classic.text.contains("port 53187 of process 14280"),
        "{}",
        classic.text
    );
    let (manifest, of_manifest) = hit_of(AFD_16002_USER_DATA);
    assert_eq!(manifest.text, classic.text);
    assert_eq!(of_manifest.binary, log.binary);
    let names: Vec<_> = of_manifest
        .data
        .iter()
        .map(|datum| datum.name.as_deref())
        .collect();
    assert_eq!(
        names,
        [Some("Device"), Some("LocalPort"), Some("ProcessId")]
    );
    let values = |log: &LogRecord| {
        log.data
            .iter()
            .map(|datum| datum.value.clone())
            .collect::<Vec<_>>()
    };
    assert_eq!(values(&of_manifest), values(&log));
}

#[test]
fn what_surrounds_an_exhaustion_is_told_from_records_of_every_shape() {
    let cases = [
        (
            SCM_7031,
            "\"Mail Server\" ended unexpectedly, \"3\" time(s)",
        ),
        (
            SCM_7036_2012R2,
            "\"Background Intelligent Transfer Service\" is in another state: \"stopped\"",
        ),
        (SRV_2019, "nonpaged pool empty"),
        (NDIS_10400, "a network adapter's driver was reset"),
        (RESOURCE_2004, "runs out of memory"),
        (USER32_1074_2012R2, "wininit.exe (OLD01)\": \"restart\""),
        (KERNEL_GENERAL_12, "the system booted"),
        (DNS_1014, "no DNS server answered"),
        (MSSQL_26023, "cannot listen on port 1433"),
        (
            DOTNET_1026,
            "no port or no memory for sockets was to be had (10055)",
        ),
    ];
    for (xml, words) in cases {
        let (hit, log) = hit_of(xml);
        assert!(hit.text.contains(words), "{words}: {}", hit.text);
        assert!(is_selected(&hit), "{xml}");
        assert!(!hit.says_port_refused(), "{xml}");
        assert!(log.channel.is_some() && log.record_id.is_some(), "{xml}");
    }
    // The same event in the other shape says the same.
    let (manifest, _) = hit_of(SCM_7031);
    let classic = SCM_7031
        .replace(" Name='param1'", "")
        .replace(" Name='param2'", "");
    assert_eq!(hit_of(&classic).0.text, manifest.text);
}

#[test]
fn what_is_missing_is_unknown_and_never_an_error() {
    let (hit, log) = hit_of("<Event/>");
    assert_eq!((&*hit.source, hit.code, hit.at), ("unknown", 0, READ_AT));
    let nothing = LogRecord {
        log_epoch: 7,
        xml: Some("<Event/>".into()),
        ..LogRecord::default()
    };
    assert_eq!(log, nothing);
    let odd = "<Event><System><Provider EventSourceName='Old'/><EventID>-1</EventID><Level>high</Level>\
        <TimeCreated SystemTime='yesterday'/><EventRecordID/><Execution ProcessID='x'/></System>\
        <EventData><Binary>zz</Binary></EventData></Event>";
    let (hit, log) = hit_of(odd);
    assert_eq!((&*hit.source, hit.code, hit.at), ("Old", 0, READ_AT));
    assert_eq!(
        (log.level, log.record_id, log.process_id, log.binary),
        (None, None, None, None)
    );
}

#[test]
fn values_keep_their_order_their_names_and_their_characters() {
    let (_, log) = hit_of(&event(
        "<EventData><Data>b</Data><Data Name='p&amp;q'>a&lt;&#x62;&gt; &amp;c</Data><Data><![CDATA[<x>&amp;]]></Data></EventData>",
    ));
    let found: Vec<_> = log
        .data
        .iter()
        .map(|datum| (datum.name.as_deref(), &*datum.value))
        .collect();
    assert_eq!(
        found,
        [(None, "b"), (Some("p&q"), "a<b> &c"), (None, "<x>&amp;")]
    );
}

#[test]
fn values_cannot_pass_for_the_records_own_parts() {
    let (hit, log) = hit_of(&event(
        "<UserData><X><System><Provider Name='Evil'/><EventID Qualifiers='1'>1</EventID><Channel>Security</Channel>\
         <EventRecordID>5</EventRecordID></System></X></UserData>",
    ));
    assert_eq!((&*hit.source, hit.code), ("Tcpip", 4231));
    assert_eq!(
        (log.qualifiers, log.channel, log.record_id),
        (None, None, None)
    );
}

#[test]
fn entities_are_never_expanded() {
    let bomb = format!(
        "<!DOCTYPE x [<!ENTITY a \"aaaaaaaaaa\"><!ENTITY b \"&a;&a;&a;\">]>{}",
        event("<EventData><Data>&b;</Data></EventData>")
    );
    assert!(matches!(try_parse(&bomb), Err(EventXmlError::DocumentType)));
    let (_, log) = hit_of(&event(
        "<EventData><Data>&b;&nbsp;&#0;&#xD800;</Data></EventData>",
    ));
    assert_eq!(&*log.data[0].value, "&b;&nbsp;&#0;&#xD800;");
}

#[test]
fn what_is_too_large_is_cut_or_refused() {
    let value = "ü".repeat(100_000);
    let many = "<Data>x</Data>".repeat(1_000);
    let (hit, log) = hit_of(&event(&format!(
        "<EventData><Data>{value}</Data>{many}</EventData>"
    )));
    assert_eq!(log.data.len(), 64);
    assert_eq!(log.data[0].value.len(), 4096);
    assert!(log.xml.unwrap().len() <= 32 * 1024);
    assert!(hit.text.chars().count() <= 1024);
    let deep = format!("{}{}", "<a>".repeat(1_000), "</a>".repeat(1_000));
    assert!(matches!(
        try_parse(&event(&deep)),
        Err(EventXmlError::TooDeep)
    ));
    let long = event(&"x".repeat(READ_BYTES_MAX));
    let refused = try_parse(&long).unwrap_err().to_string();
    assert!(refused.contains("at most 1048576 are read"), "{refused}");
}

#[test]
fn what_is_no_event_is_refused() {
    for xml in [
        "",
        "x",
        "<a/>",
        "<Events><Event/></Events>",
        "<Event>",
        "<Event><System></Event>",
    ] {
        assert!(try_parse(xml).is_err(), "{xml}");
    }
    assert!(try_parse(&format!("\u{feff}{TCPIP_4231}")).is_ok());
}

proptest! {
    #[test]
    fn hostile_text_never_panics(xml in ".{0,200}") {
        drop(try_parse(&xml));
    }

    #[test]
    fn a_record_that_is_damaged_anywhere_never_panics(
        which in 0..ALL.len(), at in any::<prop::sample::Index>(), garbage in ".{0,3}", cut in any::<bool>(),
    ) {
        let xml = ALL[which];
        let place = xml.floor_char_boundary(at.index(xml.len()));
        let (before, after) = xml.split_at(place);
        let after = if cut { "" } else { after };
        drop(try_parse(&format!("{before}{garbage}{after}")));
    }

    #[test]
    fn any_value_comes_back_as_it_was(value in "[^\0\r]{0,80}") {
        let escaped = quick_xml::escape::escape(value.as_str());
        let (_, log) = hit_of(&event(&format!("<EventData><Data>{escaped}</Data></EventData>")));
        prop_assert_eq!(&*log.data[0].value, value.as_str());
    }
}
