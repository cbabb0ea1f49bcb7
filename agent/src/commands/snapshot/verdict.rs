//! What one sample says about the ports, in sentences: how bad it is, who holds them, what that usually means.
//!
//! A first look only; a cause needs the history that the controller keeps.

use tidemark_model::Sample;
use tidemark_model::sample::{OwnerSample, PortSpaceSample, ProbeOutcome};

/// From this share on, in per cent, ports are short.
const SHORT_PERCENT: u32 = 80;
/// A process or destination with this share of the ports in use, in per cent, is named.
const CULPRIT_PERCENT: u32 = 30;
/// Fewer ports than this are nobody's fault.
const CULPRIT_PORTS_MIN: u32 = 100;

/// The verdicts, the worst port space first.
pub(super) fn lines(sample: &Sample) -> Vec<String> {
    let mut lines = Vec::new();
    let exhausted: Vec<&str> = sample
        .probes
        .iter()
        .filter(|probe| probe.outcome == ProbeOutcome::Exhausted)
        .map(|probe| probe.kind.as_str())
        .collect();
    if !exhausted.is_empty() {
        lines.push(format!(
            "EXHAUSTED: no port was to be had by {}; applications fail to connect at this moment",
            exhausted.join(", ")
        ));
    }
    let mut spaces: Vec<&PortSpaceSample> = sample.port_spaces.iter().collect();
    spaces.sort_by_key(|space| std::cmp::Reverse(percent_in_use(space)));
    for space in spaces {
        lines.push(space_line(space));
        lines.extend(culprits(space));
    }
    lines
}

/// Share of the capacity that is in use, in whole per cent.
pub(super) fn percent_in_use(space: &PortSpaceSample) -> u32 {
    share(space.in_use(), space.capacity)
}

fn share(part: u32, whole: u32) -> u32 {
    let percent = u64::from(part) * 100;
    u32::try_from(percent.checked_div(u64::from(whole)).unwrap_or(0)).unwrap_or(u32::MAX)
}

fn space_line(space: &PortSpaceSample) -> String {
    let percent = percent_in_use(space);
    let word = match percent {
        100.. => "EXHAUSTED",
        SHORT_PERCENT..100 => "SHORT",
        0..SHORT_PERCENT => "ok",
    };
    format!(
        "{word}: {} has {percent} % of its {} ports in use",
        space.key, space.capacity
    )
}

fn culprits(space: &PortSpaceSample) -> Vec<String> {
    let in_use = space.in_use();
    let stands_out =
        |ports: u32| ports >= CULPRIT_PORTS_MIN && share(ports, in_use) >= CULPRIT_PERCENT;
    let mut lines: Vec<String> = space
        .owners
        .iter()
        .filter(|owner| stands_out(owner.counts.ports))
        .map(owner_line)
        .collect();
    if stands_out(space.time_wait_only) {
        lines.push(format!(
            "  {} ports are in TIME_WAIT alone: connections are opened and closed too often; keep them open or pool them",
            space.time_wait_only
        ));
    }
    let destinations = space.destinations.iter().filter(|to| stands_out(to.ports));
    lines.extend(destinations.map(|to| {
        format!(
            "  {} ports go to {} alone",
            to.ports,
            std::net::SocketAddr::new(to.remote_address, to.remote_port)
        )
    }));
    lines
}

fn owner_line(owner: &OwnerSample) -> String {
    let (process, counts) = (&owner.process, owner.counts);
    let holds = format!(
        "  {} (pid {}) holds {} ports",
        process.name, process.pid, counts.ports
    );
    if share(counts.bound, counts.ports) >= 50 {
        format!(
            "{holds}, {} of them bound but not connected: it leaks sockets, or another step after its bind fails",
            counts.bound
        )
    } else if share(counts.close_wait, counts.ports) >= 50 {
        format!(
            "{holds}, {} of them in CLOSE_WAIT: its peers have closed and it does not; it leaks connections",
            counts.close_wait
        )
    } else {
        holds
    }
}
