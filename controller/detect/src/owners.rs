//! Which process a rise belongs to: ports and handles of the largest holders over time.
//!
//! Knows nothing of verdicts. Bounded by the number of processes; the smallest holder makes room.

use std::sync::Arc;

use tidemark_model::Timestamp;

use crate::observation::OwnerReading;
use crate::ring::{Keep, Ring};
use crate::stats::median;

const PORTS: usize = 0;
const HANDLES: usize = 1;
static KEEP: [Keep; 2] = [Keep::Least, Keep::Least];

/// Width and number of the blocks kept of each process, finest first.
const LEVELS: [(i64, usize); 5] = [
    (10_000, 24),
    (60_000, 48),
    (300_000, 48),
    (1_800_000, 96),
    (10_800_000, 88),
];
/// Position of the half hours among the levels.
const HALF_HOURS: usize = 3;
/// Handles are stored in fours, so that 262,140 of them fit into a block.
const HANDLES_UNIT: u32 = 4;
/// How many restarts are remembered of a process.
const RESTARTS_MAX: usize = 8;
/// For this long after a restart, what a process holds counts as its level after it.
const RESTART_SETTLES_MS: i64 = 10_800_000;
/// Where history does not tell restarts, one leaves less than this share of the ports and handles.
const RESTART_KEEPS: f64 = 0.67;
/// Longest process name kept, in characters.
const NAME_CHARS_MAX: usize = 128;
const DAY_MS: i64 = 86_400_000;

/// What is remembered of one process name.
#[derive(Clone, Debug)]
struct Track {
    name: Arc<str>,
    hash: u64,
    levels: [Ring<2>; 5],
    incarnation: Option<i64>,
    /// Handles at the newest reading, where they are known.
    last_handles: Option<u32>,
    restarts: Vec<Restart>,
    last_ports: u32,
    last_at: Timestamp,
    /// When it was first listed, and the most that it can have held before.
    listed_at: Timestamp,
    before_ports: Option<u32>,
}

/// A restart of a process: what it held before, and the least in the three hours after.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Restart {
    pub at: Timestamp,
    pub before: u32,
    pub after: u32,
}

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
}

impl Owners {
    pub(crate) const fn new(tracks_max: usize) -> Self {
        Self {
            tracks: Vec::new(),
            tracks_max,
            unlisted_max: None,
        }
    }

