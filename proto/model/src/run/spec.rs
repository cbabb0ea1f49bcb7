//! A run as operators write it, and as it is once it was found legal.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::action::{ActionSpec, Tier};
use crate::duration::parse_duration;
use crate::kinds::kinds;
use crate::silence::Matcher;

/// Stands for no window: at once.
pub const NOW: &str = "now";
/// Most matchers, and most hosts of a list.
const MATCHERS_MAX: usize = 20;
const LISTED_MAX: usize = 5_000;
/// Most actions, and most hooks on either side of them.
const ACTIONS_MAX: usize = 8;
const HOOKS_MAX: usize = 4;
/// Most waves.
const WAVES_MAX: usize = 20;
/// Most hosts at once.
const CONCURRENCY_MAX: u32 = 1_000;
/// Most failures that a run can be told to bear.
const FAILED_MAX: u32 = 10_000;
/// Most times that one step is tried again.
const RETRIES_MAX: u32 = 5;
/// Longest reason, in characters.
const REASON_CHARS_MAX: usize = 500;
/// Longest name of a label, in characters.
const LABEL_CHARS_MAX: usize = 63;
const MINUTE: Duration = Duration::from_secs(60);
const DAY: Duration = Duration::from_secs(86_400);

/// A maintenance run as it is asked for, stored and shown.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct RunSpec {
    /// Its name: 1 to 63 of `a-z`, `0-9` and `-`. Runs may share one.
    pub name: String,
    /// Why, 1 to 500 characters; it is part of every order.
    pub reason: String,
    /// Which hosts, 1 to 20 matchers that must all match, as in `tier=web` or `host!=db-*`; `host=*` for all.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub hosts: Vec<String>,
    /// Which hosts, by id or name, instead of matchers; 1 to 5000.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub list: Vec<String>,
    /// What is done on each host, 1 to 8 actions in this order.
    pub actions: Vec<ActionSpec>,
    /// Whether all of them are done, or one after the other until one helps.
    #[serde(default)]
    pub ladder: Ladder,
    /// Hooks that run on each host before the actions, up to 4 `run_hook`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub before: Vec<ActionSpec>,
    /// Hooks that run on each host after them, up to 4 `run_hook`; a host that failed is left as it is.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub after: Vec<ActionSpec>,
    /// Name of the window in which hosts may be worked on; `now` for at once.
    #[serde(default = "now")]
    pub window: String,
    /// Sizes of the waves: counts, shares, and `rest` for what is left: `["1", "10%", "rest"]`. What no wave takes is a last one.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub waves: Vec<String>,
    /// Hosts at once, 1 to 1000.
    #[serde(default = "one")]
    pub concurrency: u32,
    /// A label: never two hosts with the same value of it at once.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub spread: Option<String>,
    /// What must be so before a host is worked on; all four without it.
    #[serde(default = "every_check")]
    pub gate_before: Vec<GateCheck>,
    /// What must be so after it; all four without it.
    #[serde(default = "every_check")]
    pub gate_after: Vec<GateCheck>,
    /// Whether an action that its host's samples do not show to have helped is a failure. Without, only the health counts.
    #[serde(default = "yes")]
    pub needs_effect: bool,
    /// Failed hosts at which nothing new is begun, 1 to 10000.
    #[serde(default = "one")]
    pub max_failed: u32,
    /// How often a step that failed is tried again on one host, 0 to 5.
    #[serde(default)]
    pub max_retries_per_host: u32,
    /// How long a host may take to be back with a new boot, 1m to 45m.
    #[serde(default = "reboot_timeout")]
    pub reboot_timeout: String,
    /// How long a host's health may keep it before it is skipped, and how long it may take to be well afterwards, 1s to 1d.
    #[serde(default = "gate_timeout")]
    pub gate_timeout: String,
    /// How long hosts are begun, from when the run begins or its window opens, 1m to 7d.
    #[serde(default = "stop_after")]
    pub stop_after: String,
    /// What becomes of hosts whose window closes before their turn.
    #[serde(default)]
    pub if_missed: IfMissed,
}

