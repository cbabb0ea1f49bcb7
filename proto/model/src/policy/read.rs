//! Reads policies as they are written: every value is checked, and every problem is told at once, with its field.

use std::time::Duration;

use super::condition::{Condition, ConditionSpec, SpaceFilter};
use super::{Policy, PolicyApproval, PolicySpec, RungSpec};
use crate::Protocol;
use crate::action::spec::OnHang;
use crate::action::{ActionKind, ActionSpec, Tier};
use crate::budget::is_name;
use crate::duration::{format_duration, parse_duration};
use crate::finding::Rule;
use crate::port::OWN_NAMESPACE;
use crate::runbook;
use crate::silence::Matcher;

/// Rungs of a ladder.
const LADDER_RUNGS_MAX: usize = 10;

const MATCHERS_MAX: usize = 20;
const WORDS_MAX: usize = 20;
const WORD_CHARS_MAX: usize = 512;
const TEXT_CHARS_MAX: usize = 500;
const NAME_CHARS_MAX: usize = 256;
const DAY: Duration = Duration::from_secs(86_400);
const WEEK: Duration = Duration::from_secs(7 * 86_400);
const MINUTE: Duration = Duration::from_secs(60);
/// An order is valid for 14 d at most; the rest is for the time that passes until it is asked for.
const APPROVE_MAX: Duration = Duration::from_secs(13 * 86_400);
const CONFIDENCE_DEFAULT: u32 = 60;

/// One rung of which every value was checked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rung {
    /// What is done.
    pub deed: RungDeed,
    /// How long the next one waits after this one was in vain.
    pub wait: Duration,
}

/// What a rung does.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RungDeed {
    /// This, on every host.
    Ready(ActionSpec),
    /// Restarts the service that the finding or the forecast names.
    RestartCulprit {
        /// How long stopping may take, in seconds.
        stop_timeout_s: u32,
        /// What to do when it does not stop.
        on_hang: OnHang,
    },
    /// Ends the process that the finding or the forecast names.
    EndCulprit,
}

impl RungDeed {
    /// What it does.
    #[must_use]
    pub const fn kind(&self) -> ActionKind {
        match self {
            Self::Ready(spec) => spec.kind(),
            Self::RestartCulprit { .. } => ActionKind::RestartService,
            Self::EndCulprit => ActionKind::EndProcess,
        }
    }

    /// What it does, in one line.
    #[must_use]
    pub fn summary(&self) -> String {
        match self {
            Self::Ready(spec) => spec.summary(),
            Self::RestartCulprit { .. } => "restart the culprit's service".to_owned(),
            Self::EndCulprit => "end the culprit's process".to_owned(),
        }
    }
}

impl Policy {
    /// Reads a policy.
    ///
    /// # Errors
    /// Everything that is wrong with it, one sentence each.
    pub fn read(spec: PolicySpec) -> Result<Self, Vec<String>> {
        let mut problems = Problems::default();
        if !is_name(&spec.name) {
            problems.tell(
                "name must be 1 to 64 characters of a-z 0-9 - _ . with a letter or digit first",
            );
        }
        if spec.description.chars().count() > TEXT_CHARS_MAX || has_control(&spec.description) {
            problems.tell(format!(
                "description must be at most {TEXT_CHARS_MAX} characters without control characters"
            ));
        }
        let hosts = problems.matchers(&spec.hosts);
        let condition = problems.condition(&spec.condition);
        let hold = problems.span("for", &spec.hold, (Duration::ZERO, WEEK));
        let within = problems.span(
            "approve_within",
            &spec.approve_within,
            (5 * MINUTE, APPROVE_MAX),
        );
        let limits = &spec.limits;
        let cooldown = problems.span("limits.cooldown", &limits.cooldown, (Duration::ZERO, WEEK));
        problems.count("limits.per_day", limits.per_day, 24);
        problems.count("limits.concurrent", limits.concurrent, 1_000);
        let ladder = problems.ladder(&spec.ladder, spec.approval);
        if let (Some(Condition::Event { within, .. }), Some(hold)) = (&condition, hold)
            && hold >= *within
        {
            problems.tell(format!(
                "for is {}, as long as an event counts; make it shorter than condition.within, or 0s",
                format_duration(hold)
            ));
        }
        match (hosts, condition, hold, within, cooldown, ladder) {
            (
                Some(hosts),
                Some(condition),
                Some(hold),
                Some(approve_within),
                Some(cooldown),
                Some(ladder),
            ) if problems.0.is_empty() => Ok(Self {
                spec,
                hosts,
                condition,
                hold,
                ladder,
                approve_within,
                cooldown,
            }),
            _ => Err(problems.0),
        }
    }
}

/// What is wrong so far. A method answers `None` when it has told a problem.
#[derive(Default)]
struct Problems(Vec<String>);

impl Problems {
    fn tell(&mut self, problem: impl Into<String>) {
        self.0.push(problem.into());
    }

