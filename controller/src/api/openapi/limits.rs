//! Limits that the API's types do not carry, said in its description: what a program may send without being refused for
//! its form. The fuzzer of `tests` sends what is described and fails when it is refused.

use serde_json::{Map, Value, json};
use tidemark_history::query::{Agg, Limits};
use tidemark_model::action::order::REASON_CHARS_MAX;
use tidemark_model::action::state::ActionState;
use tidemark_model::audit_log::{Deed, Outcome};
use tidemark_model::entity::EntityKind;
use tidemark_model::notice::NoticeKind;
use tidemark_model::problem::Severity;
use tidemark_model::run::RunState;
use tidemark_model::upgrade::{FAILURES_MAX, SOAK_MAX};
use tidemark_model::{Metric, Role};
use tidemark_proto::convert::facts::LABEL_KEY_CHARS_MAX;

use super::super::fleet::STATES;
use super::super::history::DURATION_MS_MAX;
use super::super::{silences, tokens};
use crate::access;
use crate::incidents::operate::NOTE_CHARS_MAX;

/// The cursor of a list by number.
const NUMBER: &str = "^[0-9]{1,18}$";

/// The cursor of a list by time.
const TIME_AND_NUMBER: &str = "^[0-9]{1,15}\\.[0-9]{1,18}$";

/// The cursor of a list of tokens.
const TOKEN_ID: &str = "^[a-z2-7]{16}$";

/// The name of a user.
const USER: &str = "^[a-z0-9][a-z0-9.@+_-]{0,63}$";

/// 32 lower-case hexadecimal digits.
const HEX_ID: &str = "^[0-9a-f]{32}$";

/// Text that says something.
fn text(chars_max: usize) -> Value {
    json!({ "minLength": 1, "maxLength": chars_max, "pattern": "\\S" })
}

/// The same without control characters.
fn plain_text(chars_max: usize) -> Value {
    const PLAIN: &str = "[^\\x00-\\x1f\\x7f-\\x9f]*";
    let pattern = format!("^{PLAIN}[^\\x00-\\x20\\x7f-\\xa0]{PLAIN}$");
    json!({ "minLength": 1, "maxLength": chars_max, "pattern": pattern })
}

/// Labels by their keys, one at least.
fn label_keys() -> Value {
    let pattern = format!("^[A-Za-z0-9._/-]{{1,{LABEL_KEY_CHARS_MAX}}}$");
    json!({ "minProperties": 1, "propertyNames": { "pattern": pattern } })
}

fn from_one(most: impl Into<Value>) -> Value {
    json!({ "minimum": 1, "maximum": most.into() })
}

fn one_of(names: impl IntoIterator<Item = &'static str>) -> Value {
    json!({ "enum": names.into_iter().collect::<Vec<_>>() })
}

/// What each parameter of that name is, where the path begins so; of several that fit, the last counts.
type Parameters = Vec<(&'static str, &'static str, Value)>;

fn cursors() -> Parameters {
    let number = || json!({ "pattern": NUMBER });
    let time = || json!({ "pattern": TIME_AND_NUMBER });
    vec![
        ("/api/v1/hosts/{host}/events", "cursor", time()),
        ("/api/v1/hosts/{host}/drift", "cursor", time()),
        ("/api/v1/drift", "cursor", time()),
        (
            "/api/v1/api-tokens",
            "cursor",
            json!({ "pattern": TOKEN_ID }),
        ),
        ("/api/v1/tokens", "cursor", json!({ "pattern": TOKEN_ID })),
        ("/api/v1/audit-log", "cursor", number()),
        (
            "/api/v1/audit-log/witnesses",
            "cursor",
            json!({ "pattern": "^[a-z2-7]{32}$" }),
        ),
        ("/api/v1/sessions", "cursor", json!({ "pattern": TOKEN_ID })),
        ("/api/v1/users", "cursor", json!({ "pattern": USER })),
        ("/api/v1/events", "cursor", number()),
        ("/api/v1/incidents", "cursor", number()),
        ("/api/v1/notifications", "cursor", number()),
        ("/api/v1/runs", "cursor", number()),
        ("/api/v1/silences", "cursor", number()),
        ("/api/v1/forecast", "cursor", number()),
        (
            "/api/v1/runs/{run}/orders",
            "cursor",
            json!({ "pattern": HEX_ID }),
        ),
        ("/api/v1/releases/{release}", "release", from_one(u32::MAX)),
        (
            "/api/v1/releases/{release}/files/{sha256}",
            "sha256",
            json!({ "pattern": "^[0-9a-f]{64}$" }),
        ),
        ("/api/v1/upgrades/{upgrade}", "upgrade", from_one(i64::MAX)),
    ]
}

