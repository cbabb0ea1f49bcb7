//! Which process a rise belongs to: ports and handles of the largest holders over time.
//!
//! Knows nothing of verdicts. Bounded by the number of processes; the smallest holder makes room.

mod track;

use std::sync::Arc;

use tidemark_model::Timestamp;

use crate::observation::OwnerReading;

use track::{HANDLES, HANDLES_UNIT, PORTS, Track, Waiting};

pub(crate) use track::Restart;

/// Longest process name kept, in characters.
const NAME_CHARS_MAX: usize = 128;
const DAY_MS: i64 = 86_400_000;

/// Whether what happened at a time counts as usual.
pub(crate) type Usual<'a> = &'a dyn Fn(Timestamp) -> bool;

/// The process that explains a rise.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Culprit {
    pub name: Arc<str>,
    /// Ports (or handles) that it gained.
    pub gain: f64,
    /// Its share of the rise, 0 to 1.
    pub share: f64,
    pub evidence: Evidence,
}

/// How a process was found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Evidence {
    /// Its ports rose.
    Ports,
    /// Its handles rose as the floor did, where bound sockets have no visible owner.
    Handles,
}

/// The largest holders of one port space.
#[derive(Clone, Debug)]
pub(crate) struct Owners {
    tracks: Vec<Track>,
    tracks_max: usize,
    /// Bound of what an unlisted process held at the newest reading.
    unlisted_max: Option<u32>,
    waiting: Waiting,
}

impl Owners {
    pub(crate) const fn new(tracks_max: usize) -> Self {
        Self {
            tracks: Vec::new(),
            tracks_max,
            unlisted_max: None,
            waiting: Waiting::none(),
        }
    }

    /// Takes what the processes hold at `at`; one name's processes are added up.
    pub(crate) fn take(&mut self, at: Timestamp, readings: &[OwnerReading<'_>], unlisted_max: u32) {
        let mut groups = grouped(readings);
        let position = self.waiting.next().unwrap_or_else(|| {
            self.settle();
            0
        });
        let moment = (position, at);
        for track in &mut self.tracks {
            let position = groups
                .iter()
                .position(|group| group.is(track.digest, &track.name));
            match position.map(|position| groups.swap_remove(position)) {
                Some(group) => track.take(moment, &group.whole),
                None => track.take_unlisted(moment, unlisted_max),
            }
        }
        for group in &groups {
            self.admit(moment, group);
        }
        self.waiting.add(at);
        self.unlisted_max = Some(unlisted_max);
    }

    /// Takes what waits into the blocks, before somebody looks at them.
    pub(crate) fn settle(&mut self) {
        self.waiting.settle(&mut self.tracks);
    }

    fn admit(&mut self, moment: (usize, Timestamp), group: &Group<'_>) {
        let reading = &group.whole;
        if self.tracks.len() >= self.tracks_max {
            let smallest = self
                .tracks
                .iter()
                .enumerate()
                .min_by_key(|(_, track)| (track.last_ports, track.last_at))
                .map(|(position, track)| (position, track.last_ports));
            let Some((position, ports)) = smallest else {
                return;
            };
            // Some slack keeps two processes of like size from replacing each other at every reading.
            if reading.ports <= ports.saturating_add(ports / 4).saturating_add(2) {
                return;
            }
            self.tracks.swap_remove(position);
        }
        let mut track = Track::new(moment, group, self.unlisted_max);
        track.take(moment, reading);
        self.tracks.push(track);
    }

    /// The process with the largest share of a rise of `gain` ports from `from` to `to`; by handles where ports do not
    /// tell. `None` when none explains a third of it.
    pub(crate) fn explain(
        &self,
        (from, to): (Timestamp, Timestamp),
        gain: f64,
        usual: Usual<'_>,
    ) -> Option<Culprit> {
        let gain = gain.max(1.0);
        let by_ports = self
            .tracks
            .iter()
            .map(|track| (track, track.gain(PORTS, (from, to), usual).unwrap_or(0.0)))
            .max_by(|one, other| one.1.total_cmp(&other.1));
        if let Some((track, own)) = by_ports
            && own / gain >= 0.35
        {
            return Some(track.culprit(own, (own / gain).min(1.0), Evidence::Ports));
        }
        self.tracks
            .iter()
            .filter_map(|track| {
                Some((
                    track,
                    track.gain(HANDLES, (from, to), usual)? * f64::from(HANDLES_UNIT),
                ))
            })
            .filter(|(_, own)| (0.6..1.6).contains(&(own / gain)))
            .min_by(|one, other| {
                (one.1 / gain - 1.0)
                    .abs()
                    .total_cmp(&(other.1 / gain - 1.0).abs())
            })
            .map(|(track, own)| {
                track.culprit(own, 1.0 - (own / gain - 1.0).abs(), Evidence::Handles)
            })
    }

    /// The process that makes a daily peak at `at`: in a storm the one that stands out most from what it usually holds,
    /// else the one that gained most over the same time a week before.
    pub(crate) fn peaking(&self, at: Timestamp, is_storm: bool) -> Option<Arc<str>> {
        let week_before = Timestamp::from_unix_ms(at.unix_ms().saturating_sub(7 * DAY_MS));
        self.tracks
            .iter()
            .filter_map(|track| {
                let weight = if is_storm {
                    track.stands_out(at)?
                } else {
                    track.gain(PORTS, (week_before, at), &|_| true)?
                };
                Some((track, weight))
            })
            .filter(|(_, weight)| *weight > 0.0)
            .max_by(|one, other| one.1.total_cmp(&other.1))
            .map(|(track, _)| Arc::clone(&track.name))
    }

    /// The processes that are remembered.
    pub(crate) fn names(&self) -> impl Iterator<Item = &Arc<str>> {
        self.tracks.iter().map(|track| &track.name)
    }

    /// The restarts of a process, oldest first.
    pub(crate) fn restarts_of(&self, name: &str) -> &[Restart] {
        self.tracks
            .iter()
            .find(|track| &*track.name == name)
            .map_or(&[], |track| &track.restarts)
    }

    /// The processes that restarted: name, restarts, and what each holds.
    pub(crate) fn restarted(&self) -> impl Iterator<Item = (Arc<str>, &[Restart], u32)> {
        self.tracks
            .iter()
            .filter(|track| track.restarts.len() >= 2)
            .map(|track| {
                (
                    Arc::clone(&track.name),
                    &track.restarts[..],
                    track.last_ports,
                )
            })
    }

    /// The process that holds the most ports, and how many.
    pub(crate) fn largest(&self) -> Option<(Arc<str>, u32)> {
        let newest = self.tracks.iter().map(|track| track.last_at).max()?;
        self.tracks
            .iter()
            .filter(|track| track.last_at == newest)
            .max_by_key(|track| track.last_ports)
            .map(|track| (Arc::clone(&track.name), track.last_ports))
    }

    /// Bytes on the heap.
    pub(crate) fn heap_bytes(&self) -> usize {
        let inside: usize = self.tracks.iter().map(Track::heap_bytes).sum();
        inside + self.tracks.capacity() * size_of::<Track>()
    }
}

/// The processes of one name, added up.
struct Group<'a> {
    digest: u64,
    whole: OwnerReading<'a>,
    /// Ports of the largest one, whose incarnation is the group's.
    largest: u32,
}