kinds! {
    /// How the actions of a run follow each other.
    #[derive(Default)]
    #[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
    Ladder
    /// All are done, each once the one before has succeeded.
    #[default]
    All = "all",
    /// The next is done only when the one before did not help.
    UntilItHelps = "until_it_helps",
}

kinds! {
    /// What becomes of hosts whose window closes before their turn.
    #[derive(Default)]
    #[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
    IfMissed
    /// They are left alone.
    #[default]
    Skip = "skip",
    /// They wait for the window to come again.
    NextWindow = "next_window",
}

kinds! {
    /// Something about a host that must be so.
    #[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
    GateCheck
    /// Its agent is connected.
    Connected = "connected",
    /// Its samples are fresh.
    Fresh = "fresh",
    /// No port space has less than a tenth of its ports left.
    Headroom = "headroom",
    /// It has no critical incident that is not over.
    Incidents = "incidents",
}

fn now() -> String {
    NOW.to_owned()
}

const fn one() -> u32 {
    1
}

const fn yes() -> bool {
    true
}

fn every_check() -> Vec<GateCheck> {
    GateCheck::ALL.to_vec()
}

fn reboot_timeout() -> String {
    "45m".to_owned()
}

fn gate_timeout() -> String {
    "10m".to_owned()
}

fn stop_after() -> String {
    "24h".to_owned()
}

/// The size of a wave.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wave {
    /// So many hosts.
    Count(u32),
    /// So many of a hundred of all hosts, rounded up.
    Percent(u32),
    /// All that are left.
    Rest,
}

impl Wave {
    fn read(text: &str) -> Option<Self> {
        let text = text.trim();
        if text == "rest" {
            return Some(Self::Rest);
        }
        if let Some(percent) = text.strip_suffix('%') {
            let percent = percent.trim().parse().ok()?;
            return (1..=100)
                .contains(&percent)
                .then_some(Self::Percent(percent));
        }
        let count = text.parse().ok()?;
        (1..=100_000).contains(&count).then_some(Self::Count(count))
    }

    /// How many of `left` hosts it takes, of `all`.
    #[must_use]
    pub fn size(self, all: usize, left: usize) -> usize {
        let wanted = match self {
            Self::Count(count) => count as usize,
            Self::Percent(percent) => all.saturating_mul(percent as usize).div_ceil(100),
            Self::Rest => left,
        };
        wanted.min(left)
    }
}

/// One thing that is done on each host.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RunStep {
    /// What.
    pub spec: ActionSpec,
    /// Whether it is a rung of a ladder: the next rung is for when it did not help.
    pub is_rung: bool,
}

/// A run that was found legal, as the machine uses it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RunRules {
    /// What chooses its hosts; empty when they are listed.
    pub matchers: Vec<Matcher>,
    /// What is done on each host: hooks before, actions, hooks after.
    pub steps: Vec<RunStep>,
    /// Its waves.
    pub waves: Vec<Wave>,
    /// Hosts at once.
    pub concurrency: usize,
    /// Whether not to have helped is a failure.
    pub needs_effect: bool,
    /// Failed hosts at which nothing new is begun.
    pub max_failed: usize,
    /// How often a step is tried again.
    pub max_retries: u32,
    /// How long a host may take to be back.
    pub reboot_timeout: Duration,
    /// How long a host's health may keep it.
    pub gate_timeout: Duration,
    /// How long hosts are begun.
    pub stop_after: Duration,
    /// What becomes of hosts whose window closes.
    pub if_missed: IfMissed,
    /// Whether it is bound to a window.
    pub is_windowed: bool,
}

impl RunSpec {
    /// The most disruptive of what it does.
    #[must_use]
    pub fn tier(&self) -> Tier {
        let all = self.before.iter().chain(&self.actions).chain(&self.after);
        all.map(ActionSpec::tier)
            .max_by_key(|tier| tier.number())
            .unwrap_or(Tier::ReadOnly)
    }

