//! A host's policy: a file that only its administrators write. Says which actions are allowed on what, when, how often, and
//! whose signatures are wanted. What no rule allows and the profile does not is refused.

mod file;

use std::time::Duration;

use tidemark_model::action::{HostPolicyView, Profile};
use tidemark_model::pattern::is_like;
use tidemark_model::signing::{KeyId, PublicKey};
use tidemark_model::{ActionKind, ActionSpec, action::Tier};

use super::keys::{HeldKeys, KeyChanges};
pub use file::InvalidPolicy;

/// Most allow rules, and most deny rules, of a policy.
pub const RULES_MAX: usize = 256;

/// What a host lets be done to it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HostPolicy {
    /// What is allowed without a rule.
    pub profile: Profile,
    /// What is allowed beside the profile.
    pub allow: Vec<Rule>,
    /// What is refused whatever else allows it.
    pub deny: Vec<Rule>,
    /// Whose signatures count at the moment; when nobody is listed, the controller is believed.
    pub keys: HeldKeys,
    /// Whether a key may step back for another one by operators' signatures alone.
    pub rotation: bool,
    /// The keys of the file, which operators' statements change.
    listed_keys: Vec<TrustedKey>,
    /// How often.
    pub limits: Limits,
    /// How many keys must have signed a release of the agent; `None` when the host takes none.
    pub release_threshold: Option<u8>,
}

/// Chooses actions by kind and by what they are done to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rule {
    /// Which kinds; all when empty.
    pub actions: Vec<ActionKind>,
    /// Services, pools, images, adapters, parameters or hooks, with `*` for any text; all when empty. Case does not matter.
    pub subjects: Vec<String>,
    /// Between which times of the host's day; always when `None`.
    pub hours: Option<Hours>,
    /// How often within 24 h; as the limits say when `None`.
    pub per_day: Option<u32>,
}

/// A span of the host's local day; it may pass midnight.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Hours {
    /// First minute of the day, 0 to 1439.
    pub from: u16,
    /// First minute after it, 0 to 1439.
    pub until: u16,
}

/// An operator's key that the host's administrators trust.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TrustedKey {
    /// Whose.
    pub name: String,
    /// The key.
    pub public: PublicKey,
    /// The most disruptive tier that it may order.
    pub tier_max: Tier,
    /// Whether it counts for releases of the agent.
    pub releases: bool,
}

/// How often actions of tier 1 and more may be begun.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Within an hour.
    pub per_hour: u32,
    /// Within 24 h.
    pub per_day: u32,
    /// Between two actions of one kind on one subject.
    pub cooldown: Duration,
    /// Between the host's start and an ordered restart, against loops.
    pub reboot_pause: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            per_hour: 6,
            per_day: 24,
            cooldown: Duration::from_secs(300),
            reboot_pause: Duration::from_secs(3_600),
        }
    }
}

impl HostPolicy {
    /// The policy of a host that has no policy file, only the profile that it was installed with.
    #[must_use]
    pub fn of_profile(profile: Profile) -> Self {
        Self {
            profile,
            allow: Vec::new(),
            deny: Vec::new(),
            keys: HeldKeys::default(),
            rotation: false,
            listed_keys: Vec::new(),
            limits: Limits::default(),
            release_threshold: None,
        }
    }

    /// Reads a policy file; `profile` holds when the file names none.
    ///
    /// # Errors
    /// [`InvalidPolicy`] with every mistake: a policy is used whole or not at all.
    pub fn parse(text: &str, profile: Profile) -> Result<Self, InvalidPolicy> {
        file::parse(text, profile)
    }

    /// The key of that id, if it holds at the moment.
    #[must_use]
    pub fn key(&self, id: KeyId) -> Option<&TrustedKey> {
        self.keys.get(id)
    }

    /// The keys of the file, whatever became of them since.
    #[must_use]
    pub fn listed_keys(&self) -> &[TrustedKey] {
        &self.listed_keys
    }

    /// The policy with the keys that hold after what operators signed about them.
    #[must_use]
    pub fn with_changes(self, changes: &KeyChanges) -> Self {
        Self {
            keys: HeldKeys::of(&self.listed_keys, changes),
            ..self
        }
    }

    /// The rule that refuses this.
    pub(super) fn denied_by(&self, spec: &ActionSpec, minute: u16) -> Option<&Rule> {
        self.deny
            .iter()
            .find(|rule| rule.matches(spec) && rule.is_open_at(minute))
    }

    /// How this is allowed: by the profile, or by rules of which the first that is open at this time counts.
    pub(super) fn allowance(&self, spec: &ActionSpec, minute: u16) -> Allowance<'_> {
        let mut closed = None;
        for rule in self.allow.iter().filter(|rule| rule.matches(spec)) {
            if rule.is_open_at(minute) {
                return Allowance::Rule(rule);
            }
            closed = closed.or(rule.hours);
        }
        if spec.tier() <= self.profile.tier_max() {
            return Allowance::Profile;
        }
        closed.map_or(Allowance::None, Allowance::Closed)
    }

    /// What others are told.
    #[must_use]
    pub fn view(&self, lockdown: bool, digest: String) -> HostPolicyView {
        let allowed = ActionKind::ALL.iter().copied().filter(|kind| {
            let by_rule = self.allow.iter().any(|rule| rule.is_about(*kind));
            let never = self.deny.iter().any(|rule| {
                rule.is_about(*kind) && rule.subjects.is_empty() && rule.hours.is_none()
            });
            !never && (by_rule || kind.tier() <= self.profile.tier_max())
        });
        HostPolicyView {
            profile: Some(self.profile),
            unusable: None,
            allowed: allowed.collect(),
            keys: self.keys.holding().map(|key| key.public.id()).collect(),
            lockdown,
            digest,
            all_keys: self.keys.view(),
            refused_statements: Vec::new(),
            undoes: true,
            grants: Vec::new(),
        }
    }
}

/// How an action is allowed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Allowance<'a> {
    /// The profile covers its tier.
    Profile,
    /// A rule does.
    Rule(&'a Rule),
    /// A rule would, at these hours.
    Closed(Hours),
    /// Nothing does.
    None,
}

impl Rule {
    fn is_about(&self, kind: ActionKind) -> bool {
        self.actions.is_empty() || self.actions.contains(&kind)
    }

    pub(super) fn matches(&self, spec: &ActionSpec) -> bool {
        let subject = spec.subject().to_lowercase();
        let names_it = |pattern: &String| is_like(&subject, &pattern.to_lowercase());
        self.is_about(spec.kind())
            && (self.subjects.is_empty() || self.subjects.iter().any(names_it))
    }

    fn is_open_at(&self, minute: u16) -> bool {
        self.hours.is_none_or(|hours| hours.contains(minute))
    }
}

impl Hours {
    /// Whether this minute of the day lies in it; two equal ends are the whole day.
    #[must_use]
    pub const fn contains(self, minute: u16) -> bool {
        if self.from < self.until {
            self.from <= minute && minute < self.until
        } else {
            minute >= self.from || minute < self.until
        }
    }
}

impl std::fmt::Display for Hours {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let clock = |minute: u16| (minute.div_euclid(60), minute.rem_euclid(60));
        let ((from_h, from_m), (until_h, until_m)) = (clock(self.from), clock(self.until));
        write!(f, "{from_h:02}:{from_m:02}-{until_h:02}:{until_m:02}")
    }
}

#[cfg(test)]
mod tests;
