//! Rule 22: logons, policies and names fail because ports are gone, or although they are not.

use std::time::Duration;

use tidemark_model::Finding;
use tidemark_model::finding::Rule;
use tidemark_model::sample::EventHit;

use crate::View;
use crate::case::Case;
use crate::events::{self, Id, TCP_EXHAUSTED, UDP_EXHAUSTED};
use crate::evidence::share;
use crate::host::Host;
use crate::space::SpaceView;

const STRONG_MIN: f64 = 0.9;
const NEAR: Duration = Duration::from_secs(10 * 60);
/// No domain controller; no group policy; no registration with DNS.
const SYMPTOMS: [Id; 3] = [
    ("NETLOGON", 5_719),
    ("Microsoft-Windows-GroupPolicy", 1_129),
    ("Microsoft-Windows-DNS-Client", 8_015),
];

/// What samples and events say of the ports around a time.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Ports {
    Gone,
    Free,
    Unknown,
}

pub(super) fn find(view: &View<'_>) -> Vec<Finding> {
    let hits = view.events.of_ids(&SYMPTOMS);
    let around = |state: Ports| -> Vec<&EventHit> {
        let fitting = hits.iter().filter(|hit| ports_around(view, hit) == state);
        fitting.copied().collect()
    };
    let mut findings = Vec::new();
    let effects = around(Ports::Gone);
    if !effects.is_empty() {
        let mut finding = case(
            &effects,
            0.9,
            "Logons, policies or names fail because ports are gone",
        )
        .advise(
            "Treat the cause; this passes with it",
            "no such event for an hour after ports are free",
        )
        .finish();
        finding.port_space = fullest(view).map(|space| space.key.to_string());
        findings.push(finding);
        // The rest is the same trouble, seen when nobody looked at the ports.
        return findings;
    }
    let independent = around(Ports::Free);
    let unknown = around(Ports::Unknown);
    let advice = "Look at the domain controllers, DNS and the network to them";
    if !independent.is_empty() {
        let title = "Logons, policies or names fail although ports are free";
        findings.push(
            case(&independent, 0.6, title)
                .seen("Around that time most ports were free.".to_owned())
                .advise(advice, "no such event for an hour")
                .finish(),
        );
    } else if !unknown.is_empty() {
        let title = "Logons, policies or names fail; whether for want of ports is not known";
        findings.push(
            case(&unknown, 0.5, title)
                .lacks("samples within 10 minutes of these events")
                .advise(advice, "no such event for an hour")
                .finish(),
        );
    }
    findings
}

fn case(hits: &[&EventHit], confidence: f64, title: &str) -> Case {
    let by_id = SYMPTOMS.iter().filter_map(|(_, code)| {
        let of_id: Vec<&EventHit> = hits
            .iter()
            .filter(|hit| hit.code == *code)
            .copied()
            .collect();
        events::sentence(&of_id)
    });
    Case::new(Rule::DownstreamSymptoms, confidence, title.to_owned())
        .since(hits.first().map(|hit| hit.at))
        .seen_all(by_id)
}

fn ports_around(view: &View<'_>, hit: &EventHit) -> Ports {
    let refused = view.events.of_ids(&[TCP_EXHAUSTED, UDP_EXHAUSTED]);
    if refused
        .iter()
        .any(|other| Host::is_near(other.at, hit.at, NEAR))
    {
        return Ports::Gone;
    }
    let levels: Vec<f64> = view
        .spaces
        .iter()
        .flat_map(|space| &space.history)
        .filter(|(at, _)| Host::is_near(*at, hit.at, NEAR))
        .map(|(_, sample)| share(sample.strong, sample.capacity))
        .collect();
    match levels.iter().copied().reduce(f64::max) {
        Some(highest) if highest >= STRONG_MIN => Ports::Gone,
        Some(_) => Ports::Free,
        None => Ports::Unknown,
    }
}

fn fullest<'a, 'b>(view: &'b View<'a>) -> Option<&'b SpaceView<'a>> {
    view.spaces.iter().max_by(|a, b| {
        a.level()
            .total_cmp(&b.level())
            .then_with(|| b.key.cmp(a.key))
    })
}