    /// What it does, in one line that a person can approve.
    #[must_use]
    pub fn summary(&self) -> String {
        let between = match self.ladder {
            Ladder::All => ", then ",
            Ladder::UntilItHelps => ", else ",
        };
        let actions: Vec<_> = self.actions.iter().map(ActionSpec::summary).collect();
        actions.join(between)
    }

    /// Checks every value.
    ///
    /// # Errors
    /// A sentence for each value that is wrong, with its limit and the remedy.
    pub fn check(&self) -> Result<RunRules, Vec<String>> {
        let mut problems = Vec::new();
        self.check_words(&mut problems);
        self.check_actions(&mut problems);
        let matchers = self.matchers(&mut problems);
        let waves = self.waves(&mut problems);
        let mut number = |name: &str, value: u32, (least, most): (u32, u32)| {
            if !(least..=most).contains(&value) {
                problems.push(format!("{name} is {value}; it must be {least} to {most}"));
            }
            value
        };
        let concurrency = number("concurrency", self.concurrency, (1, CONCURRENCY_MAX));
        let max_failed = number("max_failed", self.max_failed, (1, FAILED_MAX));
        let retries = ("max_retries_per_host", self.max_retries_per_host);
        let max_retries = number(retries.0, retries.1, (0, RETRIES_MAX));
        let mut time =
            |name: &str, text: &str, (least, most, words): (Duration, Duration, &str)| {
                let read = parse_duration(text).ok();
                let legal = read.filter(|time| (least..=most).contains(time));
                legal.unwrap_or_else(|| {
                    let text: String = text.chars().take(64).collect();
                    problems.push(format!("{name} is {text:?}; it must be {words}, as in 30m"));
                    least
                })
            };
        let second = Duration::from_secs(1);
        let reboot_timeout = (MINUTE, MINUTE * 45, "1m to 45m");
        let reboot_timeout = time("reboot_timeout", &self.reboot_timeout, reboot_timeout);
        let gate_timeout = time(
            "gate_timeout",
            &self.gate_timeout,
            (second, DAY, "1s to 1d"),
        );
        let stop_after = time(
            "stop_after",
            &self.stop_after,
            (MINUTE, DAY * 7, "1m to 7d"),
        );
        if !problems.is_empty() {
            return Err(problems);
        }
        Ok(RunRules {
            matchers,
            steps: self.steps(),
            waves,
            concurrency: concurrency as usize,
            needs_effect: self.needs_effect,
            max_failed: max_failed as usize,
            max_retries,
            reboot_timeout,
            gate_timeout,
            stop_after,
            if_missed: self.if_missed,
            is_windowed: self.window != NOW,
        })
    }

    fn steps(&self) -> Vec<RunStep> {
        let plain = |spec: &ActionSpec| RunStep {
            spec: spec.clone(),
            is_rung: false,
        };
        let is_rung = self.ladder == Ladder::UntilItHelps;
        let action = |spec: &ActionSpec| RunStep {
            spec: spec.clone(),
            is_rung,
        };
        let before = self.before.iter().map(plain);
        let actions = self.actions.iter().map(action);
        before
            .chain(actions)
            .chain(self.after.iter().map(plain))
            .collect()
    }

    fn check_words(&self, problems: &mut Vec<String>) {
        if !is_name(&self.name) {
            problems.push(format!(
                "name is {:?}; it must be 1 to 63 of a-z, 0-9 and -",
                self.name.chars().take(64).collect::<String>()
            ));
        }
        let length = self.reason.chars().count();
        if !(1..=REASON_CHARS_MAX).contains(&length) || self.reason.chars().any(char::is_control) {
            problems.push(format!(
                "reason must be 1 to {REASON_CHARS_MAX} characters without control characters: say why, it is part of every order"
            ));
        }
        if self.window != NOW && !is_name(&self.window) {
            problems.push(format!(
                "window is {:?}; it must be the name of a window, or now",
                self.window.chars().take(64).collect::<String>()
            ));
        }
        if let Some(label) = &self.spread
            && (label.is_empty()
                || label.chars().count() > LABEL_CHARS_MAX
                || label.chars().any(char::is_control))
        {
            problems.push(format!(
                "spread must name a label, 1 to {LABEL_CHARS_MAX} characters, as in cluster"
            ));
        }
        for (name, gate) in [
            ("gate_before", &self.gate_before),
            ("gate_after", &self.gate_after),
        ] {
            if gate.len() > GateCheck::ALL.len() {
                problems.push(format!("{name} has {} checks; name each once", gate.len()));
            }
        }
    }

