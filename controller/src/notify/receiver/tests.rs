//! A message in the form of each kind of receiver, with hostile and with long texts.

use std::collections::BTreeMap;

use serde_json::Value;
use tidemark_model::problem::Severity;

use super::*;
use crate::notify::message::{Reason, Status, Told};

/// Monday 2026-11-23 01:05:59 UTC.
const NOW: Timestamp = Timestamp::from_unix_ms(1_795_395_959_000);

fn told(name: &str) -> Told {
    Told {
        id: 7,
        fingerprint: "00ff".to_owned(),
        state: "open".to_owned(),
        severity: Severity::Critical,
        kind: "leak".to_owned(),
        title: format!("{name}: TCP ports run out"),
        sentence: format!("{name}: ports are taken."),
        hosts: vec![name.to_owned()],
        host_count: 1,
        culprit: Some("w3wp.exe".to_owned()),
        labels: BTreeMap::from([
            ("host".to_owned(), name.to_owned()),
            ("site/room-2".to_owned(), "b".to_owned()),
            ("2nd".to_owned(), "x".to_owned()),
            ("empty".to_owned(), String::new()),
        ]),
        former_labels: None,
        evidence: vec!["41 ports an hour".to_owned()],
        advice: vec!["Restart it".to_owned()],
        since_ms: NOW.unix_ms() - 60_000,
        eta_ms: None,
        acknowledged_by: None,
        resolved_ms: None,
        url: Some("https://t.example/incidents/7".to_owned()),
        runbook_url: Some("https://t.example/docs/runbooks/leak.html".to_owned()),
    }
}

fn message(told: Told) -> Message {
    Message {
        key: "k1".to_owned(),
        receiver: "ops".to_owned(),
        status: Status::Firing,
        reason: Reason::News,
        group: BTreeMap::new(),
        firing: vec![told],
        resolved: vec![],
        left_out: 0,
        at_ms: NOW.unix_ms(),
        url: Some("https://t.example/incidents".to_owned()),
    }
}

fn over(mut message: Message) -> Message {
    let mut told = message.firing.remove(0);
    told.state = "resolved".to_owned();
    told.resolved_ms = Some(NOW.unix_ms() - 1_000);
    message.status = Status::Resolved;
    message.resolved = vec![told];
    message
}

fn value(body: &[u8]) -> Value {
    serde_json::from_slice(body).unwrap()
}

#[test]
fn an_alert_lapses_unless_it_is_told_again_and_ends_when_the_incident_did() {
    let minute = Duration::from_secs(60);
    let firing = value(&alertmanager::body(&message(told("web-1")), minute, NOW));
    let alert = &firing[0];
    assert_eq!(alert["labels"]["alertname"], "TidemarkPortExhaustion");
    assert_eq!(alert["labels"]["site_room_2"], "b");
    assert_eq!(alert["labels"]["_2nd"], "x");
    assert_eq!(alert["labels"].get("empty"), None);
    assert_eq!(alert["startsAt"], "2026-11-23T01:04:59.000Z");
    assert_eq!(alert["endsAt"], "2026-11-23T01:09:59.000Z");
    assert_eq!(alert["generatorURL"], "https://t.example/incidents/7");
    let ended = value(&alertmanager::body(
        &over(message(told("web-1"))),
        minute,
        NOW,
    ));
    assert_eq!(ended[0]["endsAt"], "2026-11-23T01:05:58.000Z");
    assert_eq!(
        alertmanager::address("http://am:9093/"),
        "http://am:9093/api/v2/alerts"
    );
}

#[test]
fn an_alert_whose_labels_changed_is_ended_under_its_former_ones() {
    let mut told = told("web-1");
    let former = BTreeMap::from([("severity".to_owned(), "warning".to_owned())]);
    told.former_labels = Some(former);
    let minute = Duration::from_secs(60);
    let alerts = value(&alertmanager::body(&message(told), minute, NOW));
    assert_eq!(alerts[0]["labels"]["severity"], "warning");
    assert_eq!(alerts[0]["endsAt"], "2026-11-23T01:05:59.000Z");
    assert_eq!(alerts[1]["endsAt"], "2026-11-23T01:09:59.000Z");
}

