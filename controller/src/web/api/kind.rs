//! What a schema takes, in words.

use serde_json::Value;

/// Deepest nesting that is put into words; the description has no deeper one.
const DEPTH_MAX: u32 = 8;

/// What is taken, with the schema that it names, if it names one.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Kind {
    /// What comes before the name, as in `list of `.
    pub(super) before: String,
    /// Name of a schema.
    pub(super) of: Option<String>,
    /// What comes behind it: whether it may be null, and its limits.
    pub(super) after: String,
}

impl Kind {
    /// What a schema takes.
    pub(super) fn of(schema: &Value) -> Self {
        Self::within(schema, 0)
    }

    fn within(schema: &Value, depth: u32) -> Self {
        if let Some(path) = schema["$ref"].as_str() {
            let name = path.rsplit('/').next().unwrap_or(path);
            return Self {
                of: Some(name.to_owned()),
                ..Self::default()
            };
        }
        if depth >= DEPTH_MAX {
            return Self::plain("anything");
        }
        if let Some(either) = ["oneOf", "anyOf", "allOf"]
            .iter()
            .find_map(|key| schema[*key].as_array())
            && schema["type"].is_null()
        {
            return Self::either(either, depth);
        }
        let mut kind = Self::typed(schema, depth);
        kind.after.push_str(&limits(schema));
        kind
    }

    fn plain(words: &str) -> Self {
        Self {
            before: words.to_owned(),
            ..Self::default()
        }
    }

    /// Of one schema or null its name; of several the ways that there are.
    fn either(ways: &[Value], depth: u32) -> Self {
        let is_null = |way: &&Value| way["type"] == "null";
        let or_null = if ways.iter().any(|way| is_null(&way)) {
            " or null"
        } else {
            ""
        };
        let others: Vec<&Value> = ways.iter().filter(|way| !is_null(way)).collect();
        let mut kind = match &*others {
            [one] => Self::within(one, depth + 1),
            several => {
                let words = several
                    .iter()
                    .map(|way| Self::within(way, depth + 1).words());
                Self::plain(&words.collect::<Vec<_>>().join(", or "))
            }
        };
        kind.after.push_str(or_null);
        kind
    }

    fn typed(schema: &Value, depth: u32) -> Self {
        let names: Vec<&str> = if let Some(name) = schema["type"].as_str() {
            vec![name]
        } else {
            let several = schema["type"].as_array().into_iter().flatten();
            several.filter_map(Value::as_str).collect()
        };
        let or_null = names.contains(&"null");
        let main = names.iter().find(|name| **name != "null");
        let mut kind = match main.copied() {
            Some("array") => {
                let item = Self::within(&schema["items"], depth + 1);
                Self {
                    before: format!("list of {}", item.before),
                    ..item
                }
            }
            Some("object") if schema["additionalProperties"].is_object() => {
                let value = Self::within(&schema["additionalProperties"], depth + 1);
                Self {
                    before: format!("names with {}", value.before),
                    ..value
                }
            }
            Some("object") if depth > 0 => Self::plain(&object(schema)),
            Some(name) => Self::plain(name),
            None => Self::plain("anything"),
        };
        if or_null {
            kind.after.push_str(" or null");
        }
        kind
    }

    /// All of it as one text.
    pub(super) fn words(&self) -> String {
        let of = self.of.as_deref().unwrap_or_default();
        format!("{}{of}{}", self.before, self.after)
    }
}

/// An object within another one, by its fields.
fn object(schema: &Value) -> String {
    let properties = schema["properties"].as_object();
    let names = properties.into_iter().flat_map(|fields| {
        fields
            .iter()
            .map(|(name, field)| match field["enum"][0].as_str() {
                Some(value) => format!("{name}: {value}"),
                None => format!("{name}: {}", Kind::within(field, DEPTH_MAX - 1).words()),
            })
    });
    let names = names.collect::<Vec<_>>().join(", ");
    if names.is_empty() {
        "object".to_owned()
    } else {
        format!("{{ {names} }}")
    }
}

fn limits(schema: &Value) -> String {
    let mut words = Vec::new();
    let number = |key: &str| schema[key].as_number().map(ToString::to_string);
    let ranged = |low: Option<String>, high: Option<String>, unit: &str| match (low, high) {
        (Some(low), Some(high)) => Some(format!("{low} to {high}{unit}")),
        (Some(low), None) => Some(format!("at least {low}{unit}")),
        (None, Some(high)) => Some(format!("at most {high}{unit}")),
        (None, None) => None,
    };
    words.extend(ranged(number("minimum"), number("maximum"), ""));
    words.extend(ranged(
        number("minLength"),
        number("maxLength"),
        " characters",
    ));
    words.extend(ranged(number("minItems"), number("maxItems"), " of them"));
    if let Some(values) = schema["enum"].as_array() {
        let values = values.iter().map(|value| match value.as_str() {
            Some(text) => text.to_owned(),
            None => value.to_string(),
        });
        words.push(values.collect::<Vec<_>>().join(" | "));
    }
    if let Some(pattern) = schema["pattern"].as_str() {
        words.push(format!("matches {pattern}"));
    }
    if !schema["default"].is_null() {
        words.push(format!("{} without it", schema["default"]));
    }
    words.iter().map(|one| format!(", {one}")).collect()
}

/// What is said of a property, also where it is said beside a reference.
pub(super) fn description(property: &Value) -> String {
    let own = property["description"].as_str();
    let ways = ["oneOf", "anyOf", "allOf"]
        .iter()
        .find_map(|key| property[*key].as_array());
    let beside = || {
        ways.into_iter()
            .flatten()
            .find_map(|way| way["description"].as_str())
    };
    own.or_else(beside).unwrap_or_default().to_owned()
}

/// What a body is, of the first of its forms.
pub(super) fn of_content(content: &Value) -> Option<Kind> {
    let (form, body) = content.as_object()?.iter().next()?;
    let mut kind = Kind::of(&body["schema"]);
    if form != "application/json" {
        kind.after.push_str(&format!(" ({form})"));
    }
    Some(kind)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_schema_is_told_in_words_with_its_limits() {
        let cases = [
            (
                json!({"type": "string", "minLength": 1, "maxLength": 64}),
                "string, 1 to 64 characters",
            ),
            (
                json!({"type": ["integer", "null"], "minimum": 60}),
                "integer or null, at least 60",
            ),
            (
                json!({"type": "array", "items": {"$ref": "#/components/schemas/HostView"}}),
                "list of HostView",
            ),
            (
                json!({"oneOf": [{"$ref": "#/components/schemas/Effect"}, {"type": "null"}]}),
                "Effect or null",
            ),
            (
                json!({"type": "object", "additionalProperties": {"type": "string"}}),
                "names with string",
            ),
            (
                json!({"type": "string", "enum": ["viewer", "admin"]}),
                "string, viewer | admin",
            ),
            (json!({}), "anything"),
        ];
        for (schema, words) in cases {
            assert_eq!(Kind::of(&schema).words(), words, "{schema}");
        }
    }

    #[test]
    fn a_schema_that_holds_itself_ends() {
        let mut schema = json!({"type": "string"});
        for _ in 0..40 {
            schema = json!({"type": "array", "items": schema});
        }
        assert!(Kind::of(&schema).words().ends_with("anything"));
    }
}
