//! The policy file: TOML, read strictly, every mistake told at once with its place and what to write instead.

use std::fmt;
use std::ops::Range;

use serde::Deserialize;
use tidemark_model::ActionKind;
use tidemark_model::action::{Profile, Tier};
use tidemark_model::duration::parse_duration;
use tidemark_model::signing::TRUSTED_KEYS_MAX;

use super::{HeldKeys, HostPolicy, Hours, KeyChanges, Limits, RULES_MAX, Rule, TrustedKey};

/// Largest policy file, in bytes.
pub const POLICY_BYTES_MAX: usize = 256 * 1024;

/// Signatures that a release takes where the policy does not say: no one person releases alone.
const RELEASE_THRESHOLD: u8 = 2;
/// As many as a manifest can carry.
const RELEASE_THRESHOLD_MAX: u8 = 8;

/// Why a policy cannot be used: every mistake of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InvalidPolicy(pub Vec<String>);

impl fmt::Display for InvalidPolicy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.join("; "))
    }
}

impl std::error::Error for InvalidPolicy {}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Raw {
    profile: Option<String>,
    #[serde(default)]
    limits: RawLimits,
    #[serde(default)]
    allow: Vec<RawRule>,
    #[serde(default)]
    deny: Vec<RawRule>,
    #[serde(default)]
    keys: RawKeys,
    #[serde(default)]
    key: Vec<RawKey>,
    releases: Option<RawReleases>,
}

#[derive(Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct RawKeys {
    rotation: bool,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawReleases {
    threshold: Option<u8>,
}