    /// Takes what the processes hold at `at`; one name's processes are added up.
    pub(crate) fn take(&mut self, at: Timestamp, readings: &[OwnerReading<'_>], unlisted_max: u32) {
        let mut groups = grouped(readings);
        let moment = Moment::new(at);
        for track in &mut self.tracks {
            let position = groups
                .iter()
                .position(|group| group.is(track.hash, &track.name));
            match position.map(|position| groups.swap_remove(position)) {
                Some(group) => track.take(&moment, &group.whole),
                None => track.take_unlisted(&moment, unlisted_max),
            }
        }
        for group in &groups {
            self.admit(&moment, group);
        }
        self.unlisted_max = Some(unlisted_max);
    }

    fn admit(&mut self, moment: &Moment, group: &Group<'_>) {
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
        let mut track = Track::new(moment.at, group, self.unlisted_max);
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

/// A time, and the block of each level that it lies in.
struct Moment {
    at: Timestamp,
    blocks: [i64; LEVELS.len()],
}

impl Moment {
    fn new(at: Timestamp) -> Self {
        let blocks = LEVELS.map(|(width, _)| at.unix_ms().div_euclid(width));
        Self { at, blocks }
    }
}

/// The processes of one name, added up.
struct Group<'a> {
    hash: u64,
    whole: OwnerReading<'a>,
    /// Ports of the largest one, whose incarnation is the group's.
    largest: u32,
}

impl Group<'_> {
    fn is(&self, hash: u64, name: &str) -> bool {
        self.hash == hash && self.whole.name == name
    }
}

/// The readings by name, which is cut to what is kept of it.
fn grouped<'a>(readings: &[OwnerReading<'a>]) -> Vec<Group<'a>> {
    let mut groups: Vec<Group<'a>> = Vec::with_capacity(readings.len());
    for reading in readings {
        let name = kept(reading.name);
        let hash = fnv1a(name);
        let Some(group) = groups.iter_mut().find(|group| group.is(hash, name)) else {
            groups.push(Group {
                hash,
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

/// FNV-1a (draft-eastlake-fnv): names are compared many times for each reading, and mostly differ.
fn fnv1a(name: &str) -> u64 {
    name.bytes().fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
    })
}

impl Track {
    fn new(at: Timestamp, group: &Group<'_>, before_ports: Option<u32>) -> Self {
        let reading = &group.whole;
        Self {
            name: Arc::from(reading.name),
            hash: group.hash,
            levels: LEVELS.map(|(width, slots)| Ring::new(width, slots, &KEEP)),
            incarnation: reading.incarnation,
            last_handles: reading.handles,
            restarts: Vec::new(),
            last_ports: reading.ports,
            last_at: at,
            listed_at: at,
            before_ports,
        }
    }

    fn take(&mut self, moment: &Moment, reading: &OwnerReading<'_>) {
        let at = moment.at;
        let handles = reading.handles.map(|handles| handles / HANDLES_UNIT);
        self.merge(moment, reading.ports, handles);
        if at < self.last_at {
            return;
        }
        if self.has_restarted(reading) {
            if self.restarts.len() >= RESTARTS_MAX {
                self.restarts.remove(0);
            }
            self.restarts.push(Restart {
                at,
                before: self.last_ports,
                after: reading.ports,
            });
        }
        self.incarnation = reading.incarnation.or(self.incarnation);
        self.last_handles = reading.handles.or(self.last_handles);
        if let Some(restart) = self.restarts.last_mut()
            && at.ms_since(restart.at) <= RESTART_SETTLES_MS
        {
            restart.after = restart.after.min(reading.ports);
        }
        self.last_ports = reading.ports;
        self.last_at = at;
    }

    /// Whether the process of a newer reading is another one than before.
    fn has_restarted(&self, reading: &OwnerReading<'_>) -> bool {
        if let Some((now, then)) = reading.incarnation.zip(self.incarnation) {
            return now != then;
        }
        if reading.incarnation.is_some() {
            return false;
        }
        let has_freed = |now: u32, then: u32| f64::from(now) < RESTART_KEEPS * f64::from(then);
        let handles_freed = reading
            .handles
            .zip(self.last_handles)
            .is_none_or(|(now, then)| has_freed(now, then));
        has_freed(reading.ports, self.last_ports) && handles_freed
    }

    /// It is not listed, so it holds no more than the bound.
    fn take_unlisted(&mut self, moment: &Moment, unlisted_max: u32) {
        self.merge(moment, unlisted_max, None);
        if moment.at >= self.last_at {
            self.last_ports = self.last_ports.min(unlisted_max);
        }
    }

    fn merge(&mut self, moment: &Moment, ports: u32, handles: Option<u32>) {
        for (level, block) in self.levels.iter_mut().zip(moment.blocks) {
            level.merge_block(block, [Some(ports), handles]);
        }
    }

    /// By how much `field` rose from `from` to `to`; at the same time of day when that is days.
    fn gain(
        &self,
        field: usize,
        (from, to): (Timestamp, Timestamp),
        usual: Usual<'_>,
    ) -> Option<f64> {
        let length = to.ms_since(from).max(0);
        let level = self
            .levels
            .iter()
            .find(|level| {
                level.width_ms().saturating_mul(slots_of(level.width_ms()))
                    >= length.saturating_mul(5) / 4
            })
            .or(self.levels.last())?;
        let end = level.block_of(to);
        let whole_days = length / DAY_MS * DAY_MS;
        if whole_days > 0 {
            let lag = whole_days / level.width_ms();
            let part = (length / level.width_ms() / 6).clamp(1, 8);
            let now = level.least(end - part + 1, end, field)?;
            let then = level.least(end - lag - part + 1, end - lag, field);
            let then = then.or_else(|| self.held_before(field, from))?;
            return Some((now - then) * length as f64 / whole_days as f64);
        }
        let now = level.over(end - 1, end, field).last()?;
        let begin = level.block_of(from);
        let then = level.over(begin, begin + 1, field).next();
        let then = then
            .or_else(|| self.held_before(field, from))
            .or_else(|| level.over(begin, end, field).next())?;
        Some(now - then - self.usual_gain(field, (from, to), usual))
    }

    /// What it gains between these times of day on usual days of the week before: the middle one, and the lower one of
    /// two, as the rise itself may reach into them. 0 for rises of minutes.
    fn usual_gain(
        &self,
        field: usize,
        (from, to): (Timestamp, Timestamp),
        usual: Usual<'_>,
    ) -> f64 {
        let fine = &self.levels[HALF_HOURS];
        if to.ms_since(from) < 4 * fine.width_ms() {
            return 0.0;
        }
        let mut gains: Vec<f64> = (1..=7)
            .filter_map(|days| {
                let back = |at: Timestamp| {
                    Timestamp::from_unix_ms(at.unix_ms().saturating_sub(days * DAY_MS))
                };
                let (from, to) = (back(from), back(to));
                if !(usual(from) && usual(to)) {
                    return None;
                }
                let gain = |level: &Ring<2>| {
                    let late = level.get(level.block_of(to), field)?;
                    let early = level.get(level.block_of(from), field)?;
                    Some((late - early).max(0.0))
                };
                gain(fine).or_else(|| self.levels.last().and_then(gain))
            })
            .collect();
        gains.sort_unstable_by(f64::total_cmp);
        gains
            .get(gains.len().saturating_sub(1) / 2)
            .copied()
            .unwrap_or(0.0)
    }

    /// The most that it can have held at `from`, when it was listed only later.
    fn held_before(&self, field: usize, from: Timestamp) -> Option<f64> {
        let before = self
            .before_ports
            .filter(|_| field == PORTS && self.listed_at > from)?;
        Some(f64::from(before.min(self.least_ever(PORTS))))
    }

    /// Ports at `at` over what it usually holds half a day around, relative to that.
    fn stands_out(&self, at: Timestamp) -> Option<f64> {
        let level = &self.levels[HALF_HOURS];
        let block = level.block_of(at);
        let top = level.over(block - 1, block + 1, PORTS).reduce(f64::max)?;
        // A job that is listed only while it runs held next to nothing before.
        let listed = level.block_of(self.listed_at);
        let before = self.before_ports.map(f64::from);
        let held = |block: i64| match level.get(block, PORTS) {
            None if block < listed => before,
            known => known,
        };
        let mut day: Vec<f64> = (block - 24..=block + 24).filter_map(held).collect();
        let usual = median(&mut day)?;
        Some((top - usual) / (usual + 30.0))
    }

    fn least_ever(&self, field: usize) -> u32 {
        self.levels
            .last()
            .and_then(|level| level.least(level.oldest()?, level.newest()?, field))
            .map_or(0, |least| least as u32)
    }

    fn culprit(&self, gain: f64, share: f64, evidence: Evidence) -> Culprit {
        Culprit {
            name: Arc::clone(&self.name),
            gain,
            share,
            evidence,
        }
    }

    fn heap_bytes(&self) -> usize {
        let rings: usize = self.levels.iter().map(Ring::heap_bytes).sum();
        rings + self.restarts.capacity() * size_of::<Restart>() + self.name.len()
    }
}

fn slots_of(width_ms: i64) -> i64 {
    LEVELS
        .iter()
        .find(|(width, _)| *width == width_ms)
        .map_or(0, |(_, slots)| i64::try_from(*slots).unwrap_or(0))
}
