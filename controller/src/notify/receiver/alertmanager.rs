//! Alertmanager's API v2: an alert an incident, told again before it lapses.

use std::time::Duration;

use serde_json::{Map, Value, json};
use tidemark_model::Timestamp;
use tidemark_model::silence::Labels;

use crate::notify::message::{Message, Status, Told};
use crate::web::words;

/// An alert lapses after this many times the interval in which it is told again.
const LAPSES_AFTER: u32 = 4;

pub(super) fn address(url: &str) -> String {
    format!("{}/api/v2/alerts", url.trim_end_matches('/'))
}

pub(super) fn body(message: &Message, resend_interval: Duration, now: Timestamp) -> Vec<u8> {
    let lapses_at = now.saturating_add(resend_interval.saturating_mul(LAPSES_AFTER));
    let mut alerts = Vec::new();
    for told in message.told() {
        if let Some(former) = &told.former_labels {
            alerts.push(alert(told, former, (now, now)));
        }
        // A test ends by itself a minute later.
        let ends_at = match (message.status, told.resolved_ms) {
            (Status::Test, _) => now.saturating_add(Duration::from_secs(60)),
            (Status::Firing | Status::Resolved, Some(ended)) => Timestamp::from_unix_ms(ended),
            (Status::Firing | Status::Resolved, None) => lapses_at,
        };
        alerts.push(alert(told, &told.labels, (ends_at, now)));
    }
    super::json(&Value::Array(alerts))
}

fn alert(told: &Told, labels: &Labels, (ends_at, now): (Timestamp, Timestamp)) -> Value {
    let starts_at = Timestamp::from_unix_ms(told.since_ms).min(ends_at);
    let mut named: Map<String, Value> = labels
        .iter()
        .filter(|(_, value)| !value.is_empty())
        .map(|(name, value)| (label_name(name), value.clone().into()))
        .collect();
    named.insert("alertname".to_owned(), alert_name(told).into());
    named.insert("fingerprint".to_owned(), told.fingerprint.clone().into());
    let mut alert = json!({
        "labels": named,
        "annotations": {
            "summary": told.title,
            "description": told.sentence,
            "advice": told.advice.join("; "),
            "evidence": told.evidence.join("; "),
            "incident": told.id.to_string(),
        },
        "startsAt": words::iso_utc(starts_at.min(now)),
        "endsAt": words::iso_utc(ends_at),
    });
    if let (Some(url), Some(alert)) = (&told.url, alert.as_object_mut()) {
        alert.insert("generatorURL".to_owned(), url.clone().into());
    }
    alert
}

/// What Alertmanager's users route by: one name for ports that run out, one for what is diagnosed.
fn alert_name(told: &Told) -> &'static str {
    match told.kind.as_str() {
        "leak" | "churn" | "load" | "saturated" | "high" => "TidemarkPortExhaustion",
        "test" => "TidemarkTest",
        "common_cause" => "TidemarkCommonCause",
        _ => "TidemarkFinding",
    }
}

/// A name as Alertmanager's label names are: letters, digits and underscores, no digit first.
fn label_name(name: &str) -> String {
    let is_legal = |c: char| c.is_ascii_alphanumeric() || c == '_';
    let mut legal: String = name
        .chars()
        .map(|c| if is_legal(c) { c } else { '_' })
        .collect();
    if legal.chars().next().is_none_or(|c| c.is_ascii_digit()) {
        legal.insert(0, '_');
    }
    legal
}
