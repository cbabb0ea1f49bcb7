//! Reads budgets as files and requests write them: everything is checked, and every problem is told at once.

use std::collections::BTreeMap;
use std::time::Duration;

use serde_json::{Map, Value};
use tidemark_model::Protocol;
use tidemark_model::budget::{Allowance, Budget, Quantity, Subject, is_name};
use tidemark_model::duration::{format_duration, parse_duration};
use tidemark_model::port::OWN_NAMESPACE;
use tidemark_model::problem::Severity;
use tidemark_model::silence::Matcher;

use crate::api::body::Invalid;
use crate::api::documents::{self, shown};

/// Budgets that a controller keeps, and that one request applies.
pub const BUDGETS_MAX: u32 = 500;

const MATCHERS_MAX: usize = 20;
const PATTERN_CHARS_MAX: usize = 256;
const ADVICE_CHARS_MAX: usize = 500;
const HOLD_MAX: Duration = Duration::from_secs(7 * 86_400);
const HOLD_DEFAULT: Duration = Duration::from_secs(300);

const FIELDS: [&str; 11] = [
    "name",
    "hosts",
    "process",
    "service",
    "watch_group",
    "protocol",
    "namespace",
    "allow",
    "for",
    "severity",
    "advice",
];

/// Reads `{"budget": [...]}`.
///
/// # Errors
/// [`Invalid`] with every problem of every budget, 50 at most.
pub fn budgets(body: &Value) -> Result<Vec<Budget>, Invalid> {
    documents::listed(body, budget)
}

/// Reads one budget; adds what is wrong with it to `problems`, each begun with `at`.
pub(super) fn budget(value: &Value, at: &str, problems: &mut Vec<String>) -> Option<Budget> {
    let Some(map) = value.as_object() else {
        problems.push(format!("{at}: it must be an object with fields"));
        return None;
    };
    let mut fields = Fields { map, at, problems };
    fields.refuse_unknown();
    let name = fields.name();
    let hosts = fields.hosts();
    let protocol = fields.protocol();
    let subject = fields.subject();
    let namespace = fields
        .text("namespace", PATTERN_CHARS_MAX)
        .unwrap_or(Some(OWN_NAMESPACE.to_owned()));
    let allow = match (&subject, protocol) {
        (Some(subject), Some(protocol)) => fields.allow(subject, protocol),
        (_, _) => None,
    };
    let hold = fields.hold();
    let severity = fields.severity();
    let advice = fields.text("advice", ADVICE_CHARS_MAX);
    Some(Budget {
        name: name?,
        hosts: hosts?,
        subject: subject?,
        protocol: protocol?,
        namespace: namespace?,
        allow: allow?,
        hold: hold?,
        severity: severity?,
        advice: match advice {
            None => None,
            Some(advice) => Some(advice?),
        },
    })
}

/// The fields of one budget, and where its problems go. A method answers `None` when it has told a problem.
struct Fields<'a> {
    map: &'a Map<String, Value>,
    at: &'a str,
    problems: &'a mut Vec<String>,
}

