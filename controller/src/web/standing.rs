//! How a host and its port spaces stand, in words and in the order of attention. The command line says the same.

use std::cmp::Ordering;

use tidemark_model::Timestamp;
use tidemark_model::port::OWN_NAMESPACE;
use tidemark_model::view::{HostView, PortSpaceView};

use super::words;

/// Ports run out within this: the warning time that the forecast is made for.
const URGENT_WITHIN_MS: i64 = 24 * 3_600_000;

/// Percent of the capacity in use from which a level alone is worth watching (the usual threshold), and urgent.
const WATCH_PERCENT: u32 = 80;
const URGENT_PERCENT: u32 = 95;

/// How urgent something is, the most urgent first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Urgency {
    /// Needs somebody.
    Urgent,
    /// Worth watching.
    Watch,
    /// Nothing is known.
    Unknown,
    /// As it should be.
    Calm,
}

impl Urgency {
    /// Its name in the style sheet.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Urgent => "urgent",
            Self::Watch => "watch",
            Self::Unknown => "unknown",
            Self::Calm => "calm",
        }
    }
}

/// How urgent a port space is.
#[must_use]
pub fn urgency(space: &PortSpaceView, now: Timestamp) -> Urgency {
    if space.capacity == 0 {
        return Urgency::Unknown;
    }
    let soon = space
        .eta_ms
        .is_some_and(|eta_ms| eta_ms.saturating_sub(now.unix_ms()) <= URGENT_WITHIN_MS);
    let reaches = |percent: u32| {
        u64::from(space.in_use) * 100 >= u64::from(space.capacity) * u64::from(percent)
    };
    if soon || reaches(URGENT_PERCENT) || space.road.as_deref() == Some("saturated") {
        Urgency::Urgent
    } else if space.eta_ms.is_some() || reaches(WATCH_PERCENT) {
        Urgency::Watch
    } else {
        Urgency::Calm
    }
}

/// The port space of a host that matters most; `None` before its first sample.
#[must_use]
pub fn worst(host: &HostView) -> Option<&PortSpaceView> {
    host.port_spaces
        .iter()
        .min_by(|one, other| worse(one, other))
}

/// `Less` when `one` is worse: soonest exhaustion first, then the largest share in use.
#[must_use]
pub fn worse(one: &PortSpaceView, other: &PortSpaceView) -> Ordering {
    let eta = |space: &PortSpaceView| space.eta_ms.unwrap_or(i64::MAX);
    // Shares as fractions, compared by cross products, so that nothing is rounded.
    let fuller = |left: &PortSpaceView, right: &PortSpaceView| {
        let left_share = u64::from(left.in_use) * u64::from(right.capacity.max(1));
        let right_share = u64::from(right.in_use) * u64::from(left.capacity.max(1));
        right_share.cmp(&left_share)
    };
    eta(one).cmp(&eta(other)).then_with(|| fuller(one, other))
}

/// A port space by a short name: the namespace only where it is not the agent's own.
#[must_use]
pub fn space_name(protocol: &str, namespace: &str) -> String {
    let protocol = protocol.to_uppercase();
    if namespace == OWN_NAMESPACE {
        protocol
    } else {
        format!("{protocol} {namespace}")
    }
}

/// Where a host stands in the list of what needs attention: a number, the lower the earlier, that pages can compare.
#[must_use]
pub fn rank(host: &HostView, now: Timestamp) -> i64 {
    /// Room for everything within one group: the ETA in seconds, a century of them.
    const GROUP: i64 = 10_000_000_000;
    let worst = worst(host);
    let urgency = worst.map_or(Urgency::Unknown, |space| urgency(space, now));
    let group = match (&*host.state, urgency) {
        ("revoked", _) => 7,
        ("quarantined", _) => 2,
        ("online", Urgency::Urgent) => 0,
        ("online", Urgency::Watch) => 3,
        ("online", Urgency::Unknown) => 5,
        ("online", Urgency::Calm) => 6,
        // Silent: what it last said may be long over.
        (_, Urgency::Urgent) => 1,
        (_, Urgency::Watch | Urgency::Unknown | Urgency::Calm) => 4,
    };
    let within = worst.map_or(GROUP - 1, |space| match space.eta_ms {
        Some(eta_ms) => (eta_ms.saturating_sub(now.unix_ms()) / 1_000).clamp(0, GROUP / 2),
        None => {
            let free = u64::from(space.capacity.saturating_sub(space.in_use));
            let share = (free * 1_000_000)
                .checked_div(u64::from(space.capacity))
                .unwrap_or(1_000_000);
            GROUP / 2 + i64::try_from(share).unwrap_or(0)
        }
    });
    group * GROUP + within
}

/// When a port space runs out, in words.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EtaWords {
    /// How urgent it is.
    pub urgency: Urgency,
    /// `in 2 h 10 min`, `now`, `nearly full`, `high, no date`, `not in sight`, `learning`, `unknown`.
    pub headline: String,
    /// When, in unix milliseconds; `None` without a time.
    pub at_ms: Option<i64>,
    /// That time of day in UTC.
    pub at_words: String,
    /// `1 h 50 min to 3 h`, `2 h or never`; empty without a time ahead.
    pub interval: String,
}