#[test]
fn a_signature_is_the_hmac_over_time_and_body() {
    // RFC 4231, test case 2, whose data holds no dot but can be split at one of our own.
    let secret = Secret::new("Jefe".to_owned());
    let signed = webhook::signature(&secret, "1795395959", "{}");
    let key = ring::hmac::Key::new(ring::hmac::HMAC_SHA256, b"Jefe");
    let digits = signed.strip_prefix("v1=").unwrap();
    let tag = data_encoding::HEXLOWER.decode(digits.as_bytes()).unwrap();
    ring::hmac::verify(&key, b"1795395959.{}", &tag).unwrap();
    assert!(ring::hmac::verify(&key, b"1795395960.{}", &tag).is_err());
    let mut headers = HeaderMap::new();
    let message = message(told("web-1"));
    webhook::add_headers(&mut headers, (&message, "{}"), Some(&secret), NOW).unwrap();
    assert_eq!(headers["idempotency-key"], "k1");
    assert_eq!(headers["tidemark-timestamp"], "1795395959");
    assert_eq!(headers["tidemark-signature"], signed.as_str());
}

#[test]
fn hostile_names_stay_text_in_chats() {
    let hostile = "<!channel> [x](https://evil.example) & *b*";
    let slack = value(&slack::body(&message(told(hostile))));
    let text = slack["blocks"][1]["text"]["text"].as_str().unwrap();
    assert!(
        text.contains("&lt;!channel&gt;") && text.contains("&amp;"),
        "{text}"
    );
    assert!(!text.contains("<!channel>"), "{text}");
    let teams = value(&teams::body(&message(told(hostile))));
    let card = &teams["attachments"][0]["content"];
    let text = card["body"][2]["text"].as_str().unwrap();
    assert!(text.contains("\\[x\\]"), "{text}");
    assert_eq!(card["body"][0]["color"], "Attention");
}

#[test]
fn long_texts_are_cut_to_what_chats_take() {
    let mut long = told("web-1");
    long.title = "t".repeat(5_000);
    long.sentence = "s".repeat(20_000);
    let slack = value(&slack::body(&message(long.clone())));
    let header = slack["blocks"][0]["text"]["text"].as_str().unwrap();
    let section = slack["blocks"][1]["text"]["text"].as_str().unwrap();
    assert!(header.len() <= 150 && section.len() <= 3_000);
    let mut many = message(long);
    many.firing = vec![told("web-1"); 60];
    many.left_out = 5;
    let blocks = value(&slack::body(&many));
    assert!(blocks["blocks"].as_array().unwrap().len() <= 50);
    assert!(teams::body(&many).len() < 28_000);
}

#[test]
fn pages_are_opened_taken_and_closed_under_one_key() {
    let secret = Secret::new("r0uting".to_owned());
    let mut taken = message(told("web-1"));
    taken.firing[0].state = "acknowledged".to_owned();
    let messages = [message(told("web-1")), taken, over(message(told("web-1")))];
    for (message, action) in messages.iter().zip(["trigger", "acknowledge", "resolve"]) {
        let bodies = pagerduty::bodies(message, &secret);
        assert_eq!(bodies.len(), 1);
        let event = value(&bodies[0]);
        assert_eq!(event["event_action"], action);
        assert_eq!(event["dedup_key"], "tidemark-00ff");
        assert_eq!(event["routing_key"], "r0uting");
        assert_eq!(event["payload"]["severity"], "critical");
        assert_eq!(event["payload"]["source"], "web-1");
    }
    let mut test = message(told("web-1"));
    test.status = Status::Test;
    assert_eq!(
        pagerduty::bodies(&test, &secret).len(),
        2,
        "it leaves no page"
    );
}

#[test]
fn a_wish_to_wait_is_read_in_seconds() {
    let asks = |text: &'static str| {
        let value = HeaderValue::from_static(text);
        retry_after(&HeaderMap::from_iter([(header::RETRY_AFTER, value)]))
    };
    assert_eq!(asks("120"), Some(Duration::from_secs(120)));
    assert_eq!(asks("Wed, 21 Oct 2026 07:28:00 GMT"), None);
    assert_eq!(asks("-1"), None);
}
