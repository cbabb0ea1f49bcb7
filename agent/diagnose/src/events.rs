//! The events of a host's log as rules ask for them: by source and id, never by text, which is localised.

use std::time::Duration;

use tidemark_model::sample::EventHit;
use tidemark_model::{Sample, Timestamp};

use crate::situation::Situation;

/// After ports ran out the system falls silent, so that an event of some time ago still counts (windows.md, 2.1.11).
const FRESH: Duration = Duration::from_secs(24 * 3_600);

/// A source and an id in it.
pub(crate) type Id = (&'static str, u32);

/// No TCP port; no UDP port; the local endpoint was used too recently.
pub(crate) const TCP_EXHAUSTED: Id = ("Tcpip", 4_231);
pub(crate) const UDP_EXHAUSTED: Id = ("Tcpip", 4_266);
pub(crate) const COLLISION: Id = ("Tcpip", 4_227);
/// Closing a socket takes too long: a driver.
pub(crate) const SLOW_CLOSE: Id = ("AFD", 16_002);
/// A TDI filter is in the way.
pub(crate) const TDI_FILTER: Id = ("AFD", 16_001);

/// Everything that a rule asks for.
const ASKED_FOR: [Id; 21] = [
    TCP_EXHAUSTED,
    UDP_EXHAUSTED,
    COLLISION,
    SLOW_CLOSE,
    TDI_FILTER,
    ("NETLOGON", 5_719),
    ("Microsoft-Windows-GroupPolicy", 1_129),
    ("Microsoft-Windows-DNS-Client", 8_015),
    ("srv", 2_017),
    ("srv", 2_019),
    ("srv", 2_020),
    ("Microsoft-Windows-Resource-Exhaustion-Detector", 2_004),
    ("MSSQLSERVER", 26_023),
    ("MSSQLSERVER", 17_182),
    ("MSSQLSERVER", 26_075),
    ("Service Control Manager", 7_000),
    ("Service Control Manager", 7_023),
    ("Service Control Manager", 7_024),
    ("Service Control Manager", 7_031),
    ("Service Control Manager", 7_034),
    ("Application Error", 1_000),
];

/// Whether a rule asks for events like this one.
#[must_use]
pub fn is_asked_for(hit: &EventHit) -> bool {
    is_any(hit, &ASKED_FOR)
}

fn is_any(hit: &EventHit, ids: &[Id]) -> bool {
    ids.iter()
        .any(|(source, code)| hit.code == *code && hit.source.eq_ignore_ascii_case(source))
}

/// The events that are recent enough to matter.
pub(crate) struct Events<'a> {
    /// Oldest first.
    fresh: Vec<&'a EventHit>,
}

impl<'a> Events<'a> {
    /// Fresh is what happened in the day before the newest sample; without samples the whole log is looked at.
    pub(crate) fn of(situation: &'a Situation, samples: &[&Sample]) -> Self {
        let from = samples.last().map(|sample| sample.at.saturating_sub(FRESH));
        let mut fresh: Vec<&EventHit> = situation
            .events
            .iter()
            .filter(|hit| from.is_none_or(|from| hit.at >= from))
            .collect();
        fresh.sort_by(|a, b| (a.at, &a.source, a.code).cmp(&(b.at, &b.source, b.code)));
        Self { fresh }
    }

    /// Those of one id.
    pub(crate) fn of_id(&self, id: Id) -> Vec<&'a EventHit> {
        self.of_ids(&[id])
    }

    /// Those of any of the ids.
    pub(crate) fn of_ids(&self, ids: &[Id]) -> Vec<&'a EventHit> {
        let wanted = self.fresh.iter().filter(|hit| is_any(hit, ids));
        wanted.copied().collect()
    }
}

/// `Tcpip 4231 was logged 14 times, first at 2026-01-05T08:00:00Z, last at ...`.
pub(crate) fn sentence(hits: &[&EventHit]) -> Option<String> {
    let (first, last) = (hits.first()?, hits.last()?);
    let times = hits
        .iter()
        .fold(0_u32, |sum, hit| sum.saturating_add(hit.count));
    let id = format!("{} {}", first.source, first.code);
    Some(if times == 1 {
        format!("{id} was logged at {}.", time(first.at))
    } else {
        let times = crate::evidence::grouped(times);
        let (first, last) = (time(first.at), time(last.at));
        format!("{id} was logged {times} times, first at {first}, last at {last}.")
    })
}

/// `2026-01-05T08:00:00Z`.
pub(crate) fn time(at: Timestamp) -> String {
    jiff::Timestamp::from_millisecond(at.unix_ms()).map_or_else(
        |_| format!("{} ms after 1970", at.unix_ms()),
        |at| format!("{at:.0}"),
    )
}
