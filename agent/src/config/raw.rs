//! The configuration as it is written, and the check that turns it into settings or a list of problems.

use std::collections::BTreeMap;
use std::fmt::Display;
use std::path::PathBuf;
use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

use serde::Deserialize;
use tidemark_model::PortRange;
use tidemark_model::action::Profile;
use tidemark_model::duration::{format_duration, parse_duration};
use tidemark_model::watch::WatchGroup;
use tidemark_platform::folders;
use tidemark_proto::convert::facts::{LABEL_KEY_CHARS_MAX, LABEL_VALUE_CHARS_MAX, LABELS_MAX};
use tidemark_runtime::config::ConfigError;
use tidemark_runtime::telemetry::{LogFormat, TelemetrySettings};

use super::{AgentConfig, SpoolSettings, TokenSource};
use crate::collect::{CollectSettings, Namespaces};

const WATCH_GROUPS_MAX: usize = 32;
const WATCH_PORTS_MAX: usize = 64;
const NAMESPACES_MAX: usize = 256;

/// The file's keys, unchecked.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct Raw {
    controller: Option<String>,
    token: Option<String>,
    token_file: Option<PathBuf>,
    data_dir: Option<PathBuf>,
    profile: Option<Profile>,
    policy_file: Option<PathBuf>,
    interval: Option<String>,
    light_interval: Option<String>,
    namespaces: Option<RawNamespaces>,
    dynamic_range: Option<String>,
    labels: BTreeMap<String, String>,
    watch_groups: Option<Vec<WatchGroup>>,
    top_owners: Option<u64>,
    top_destinations: Option<u64>,
    probes: Option<bool>,
    probe_interval: Option<String>,
    drain_timeout: Option<String>,
    audit: RawAudit,
    upgrades: RawUpgrades,
    spool: RawSpool,
    log: Option<String>,
    log_format: Option<LogFormat>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct RawAudit {
    interval: Option<String>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct RawUpgrades {
    grace: Option<String>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct RawSpool {
    bytes_max: Option<u64>,
    age_max: Option<String>,
    disk_percent_max: Option<u64>,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(untagged)]
enum RawNamespaces {
    One(String),
    Many(Vec<String>),
}

/// Collects every problem instead of stopping at the first.
#[derive(Debug, Default)]
struct Problems(Vec<String>);

impl Problems {
    fn report(&mut self, problem: String) {
        self.0.push(problem);
    }

    fn parse<T: FromStr<Err: Display>>(&mut self, key: &str, text: Option<&str>) -> Option<T> {
        text?
            .parse()
            .map_err(|error: T::Err| self.report(format!("{key}: {error}")))
            .ok()
    }

    /// A duration within its limits, or the default.
    fn duration(
        &mut self,
        key: &str,
        text: Option<&str>,
        [min, default, max]: [Duration; 3],
    ) -> Duration {
        let Some(text) = text else { return default };
        match parse_duration(text) {
            Ok(duration) if (min..=max).contains(&duration) => return duration,
            Ok(_) => self.report(format!(
                "{key} is {text}; write a duration from {} to {}",
                format_duration(min),
                format_duration(max)
            )),
            Err(error) => self.report(format!("{key}: {error}")),
        }
        default
    }

    /// A number within its limits, or the default.
    fn number(&mut self, key: &str, number: Option<u64>, [min, default, max]: [u64; 3]) -> u64 {
        let number = number.unwrap_or(default);
        if (min..=max).contains(&number) {
            return number;
        }
        self.report(format!(
            "{key} is {number}; write a number from {min} to {max}"
        ));
        default
    }
}

impl Raw {
    pub(super) fn check(self) -> Result<AgentConfig, ConfigError> {
        let mut problems = Problems::default();
        let config = AgentConfig {
            controller: problems.parse("controller", self.controller.as_deref()),
            token: self.token_source(&mut problems),
            collect: self.collect_settings(&mut problems),
            light_interval: self
                .light_interval
                .as_deref()
                .map(|text| problems.duration("light_interval", Some(text), seconds([1, 5, 5]))),
            audit_interval: self.audit_interval(&mut problems),
            upgrade_grace: problems.duration(
                "upgrades.grace",
                self.upgrades.grace.as_deref(),
                seconds([1, 660, 3_600]),
            ),
            spool: self.spool_settings(&mut problems),
            drain_timeout: problems.duration(
                "drain_timeout",
                self.drain_timeout.as_deref(),
                seconds([1, 5, 60]),
            ),
            data_dir: self.data_dir.unwrap_or_else(folders::data),
            profile: self.profile.unwrap_or_default(),
            policy_file: self
                .policy_file
                .unwrap_or_else(|| folders::config_file().with_file_name("policy.toml")),
            telemetry: TelemetrySettings {
                log: self.log.unwrap_or_else(|| "info".to_owned()),
                log_format: self.log_format.unwrap_or_default(),
            },
            labels: checked_labels(self.labels, &mut problems),
        };
        if problems.0.is_empty() {
            Ok(config)
        } else {
            Err(ConfigError::Rules(problems.0))
        }
    }

    fn token_source(&self, problems: &mut Problems) -> Option<TokenSource> {
        match (&self.token, &self.token_file) {
            (Some(_), Some(_)) => {
                problems.report("token and token_file are both set: keep one".to_owned());
                None
            }
            (Some(text), None) => problems
                .parse("token", Some(text))
                .map(|token| TokenSource::Given(Box::new(token))),
            (None, Some(path)) => Some(TokenSource::File(path.clone())),
            (None, None) => None,
        }
    }

    fn collect_settings(&self, problems: &mut Problems) -> CollectSettings {
        let interval =
            problems.duration("interval", self.interval.as_deref(), seconds([1, 30, 300]));
        let shipped = CollectSettings::shipped(interval);
        let probe_interval = problems.duration(
            "probe_interval",
            self.probe_interval.as_deref(),
            seconds([15, 30, 3600]),
        );
        let mut top = |key, number| {
            let number = problems.number(key, number, [1, 10, 64]);
            usize::try_from(number).unwrap_or(10)
        };
        CollectSettings {
            top_owners: top("top_owners", self.top_owners),
            top_destinations: top("top_destinations", self.top_destinations),
            probe_interval: self.probes.unwrap_or(true).then_some(probe_interval),
            namespaces: checked_namespaces(self.namespaces.as_ref(), problems),
            dynamic_range: checked_range(self.dynamic_range.as_deref(), problems),
            watch_groups: match &self.watch_groups {
                Some(groups) => checked_watch_groups(groups, problems),
                None => shipped.watch_groups,
            },
            interval,
        }
    }

    /// 0 switches it off.
    fn audit_interval(&self, problems: &mut Problems) -> Option<Duration> {
        let text = self.audit.interval.as_deref();
        if text.is_some_and(|text| text == "0" || parse_duration(text) == Ok(Duration::ZERO)) {
            return None;
        }
        Some(problems.duration("audit.interval", text, seconds([1, 900, 86_400])))
    }

    fn spool_settings(&self, problems: &mut Problems) -> SpoolSettings {
        const MIB: u64 = 1024 * 1024;
        let default = SpoolSettings::default();
        let disk_percent = problems.number(
            "spool.disk_percent_max",
            self.spool.disk_percent_max,
            [1, u64::from(default.disk_percent_max), 50],
        );
        SpoolSettings {
            bytes_max: problems.number(
                "spool.bytes_max",
                self.spool.bytes_max,
                [MIB, default.bytes_max, 64 * 1024 * MIB],
            ),
            age_max: problems.duration(
                "spool.age_max",
                self.spool.age_max.as_deref(),
                seconds([3_600, default.age_max.as_secs(), 90 * 86_400]),
            ),
            disk_percent_max: u8::try_from(disk_percent).unwrap_or(default.disk_percent_max),
        }
    }
}

fn seconds(numbers: [u64; 3]) -> [Duration; 3] {
    numbers.map(Duration::from_secs)
}

fn checked_labels(
    labels: BTreeMap<String, String>,
    problems: &mut Problems,
) -> BTreeMap<String, String> {
    if labels.len() > LABELS_MAX {
        problems.report(format!(
            "labels has {} entries; keep at most {LABELS_MAX}",
            labels.len()
        ));
    }
    for (key, value) in &labels {
        let is_legal_key = (1..=LABEL_KEY_CHARS_MAX).contains(&key.chars().count());
        let is_legal_value = value.chars().count() <= LABEL_VALUE_CHARS_MAX;
        if !is_legal_key || !is_legal_value || key.contains('\0') || value.contains('\0') {
            problems.report(format!(
                "labels.{key:?}: a key has 1 to {LABEL_KEY_CHARS_MAX} characters, a value at most \
                 {LABEL_VALUE_CHARS_MAX}, and neither a NUL"
            ));
        }
    }
    labels
}

/// A range as in `49152-65535`.
fn checked_range(text: Option<&str>, problems: &mut Problems) -> Option<PortRange> {
    let text = text?;
    let range = text.split_once('-').and_then(|(first, last)| {
        let (first, last) = (first.trim().parse().ok()?, last.trim().parse().ok()?);
        PortRange::new(first, last).filter(|range| range.first > 0)
    });
    if range.is_none() {
        problems.report(format!(
            "dynamic_range is {text:?}; write the first and the last port, as in \"49152-65535\""
        ));
    }
    range
}

fn checked_namespaces(namespaces: Option<&RawNamespaces>, problems: &mut Problems) -> Namespaces {
    let names = match namespaces {
        None => return Namespaces::Own,
        Some(RawNamespaces::One(word)) => match word.as_str() {
            "own" => return Namespaces::Own,
            "all" => return Namespaces::All,
            name => vec![name.to_owned()],
        },
        Some(RawNamespaces::Many(names)) => names.clone(),
    };
    let are_legal = (1..=NAMESPACES_MAX).contains(&names.len())
        && names
            .iter()
            .all(|name| !name.is_empty() && name.len() <= 255 && !name.contains('/'));
    if !are_legal {
        problems.report(format!(
            "namespaces: write \"own\", \"all\" or 1 to {NAMESPACES_MAX} names as in /run/netns"
        ));
    }
    Namespaces::List(names.into_iter().map(Arc::from).collect())
}

fn checked_watch_groups(groups: &[WatchGroup], problems: &mut Problems) -> Vec<WatchGroup> {
    if groups.len() > WATCH_GROUPS_MAX {
        problems.report(format!(
            "watch_groups has {} entries; keep at most {WATCH_GROUPS_MAX}",
            groups.len()
        ));
    }
    for (position, group) in groups.iter().enumerate() {
        let name = &group.name;
        let is_legal_name = (1..=32).contains(&name.len())
            && name.bytes().all(|byte| {
                byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"-_".contains(&byte)
            });
        let is_repeated = groups
            .iter()
            .take(position)
            .any(|earlier| earlier.name == *name);
        if !is_legal_name {
            problems.report(format!(
                "watch_groups: the name {name:?} is not 1 to 32 characters of a-z 0-9 - _"
            ));
        }
        if is_repeated {
            problems.report(format!("watch_groups: {name:?} is there twice: join them"));
        }
        if !(1..=WATCH_PORTS_MAX).contains(&group.remote_ports.len())
            || group.remote_ports.contains(&0)
        {
            problems.report(format!(
                "watch_groups: {name:?} needs 1 to {WATCH_PORTS_MAX} remote_ports from 1 to 65535"
            ));
        }
    }
    groups.to_vec()
}