impl Fields<'_> {
    fn wrong(&mut self, what: impl std::fmt::Display) {
        self.problems.push(format!("{}: {what}", self.at));
    }

    fn refuse_unknown(&mut self) {
        for key in self.map.keys() {
            if !FIELDS.contains(&key.as_str()) {
                self.wrong(format!(
                    "there is no field {}; there are {}",
                    shown(key),
                    FIELDS.join(", ")
                ));
            }
        }
    }

    /// A text of 1 to `most` characters; the outer `None` when the field is not there.
    fn text(&mut self, field: &str, most: usize) -> Option<Option<String>> {
        let value = self.map.get(field).filter(|value| !value.is_null())?;
        let text = value.as_str().map(str::trim);
        let is_good = |text: &&str| {
            (1..=most).contains(&text.chars().count()) && !text.chars().any(char::is_control)
        };
        let good = text.filter(is_good).map(str::to_owned);
        if good.is_none() {
            self.wrong(format!(
                "{field} must be a text of 1 to {most} characters without control characters"
            ));
        }
        Some(good)
    }

    fn name(&mut self) -> Option<String> {
        let name = self.map.get("name").and_then(Value::as_str);
        let good = name.filter(|name| is_name(name));
        if good.is_none() {
            self.wrong(
                "name must be 1 to 64 characters of a-z 0-9 - _ . with a letter or digit first",
            );
        }
        good.map(str::to_owned)
    }

    fn hosts(&mut self) -> Option<Vec<Matcher>> {
        let list = match self.map.get("hosts") {
            None => return Some(Vec::new()),
            Some(value) => value.as_array(),
        };
        let texts: Option<Vec<&str>> =
            list.and_then(|list| list.iter().map(Value::as_str).collect());
        let Some(texts) = texts.filter(|texts| texts.len() <= MATCHERS_MAX) else {
            self.wrong(format!(
                "hosts must be a list of at most {MATCHERS_MAX} matchers, as in [\"tier=web\"]; leave it out for all hosts"
            ));
            return None;
        };
        let mut matchers = Vec::new();
        for text in &texts {
            match text.parse() {
                Ok(matcher) => matchers.push(matcher),
                Err(error) => self.wrong(format!("hosts: {error}")),
            }
        }
        (matchers.len() == texts.len()).then_some(matchers)
    }

    fn protocol(&mut self) -> Option<Protocol> {
        let Some(value) = self.map.get("protocol") else {
            return Some(Protocol::Tcp);
        };
        let read = value.as_str().and_then(|text| text.parse().ok());
        if read.is_none() {
            self.wrong("protocol must be \"tcp\" or \"udp\"");
        }
        read
    }

    fn pattern(&mut self, field: &str) -> Option<Option<String>> {
        self.text(field, PATTERN_CHARS_MAX)
    }

    fn subject(&mut self) -> Option<Subject> {
        let mut given = Vec::new();
        given.extend(
            self.pattern("process")
                .map(|text| text.map(Subject::Process)),
        );
        given.extend(
            self.pattern("service")
                .map(|text| text.map(Subject::Service)),
        );
        given.extend(
            self.pattern("watch_group")
                .map(|text| text.map(Subject::WatchGroup)),
        );
        if given.len() != 1 {
            self.wrong(format!(
                "{} of process, service and watch_group are given; give one: whose ports are counted",
                given.len()
            ));
            return None;
        }
        given.pop().flatten()
    }

    fn allow(
        &mut self,
        subject: &Subject,
        protocol: Protocol,
    ) -> Option<BTreeMap<Quantity, Allowance>> {
        let possible: Vec<&str> = Quantity::ALL
            .iter()
            .filter(|quantity| quantity.is_of(subject, protocol))
            .map(|quantity| quantity.as_str())
            .collect();
        if possible.is_empty() {
            self.wrong("watch_group counts TCP connections; protocol must be \"tcp\"");
            return None;
        }
        let possible = possible.join(", ");
        let given = self.map.get("allow").and_then(Value::as_object);
        let Some(given) = given.filter(|given| !given.is_empty()) else {
            self.wrong(format!(
                "allow must say what may be held, as in {{ports = 2000}} or {{ports = \"20%\"}}; of a {} there are {possible}",
                subject.field().replace('_', " ")
            ));
            return None;
        };
        let mut allow = BTreeMap::new();
        for (key, value) in given {
            let quantity = Quantity::from_name(key).filter(|one| one.is_of(subject, protocol));
            let Some(quantity) = quantity else {
                self.wrong(format!(
                    "allow.{} is not counted of a {} over {protocol}; there are {possible}",
                    shown(key),
                    subject.field().replace('_', " ")
                ));
                continue;
            };
            match allowance(value) {
                Some(allowance) => {
                    allow.insert(quantity, allowance);
                }
                None => self.wrong(format!(
                    "allow.{key} must be a number of 0 to {}, or a share of the port space as in \"20%\", 0.1% to 100%",
                    Allowance::COUNT_MAX
                )),
            }
        }
        (allow.len() == given.len()).then_some(allow)
    }

    fn hold(&mut self) -> Option<Duration> {
        let Some(value) = self.map.get("for") else {
            return Some(HOLD_DEFAULT);
        };
        let read = value.as_str().and_then(|text| parse_duration(text).ok());
        let good = read.filter(|hold| *hold <= HOLD_MAX);
        if good.is_none() {
            self.wrong(format!(
                "for must be a duration of 0s to {}, as in \"10m\"",
                format_duration(HOLD_MAX)
            ));
        }
        good
    }

    fn severity(&mut self) -> Option<Severity> {
        let Some(value) = self.map.get("severity") else {
            return Some(Severity::Warning);
        };
        let read = value.as_str().and_then(Severity::from_name);
        if read.is_none() {
            self.wrong("severity must be \"info\", \"warning\" or \"critical\"");
        }
        read
    }
}

