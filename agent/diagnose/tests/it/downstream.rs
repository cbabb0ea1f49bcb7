//! Rule 22: which of its two limbs speaks, by what the ports were like around the events.

use tidemark_model::Finding;
use tidemark_model::finding::Rule;
use tidemark_model::sample::EventHit;

use crate::build::*;

const MINUTE_MS: i64 = 60_000;

/// One sample now, with so many of 16,384 ports in use, and these events.
fn said(ports: u32, events: &[EventHit]) -> Finding {
    let situation = once(SERVER_2019, tcp().strong(ports)).events(events);
    find(&situation, Rule::DownstreamSymptoms).expect("the rule speaks")
}

fn no_logon(ms_ago: i64) -> EventHit {
    event("NETLOGON", 5_719, ms_ago)
}

#[test]
fn failing_logons_while_ports_are_free_are_a_trouble_of_their_own() {
    for (source, code) in [
        ("NETLOGON", 5_719),
        ("Microsoft-Windows-GroupPolicy", 1_129),
        ("Microsoft-Windows-DNS-Client", 8_015),
    ] {
        let found = said(14_745, &[event(source, code, 10 * MINUTE_MS)]);
        assert!(
            found.title.contains("although ports are free"),
            "{found:#?}"
        );
        assert_eq!(found.port_space, None, "no ports are to blame");
        assert_eq!(found.confidence, 0.6);
        assert!(found.missing.is_empty(), "{found:#?}");
        let logged = format!("{source} {code} was logged");
        assert!(found.evidence[0].starts_with(&logged), "{found:#?}");
        let advice = &found.playbook[0].text;
        assert!(advice.contains("domain controllers"), "{advice}");
    }
}

#[test]
fn failing_logons_at_nine_tenths_in_use_are_an_effect_of_it() {
    let found = said(14_746, &[no_logon(10 * MINUTE_MS)]);
    assert!(found.title.contains("because ports are gone"), "{found:#?}");
    assert_eq!(found.port_space.as_deref(), Some("tcp/default"));
    assert_eq!(found.confidence, 0.9);
}

#[test]
fn ports_that_were_refused_around_that_time_outweigh_a_sample_with_free_ones() {
    let refused = |ms_ago| event("Tcpip", 4_231, ms_ago);
    let near = said(300, &[no_logon(5 * MINUTE_MS), refused(15 * MINUTE_MS)]);
    assert!(near.title.contains("because ports are gone"), "{near:#?}");
    let far = said(300, &[no_logon(5 * MINUTE_MS), refused(15 * MINUTE_MS + 1)]);
    assert!(far.title.contains("although ports are free"), "{far:#?}");
}

#[test]
fn without_a_sample_near_them_it_is_not_known_whether_ports_were_free() {
    let found = said(300, &[no_logon(10 * MINUTE_MS + 1)]);
    assert!(found.title.contains("is not known"), "{found:#?}");
    assert_eq!(found.confidence, 0.3);
    let missing = found.missing.join("; ");
    assert!(missing.contains("samples within 10 minutes"), "{missing}");
}

#[test]
fn what_happened_while_ports_were_free_is_told_before_what_nobody_saw() {
    let found = said(300, &[no_logon(MINUTE_MS), no_logon(60 * MINUTE_MS)]);
    assert!(
        found.title.contains("although ports are free"),
        "{found:#?}"
    );
    let evidence = found.evidence.join(" ");
    assert!(evidence.contains("was logged at"), "one of two: {evidence}");
}
