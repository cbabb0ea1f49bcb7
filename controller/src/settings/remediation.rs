//! The section `[remediation]`: how much may be done to hosts at once and over time, and how long an effect is watched.

use std::time::Duration;

use serde::Deserialize;

use super::{duration, noted};
use crate::remediate::{OwnHost, RemediationRules};

/// Shortest and longest time that an effect is watched.
const HOLD_LIMITS: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(86_400));
/// Largest limit that still is one.
const COUNT_MAX: usize = 100_000;

/// The section as it is written.
#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct RemediationConfig {
    hold: Option<String>,
    concurrent_max: Option<usize>,
    per_hour_max: Option<usize>,
    host_per_hour_max: Option<usize>,
    cooldown: Option<String>,
    fixes_per_day_max: Option<usize>,
    own_host: Option<String>,
}

impl RemediationConfig {
    pub(super) fn check(&self, problems: &mut Vec<String>) -> Option<RemediationRules> {
        let defaults = RemediationRules::default();
        let mut time = |key: &str, text: &Option<String>, default| match text {
            None => Some(default),
            Some(text) => noted(duration(&format!("remediation.{key}"), text), problems),
        };
        let hold = time("hold", &self.hold, defaults.hold);
        let cooldown = time("cooldown", &self.cooldown, defaults.cooldown);
        let mut count = |key: &str, given: Option<usize>, default| {
            let value = given.unwrap_or(default);
            if !(1..=COUNT_MAX).contains(&value) {
                problems.push(format!(
                    "remediation.{key} is {value}; it must be 1 to {COUNT_MAX}; to stop every action, use the lockdown"
                ));
            }
            value
        };
        let rules = RemediationRules {
            hold: hold?,
            cooldown: cooldown?,
            concurrent_max: count(
                "concurrent_max",
                self.concurrent_max,
                defaults.concurrent_max,
            ),
            per_hour_max: count("per_hour_max", self.per_hour_max, defaults.per_hour_max),
            host_per_hour_max: count(
                "host_per_hour_max",
                self.host_per_hour_max,
                defaults.host_per_hour_max,
            ),
            fixes_per_day_max: count(
                "fixes_per_day_max",
                self.fixes_per_day_max,
                defaults.fixes_per_day_max,
            ),
            own_host: match self.own_host.as_deref() {
                None | Some("detect") => OwnHost::Detect,
                Some("none") => OwnHost::None,
                Some(name) => OwnHost::Named(name.to_owned()),
            },
        };
        let (least, most) = HOLD_LIMITS;
        if !(least..=most).contains(&rules.hold) {
            problems.push(format!(
                "remediation.hold is {} s; it must be 1 s to 1 d",
                rules.hold.as_secs()
            ));
        }
        Some(rules)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_wrong_value_is_named() {
        let config = RemediationConfig {
            hold: Some("2d".to_owned()),
            per_hour_max: Some(0),
            host_per_hour_max: Some(1_000_000),
            ..RemediationConfig::default()
        };
        let mut problems = Vec::new();
        config.check(&mut problems);
        let text = problems.join("\n");
        for part in [
            "remediation.hold is 172800 s",
            "remediation.per_hour_max is 0",
            "remediation.host_per_hour_max is 1000000",
        ] {
            assert!(text.contains(part), "{text}");
        }
        assert_eq!(problems.len(), 3, "{text}");
    }

    #[test]
    fn a_host_can_be_named_as_the_own_one() {
        let config = RemediationConfig {
            own_host: Some("ctl-1".to_owned()),
            ..RemediationConfig::default()
        };
        let mut problems = Vec::new();
        let rules = config.check(&mut problems).unwrap();
        assert_eq!(rules.own_host, OwnHost::Named("ctl-1".to_owned()));
        assert_eq!(problems, Vec::<String>::new());
    }
}
