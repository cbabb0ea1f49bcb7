//! Microsoft Teams' workflow webhooks: an adaptive card.

use serde_json::{Value, json};

use super::{cut, json};
use crate::notify::message::{Message, Status, Told};
use tidemark_model::problem::Severity;

/// Incidents shown; Teams takes 28 kB a message.
const SHOWN_MAX: usize = 8;
/// Characters of a text.
const TEXT_CHARS_MAX: usize = 1_500;

pub(super) fn body(message: &Message) -> Vec<u8> {
    let mut blocks = vec![json!({
        "type": "TextBlock", "size": "Large", "weight": "Bolder", "wrap": true,
        "color": color(message), "text": escaped(&message.subject()),
    })];
    for told in message.told().take(SHOWN_MAX) {
        blocks.extend(told_blocks(told));
    }
    let told = message.told().count();
    let more = told.saturating_sub(SHOWN_MAX) as u64 + message.left_out;
    if more > 0 {
        blocks.push(text(&format!("and {more} more")));
    }
    let actions: Vec<Value> = message
        .url
        .iter()
        .map(|url| json!({"type": "Action.OpenUrl", "title": "All incidents", "url": url}))
        .collect();
    json(&json!({
        "type": "message",
        "attachments": [{
            "contentType": "application/vnd.microsoft.card.adaptive",
            "content": {
                "$schema": "http://adaptivecards.io/schemas/adaptive-card.json",
                "type": "AdaptiveCard",
                "version": "1.4",
                "body": blocks,
                "actions": actions,
            },
        }],
    }))
}

fn told_blocks(told: &Told) -> Vec<Value> {
    let facts: Vec<Value> = told
        .evidence
        .iter()
        .map(|evidence| json!({"title": "•", "value": escaped(evidence)}))
        .collect();
    vec![
        json!({
            "type": "TextBlock", "weight": "Bolder", "wrap": true, "separator": true,
            "text": escaped(&told.title),
        }),
        text(&escaped(&told.sentence)),
        json!({"type": "FactSet", "facts": facts}),
    ]
}

fn text(text: &str) -> Value {
    json!({"type": "TextBlock", "wrap": true, "text": cut(text, TEXT_CHARS_MAX)})
}

fn color(message: &Message) -> &'static str {
    let highest = message.firing.iter().map(|told| told.severity).max();
    match (message.status, highest) {
        (Status::Test, _) => "Accent",
        (Status::Resolved, _) | (_, None) => "Good",
        (Status::Firing, Some(Severity::Critical)) => "Attention",
        (Status::Firing, Some(Severity::Warning)) => "Warning",
        (Status::Firing, Some(Severity::Info)) => "Default",
    }
}

/// A card's text is Markdown; a host's name must not be a link.
fn escaped(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for c in text.chars() {
        if matches!(c, '\\' | '[' | ']' | '*' | '_' | '`' | '#') {
            escaped.push('\\');
        }
        escaped.push(c);
    }
    escaped
}
