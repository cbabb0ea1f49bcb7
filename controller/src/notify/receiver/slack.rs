//! Slack's incoming webhooks: blocks, with the subject as the text that notifications show.

use serde_json::{Value, json};

use super::{cut, json};
use crate::notify::message::{Message, Status, Told};

/// Incidents shown; Slack takes 50 blocks a message.
const SHOWN_MAX: usize = 10;
/// Characters of a section, and of a header; Slack takes 3,000 and 150.
const SECTION_CHARS_MAX: usize = 2_900;
/// See [`SECTION_CHARS_MAX`].
const HEADER_CHARS_MAX: usize = 150;

pub(super) fn body(message: &Message) -> Vec<u8> {
    let subject = message.subject();
    let mut blocks = vec![json!({
        "type": "header",
        "text": {"type": "plain_text", "text": cut(&subject, HEADER_CHARS_MAX), "emoji": false},
    })];
    blocks.extend(message.told().take(SHOWN_MAX).map(section));
    let told = message.told().count();
    let more = told.saturating_sub(SHOWN_MAX) as u64 + message.left_out;
    if more > 0 {
        blocks.push(context(&format!("and {more} more")));
    }
    if let Some(url) = message
        .url
        .as_ref()
        .filter(|_| message.status != Status::Test)
    {
        blocks.push(context(&format!("<{url}|All incidents>")));
    }
    json(&json!({"text": escaped(&subject), "blocks": blocks}))
}

fn section(told: &Told) -> Value {
    let title = match &told.url {
        Some(url) => format!("<{url}|{}>", escaped(&told.title)),
        None => escaped(&told.title),
    };
    let mut text = format!(
        "*{}* {} · {}\n{}",
        title,
        told.severity.as_str(),
        escaped(&told.state),
        escaped(&told.sentence)
    );
    for evidence in &told.evidence {
        text.push_str(&format!("\n• {}", escaped(evidence)));
    }
    json!({"type": "section", "text": {"type": "mrkdwn", "text": cut(&text, SECTION_CHARS_MAX)}})
}

fn context(text: &str) -> Value {
    json!({"type": "context", "elements": [{"type": "mrkdwn", "text": text}]})
}

/// Slack's three characters that mean something; a host's name must not mention everybody.
fn escaped(text: &str) -> String {
    text.replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
}
