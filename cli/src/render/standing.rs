//! How a host and its port spaces stand: what needs attention first.

use std::cmp::Ordering;

use tidemark_model::Timestamp;
use tidemark_model::view::{HostView, PortSpaceView};

use super::paint::Tone;

/// How urgent something is, the calmest first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Urgency {
    /// Nothing is known.
    Unknown,
    /// As it should be.
    Calm,
    /// Worth watching.
    Watch,
    /// Needs somebody.
    Urgent,
}

/// Ports run out within this: the warning time that the forecast is made for.
const URGENT_WITHIN_MS: i64 = 24 * 3_600_000;

/// Shares of the capacity in use from which a level alone is worth watching (the usual threshold) and urgent.
const WATCH_SHARE: f64 = 0.80;
const URGENT_SHARE: f64 = 0.95;

impl Urgency {
    /// Its colour.
    pub const fn tone(self) -> Tone {
        match self {
            Self::Unknown => Tone::Muted,
            Self::Calm => Tone::Good,
            Self::Watch => Tone::Watch,
            Self::Urgent => Tone::Bad,
        }
    }

    /// Its shape.
    pub const fn mark(self) -> &'static str {
        match self {
            Self::Unknown => "?",
            Self::Calm => " ",
            Self::Watch => "△",
            Self::Urgent => "▲",
        }
    }
}

/// The share of a port space's capacity that is in use; `None` when the capacity is unknown.
pub fn share(space: &PortSpaceView) -> Option<f64> {
    (space.capacity > 0).then(|| f64::from(space.in_use) / f64::from(space.capacity))
}

/// Ports that can still be handed out.
pub const fn headroom(space: &PortSpaceView) -> u32 {
    space.capacity.saturating_sub(space.in_use)
}

/// How urgent a port space is.
pub fn urgency(space: &PortSpaceView, now: Timestamp) -> Urgency {
    let Some(share) = share(space) else {
        return Urgency::Unknown;
    };
    let soon = space
        .eta_ms
        .is_some_and(|eta_ms| eta_ms.saturating_sub(now.unix_ms()) <= URGENT_WITHIN_MS);
    if soon || is_full(space) {
        Urgency::Urgent
    } else if space.eta_ms.is_some() || share >= WATCH_SHARE {
        Urgency::Watch
    } else {
        Urgency::Calm
    }
}

/// Which port space is worse: `Less` when `left` is. Those that are all but full come first, whatever is forecast, then
/// the soonest exhaustion, then the largest share in use.
pub fn worse(left: &PortSpaceView, right: &PortSpaceView) -> Ordering {
    let eta = |space: &PortSpaceView| {
        if is_full(space) {
            i64::MIN
        } else {
            space.eta_ms.unwrap_or(i64::MAX)
        }
    };
    eta(left).cmp(&eta(right)).then_with(|| fuller(left, right))
}

fn is_full(space: &PortSpaceView) -> bool {
    share(space).is_some_and(|share| share >= URGENT_SHARE)
        || space.road.as_deref() == Some("saturated")
}

/// Which port space is fuller: `Less` when `left` is.
pub fn fuller(left: &PortSpaceView, right: &PortSpaceView) -> Ordering {
    let share = |space: &PortSpaceView| share(space).unwrap_or(-1.0);
    share(right).total_cmp(&share(left))
}

/// The port space of a host that matters most; `None` before its first sample.
pub fn worst(host: &HostView) -> Option<&PortSpaceView> {
    host.port_spaces
        .iter()
        .min_by(|left, right| worse(left, right))
}

/// A host's state with its shape, as in `● online`.
pub fn state_word(state: &str) -> String {
    let mark = match state {
        "online" => "●",
        "stale" => "◐",
        "offline" => "○",
        "quarantined" => "◆",
        "revoked" => "×",
        _ => "?",
    };
    format!("{mark} {state}")
}

/// A host's state as a colour.
pub fn state_tone(state: &str) -> Tone {
    match state {
        "online" => Tone::Good,
        "stale" => Tone::Watch,
        "offline" | "quarantined" => Tone::Bad,
        _ => Tone::Muted,
    }
}

/// A port space by a short name: the namespace only where it is not the agent's own.
pub fn space_name(protocol: &str, namespace: &str) -> String {
    if namespace == tidemark_model::port::OWN_NAMESPACE {
        protocol.to_owned()
    } else {
        format!("{protocol}/{namespace}")
    }
}