fn choices() -> Parameters {
    let active = || std::iter::once("active");
    vec![
        ("/api/v1/hosts/{host}/events", "with", one_of(["xml"])),
        ("/api/v1/hosts", "state", one_of(STATES)),
        ("/metrics/hosts", "state", one_of(STATES)),
        (
            "/api/v1/audit-log",
            "what",
            one_of(Deed::ALL.iter().map(|one| one.as_str())),
        ),
        (
            "/api/v1/audit-log",
            "outcome",
            one_of(Outcome::ALL.iter().map(|one| one.as_str())),
        ),
        (
            "/api/v1/actions",
            "state",
            one_of(active().chain(ActionState::ALL.iter().map(|one| one.as_str()))),
        ),
        (
            "/api/v1/runs",
            "state",
            one_of(active().chain(RunState::ALL.iter().map(|one| one.as_str()))),
        ),
        (
            "/api/v1/incidents",
            "state",
            one_of(["open", "acknowledged", "resolved", "active"]),
        ),
        (
            "/api/v1/notifications",
            "state",
            one_of(["pending", "delivered", "failed"]),
        ),
        (
            "/api/v1/incidents",
            "severity",
            one_of(Severity::ALL.iter().map(|one| one.as_str())),
        ),
        (
            "/api/v1/incidents",
            "deed",
            one_of(["acknowledge", "resolve", "note"]),
        ),
        (
            "/api/v1/events",
            "kind",
            one_of(NoticeKind::ALL.iter().map(|one| one.as_str())),
        ),
        (
            "/api/v1",
            "metric",
            one_of(Metric::ALL.iter().map(|one| one.as_str())),
        ),
        (
            "/api/v1/history",
            "kind",
            one_of(EntityKind::ALL.iter().map(|one| one.as_str())),
        ),
        (
            "/api/v1/history",
            "agg",
            one_of(Agg::ALL.iter().map(|one| one.as_str())),
        ),
        ("/api/v1/history", "protocol", one_of(["tcp", "udp"])),
    ]
}

fn ranges() -> Parameters {
    const PAIR: &str = "^[^=\\x00]*=.*$";
    vec![
        (
            "/api/v1",
            "If-Match",
            json!({
                "type": "string",
                "anyOf": [{ "pattern": "^\"[0-9]{1,18}\"$" }, { "enum": ["*"] }],
            }),
        ),
        (
            "/api/v1",
            "If-None-Match",
            json!({ "type": "string", "enum": ["*"] }),
        ),
        ("/metrics/hosts", "label", json!({ "pattern": PAIR })),
        ("/api/v1/hosts", "label", json!({ "pattern": PAIR })),
        ("/api/v1/history", "label", json!({ "pattern": PAIR })),
        (
            "/api/v1/hosts/{host}/events",
            "code",
            json!({ "format": "int64", "maximum": u32::MAX }),
        ),
        (
            "/api/v1/history",
            "group_by",
            json!({ "pattern": "^(series|none|all|host|entity|label:[^\\x00]+)$" }),
        ),
        ("/api/v1/history", "step_ms", from_one(DURATION_MS_MAX)),
        ("/api/v1/compare", "offset_ms", from_one(DURATION_MS_MAX)),
        (
            "/api/v1/history",
            "top",
            from_one(Limits::default().series_max),
        ),
        ("/api/v1/actions", "incident", from_one(i64::MAX)),
        ("/api/v1/actions", "run", from_one(i64::MAX)),
        (
            "/api/v1/actions/{action}",
            "action",
            json!({ "pattern": HEX_ID }),
        ),
        (
            "/api/v1/grants/{grant}",
            "grant",
            json!({ "pattern": HEX_ID }),
        ),
    ]
}