fn allowance(value: &Value) -> Option<Allowance> {
    match value {
        Value::Number(number) => {
            let count = number
                .as_u64()
                .and_then(|count| u32::try_from(count).ok())?;
            (count <= Allowance::COUNT_MAX).then_some(Allowance::Count(count))
        }
        Value::String(text) => text.parse().ok(),
        Value::Null | Value::Bool(_) | Value::Array(_) | Value::Object(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::api::documents::PROBLEMS_MAX;

    fn read(value: Value) -> Result<Vec<Budget>, Vec<String>> {
        budgets(&json!({"budget": [value]})).map_err(|error| error.0)
    }

    #[test]
    fn a_budget_is_read_with_its_defaults_and_written_as_it_is_read() {
        let short = json!({"name": "web", "process": "nginx*", "allow": {"ports": 2000}});
        let [budget] = &read(short).unwrap()[..] else {
            panic!("one budget");
        };
        assert_eq!(budget.hold, Duration::from_secs(300));
        assert_eq!(budget.severity, Severity::Warning);
        assert_eq!(
            (budget.protocol, &*budget.namespace),
            (Protocol::Tcp, "default")
        );
        let full = json!({
            "name": "sql", "hosts": ["tier=web", "host!=web-9*"], "watch_group": "sql", "namespace": "*",
            "allow": {"connections": "12.5%", "time_wait": 0}, "for": "90s", "severity": "critical",
            "advice": "pool the connections",
        });
        for value in [serde_json::to_value(budget.spec()).unwrap(), full] {
            let read_once = read(value).unwrap();
            let again = serde_json::to_value(read_once[0].spec()).unwrap();
            assert_eq!(read(again).unwrap(), read_once);
        }
    }

    #[test]
    fn every_problem_of_every_budget_is_told_at_once() {
        let body = json!({"budget": [
            {"name": "Web", "proces": "x", "allow": {}, "for": "8d", "severity": "loud", "hosts": ["tier"]},
            {"name": "a", "process": "x", "service": "y", "allow": {"ports": 1}},
            {"name": "b", "process": "x", "allow": {"ports": -1, "connections": 4, "bound": "120%"}, "protocol": "sctp"},
            {"name": "c", "process": "x", "allow": {"ports": 1.5, "connections": 4, "bound": "120%"}},
            {"name": "c", "watch_group": "sql", "allow": {"connections": 4}, "protocol": "udp"},
            7,
        ], "budgets": []});
        let problems = budgets(&body).unwrap_err().0;
        for part in [
            "there is no field \"budgets\"; the only one is `budget`",
            "budget \"Web\": name must be 1 to 64 characters",
            "budget \"Web\": there is no field \"proces\"; there are name, hosts",
            "budget \"Web\": for must be a duration of 0s to 7d",
            "budget \"Web\": severity must be",
            "budget \"Web\": hosts: \"tier\" is no matcher",
            "budget \"Web\": 0 of process, service and watch_group are given; give one",
            "budget \"a\": 2 of process, service and watch_group are given",
            "budget \"b\": protocol must be \"tcp\" or \"udp\"",
            "budget \"c\": allow.ports must be a number of 0 to",
            "budget \"c\": allow.\"connections\" is not counted of a process over tcp; there are ports, bound",
            "budget \"c\": allow.bound must be",
            "budget \"c\": two have this name",
            "budget \"c\": watch_group counts TCP connections",
            "budget 6: it must be an object",
        ] {
            let told = problems.iter().any(|problem| problem.starts_with(part));
            assert!(told, "{part}: {problems:#?}");
        }
    }

    #[test]
    fn what_is_no_list_of_budgets_is_refused() {
        for body in [
            json!(null),
            json!([]),
            json!({}),
            json!({"budget": 1}),
            json!({"budget": []}),
        ] {
            assert!(budgets(&body).is_err(), "{body}");
        }
        let many = vec![
            json!({"name": "a", "process": "x", "allow": {"ports": 1}});
            BUDGETS_MAX as usize + 1
        ];
        assert!(budgets(&json!({ "budget": many })).is_err());
        let wrong = vec![json!(1); BUDGETS_MAX as usize];
        let problems = budgets(&json!({ "budget": wrong })).unwrap_err().0;
        assert_eq!(problems.len(), PROBLEMS_MAX + 1, "bounded");
        for text in ["a\nb", "", " "] {
            let value = json!({"name": "a", "process": text, "allow": {"ports": 1}});
            assert!(read(value).is_err(), "{text:?}");
        }
    }
}