impl EtaWords {
    /// Of a port space as seen at `now`; `None` stands for a host without a sample.
    #[must_use]
    pub fn of(space: Option<&PortSpaceView>, now: Timestamp) -> Self {
        let words = |urgency, headline: &str| Self {
            urgency,
            headline: headline.to_owned(),
            at_ms: None,
            at_words: String::new(),
            interval: String::new(),
        };
        let Some(space) = space.filter(|space| space.capacity > 0) else {
            return words(Urgency::Unknown, "unknown");
        };
        let urgency = urgency(space, now);
        let Some(eta_ms) = space.eta_ms else {
            return match (urgency, space.floor_ports_per_hour) {
                (Urgency::Urgent, _) => words(urgency, "nearly full"),
                (Urgency::Watch, _) => words(urgency, "high, no date"),
                (Urgency::Calm | Urgency::Unknown, Some(_)) => words(urgency, "not in sight"),
                // Without a trend nothing may be promised.
                (Urgency::Calm | Urgency::Unknown, None) => words(urgency, "learning"),
            };
        };
        if eta_ms <= now.unix_ms() {
            return words(Urgency::Urgent, "now");
        }
        let ahead = |at_ms: i64| words::span(at_ms.saturating_sub(now.unix_ms()));
        let earliest = space.eta_lo_ms.map(ahead);
        let interval = match (earliest, space.eta_hi_ms.map(ahead)) {
            (Some(earliest), Some(latest)) if earliest == latest => String::new(),
            (Some(earliest), Some(latest)) => format!("{earliest} to {latest}"),
            (Some(earliest), None) => format!("{earliest} or never"),
            (None, Some(latest)) => format!("at most {latest}"),
            (None, None) => String::new(),
        };
        Self {
            urgency,
            headline: format!("in {}", ahead(eta_ms)),
            at_ms: Some(eta_ms),
            at_words: words::instant(Timestamp::from_unix_ms(eta_ms), now),
            interval,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Timestamp = Timestamp::from_unix_ms(1_795_395_959_000);

    pub(super) fn space(in_use: u32, eta_in_ms: Option<i64>) -> PortSpaceView {
        PortSpaceView {
            protocol: "tcp".to_owned(),
            namespace: OWN_NAMESPACE.to_owned(),
            capacity: 1_000,
            in_use,
            strong: in_use,
            bound: None,
            time_wait: 0,
            quality: "counted".to_owned(),
            eta_ms: eta_in_ms.map(|ms| NOW.unix_ms() + ms),
            eta_lo_ms: eta_in_ms.map(|ms| NOW.unix_ms() + ms / 2),
            eta_hi_ms: None,
            road: None,
            culprit: None,
            floor_ports_per_hour: Some(0.0),
            explanation: String::new(),
        }
    }

    fn host(state: &str, space: PortSpaceView) -> HostView {
        HostView {
            id: String::new(),
            name: String::new(),
            os: String::new(),
            state: state.to_owned(),
            last_seen_ms: None,
            sampled_ms: None,
            agent_version: String::new(),
            labels: std::collections::BTreeMap::new(),
            port_spaces: vec![space],
            time_zone: None,
            window: None,
            windows_without_zone: vec![],
        }
    }

    #[test]
    fn what_needs_attention_comes_first() {
        let hour = 3_600_000;
        let in_order = [
            host("online", space(500, Some(hour))),
            host("online", space(500, Some(2 * hour))),
            host("online", space(960, None)),
            host("offline", space(500, Some(hour))),
            host("quarantined", space(10, None)),
            host("online", space(500, Some(90 * hour))),
            host("online", space(850, None)),
            host("offline", space(10, None)),
            host("online", space(200, None)),
            host("online", space(100, None)),
            host("revoked", space(999, Some(hour))),
        ];
        let ranks = in_order.map(|host| rank(&host, NOW));
        assert!(ranks.is_sorted(), "{ranks:?}");
    }

    #[test]
    fn an_eta_is_said_with_its_interval() {
        let words = EtaWords::of(Some(&space(500, Some(7_200_000))), NOW);
        assert_eq!(
            (&*words.headline, &*words.interval, &*words.at_words),
            ("in 2 h", "1 h or never", "03:05")
        );
        assert_eq!(
            EtaWords::of(Some(&space(1_000, Some(0))), NOW).headline,
            "now"
        );
        assert_eq!(
            EtaWords::of(Some(&space(1, None)), NOW).headline,
            "not in sight"
        );
        assert_eq!(EtaWords::of(None, NOW).headline, "unknown");
        let mut young = space(1, None);
        young.floor_ports_per_hour = None;
        assert_eq!(EtaWords::of(Some(&young), NOW).headline, "learning");
    }
}