#[derive(Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct RawLimits {
    per_hour: Option<u32>,
    per_day: Option<u32>,
    cooldown: Option<String>,
    reboot_pause: Option<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawRule {
    #[serde(default)]
    actions: Vec<String>,
    #[serde(default)]
    subjects: Vec<String>,
    hours: Option<String>,
    per_day: Option<u32>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawKey {
    name: String,
    public: String,
    tier_max: Option<u8>,
    #[serde(default)]
    releases: bool,
}

/// Reads a policy file.
pub(super) fn parse(text: &str, profile: Profile) -> Result<HostPolicy, InvalidPolicy> {
    if text.len() > POLICY_BYTES_MAX {
        let long = format!(
            "the file has {} bytes; a policy has at most {POLICY_BYTES_MAX}",
            text.len()
        );
        return Err(InvalidPolicy(vec![long]));
    }
    let raw: Raw = toml::from_str(text).map_err(|error| {
        let line = error.span().map_or(1, |span| line_of(text, &span));
        InvalidPolicy(vec![format!("line {line}: {}", error.message())])
    })?;
    let mut reader = Reader::default();
    let listed_keys = reader.keys(raw.key);
    let policy = HostPolicy {
        profile: reader.profile(raw.profile.as_deref(), profile),
        allow: reader.rules("allow", raw.allow),
        deny: reader.rules("deny", raw.deny),
        keys: HeldKeys::of(&listed_keys, &KeyChanges::default()),
        rotation: raw.keys.rotation,
        release_threshold: reader.release_threshold(raw.releases.as_ref(), &listed_keys),
        listed_keys,
        limits: reader.limits(&raw.limits),
    };
    if reader.mistakes.is_empty() {
        Ok(policy)
    } else {
        Err(InvalidPolicy(reader.mistakes))
    }
}

fn line_of(text: &str, span: &Range<usize>) -> usize {
    let before = text.get(..span.start).unwrap_or(text);
    before.matches('\n').count() + 1
}

#[derive(Default)]
struct Reader {
    mistakes: Vec<String>,
}

impl Reader {
    fn profile(&mut self, name: Option<&str>, default: Profile) -> Profile {
        let Some(name) = name else {
            return default;
        };
        Profile::from_name(name).unwrap_or_else(|| {
            self.mistakes.push(format!(
                "profile: {name:?} is none; write observe, safe or full"
            ));
            default
        })
    }

    fn rules(&mut self, list: &'static str, raw: Vec<RawRule>) -> Vec<Rule> {
        if raw.len() > RULES_MAX {
            let count = raw.len();
            self.mistakes.push(format!(
                "{list}: has {count} rules; join them to at most {RULES_MAX}"
            ));
        }
        let rules = raw.into_iter().enumerate();
        rules
            .map(|(index, rule)| self.rule(&format!("{list} {}", index + 1), rule))
            .collect()
    }

    fn rule(&mut self, at: &str, raw: RawRule) -> Rule {
        let mut actions = Vec::new();
        for name in &raw.actions {
            match ActionKind::from_name(name) {
                Some(kind) => actions.push(kind),
                None => {
                    let known: Vec<_> = ActionKind::ALL.iter().map(|kind| kind.as_str()).collect();
                    self.mistakes.push(format!(
                        "{at}: actions: {name:?} is none; write some of {}",
                        known.join(", ")
                    ));
                }
            }
        }
        if raw.actions.is_empty() && raw.subjects.is_empty() && raw.hours.is_none() {
            self.mistakes.push(format!(
                "{at}: would match everything; name its actions, subjects or hours, or change the profile"
            ));
        }
        for subject in &raw.subjects {
            if subject.is_empty() || subject.chars().count() > 256 {
                self.mistakes.push(format!(
                    "{at}: subjects: a name or pattern has 1 to 256 characters"
                ));
            }
        }
        Rule {
            actions,
            hours: raw.hours.as_deref().and_then(|text| self.hours(at, text)),
            per_day: raw.per_day,
            subjects: raw.subjects,
        }
    }

    fn hours(&mut self, at: &str, text: &str) -> Option<Hours> {
        let hours = text
            .split_once('-')
            .and_then(|(from, until)| Some((minute_of(from)?, minute_of(until)?)));
        if hours.is_none() {
            self.mistakes.push(format!(
                "{at}: hours: {text:?} is no span of a day; write it as in 22:00-06:00"
            ));
        }
        hours.map(|(from, until)| Hours { from, until })
    }

    fn keys(&mut self, raw: Vec<RawKey>) -> Vec<TrustedKey> {
        if raw.len() > TRUSTED_KEYS_MAX {
            let count = raw.len();
            self.mistakes.push(format!(
                "key: {count} keys are listed; a policy lists at most {TRUSTED_KEYS_MAX}"
            ));
        }
        let mut keys: Vec<TrustedKey> = Vec::new();
        for key in raw {
            let at = format!("key {:?}", key.name);
            let tier_max = match key.tier_max.map_or(Ok(Tier::Reboot), Tier::try_from) {
                Ok(tier) => tier,
                Err(error) => {
                    self.mistakes.push(format!("{at}: tier_max: {error}"));
                    continue;
                }
            };
            match key.public.parse() {
                Ok(public) if keys.iter().any(|other| other.public == public) => {
                    self.mistakes
                        .push(format!("{at}: public: the key is listed twice"));
                }
                Ok(public) => keys.push(TrustedKey {
                    name: key.name,
                    public,
                    tier_max,
                    releases: key.releases,
                }),
                Err(error) => self.mistakes.push(format!("{at}: public: {error}")),
            }
        }
        keys
    }

    /// Fewer keys than the threshold could never sign anything; a threshold of none is no signature at all.
    fn release_threshold(
        &mut self,
        raw: Option<&RawReleases>,
        listed: &[TrustedKey],
    ) -> Option<u8> {
        let keys = listed.iter().filter(|key| key.releases).count();
        let Some(raw) = raw else {
            if keys > 0 {
                self.mistakes.push(
                    "releases: keys are listed for releases; add [releases] with their threshold"
                        .to_owned(),
                );
            }
            return None;
        };
        let threshold = raw.threshold.unwrap_or(RELEASE_THRESHOLD);
        if !(1..=RELEASE_THRESHOLD_MAX).contains(&threshold) {
            self.mistakes.push(format!(
                "releases.threshold: write a number from 1 to {RELEASE_THRESHOLD_MAX}"
            ));
        }
        if keys < usize::from(threshold) {
            self.mistakes.push(format!(
                "releases.threshold: {threshold} signatures are wanted and {keys} keys have `releases = true`; list more, or lower it"
            ));
        }
        Some(threshold)
    }

    fn limits(&mut self, raw: &RawLimits) -> Limits {
        let shipped = Limits::default();
        let mut duration = |field: &str, text: &Option<String>, default| match text {
            None => default,
            Some(text) => parse_duration(text).unwrap_or_else(|error| {
                self.mistakes.push(format!("limits.{field}: {error}"));
                default
            }),
        };
        Limits {
            cooldown: duration("cooldown", &raw.cooldown, shipped.cooldown),
            reboot_pause: duration("reboot_pause", &raw.reboot_pause, shipped.reboot_pause),
            per_hour: raw.per_hour.unwrap_or(shipped.per_hour),
            per_day: raw.per_day.unwrap_or(shipped.per_day),
        }
    }
}

/// The minute of the day of `hh:mm`.
fn minute_of(text: &str) -> Option<u16> {
    let (hours, minutes) = text.trim().split_once(':')?;
    let two = |part: &str, limit: u16| {
        let number = part.parse::<u16>().ok()?;
        (part.len() == 2 && number < limit).then_some(number)
    };
    Some(
        two(hours, 24)?
            .saturating_mul(60)
            .saturating_add(two(minutes, 60)?),
    )
}
