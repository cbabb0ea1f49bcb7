//! Puts findings in order: confidence times severity, and a cause before what follows from it.

use tidemark_model::Finding;
use tidemark_model::finding::{Rule, RuleKind, Severity};

use crate::View;
use crate::space::SpaceView;

/// Ports that run out within so many minutes are critical (windows.md, 9).
const CRITICAL_MINUTES: f64 = 60.0;
/// And so are those that are as good as gone.
const CRITICAL_LEVEL: f64 = 0.95;
/// A cause must be as sure as this to stand before its symptom.
const CAUSE_CONFIDENCE_MIN: f64 = 0.3;
/// What a symptom weighs when its cause is known.
const EXPLAINED: f64 = 0.5;
/// What a setting weighs beside a cause of the same port space.
const SECONDARY: f64 = 0.5;

/// What the order goes by: confidence times severity.
#[must_use]
pub fn weight(finding: &Finding) -> f64 {
    let severity = match finding.severity {
        Severity::Warning => 1.0,
        Severity::Critical => 2.0,
    };
    finding.confidence * severity
}

/// Sets severities, links causes with their symptoms, leaves out what only repeats another, and sorts.
pub(crate) fn link_and_sort(findings: &mut Vec<Finding>, view: &View<'_>) {
    leave_out_repeated(findings);
    for finding in findings.iter_mut() {
        let space = view
            .spaces
            .iter()
            .find(|space| finding.port_space.as_deref() == Some(&*space.key.to_string()));
        if space.is_some_and(is_pressing) && finding.rule.kind() != RuleKind::Setting {
            finding.severity = Severity::Critical;
        }
    }
    link(findings);
    let has_cause = |space: &Option<String>| {
        findings.iter().any(|finding| {
            is_sure_cause(finding) && finding.port_space == *space && space.is_some()
        })
    };
    let order = |finding: &Finding| {
        let factor = match finding.rule.kind() {
            RuleKind::Symptom if finding.caused_by.is_some() => EXPLAINED,
            RuleKind::Setting if has_cause(&finding.port_space) => SECONDARY,
            RuleKind::Cause | RuleKind::Symptom | RuleKind::Setting => 1.0,
        };
        weight(finding) * factor
    };
    let mut ordered: Vec<(f64, Finding)> = findings
        .iter()
        .map(|finding| (order(finding), finding.clone()))
        .collect();
    ordered.sort_by(|(a_order, a), (b_order, b)| {
        b_order.total_cmp(a_order).then_with(|| {
            (a.rule, &a.port_space, &a.culprit).cmp(&(b.rule, &b.port_space, &b.culprit))
        })
    });
    *findings = ordered.into_iter().map(|(_, finding)| finding).collect();
    causes_first(findings);
}

/// Whether somebody should look at once.
fn is_pressing(space: &SpaceView<'_>) -> bool {
    let eta_ms = space
        .trend
        .and_then(|trend| trend.eta)
        .map(|eta| eta.at.ms_since(space.at));
    let is_soon = |minutes: f64| minutes <= CRITICAL_MINUTES;
    let in_use = space.series(tidemark_model::sample::PortSpaceSample::in_use);
    // A glimpse of some seconds is no forecast while most ports are free.
    let measured = (space.level() >= 0.5)
        .then(|| in_use.slope_per_minute())
        .flatten()
        .and_then(|slope| space.minutes_left(slope));
    space.level() >= CRITICAL_LEVEL
        || eta_ms.is_some_and(|ms| is_soon(ms as f64 / 60_000.0))
        || measured.is_some_and(is_soon)
}

fn is_sure_cause(finding: &Finding) -> bool {
    finding.rule.kind() == RuleKind::Cause && finding.confidence >= CAUSE_CONFIDENCE_MIN
}

