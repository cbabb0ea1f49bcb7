//! Facts that deserve a look: what an operator should see marked in a list of settings. Diagnosis proper weighs them against samples.

use std::collections::BTreeSet;

use super::{FactKey, FactName, HostAudit};
use crate::port::{PortRange, Protocol};

/// Ports of the dynamic range that Windows ships (KB929851) and that no server should have less of.
pub const DYNAMIC_PORTS_MIN: u32 = 16_384;
/// Share of the dynamic range that exclusions may take before it is worth a mark, in percent.
pub const EXCLUDED_PERCENT_MIN: u32 = 20;
/// Least `TcpTimedWaitDelay` that Windows takes, in seconds.
const TIMED_WAIT_DELAY_SECONDS_MIN: u64 = 30;
/// Years after which a network driver is worth a look.
const DRIVER_YEARS_MAX: i64 = 5;
const MS_PER_YEAR: i64 = 31_556_952_000;

/// A fact that deserves a look, and why.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Concern {
    /// Which.
    pub key: FactKey,
    /// One sentence.
    pub text: String,
}

/// Every fact of an audit that deserves a look. What is unknown is none.
#[must_use]
pub fn concerns(audit: &HostAudit) -> Vec<Concern> {
    let mut found = Vec::new();
    small_ranges(audit, &mut found);
    registry(audit, &mut found);
    templates(audit, &mut found);
    exclusions(audit, &mut found);
    chimney(audit, &mut found);
    old_drivers(audit, &mut found);
    found
}

fn small_ranges(audit: &HostAudit, found: &mut Vec<Concern>) {
    let names = [
        FactName::DynamicRange,
        FactName::DynamicRangeTcpV4,
        FactName::DynamicRangeTcpV6,
        FactName::DynamicRangeUdpV4,
        FactName::DynamicRangeUdpV6,
    ];
    for name in names {
        if let Some([range]) = audit.ranges(name)
            && range.size() < DYNAMIC_PORTS_MIN
        {
            let text = format!(
                "{} dynamic ports; {DYNAMIC_PORTS_MIN} are usual",
                range.size()
            );
            found.push(concern(name, text));
        }
    }
}

fn registry(audit: &HostAudit, found: &mut Vec<Concern>) {
    if let Some(port) = audit.number(FactName::MaxUserPort) {
        let text = format!(
            "MaxUserPort is set: from the next boot on the dynamic range ends at {port}, whatever netsh set"
        );
        found.push(concern(FactName::MaxUserPort, text));
    }
    if let Some(seconds) = audit.number(FactName::TimedWaitDelaySeconds)
        && seconds < TIMED_WAIT_DELAY_SECONDS_MIN
    {
        let text = format!(
            "{seconds} s lies below the {TIMED_WAIT_DELAY_SECONDS_MIN} s that Windows takes"
        );
        found.push(concern(FactName::TimedWaitDelaySeconds, text));
    }
}

fn templates(audit: &HostAudit, found: &mut Vec<Concern>) {
    let ranges: Vec<_> = audit
        .items(FactName::TemplateDynamicRange)
        .filter_map(|(item, state)| match state.ranges()? {
            [range] => Some((item, *range)),
            _ => None,
        })
        .collect();
    let different: BTreeSet<PortRange> = ranges.iter().map(|(_, range)| *range).collect();
    if different.len() > 1 {
        found.extend(ranges.iter().map(|(item, range)| Concern {
            key: FactKey::of_item(FactName::TemplateDynamicRange, item),
            text: format!("the TCP templates have different dynamic ranges; this one {range}"),
        }));
    }
}

fn exclusions(audit: &HostAudit, found: &mut Vec<Concern>) {
    let reserved = (FactName::ReservedPorts, Protocol::Tcp);
    let lists = [
        (FactName::ExcludedTcpV4, Protocol::Tcp),
        (FactName::ExcludedTcpV6, Protocol::Tcp),
        (FactName::ExcludedUdpV4, Protocol::Udp),
        (FactName::ExcludedUdpV6, Protocol::Udp),
        reserved,
    ];
    for (name, protocol) in lists {
        let (Some(range), Some(excluded)) = (audit.dynamic_range(protocol), audit.ranges(name))
        else {
            continue;
        };
        let taken = taken(range, excluded);
        if taken * 100 >= range.size() * EXCLUDED_PERCENT_MIN {
            let percent = taken * 100 / range.size();
            let text = format!(
                "takes {taken} of {} dynamic ports ({percent} %)",
                range.size()
            );
            found.push(concern(name, text));
        }
    }
}

/// How many ports of `range` the `excluded` ones take, which may overlap.
fn taken(range: PortRange, excluded: &[PortRange]) -> u32 {
    let mut parts: Vec<PortRange> = excluded
        .iter()
        .filter_map(|part| PortRange::new(part.first.max(range.first), part.last.min(range.last)))
        .collect();
    parts.sort_unstable();
    let mut next_free = u32::from(range.first);
    let mut taken = 0;
    for part in parts {
        let first = u32::from(part.first).max(next_free);
        let end = u32::from(part.last) + 1;
        taken += end.saturating_sub(first);
        next_free = next_free.max(end);
    }
    taken
}

fn chimney(audit: &HostAudit, found: &mut Vec<Concern>) {
    if let Some(state @ ("enabled" | "automatic")) = audit.text(FactName::Chimney) {
        let text = format!("chimney offload is {state}: connections live in the card's driver");
        found.push(concern(FactName::Chimney, text));
    }
}

fn old_drivers(audit: &HostAudit, found: &mut Vec<Concern>) {
    for (item, state) in audit.items(FactName::NicDriverDate) {
        let Some(year) = state.text().and_then(|date| date.get(..4)?.parse().ok()) else {
            continue;
        };
        let year: i64 = year;
        let taken_in = 1970 + audit.taken_at.unix_ms().div_euclid(MS_PER_YEAR);
        if taken_in - year > DRIVER_YEARS_MAX {
            found.push(Concern {
                key: FactKey::of_item(FactName::NicDriverDate, item),
                text: format!("the driver is from {year}"),
            });
        }
    }
}

const fn concern(name: FactName, text: String) -> Concern {
    Concern {
        key: FactKey::of(name),
        text,
    }
}