impl Group<'_> {
    fn is(&self, digest: u64, name: &str) -> bool {
        self.digest == digest && self.whole.name == name
    }
}

/// The readings by name, which is cut to what is kept of it.
fn grouped<'a>(readings: &[OwnerReading<'a>]) -> Vec<Group<'a>> {
    let mut groups: Vec<Group<'a>> = Vec::with_capacity(readings.len());
    for reading in readings {
        let name = kept(reading.name);
        let digest = digest(name);
        let Some(group) = groups.iter_mut().find(|group| group.is(digest, name)) else {
            groups.push(Group {
                digest,
                whole: OwnerReading { name, ..*reading },
                largest: reading.ports,
            });
            continue;
        };
        if reading.ports > group.largest {
            group.largest = reading.ports;
            group.whole.incarnation = reading.incarnation;
        }
        group.whole.ports = group.whole.ports.saturating_add(reading.ports);
        group.whole.handles = group
            .whole
            .handles
            .zip(reading.handles)
            .map(|(one, other)| one.saturating_add(other));
    }
    groups
}

/// The part of a name that is kept.
fn kept(name: &str) -> &str {
    if name.len() <= NAME_CHARS_MAX {
        return name;
    }
    name.char_indices()
        .nth(NAME_CHARS_MAX)
        .and_then(|(end, _)| name.get(..end))
        .unwrap_or(name)
}

/// What tells most names apart at once, from their first and last eight bytes: names are compared many times for each
/// reading, and mostly differ.
fn digest(name: &str) -> u64 {
    let bytes = name.as_bytes();
    match (bytes.first_chunk(), bytes.last_chunk()) {
        (Some(first), Some(last)) => {
            u64::from_le_bytes(*first) ^ u64::from_le_bytes(*last).rotate_left(32)
        }
        _ => bytes
            .iter()
            .fold(0, |digest, byte| digest << 8 | u64::from(*byte)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const NAMES: [&str; 4] = ["appsvc", "sqlservr", "w3wp", "svchost"];

    fn found(owners: &Owners, minutes: i64) -> Vec<String> {
        let at = |minutes: i64| Timestamp::from_unix_ms(minutes * 60_000);
        [5, 30, 240, 1_500]
            .into_iter()
            .map(|back| {
                let span = (at(minutes - back), at(minutes));
                let culprit = owners.explain(span, 100.0, &|_| true);
                format!("{culprit:?} {:?}", owners.peaking(at(minutes), true))
            })
            .collect()
    }

    proptest! {
        #[test]
        fn readings_that_wait_count_as_those_that_were_taken_at_once(
            readings in proptest::collection::vec((1i64..20, proptest::collection::vec((0usize..4, 0u32..3_000), 0..4)), 1..120)
        ) {
            let (mut at_once, mut waits) = (Owners::new(3), Owners::new(3));
            let mut minutes = 30_000_000;
            for (step, held) in &readings {
                minutes += step;
                let held: Vec<OwnerReading<'_>> = held
                    .iter()
                    .filter_map(|(name, ports)| {
                        let name = NAMES.get(*name)?;
                        Some(OwnerReading { name, incarnation: None, ports: *ports, handles: Some(2 * ports) })
                    })
                    .collect();
                let at = Timestamp::from_unix_ms(minutes * 60_000);
                at_once.take(at, &held, 10);
                at_once.settle();
                waits.take(at, &held, 10);
            }
            waits.settle();
            prop_assert_eq!(found(&at_once, minutes), found(&waits, minutes));
        }
    }
}
