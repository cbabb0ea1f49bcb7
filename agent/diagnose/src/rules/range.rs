//! Rules 9 and 10: the dynamic range is too small, contradicts itself, or takes the fixed ports of services.

use tidemark_model::Finding;
use tidemark_model::finding::Rule;
use tidemark_model::host::Capability;
use tidemark_model::sample::EventHit;

use crate::View;
use crate::case::Case;
use crate::events::{self, Id};
use crate::evidence::{grouped, percent};
use crate::playbook::widen_range;
use crate::space::SpaceView;

/// What Windows ships (windows.md, 1.6).
const DEFAULT_PORTS: u32 = 16_384;
/// What Linux ships (ip-sysctl: 32768 60999).
const LINUX_DEFAULT_PORTS: u32 = 28_232;
/// On Linux a small range is somebody's choice until this share of it is in use.
const LINUX_LEVEL: f64 = 0.5;
/// A range that `MaxUserPort` cuts off here is a disaster.
const MAX_USER_PORT_END: u16 = 5_000;
const OVER_WIDE_START: u16 = 1_025;
const OVER_WIDE_PORTS: u32 = 60_000;
/// SQL Server could not have its port; services that could not start.
const PORT_TAKEN: [Id; 6] = [
    ("MSSQLSERVER", 26_023),
    ("MSSQLSERVER", 17_182),
    ("MSSQLSERVER", 26_075),
    ("Service Control Manager", 7_000),
    ("Service Control Manager", 7_023),
    ("Service Control Manager", 7_024),
];
/// In use already; excluded or in exclusive use.
const PORT_CODES: [&str; 2] = ["10048", "10013"];

pub(super) fn too_small(view: &View<'_>) -> Vec<Finding> {
    let mut spaces = view.spaces.iter();
    spaces
        .by_ref()
        .filter_map(|space| small_range(view, space))
        .chain(contradictions(view))
        .collect()
}

fn small_range(view: &View<'_>, space: &SpaceView<'_>) -> Option<Finding> {
    let range = space.newest.range;
    let is_choice = !view.host.is_windows() && space.level() < LINUX_LEVEL;
    if range.size() >= DEFAULT_PORTS || is_choice {
        return None;
    }
    let title = format!("The dynamic {} range is small", space.key.protocol);
    Some(
        Case::new(Rule::RangeTooSmall, 0.9, title)
            .in_space(space)
            .seen(format!(
                "The range {range} holds {} ports; the system ships {}. {} are in use.",
                grouped(range.size()),
                grouped(if view.host.is_windows() {
                    DEFAULT_PORTS
                } else {
                    LINUX_DEFAULT_PORTS
                }),
                percent(space.level())
            ))
            .step(widen_range(view.situation.os, space.key.protocol))
            .advise(
                "Make the wider range permanent",
                "the range reads as it was set, also after a reboot",
            )
            .finish(),
    )
}

/// `MaxUserPort` and templates that disagree.
fn contradictions(view: &View<'_>) -> Vec<Finding> {
    let mut findings = Vec::new();
    let end = view
        .spaces
        .iter()
        .filter(|space| space.is_tcp())
        .map(|space| space.newest.range.last)
        .min();
    if let (Some(value), Some(end)) = (view.host.max_user_port(), end)
        && end <= MAX_USER_PORT_END
    {
        findings.push(
            Case::new(
                Rule::RangeTooSmall,
                0.95,
                "MaxUserPort cuts the dynamic range off".to_owned(),
            )
            .seen(format!(
                "MaxUserPort is {value}, and the range ends at port {end}."
            ))
            .advise(
                "Delete MaxUserPort, set the range with netsh, and reboot",
                "the range reads as it was set",
            )
            .finish(),
        );
    }
    if let Some(sentence) = view.host.templates_that_disagree() {
        findings.push(
            Case::new(
                Rule::RangeTooSmall,
                0.9,
                "The TCP templates have different dynamic ranges".to_owned(),
            )
            .seen(sentence)
            .advise(
                "Set the same range on every template (Set-NetTCPSetting)",
                "all templates read alike",
            )
            .finish(),
        );
    }
    findings
}

pub(super) fn over_wide(view: &View<'_>) -> Vec<Finding> {
    if !view.host.is_windows() {
        return Vec::new();
    }
    let hits = view.events.of_ids(&PORT_TAKEN);
    let refused: Vec<&EventHit> = hits.into_iter().filter(|hit| says_taken(hit)).collect();
    let is_readable = view.situation.can_see(Capability::Events);
    let tcp = view.spaces.iter().filter(|space| space.is_tcp());
    tcp.filter_map(|space| {
        let range = space.newest.range;
        let is_wide = range.first <= OVER_WIDE_START && range.size() >= OVER_WIDE_PORTS;
        if !is_wide || (refused.is_empty() && is_readable) {
            return None;
        }
        let mut case = Case::new(
            Rule::RangeOverWide,
            0.85,
            "The dynamic range takes the fixed ports of services".to_owned(),
        )
        .in_space(space)
        .seen(format!("The range {range} begins below the ports of services."))
        .seen_all(events::sentence(&refused));
        if refused.is_empty() {
            case = case.needs(view.situation, Capability::Events);
        }
        Some(
            case.lacks("which client holds the service's port")
                .advise(
                    "Exclude the fixed ports: netsh int ipv4 add excludedportrange protocol=tcp startport=PORT numberofports=1",
                    "the service starts",
                )
                .step(widen_range(view.situation.os, space.key.protocol))
                .finish(),
        )
    })
    .collect()
}

/// SQL Server's events say so by their id, those of the service manager by an error code among their values.
fn says_taken(hit: &EventHit) -> bool {
    let values = hit.log.iter().flat_map(|log| &log.data);
    let has_code = |text: &str| PORT_CODES.iter().any(|code| text.contains(code));
    hit.code != 7_000 && hit.code != 7_023 && hit.code != 7_024
        || has_code(&hit.text)
        || values.into_iter().any(|datum| has_code(&datum.value))
}
