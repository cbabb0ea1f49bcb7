//! A glance at one sample: whether the rules may have something to say. Costs next to nothing, for whoever has many hosts.

use std::collections::BTreeSet;
use std::sync::Arc;

use tidemark_model::sample::{PortSpaceSample, ProbeOutcome};
use tidemark_model::tcp::TcpState;
use tidemark_model::{Protocol, Sample};

use crate::evidence::share;
use crate::rules::{agent_leak, handles};
use crate::situation::Os;
use crate::space::sockets;

/// Every rule that goes by a level asks for more than this, or for one of the counts below.
const LEVEL_MIN: f64 = 0.2;
const BOUND_MIN: f64 = 0.1;
const CLOSE_WAIT_MIN: u32 = 200;
const SYN_SENT_MIN: u32 = 50;
const CLOSING_MIN: u32 = 500;
const UDP_PORTS_MIN: u32 = 500;
const HANDLES_ABOVE: u32 = 3_000;
/// Rule 13 warns from 470 days on.
const UPTIME_MS_MIN: i64 = 470 * 86_400_000;
/// Ranges that are neither small nor over-wide.
const USUAL_SIZES: std::ops::Range<u32> = 16_384..60_000;

/// Whether it is worth keeping samples of this host for the rules.
#[must_use]
pub fn is_suspect(sample: &Sample) -> bool {
    let is_refused = |outcome| outcome == ProbeOutcome::Exhausted;
    sample.probes.iter().any(|probe| is_refused(probe.outcome))
        || sample.port_spaces.iter().any(is_suspect_space)
}

/// Whether the host looks ill, or is set so that a rule says something although it looks well.
#[must_use]
pub fn needs_a_look(os: Os, sample: &Sample) -> bool {
    let is_windows = os == Os::Windows;
    let up_ms = sample.at.ms_since(sample.booted_at);
    is_suspect(sample)
        || (is_windows && up_ms >= UPTIME_MS_MIN)
        // Only where the tables are left alone.
        || sample.port_spaces.is_empty()
        || sample.port_spaces.iter().any(|space| {
            let size = space.range.size();
            space.capacity < size || (is_windows && !USUAL_SIZES.contains(&size))
        })
}

/// Process images of this sample whose [`handle_medians`](crate::Situation::handle_medians) a rule asks for: most hosts
/// have none.
#[must_use]
pub fn asked_medians(sample: &Sample) -> BTreeSet<Arc<str>> {
    let tcp = sample
        .port_spaces
        .iter()
        .filter(|space| space.key.protocol == Protocol::Tcp);
    tcp.flat_map(|space| &space.owners)
        .filter(|owner| handles::is_suspect(owner))
        .map(|owner| Arc::clone(&owner.process.name))
        .collect()
}

fn is_suspect_space(space: &PortSpaceSample) -> bool {
    let closing =
        sockets(space, TcpState::FinWait2).saturating_add(sockets(space, TcpState::LastAck));
    share(space.in_use(), space.capacity) >= LEVEL_MIN
        || share(space.bound.unwrap_or(0), space.capacity) >= BOUND_MIN
        || (space.key.protocol == Protocol::Udp && space.in_use() >= UDP_PORTS_MIN)
        || sockets(space, TcpState::SynSent) >= SYN_SENT_MIN
        || closing >= CLOSING_MIN
        || space.owners.iter().any(|owner| {
            agent_leak::is_leaking(owner)
                || owner.counts.close_wait >= CLOSE_WAIT_MIN
                || owner.handles.unwrap_or(0) > HANDLES_ABOVE
        })
}