    fn check_actions(&self, problems: &mut Vec<String>) {
        if !(1..=ACTIONS_MAX).contains(&self.actions.len()) {
            problems.push(format!(
                "actions has {} entries; it must have 1 to {ACTIONS_MAX}",
                self.actions.len()
            ));
        }
        for (name, hooks) in [("before", &self.before), ("after", &self.after)] {
            if hooks.len() > HOOKS_MAX {
                let count = hooks.len();
                problems.push(format!("{name} has {count} hooks; it may have {HOOKS_MAX}"));
            }
            for (place, hook) in hooks.iter().enumerate() {
                if !matches!(hook, ActionSpec::RunHook { .. }) {
                    let kind = hook.kind().as_str();
                    problems.push(format!(
                        "{name}[{place}] is {kind}; only run_hook stands there, the rest belongs into actions"
                    ));
                }
            }
        }
        for (name, specs) in [
            ("before", &self.before),
            ("actions", &self.actions),
            ("after", &self.after),
        ] {
            for (place, spec) in specs.iter().enumerate().take(ACTIONS_MAX) {
                let wrong = spec.problems();
                problems.extend(wrong.iter().map(|one| format!("{name}[{place}].{one}")));
            }
        }
    }

    fn matchers(&self, problems: &mut Vec<String>) -> Vec<Matcher> {
        match (self.hosts.is_empty(), self.list.is_empty()) {
            (true, true) => problems.push(
                "hosts is empty; write matchers as in tier=web, host=* for all, or name hosts in list"
                    .to_owned(),
            ),
            (false, false) => {
                problems.push("both hosts and list are given; keep one of them".to_owned());
            }
            (true, false) | (false, true) => {}
        }
        if self.hosts.len() > MATCHERS_MAX {
            let count = self.hosts.len();
            problems.push(format!(
                "hosts has {count} matchers; it may have {MATCHERS_MAX}"
            ));
        }
        if self.list.len() > LISTED_MAX {
            let count = self.list.len();
            problems.push(format!("list has {count} hosts; it may have {LISTED_MAX}"));
        }
        let mut matchers = Vec::new();
        for text in self.hosts.iter().take(MATCHERS_MAX) {
            match text.parse() {
                Ok(matcher) => matchers.push(matcher),
                Err(error) => problems.push(format!("hosts: {error}")),
            }
        }
        matchers
    }

    fn waves(&self, problems: &mut Vec<String>) -> Vec<Wave> {
        if self.waves.len() > WAVES_MAX {
            let count = self.waves.len();
            problems.push(format!(
                "waves has {count} entries; it may have {WAVES_MAX}"
            ));
        }
        let mut waves = Vec::new();
        for (place, text) in self.waves.iter().enumerate().take(WAVES_MAX) {
            match Wave::read(text) {
                Some(wave) => waves.push(wave),
                None => problems.push(format!(
                    "waves[{place}] is {:?}; it must be a count as in 5, a share as in 10%, or rest",
                    text.chars().take(64).collect::<String>()
                )),
            }
        }
        let before_last = waves.len().saturating_sub(1);
        if waves
            .iter()
            .take(before_last)
            .any(|wave| *wave == Wave::Rest)
        {
            problems.push("waves: rest leaves nothing for what follows it; put it last".to_owned());
        }
        if waves.last() != Some(&Wave::Rest) {
            waves.push(Wave::Rest);
        }
        waves
    }
}

fn is_name(text: &str) -> bool {
    let is_legal = |c: u8| c.is_ascii_lowercase() || c.is_ascii_digit() || c == b'-';
    (1..=63).contains(&text.len()) && text.bytes().all(is_legal)
}

#[cfg(test)]
mod tests;