/// Whether `cause` can be why of `symptom`.
fn explains(cause: &Finding, symptom: &Finding) -> bool {
    is_sure_cause(cause)
        && symptom.rule.kind() == RuleKind::Symptom
        && (symptom.port_space.is_none() || cause.port_space == symptom.port_space)
        // Sockets that are bound go nowhere.
        && !(symptom.rule == Rule::DestinationSaturated
            && matches!(
                cause.rule,
                Rule::BoundLeak | Rule::BoundInactiveLeak | Rule::HiddenOwner
            ))
}

/// The surest cause of each symptom's port space is its cause.
fn link(findings: &mut [Finding]) {
    let causes: Vec<Finding> = findings
        .iter()
        .filter(|f| is_sure_cause(f))
        .cloned()
        .collect();
    let mut links: Vec<(Rule, Option<String>, Option<String>, Rule)> = Vec::new();
    for symptom in findings
        .iter_mut()
        .filter(|f| f.rule.kind() == RuleKind::Symptom && f.caused_by.is_none())
    {
        let best = causes
            .iter()
            .filter(|cause| explains(cause, symptom))
            .max_by(|a, b| {
                let by_confidence = a.confidence.total_cmp(&b.confidence);
                // Of equals the first rule, then the first space and culprit.
                by_confidence.then_with(|| {
                    (b.rule, &b.port_space, &b.culprit).cmp(&(a.rule, &a.port_space, &a.culprit))
                })
            });
        if let Some(best) = best {
            symptom.caused_by = Some(best.rule);
            links.push((
                best.rule,
                best.port_space.clone(),
                best.culprit.clone(),
                symptom.rule,
            ));
        }
    }
    for (rule, space, culprit, effect) in links {
        let cause = findings
            .iter_mut()
            .find(|f| f.rule == rule && f.port_space == space && f.culprit == culprit);
        if let Some(cause) = cause
            && !cause.effects.contains(&effect)
        {
            cause.effects.push(effect);
        }
    }
    for finding in findings {
        finding.effects.sort_unstable();
    }
}

/// A symptom never stands before the cause that it is linked with.
fn causes_first(findings: &mut Vec<Finding>) {
    let (symptoms, mut ordered): (Vec<Finding>, Vec<Finding>) =
        findings.drain(..).partition(|f| f.caused_by.is_some());
    for symptom in symptoms {
        let after_cause = ordered
            .iter()
            .position(|f| {
                Some(f.rule) == symptom.caused_by
                    && (symptom.port_space.is_none() || f.port_space == symptom.port_space)
            })
            .map_or(0, |place| place + 1);
        let by_weight = ordered
            .iter()
            .position(|f| weight(f) < weight(&symptom) * EXPLAINED)
            .unwrap_or(ordered.len());
        ordered.insert(after_cause.max(by_weight), symptom);
    }
    *findings = ordered;
}

/// Rules of which one says all that the other says, and more, of the same port space.
const REPEATED: [(Rule, Rule); 8] = [
    (Rule::BoundLeak, Rule::BoundInactiveLeak),
    // The process's own growth, and on loopback the other end of the same connections.
    (Rule::CloseWaitLeak, Rule::RetryLoop),
    (Rule::CloseWaitLeak, Rule::FinWaitStuck),
    // That the other end is on the same host says less than what goes wrong there.
    (Rule::CloseWaitLeak, Rule::SelfLoop),
    (Rule::SynSentPileUp, Rule::SelfLoop),
    (Rule::RetryLoop, Rule::SelfLoop),
    (Rule::WmiUdpLeak, Rule::UdpLeak),
    (Rule::PoolExhaustion, Rule::HiddenOwner),
];

fn leave_out_repeated(findings: &mut Vec<Finding>) {
    for (whole, part) in REPEATED {
        let spaces: Vec<Option<String>> = findings
            .iter()
            .filter(|finding| finding.rule == whole)
            .map(|finding| finding.port_space.clone())
            .collect();
        findings.retain(|finding| finding.rule != part || !spaces.contains(&finding.port_space));
    }
}