    fn matchers(&mut self, texts: &[String]) -> Option<Vec<Matcher>> {
        if !(1..=MATCHERS_MAX).contains(&texts.len()) {
            self.tell(format!(
                "hosts has {} matchers; it must have 1 to {MATCHERS_MAX}, as in [\"tier=web\"]; [\"host=*\"] chooses all hosts",
                texts.len()
            ));
            return None;
        }
        let mut read = Vec::new();
        for text in texts {
            match text.parse() {
                Ok(matcher) => read.push(matcher),
                Err(error) => self.tell(format!("hosts: {error}")),
            }
        }
        (read.len() == texts.len()).then_some(read)
    }

    fn span(
        &mut self,
        field: &str,
        text: &str,
        (least, most): (Duration, Duration),
    ) -> Option<Duration> {
        let read = parse_duration(text).ok();
        let good = read.filter(|span| (least..=most).contains(span));
        if good.is_none() {
            self.tell(format!(
                "{field} is {}; it must be a duration of {} to {}, as in \"10m\"",
                shown(text),
                format_duration(least),
                format_duration(most)
            ));
        }
        good
    }

    fn count(&mut self, field: &str, count: u32, most: u32) {
        if !(1..=most).contains(&count) {
            self.tell(format!("{field} is {count}; it must be 1 to {most}"));
        }
    }

    fn percent(&mut self, field: &str, percent: u32) -> Option<u8> {
        let good = u8::try_from(percent).ok();
        let good = good.filter(|percent| (1..=100).contains(percent));
        if good.is_none() {
            self.tell(format!(
                "{field} is {percent}; it must be 1 to 100, in percent"
            ));
        }
        good
    }

    fn condition(&mut self, spec: &ConditionSpec) -> Option<Condition> {
        let given = [
            spec.level.is_some(),
            spec.eta.is_some(),
            spec.finding.is_some(),
            spec.event.is_some(),
            spec.incident.is_some(),
            spec.budget.is_some(),
        ];
        let given = given.iter().filter(|given| **given).count();
        if given != 1 {
            self.tell(format!(
                "condition has {given} of level, eta, finding, event, incident and budget; give one"
            ));
            return None;
        }
        self.companions(spec);
        if let Some(level) = spec.level {
            let space = self.space(spec);
            let percent = self.percent("condition.level", level)?;
            return Some(Condition::Level {
                percent,
                space: space?,
            });
        }
        if let Some(eta) = &spec.eta {
            let space = self.space(spec);
            if eta == "window" {
                return Some(Condition::EtaBeforeWindow { space: space? });
            }
            let reach = self.span("condition.eta", eta, (MINUTE, 30 * DAY))?;
            return Some(Condition::EtaWithin {
                reach,
                space: space?,
            });
        }
        if let Some(finding) = &spec.finding {
            let confidence = spec.confidence.unwrap_or(CONFIDENCE_DEFAULT);
            let percent = self.percent("condition.confidence", confidence);
            let rule = Rule::ALL.iter().find(|rule| rule.as_str() == finding);
            if rule.is_none() {
                self.tell(format!(
                    "condition.finding is {}, which is no rule; docs/DIAGNOSIS.md lists them, as bound_leak",
                    shown(finding)
                ));
            }
            return Some(Condition::Finding {
                rule: *rule?,
                percent: percent?,
            });
        }
        if let Some(event) = &spec.event {
            return self.event(event, spec.within.as_deref());
        }
        if let Some(kind) = &spec.incident {
            return self.incident(kind);
        }
        let name = spec.budget.clone()?;
        if !is_name(&name) {
            self.tell(format!(
                "condition.budget is {}, which is no name of a budget",
                shown(&name)
            ));
            return None;
        }
        Some(Condition::Budget { name })
    }

    /// Fields that say nothing without another one.
    fn companions(&mut self, spec: &ConditionSpec) {
        if spec.confidence.is_some() && spec.finding.is_none() {
            self.tell("condition.confidence goes with condition.finding alone; leave it out");
        }
        if spec.within.is_some() && spec.event.is_none() {
            self.tell("condition.within goes with condition.event alone; leave it out");
        }
        let is_of_space = spec.level.is_some() || spec.eta.is_some();
        if (spec.protocol.is_some() || spec.namespace.is_some()) && !is_of_space {
            self.tell(
                "condition.protocol and condition.namespace go with level and eta alone; leave them out",
            );
        }
    }

    fn space(&mut self, spec: &ConditionSpec) -> Option<SpaceFilter> {
        let protocol: Option<Protocol> = match &spec.protocol {
            None => Some(Protocol::Tcp),
            Some(text) => text.parse().ok(),
        };
        if protocol.is_none() {
            self.tell("condition.protocol must be \"tcp\" or \"udp\"");
        }
        let namespace = spec.namespace.as_deref().unwrap_or(OWN_NAMESPACE);
        let length = namespace.chars().count();
        if !(1..=NAME_CHARS_MAX).contains(&length) || has_control(namespace) {
            self.tell(format!(
                "condition.namespace must be a text of 1 to {NAME_CHARS_MAX} characters without control characters"
            ));
            return None;
        }
        Some(SpaceFilter {
            protocol: protocol?,
            namespace: namespace.to_owned(),
        })
    }

