//! The limits of an action's parameters: what is out of them, and what to give instead.

use std::collections::{BTreeMap, HashSet};
use std::ops::RangeInclusive;

use super::{ActionSpec, HOOK_ARGUMENTS_MAX, NAME_CHARS_MAX, ResetStep, TEXT_CHARS_MAX};
use crate::PortRange;

/// Lowest first port and smallest size of a dynamic range that Windows takes (`netsh int ipv4 set dynamicport`).
const RANGE_FIRST_MIN: u16 = 1_025;
const RANGE_PORTS_MIN: u32 = 255;

/// One parameter that is not within its limits.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{field}: {reason}")]
pub struct SpecProblem {
    /// Which parameter.
    pub field: &'static str,
    /// What its limit is and what to give instead.
    pub reason: String,
}

impl ActionSpec {
    /// Every parameter that is not within its limits; none when it can be ordered.
    #[must_use]
    pub fn problems(&self) -> Vec<SpecProblem> {
        let mut found = Problems::default();
        match self {
            Self::CollectEvidence { seconds } => found.within("seconds", *seconds, 1..=60),
            Self::WriteEvent {
                log,
                source,
                id,
                text,
                ..
            } => {
                for (field, name) in [("log", log), ("source", source)] {
                    if let Some(name) = name {
                        found.name(field, name);
                    }
                }
                found.within("id", u32::from(*id), 1..=65_535);
                found.text("text", text);
            }
            Self::RestartService {
                service,
                stop_timeout_s,
                ..
            } => {
                found.name("service", service);
                found.within("stop_timeout_s", *stop_timeout_s, 5..=600);
            }
            Self::RecycleAppPool { pool } => found.name("pool", pool),
            Self::EndProcess { pid, image, .. } => {
                found.within("pid", *pid, 1..=u32::MAX);
                found.name("image", image);
            }
            Self::SetDynamicPortRange {
                first,
                last,
                confirm_within_s,
                ..
            } => {
                found.range(*first, *last);
                found.within("confirm_within_s", *confirm_within_s, 30..=600);
            }
            Self::SetTcpParameter { parameter, value } => {
                if let Some(value) = value {
                    found.within("value", *value, parameter.range());
                }
            }
            Self::SetTcpGlobal { .. } => {}
            Self::SetNicOffload { adapter, .. } | Self::SetInterruptModeration { adapter, .. } => {
                found.name("adapter", adapter);
            }
            Self::SetDotnetConnectionLimit { connections } => {
                found.within("connections", *connections, 2..=10_000);
            }
            Self::ResetTcpStack { steps, .. } => found.steps(steps),
            Self::Reboot {
                grace_s, reason, ..
            } => {
                found.within("grace_s", *grace_s, 0..=3_600);
                found.text("reason", reason);
            }
            Self::RunHook { name, arguments } => found.hook(name, arguments),
        }
        found.0
    }
}

/// What is wrong so far.
#[derive(Default)]
struct Problems(Vec<SpecProblem>);

impl Problems {
    fn add(&mut self, field: &'static str, reason: String) {
        self.0.push(SpecProblem { field, reason });
    }

    fn within(&mut self, field: &'static str, value: u32, limits: RangeInclusive<u32>) {
        if !limits.contains(&value) {
            let (from, to) = limits.into_inner();
            self.add(field, format!("{value} is not within {from} to {to}"));
        }
    }

    /// A name of the operating system: it reaches no shell, but paths, registries and consoles.
    fn name(&mut self, field: &'static str, name: &str) {
        let length = name.chars().count();
        if length == 0 || length > NAME_CHARS_MAX {
            self.add(
                field,
                format!("has {length} characters; give 1 to {NAME_CHARS_MAX}"),
            );
        } else if name
            .chars()
            .any(|letter| letter.is_control() || "/\\\"".contains(letter))
        {
            self.add(
                field,
                "holds a control character, a slash, a backslash or a quote; give the plain name"
                    .to_owned(),
            );
        } else if name.starts_with(['-', '.']) || name.trim() != name {
            self.add(
                field,
                "begins with a dash or a dot, or has a space at an end; give the plain name"
                    .to_owned(),
            );
        }
    }

    fn text(&mut self, field: &'static str, text: &str) {
        let length = text.chars().count();
        if length == 0 || length > TEXT_CHARS_MAX {
            self.add(
                field,
                format!("has {length} characters; give 1 to {TEXT_CHARS_MAX}"),
            );
        } else if text
            .chars()
            .any(|letter| letter.is_control() && letter != '\n')
        {
            self.add(
                field,
                "holds a control character; give plain text".to_owned(),
            );
        }
    }

    fn range(&mut self, first: u16, last: u16) {
        if first < RANGE_FIRST_MIN {
            self.add(
                "first",
                format!(
                    "{first} is below {RANGE_FIRST_MIN}, the lowest port that is left to programs"
                ),
            );
        }
        let ports = PortRange::new(first, last).map_or(0, |range| range.size());
        if ports < RANGE_PORTS_MIN {
            self.add(
                "last",
                format!("{first} to {last} are {ports} ports; give at least {RANGE_PORTS_MIN}"),
            );
        }
    }

    fn steps(&mut self, steps: &[ResetStep]) {
        let mut seen = HashSet::new();
        if steps.is_empty() || !steps.iter().all(|step| seen.insert(*step)) {
            let all: Vec<_> = ResetStep::ALL.iter().map(|step| step.as_str()).collect();
            self.add(
                "steps",
                format!(
                    "give each of {} at most once, and one at least",
                    all.join(", ")
                ),
            );
        }
    }

    fn hook(&mut self, name: &str, arguments: &BTreeMap<String, String>) {
        self.name("name", name);
        if arguments.len() > HOOK_ARGUMENTS_MAX {
            let given = arguments.len();
            self.add(
                "arguments",
                format!("has {given} entries; give at most {HOOK_ARGUMENTS_MAX}"),
            );
        }
        for (key, value) in arguments {
            let is_word = !key.is_empty()
                && key.len() <= 64
                && key
                    .bytes()
                    .all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_');
            if !is_word {
                self.add(
                    "arguments",
                    "a name is 1 to 64 of a-z, 0-9 and _".to_owned(),
                );
            }
            if value.chars().count() > TEXT_CHARS_MAX || value.chars().any(char::is_control) {
                self.add(
                    "arguments",
                    format!(
                        "a value is up to {TEXT_CHARS_MAX} characters without control characters"
                    ),
                );
            }
        }
    }
}
