//! A finding in the making: starts with the confidence of a rule whose conditions were all measured; what could not be
//! measured lowers it and says what is missing, and nothing silences it.

use std::net::SocketAddr;
use std::time::Duration;

use tidemark_model::action::ActionKind;
use tidemark_model::finding::{PlaybookStep, Rule, Severity};
use tidemark_model::host::Capability;
use tidemark_model::sample::{DestinationSample, ProcessIdentity};
use tidemark_model::{Finding, Timestamp};

use crate::series::Growth;
use crate::situation::Situation;
use crate::space::SpaceView;

/// What is left of the confidence for each condition that could not be measured.
const UNMEASURED: f64 = 0.6;
/// What is left where growth was seen, but over a shorter time than the rule asks for.
const GLIMPSED: f64 = 0.85;
/// No more than this is ever sure, and no less is ever said.
const CONFIDENCE: std::ops::RangeInclusive<f64> = 0.05..=0.99;

#[derive(Debug)]
pub(crate) struct Case {
    finding: Finding,
}

impl Case {
    /// A case of a rule all of whose conditions were measured, as far as the calls that follow do not say otherwise.
    pub(crate) fn new(rule: Rule, confidence: f64, title: String) -> Self {
        Self {
            finding: Finding {
                rule,
                title,
                severity: Severity::Warning,
                confidence,
                confidence_reasons: vec![format!(
                    "{confidence:.2}: what the rule asks for was seen"
                )],
                culprit: None,
                process: None,
                port_space: None,
                evidence: Vec::new(),
                since_ms: None,
                missing: Vec::new(),
                caused_by: None,
                effects: Vec::new(),
                playbook: Vec::new(),
            },
        }
    }

    pub(crate) fn in_space(mut self, space: &SpaceView<'_>) -> Self {
        self.finding.port_space = Some(space.key.to_string());
        self
    }

    pub(crate) fn critical(mut self) -> Self {
        self.finding.severity = Severity::Critical;
        self
    }

    pub(crate) fn process(mut self, process: &ProcessIdentity) -> Self {
        self.finding.culprit = Some(process.name.to_string());
        self.finding.process = Some(process.clone());
        self
    }

    pub(crate) fn culprit(mut self, name: &str) -> Self {
        self.finding.culprit = Some(name.to_owned());
        self
    }

    pub(crate) fn destination(self, to: &DestinationSample) -> Self {
        let endpoint = SocketAddr::new(to.remote_address, to.remote_port);
        self.culprit(&endpoint.to_string())
    }

    pub(crate) fn seen(mut self, sentence: String) -> Self {
        self.finding.evidence.push(sentence);
        self
    }

    pub(crate) fn seen_all(mut self, sentences: impl IntoIterator<Item = String>) -> Self {
        self.finding.evidence.extend(sentences);
        self
    }

    pub(crate) fn since(mut self, at: Option<Timestamp>) -> Self {
        self.finding.since_ms = at;
        self
    }

    /// Lowers or raises the confidence for a reason.
    pub(crate) fn weigh(mut self, factor: f64, reason: &str) -> Self {
        self.finding.confidence *= factor;
        self.finding
            .confidence_reasons
            .push(format!("x {factor:.2}: {reason}"));
        self
    }

    /// A condition could not be measured; `what` would make it sure.
    pub(crate) fn lacks(mut self, what: &str) -> Self {
        self.finding.missing.push(what.to_owned());
        self.weigh(UNMEASURED, &format!("not measured: {what}"))
    }

    /// Lowers the confidence when the agent cannot see something that matters here.
    pub(crate) fn needs(self, situation: &Situation, capability: Capability) -> Self {
        if situation.can_see(capability) {
            return self;
        }
        self.lacks(match capability {
            Capability::BoundSockets => {
                "a list of bound sockets (Windows 8.1/2012 R2 with KB3123245 and later, Linux 6.8 and later)"
            }
            Capability::AllOwners => {
                "the processes of all users: run the agent as root, or as an administrator"
            }
            Capability::AllNamespaces => "the other network namespaces: `namespaces = \"all\"`",
            Capability::Events => "the event log of this host, or a copy of it: `--evtx FILE`",
            Capability::Netsh => "`netsh`, which does not answer on this host",
            Capability::Wmi => "WMI, which does not answer on this host",
        })
    }

    /// Says how sure it is that something grows; `None` when it is sure that it does not.
    pub(crate) fn grows(self, growth: Growth, needed: Duration) -> Option<Self> {
        let minutes = needed.as_secs() / 60;
        match growth {
            Growth::Measured(_) => Some(self),
            Growth::Glimpsed(_) => Some(
                self.missed(format!("samples of {minutes} minutes instead of a glimpse"))
                    .weigh(
                        GLIMPSED,
                        "it grows, seen over a shorter time than the rule asks for",
                    ),
            ),
            Growth::Unknown => {
                Some(self.lacks(&format!("whether it grows: samples of {minutes} minutes")))
            }
            Growth::Absent => None,
        }
    }

    fn missed(mut self, what: String) -> Self {
        self.finding.missing.push(what);
        self
    }

    pub(crate) fn step(mut self, step: PlaybookStep) -> Self {
        self.finding.playbook.push(step);
        self
    }

    /// A step that a person does.
    pub(crate) fn advise(self, text: &str, verify: &str) -> Self {
        self.step(PlaybookStep {
            text: text.to_owned(),
            tier: 0,
            action: None,
            disturbs: "nothing by itself".to_owned(),
            verify: verify.to_owned(),
        })
    }

    pub(crate) fn reboot(self, verify: &str) -> Self {
        self.step(PlaybookStep {
            text: "Reboot the host in its next window".to_owned(),
            tier: 3,
            action: Some(ActionKind::Reboot),
            disturbs: "everything on the host for some minutes".to_owned(),
            verify: verify.to_owned(),
        })
    }

    pub(crate) fn finish(mut self) -> Finding {
        let clamped = self
            .finding
            .confidence
            .clamp(*CONFIDENCE.start(), *CONFIDENCE.end());
        self.finding.confidence = (clamped * 100.0).round() / 100.0;
        self.finding
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NEEDED: Duration = Duration::from_secs(1_800);

    fn case() -> Case {
        Case::new(Rule::BoundLeak, 0.9, "it leaks".to_owned())
    }

    #[test]
    fn what_is_missing_lowers_the_confidence_and_is_named() {
        let situation = Situation::new("Linux 6.1");
        let finding = case()
            .needs(&situation, Capability::BoundSockets)
            .grows(Growth::Unknown, NEEDED)
            .unwrap()
            .finish();
        assert_eq!(finding.confidence, 0.32);
        assert_eq!(finding.missing.len(), 2);
        assert_eq!(finding.confidence_reasons.len(), 3);
    }

    #[test]
    fn only_growth_that_is_known_to_be_absent_ends_a_case() {
        assert!(case().grows(Growth::Absent, NEEDED).is_none());
        let glimpsed = case().grows(Growth::Glimpsed(4.0), NEEDED).unwrap();
        assert_eq!(glimpsed.finish().confidence, 0.77);
    }
}
