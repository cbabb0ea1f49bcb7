//! PagerDuty's Events API v2: an event an incident, told apart by the problem's fingerprint.

use serde_json::json;
use tidemark_model::problem::Severity;
use tidemark_model::{Secret, Timestamp};

use super::{cut, json};
use crate::notify::message::{Message, Status, Told};
use crate::web::words;

/// Characters of a summary; PagerDuty takes 1,024.
const SUMMARY_CHARS_MAX: usize = 1_000;

pub(super) fn bodies(message: &Message, routing_key: &Secret<String>) -> Vec<Vec<u8>> {
    let mut bodies: Vec<_> = message
        .told()
        .map(|told| body(told, action(told), routing_key))
        .collect();
    if message.status == Status::Test {
        // A test must not leave a page behind.
        bodies.extend(
            message
                .told()
                .map(|told| body(told, "resolve", routing_key)),
        );
    }
    bodies
}

fn action(told: &Told) -> &'static str {
    match told.state.as_str() {
        "resolved" => "resolve",
        "acknowledged" => "acknowledge",
        _ => "trigger",
    }
}

fn body(told: &Told, action: &str, routing_key: &Secret<String>) -> Vec<u8> {
    let severity = match told.severity {
        Severity::Info => "info",
        Severity::Warning => "warning",
        Severity::Critical => "critical",
    };
    let links: Vec<_> = told
        .url
        .iter()
        .map(|url| json!({"href": url, "text": "Incident in Tidemark"}))
        .collect();
    json(&json!({
        "routing_key": routing_key.expose(),
        "event_action": action,
        "dedup_key": format!("tidemark-{}", told.fingerprint),
        "client": "Tidemark",
        "client_url": told.url,
        "links": links,
        "payload": {
            "summary": cut(&told.title, SUMMARY_CHARS_MAX),
            "source": told.hosts.first().map_or("tidemark", String::as_str),
            "severity": severity,
            "timestamp": words::iso_utc(Timestamp::from_unix_ms(told.since_ms)),
            "component": told.culprit,
            "class": told.kind,
            "custom_details": {
                "sentence": told.sentence,
                "evidence": told.evidence,
                "advice": told.advice,
                "hosts": told.hosts,
                "host_count": told.host_count,
                "labels": told.labels,
            },
        },
    }))
}
