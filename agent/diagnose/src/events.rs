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
        let is_one = |hit: &&&EventHit| {
            ids.iter()
                .any(|(source, code)| hit.code == *code && hit.source.eq_ignore_ascii_case(source))
        };
        self.fresh.iter().filter(is_one).copied().collect()
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
