//! Rules 1 and 2: no port can be had, by the probes, by the system's own events, or because all are in use.

use tidemark_model::finding::Rule;
use tidemark_model::sample::EventHit;
use tidemark_model::{Finding, PortSpaceKey, Protocol};

use crate::View;
use crate::case::Case;
use crate::events::{self, TCP_EXHAUSTED, UDP_EXHAUSTED};
use crate::evidence::{grouped, percent};
use crate::playbook::{collect_evidence, restart, widen_range};
use crate::space::{Refusal, SpaceView};

/// An event confirms what the gauge says from here on (rule 1).
const LEVEL_WITH_EVENT: f64 = 0.95;
/// Without probes and events the gauge alone says it from here on (detection.md, 4).
const LEVEL_ALONE: f64 = 0.985;
/// Ports that a DNS server holds by design, of both families together (windows.md, 8).
pub(super) const DNS_POOL_PORTS: u32 = 2 * 2_500;

pub(super) fn tcp(view: &View<'_>) -> Vec<Finding> {
    find(view, Protocol::Tcp, Rule::TcpExhaustion)
}

pub(super) fn udp(view: &View<'_>) -> Vec<Finding> {
    find(view, Protocol::Udp, Rule::UdpExhaustion)
}

fn find(view: &View<'_>, protocol: Protocol, rule: Rule) -> Vec<Finding> {
    let hits = view.events.of_id(match protocol {
        Protocol::Tcp => TCP_EXHAUSTED,
        Protocol::Udp => UDP_EXHAUSTED,
    });
    let spaces = view.spaces.iter().filter(|s| s.key.protocol == protocol);
    let mut findings: Vec<Finding> = spaces
        .filter_map(|space| {
            // The system's events name the pool of the host's own namespace.
            let is_own = *space.key == PortSpaceKey::own(protocol);
            let hits = if is_own { hits.as_slice() } else { &[] };
            in_space(view, space, hits, rule)
        })
        .collect();
    if view.spaces.is_empty() && !hits.is_empty() {
        findings.push(by_log_alone(view, protocol, rule, &hits));
    }
    findings
}

fn in_space(
    view: &View<'_>,
    space: &SpaceView<'_>,
    hits: &[&EventHit],
    rule: Rule,
) -> Option<Finding> {
    let level = space.level();
    let name = name(space.key.protocol);
    let gone = format!("No {name} port can be had: applications fail to connect");
    let case = match space.refusal() {
        Refusal::Confirmed => Case::new(rule, 0.97, gone),
        Refusal::Once => Case::new(rule, 0.97, gone).lacks("a second round of probes"),
        _ if !hits.is_empty() && level >= LEVEL_WITH_EVENT => Case::new(rule, 0.95, gone),
        _ if !hits.is_empty() => {
            let over = format!(
                "The system refused {name} ports in the last day, in a burst or for a while"
            );
            let reason = format!("{} of the ports were in use when looked at", percent(level));
            Case::new(rule, 0.95, over).weigh(0.5, &reason)
        }
        Refusal::Unknown if level >= LEVEL_ALONE && space.capacity() > 0 => {
            Case::new(rule, 0.97, gone).lacks("probes that ask for a port")
        }
        Refusal::No | Refusal::Unknown => return None,
    };
    let since = hits.first().map(|hit| hit.at).or_else(|| {
        let limit = f64::from(space.capacity()) * LEVEL_WITH_EVENT;
        space.series(|s| s.in_use()).since_at_least(limit)
    });
    let mut case = case
        .in_space(space)
        .since(since)
        .seen(format!(
            "{} of {} {name} ports are in use ({}), {} of them by TIME_WAIT alone.",
            grouped(space.newest.in_use()),
            grouped(space.capacity()),
            percent(level),
            grouped(space.newest.time_wait_only)
        ))
        .seen_all(space.is_refused().then(|| {
            "The agent's own try to bind a port failed with what applications get.".to_owned()
        }))
        .seen_all(events::sentence(hits))
        .seen_all(space.top_owners_sentence())
        .step(collect_evidence())
        .step(widen_range(view.situation.os, space.key.protocol));
    if level >= LEVEL_WITH_EVENT || space.is_refused() {
        case = case.critical();
    }
    if space.key.protocol == Protocol::Udp
        && let Some((owner, _)) = space.top_owner(|owner| owner.counts.ports)
        && !is_dns_pool(&owner.process.name, owner.counts.ports)
    {
        case = case.step(restart(
            &owner.process,
            "names resolve, and its UDP ports are few",
        ));
    }
    Some(case.finish())
}

fn by_log_alone(view: &View<'_>, protocol: Protocol, rule: Rule, hits: &[&EventHit]) -> Finding {
    let title = format!("The system refused {} ports", name(protocol));
    let mut case = Case::new(rule, 0.95, title)
        .lacks("a sample of the time: who held the ports is not in the log")
        .since(hits.first().map(|hit| hit.at))
        .critical()
        .seen_all(events::sentence(hits))
        .step(collect_evidence())
        .step(widen_range(view.situation.os, protocol));
    case = case.advise(
        "Run tidemark-agent doctor on the host while it lasts",
        "the report names a cause",
    );
    let mut finding = case.finish();
    finding.port_space = Some(PortSpaceKey::own(protocol).to_string());
    finding
}

/// Whether this is the socket pool that DNS servers hold against forged answers (MS08-037).
pub(super) fn is_dns_pool(image: &str, ports: u32) -> bool {
    const SERVERS: [&str; 5] = ["dns.exe", "named", "unbound", "pdns_recursor", "dnsmasq"];
    ports <= DNS_POOL_PORTS && SERVERS.iter().any(|name| image.eq_ignore_ascii_case(name))
}

const fn name(protocol: Protocol) -> &'static str {
    match protocol {
        Protocol::Tcp => "TCP",
        Protocol::Udp => "UDP",
    }
}