    fn event(&mut self, event: &str, within: Option<&str>) -> Option<Condition> {
        let within = self.span("condition.within", within.unwrap_or("10m"), (MINUTE, DAY));
        let read = event.rsplit_once('/').and_then(|(source, code)| {
            let is_good =
                (1..=NAME_CHARS_MAX).contains(&source.chars().count()) && !has_control(source);
            is_good.then_some((source, code.parse::<u32>().ok()?))
        });
        let Some((source, code)) = read else {
            self.tell(format!(
                "condition.event is {}; write SOURCE/ID, as in Tcpip/4231",
                shown(event)
            ));
            return None;
        };
        Some(Condition::Event {
            source: source.to_owned(),
            code,
            within: within?,
        })
    }

    fn incident(&mut self, kind: &str) -> Option<Condition> {
        if !runbook::codes().any(|known| known == kind) {
            self.tell(format!(
                "condition.incident is {}, which is no kind of incident; there are leak, churn, load, saturated, {}, and every rule of docs/DIAGNOSIS.md",
                shown(kind),
                runbook::OTHER_KINDS.join(", ")
            ));
            return None;
        }
        Some(Condition::Incident {
            kind: kind.to_owned(),
        })
    }

    fn ladder(&mut self, specs: &[RungSpec], approval: PolicyApproval) -> Option<Vec<Rung>> {
        if !(1..=LADDER_RUNGS_MAX).contains(&specs.len()) {
            self.tell(format!(
                "ladder has {} rungs; it must have 1 to {LADDER_RUNGS_MAX}",
                specs.len()
            ));
            return None;
        }
        let before = self.0.len();
        let mut ladder: Vec<Rung> = Vec::with_capacity(specs.len());
        for (index, spec) in specs.iter().enumerate() {
            let at = format!("ladder[{index}]");
            let wait = self.span(&format!("{at}.wait"), &spec.wait, (Duration::ZERO, DAY));
            let deed = deed(spec).map_err(|why| self.tell(format!("{at}.{why}")));
            let (Some(wait), Ok(deed)) = (wait, deed) else {
                continue;
            };
            if let Some(same) = ladder.iter().position(|rung| rung.deed == deed) {
                self.tell(format!(
                    "{at} does the same as ladder[{same}]; what was in vain once is not tried again, leave one out"
                ));
            }
            let tier = deed.kind().tier();
            if approval == PolicyApproval::ByPolicy && tier > Tier::Reversible {
                self.tell(format!(
                    "{at}.action {} is of tier {}; approval = \"by_policy\" is for tiers 0 and 1, take \"required\"",
                    deed.kind().as_str(),
                    tier.number()
                ));
            }
            ladder.push(Rung { deed, wait });
        }
        (self.0.len() == before).then_some(ladder)
    }
}

fn deed(spec: &RungSpec) -> Result<RungDeed, String> {
    let is_long = |word: &String| word.chars().count() > WORD_CHARS_MAX;
    if spec.with.len() > WORDS_MAX || spec.with.iter().any(is_long) {
        return Err(format!(
            "with must have at most {WORDS_MAX} words of at most {WORD_CHARS_MAX} characters"
        ));
    }
    match spec.subject.as_deref() {
        None => ready(&spec.action, &spec.with).map(RungDeed::Ready),
        Some("culprit") => of_culprit(spec),
        Some(other) => Err(format!(
            "subject is {}; the only one is \"culprit\", others are written into with",
            shown(other)
        )),
    }
}

fn ready(kind: &str, words: &[String]) -> Result<ActionSpec, String> {
    let spec = ActionSpec::from_words(kind, words).map_err(|error| format!("action: {error}"))?;
    let problems: Vec<String> = spec.problems().iter().map(ToString::to_string).collect();
    if problems.is_empty() {
        Ok(spec)
    } else {
        Err(format!("with: {}", problems.join("; ")))
    }
}

fn of_culprit(spec: &RungSpec) -> Result<RungDeed, String> {
    let kind = ActionKind::from_name(&spec.action);
    if kind == Some(ActionKind::EndProcess) && spec.with.is_empty() {
        return Ok(RungDeed::EndCulprit);
    }
    let names_service = |word: &String| word.starts_with("service=");
    if kind == Some(ActionKind::RestartService) && !spec.with.iter().any(names_service) {
        let mut words = spec.with.clone();
        words.push("service=culprit".to_owned());
        if let ActionSpec::RestartService {
            stop_timeout_s,
            on_hang,
            ..
        } = ready(&spec.action, &words)?
        {
            return Ok(RungDeed::RestartCulprit {
                stop_timeout_s,
                on_hang,
            });
        }
    }
    Err(
        "subject \"culprit\" is for restart_service without service=, and for end_process without words; name what is meant in with"
            .to_owned(),
    )
}

fn has_control(text: &str) -> bool {
    text.chars().any(char::is_control)
}

/// A caller's text, quoted and cut.
fn shown(text: &str) -> String {
    format!("{:?}", text.chars().take(64).collect::<String>())
}