/// What each property of a body is.
fn properties() -> Vec<(&'static str, &'static str, Value)> {
    let (ttl_min, ttl_max) = access::TTL_LIMITS;
    let roles = one_of(Role::ALL.iter().map(|role| role.as_str()));
    let key_id = || json!({ "pattern": "^[0-9a-f]{16}$" });
    let signature = || json!({ "pattern": "^[A-Za-z0-9+/]{85}[AQgw]==$" });
    vec![
        ("ApiTokenRequest", "role", roles),
        (
            "ApiTokenRequest",
            "ttl_s",
            json!({ "minimum": ttl_min.as_secs(), "maximum": ttl_max.as_secs() }),
        ),
        (
            "JoinTokenRequest",
            "ttl_s",
            json!({ "minimum": 60, "maximum": crate::tokens::TTL_MAX.as_secs() }),
        ),
        (
            "JoinTokenRequest",
            "uses",
            json!({ "minimum": 1, "maximum": tokens::USES_MAX }),
        ),
        ("LabelsRequest", "labels", label_keys()),
        (
            "SilenceRequest",
            "reason",
            plain_text(silences::REASON_CHARS_MAX),
        ),
        (
            "SilenceRequest",
            "duration_s",
            json!({ "minimum": silences::DURATION_LIMITS.0, "maximum": silences::DURATION_LIMITS.1 }),
        ),
        (
            "SilenceRequest",
            "matchers",
            json!({ "minItems": 1, "maxItems": silences::MATCHERS_MAX }),
        ),
        ("ActionRequest", "reason", plain_text(REASON_CHARS_MAX)),
        ("LockdownRequest", "reason", text(REASON_CHARS_MAX)),
        (
            "NoteRequest",
            "text",
            json!({ "maxLength": NOTE_CHARS_MAX }),
        ),
        ("GrantSignature", "key_id", key_id()),
        ("GrantSignature", "signature", signature()),
        (
            "UpgradeRequest",
            "soak_s",
            json!({ "maximum": SOAK_MAX.as_secs() }),
        ),
        (
            "UpgradeRequest",
            "wait_s",
            json!({ "maximum": SOAK_MAX.as_secs() }),
        ),
        (
            "UpgradeRequest",
            "failures_max",
            json!({ "maximum": FAILURES_MAX }),
        ),
        ("SignatureRequest", "key_id", key_id()),
        ("SignatureRequest", "signature", signature()),
        ("UnlockRequest", "key_id", key_id()),
        ("UnlockRequest", "signature", signature()),
        ("RunSignature", "action", json!({ "pattern": HEX_ID })),
        ("RunSignature", "signature", signature()),
    ]
}

/// Operations whose body needs a text that others may leave out.
const NEED_A_TEXT: [&str; 2] = [
    "/api/v1/actions/{action}/reject",
    "/api/v1/runs/{run}/reject",
];

/// Says them.
pub fn add(document: &mut Value) {
    for path in NEED_A_TEXT {
        let content = document["paths"]
            .get_mut(path)
            .and_then(|operations| operations.pointer_mut("/post/requestBody/content"));
        if let Some(body) = content.and_then(|content| content.get_mut("application/json")) {
            let word = body["schema"].take();
            let text = json!({ "text": text(REASON_CHARS_MAX) });
            body["schema"] =
                json!({ "allOf": [word, { "required": ["text"], "properties": text }] });
        }
    }
    let text = json!({ "minLength": 1 });
    for_parameters(document, |_, parameter, schema| {
        if parameter["in"] == "query" && schema["type"] == "string" {
            merge(schema, &text);
        }
    });
    let limits = [cursors(), choices(), ranges()].concat();
    for_parameters(document, |path, parameter, schema| {
        let own = limits
            .iter()
            .filter(|(prefix, name, _)| path.starts_with(prefix) && parameter["name"] == **name);
        own.for_each(|(_, _, limit)| merge(schema, limit));
    });
    for (schema, property, limit) in properties() {
        let place = format!("/components/schemas/{schema}/properties/{property}");
        if let Some(Value::Object(schema)) = document.pointer_mut(&place) {
            merge(schema, &limit);
        }
    }
}

fn merge(schema: &mut Map<String, Value>, limit: &Value) {
    let Some(limit) = limit.as_object() else {
        return;
    };
    for (key, value) in limit {
        schema.insert(key.clone(), value.clone());
    }
}

/// Every parameter: its path, itself without its schema, and the schema of one of its values.
fn for_parameters(
    document: &mut Value,
    mut each: impl FnMut(&str, &Value, &mut Map<String, Value>),
) {
    let paths = document.get_mut("paths").and_then(Value::as_object_mut);
    for (path, operations) in paths.into_iter().flatten() {
        let operations = operations.as_object_mut().into_iter().flatten();
        let parameters = operations
            .filter_map(|(_, operation)| operation.get_mut("parameters"))
            .filter_map(Value::as_array_mut)
            .flatten();
        for parameter in parameters {
            let mut schema = parameter["schema"].take();
            let one = match schema.get_mut("items") {
                Some(items) => items.as_object_mut(),
                None => schema.as_object_mut(),
            };
            if let Some(one) = one {
                each(path, parameter, one);
            }
            parameter["schema"] = schema;
        }
    }
}
