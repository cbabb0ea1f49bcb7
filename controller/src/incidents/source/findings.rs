//! Findings of the rules as problems, and as reasons of problems that forecasts see.
//!
//! | a finding | becomes |
//! |---|---|
//! | of a port space that has a problem of its own | the reason of that problem: one trouble is told once |
//! | surer than [`RAISED`], found at every look for `raise_after` | a problem, critical where the rule says so, else a warning |
//! | of a setting, while half of the ports are free | nothing: advice |
//! | less sure; a symptom whose cause is known; a rule of [`told_elsewhere`] | nothing: it is listed with the findings |
//!
//! A port space has one such problem at a time: what is open stays while any rule finds something there. It tells what the rule
//! finds that it told last, or else what matters most, and the others beside it.

use std::collections::{BTreeMap, HashMap};
use std::time::Duration;

use tidemark_model::finding::{Finding, PlaybookStep, Rule, RuleKind};
use tidemark_model::problem::{Problem, ProblemKey, Reason, Severity, Sureness};
use tidemark_model::time::duration_ms;
use tidemark_model::{HostId, Timestamp};

use super::Sight;
use crate::app::App;
use crate::diagnosis;
use crate::diagnosis::seen::{Look, Standing};
use crate::incidents::text::clean;
use crate::live::HostLive;

/// How sure a finding must be to become a problem. A rule starts at 0.75 to 0.97 and a condition that could not be measured
/// takes 0.4 of that: below this line something that the rule asks for is not known.
pub(super) const RAISED: f64 = 0.6;
/// ... and to stay one: a condition that cannot be measured for a while ends nothing.
const STAYS: f64 = 0.4;
/// A setting is advice until this share of the ports that it leaves, in percent, is in use.
const SHORT_PERCENT: u64 = 50;
/// ... and again when less than this is.
const SPARE_PERCENT: u64 = 40;
/// The rules look back this far: a controller that runs for less does not know what its predecessor knew.
const MEMORY: Duration = Duration::from_secs(1_800);

/// Rules that say what another source says: forecasts tell of ports that run out, common causes of hosts that leak alike, and
/// logons that fail are an effect of lost ports or no matter of ports.
const fn told_elsewhere(rule: Rule) -> bool {
    matches!(
        rule,
        Rule::PortsRunOut | Rule::FleetRegression | Rule::DownstreamSymptoms
    )
}

/// The problems of findings that have an incident, by host and what of it they are about.
pub(super) type Open<'a> = HashMap<(HostId, &'a str), &'a Problem>;

/// All problems that findings see, of hosts that are heard: of each port space the one that is `open`, or else the first
/// finding that is sure enough and stood for long enough.
pub(super) fn problems(app: &App, open: &Open<'_>, now: Timestamp) -> Vec<Problem> {
    let seen = app.findings.load();
    let mut problems = Vec::new();
    for (id, look) in &seen.hosts {
        app.live.read(*id, |host| {
            if host.state(now) == "online" {
                let raised_since = now.saturating_sub(app.incident_rules.raise_after);
                let of_host = of_look(look, host, open, raised_since);
                let is_due = |told: &Told<'_>| told.is_open || told.first.since <= raised_since;
                problems.extend(of_host.into_iter().filter(is_due).map(|told| told.problem));
            }
        });
    }
    problems
}

/// What findings see of the problem that a rule found of a host. That there is one is told by [`problems`].
pub(super) fn look(app: &App, host: HostId, now: Timestamp) -> Sight {
    let seen = app.findings.load();
    let is_young = now.ms_since(app.started_at) < duration_ms(MEMORY);
    let look = |live: &HostLive| match live.state(now) {
        "revoked" => Sight::HostGone,
        "online" if live.newest.is_none() || !seen.is_complete => Sight::Unknown,
        // One that looks well is well.
        "online" if !diagnosis::is_suspect(live) => Sight::Clear,
        "online" if is_young || !seen.hosts.contains_key(&host) => Sight::Unknown,
        "online" => Sight::Clear,
        _ => Sight::Unknown,
    };
    app.live.read(host, look).unwrap_or(Sight::HostGone)
}

/// What the diagnosis says of a host's port space, when it is sure enough: the finding that matters most.
pub(super) fn reason(app: &App, host: HostId, space: &str) -> Option<(Reason, Vec<String>)> {
    let seen = app.findings.load();
    let look = seen.hosts.get(&host)?;
    let first = look.found.iter().map(|one| &one.finding).find(|finding| {
        finding.port_space.as_deref() == Some(space)
            && finding.confidence >= RAISED
            && finding.rule.kind() != RuleKind::Symptom
            && !told_elsewhere(finding.rule)
    })?;
    let reason = Reason {
        rule: first.rule.as_str().to_owned(),
        title: clean(&first.title),
        percent: percent(first),
    };
    Some((reason, steps(first)))
}

/// A problem of one port space, or of the host as a whole.
struct Told<'a> {
    first: &'a Standing,
    is_open: bool,
    problem: Problem,
}

/// `raised_since`: what was so at every look from then on is no flicker.
fn of_look<'a>(
    look: &'a Look,
    host: &HostLive,
    open: &Open<'_>,
    raised_since: Timestamp,
) -> Vec<Told<'a>> {
    let mut by_space: BTreeMap<&str, Vec<&Standing>> = BTreeMap::new();
    for found in &look.found {
        let space = found.finding.port_space.as_deref().unwrap_or_default();
        by_space.entry(space).or_default().push(found);
    }
    let of_space = |(space, found): (&str, Vec<&'a Standing>)| {
        let open = open.get(&(host.profile.id, space));
        let raised = |one: &&&Standing| matters(&one.finding, host, (RAISED, SHORT_PERCENT));
        let stays = |one: &&&Standing| {
            open.is_some_and(|open| open.kind == one.finding.rule.as_str())
                && matters(&one.finding, host, (STAYS, SPARE_PERCENT))
        };
        let told = found.iter().find(stays);
        let first = *told.or_else(|| found.iter().find(raised))?;
        let others = found
            .iter()
            .copied()
            .filter(|one| one.finding.rule != first.finding.rule && raised(&one));
        let mut problem = problem(host, first, &others.collect::<Vec<_>>(), raised_since);
        if let Some(open) = open {
            problem.key = open.key.clone();
        }
        Some(Told {
            first,
            is_open: open.is_some(),
            problem,
        })
    };
    by_space.into_iter().filter_map(of_space).collect()
}

/// Whether a finding is more than advice, at that confidence and that share of ports in use.
fn matters(finding: &Finding, host: &HostLive, (confidence, short): (f64, u64)) -> bool {
    if told_elsewhere(finding.rule) || finding.confidence < confidence {
        return false;
    }
    match finding.rule.kind() {
        RuleKind::Cause => true,
        RuleKind::Symptom => finding.caused_by.is_none(),
        RuleKind::Setting => host.spaces.iter().any(|(key, space)| {
            let level = &space.level;
            finding.port_space.as_deref() == Some(&*key.to_string())
                && level.capacity > 0
                && u64::from(level.in_use()).saturating_mul(100)
                    >= u64::from(level.capacity).saturating_mul(short)
        }),
    }
}

fn key(host: HostId, finding: &Finding) -> ProblemKey {
    ProblemKey::Finding {
        host,
        rule: finding.rule.as_str().to_owned(),
        subject: finding.port_space.clone().unwrap_or_default(),
    }
}

fn problem(
    host: &HostLive,
    first: &Standing,
    others: &[&Standing],
    raised_since: Timestamp,
) -> Problem {
    let finding = &first.finding;
    let mut evidence: Vec<String> = finding.evidence.iter().map(|text| clean(text)).collect();
    evidence.extend(others.iter().map(|other| {
        let other = &other.finding;
        format!(
            "Also found: {} ({}, {} % sure).",
            clean(&other.title),
            other.rule.as_str(),
            percent(other)
        )
    }));
    let missing = finding.missing.iter();
    evidence.extend(missing.map(|what| format!("Not known: {}.", clean(what))));
    Problem {
        key: key(host.profile.id, finding),
        kind: finding.rule.as_str().to_owned(),
        hosts: vec![host.profile.id],
        culprit: finding.culprit.as_deref().map(clean),
        cause: clean(&finding.title),
        evidence,
        advice: steps(finding),
        since: finding.since_ms.map_or(first.since, |since| {
            on_controller(host, since).min(first.since)
        }),
        is_exhausted: false,
        eta: None,
        at_least: others
            .iter()
            .chain([&first])
            .map(|found| severity(found, raised_since))
            .max()
            .unwrap_or(Severity::Warning),
        sure: Sureness::Percent(percent(finding)),
        reason: None,
    }
}

/// A page at night is for ports that are gone or will be within the hour, which is what critical means of a finding; by
/// then all that the rule asks for is known, or it would be less sure than [`RAISED`]. It must have been so at every look for
/// as long as a finding must stand: two samples of a host that has just begun to move promise any date.
fn severity(found: &Standing, raised_since: Timestamp) -> Severity {
    match found.critical_since {
        Some(since) if since <= raised_since => Severity::Critical,
        Some(_) | None => Severity::Warning,
    }
}

/// What to do, the least disruptive first.
fn steps(finding: &Finding) -> Vec<String> {
    let step = |step: &PlaybookStep| {
        format!(
            "{}; it disturbs {}, and helped when {}",
            clean(&step.text),
            clean(&step.disturbs),
            clean(&step.verify)
        )
    };
    finding.playbook.iter().map(step).collect()
}

fn percent(finding: &Finding) -> u8 {
    // A confidence is 0 to 1.
    (finding.confidence.clamp(0.0, 1.0) * 100.0).round() as u8
}

/// A time of the host's clock on the controller's.
fn on_controller(host: &HostLive, at: Timestamp) -> Timestamp {
    let skew_ms = host.newest.as_ref().map_or(0, |(on_controller, sample)| {
        sample.at.ms_since(*on_controller)
    });
    Timestamp::from_unix_ms(at.unix_ms().saturating_sub(skew_ms))
}

#[cfg(test)]
mod tests;
