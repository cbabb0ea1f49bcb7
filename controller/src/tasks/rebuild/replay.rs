//! A host's stored bytes, read back into what its detectors would have seen.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::Duration;

use tidemark_detect::{DetectorSettings, Extent, OwnerReading, Rollup, SpaceDetector};
use tidemark_history::{CodecError, EntityNumber, SegmentReader, SeriesKey};
use tidemark_model::sample::CountQuality;
use tidemark_model::{Entity, Metric, PortSpaceKey, Timestamp};

use crate::live::{LastHour, Level, SpaceLive};

/// Older samples are seen five minutes at a time, as the detector's own memory is coarser than that by then.
const COARSE_MS: i64 = 300_000;

/// Samples of this age and younger are seen one by one, in milliseconds.
const FINE_AGE_MS: i64 = 2 * 3_600_000;

/// Stored bytes and the dictionary that goes with them.
#[derive(Debug, Default)]
pub(super) struct History {
    pub(super) entities: Vec<(u32, Entity)>,
    pub(super) segments: Vec<Vec<u8>>,
    pub(super) recent: Vec<Vec<u8>>,
}

/// One port space, as it would be had the controller never stopped.
#[derive(Debug)]
pub(super) struct Replayed {
    pub(super) key: PortSpaceKey,
    pub(super) space: SpaceLive,
}

/// What one stored series means to a detector.
#[derive(Clone)]
enum Meaning {
    Space(PortSpaceKey, Metric),
    Owner(PortSpaceKey, Arc<str>, Metric),
}

/// One stretch of one port space.
#[derive(Clone, Debug, Default)]
struct Stretch {
    capacity: Option<u32>,
    in_use: Option<Extent>,
    strong: Option<Extent>,
    bound: Option<Extent>,
    owners: BTreeMap<Arc<str>, (u32, Option<u32>)>,
}

type Stretches = BTreeMap<PortSpaceKey, BTreeMap<i64, Stretch>>;

/// Replays `history`; bytes that cannot be read are left out and said in the log.
pub(super) fn replay(
    history: &History,
    settings: DetectorSettings,
    now: Timestamp,
) -> Vec<Replayed> {
    let meanings = meanings(&history.entities);
    let fine_from = now.unix_ms().saturating_sub(FINE_AGE_MS);
    let mut stretches = Stretches::new();
    let mut take = |key: SeriesKey, at: i64, value: i64| {
        if let Some(meaning) = meanings.get(&key) {
            note(
                &mut stretches,
                meaning,
                if at < fine_from {
                    at.div_euclid(COARSE_MS) * COARSE_MS
                } else {
                    at
                },
                value,
            );
        }
    };
    for bytes in &history.segments {
        said(read_segment(bytes, &meanings, &mut take));
    }
    for bytes in &history.recent {
        said(read_recent(bytes, &mut take));
    }
    let replayed = stretches.into_iter().filter_map(|(key, stretches)| {
        let space = replay_space(&stretches, settings, fine_from, now)?;
        Some(Replayed { key, space })
    });
    replayed.collect()
}

fn said(read: Result<(), CodecError>) {
    if let Err(error) = read {
        tracing::error!(%error, "a part of a host's history cannot be read and is left out of its forecast");
    }
}

fn meanings(entities: &[(u32, Entity)]) -> HashMap<SeriesKey, Meaning> {
    let mut meanings = HashMap::new();
    for (number, entity) in entities {
        let number = EntityNumber::new(*number);
        if let Entity::PortSpace(space) = entity {
            for metric in [
                Metric::Capacity,
                Metric::InUse,
                Metric::Strong,
                Metric::Bound,
            ] {
                meanings.insert(
                    SeriesKey::new(number, metric),
                    Meaning::Space(space.clone(), metric),
                );
            }
        }
        if let Entity::Process { space, name } = entity {
            for metric in [Metric::Ports, Metric::Handles] {
                meanings.insert(
                    SeriesKey::new(number, metric),
                    Meaning::Owner(space.clone(), Arc::clone(name), metric),
                );
            }
        }
    }
    meanings
}

fn read_segment(
    bytes: &[u8],
    meanings: &HashMap<SeriesKey, Meaning>,
    take: &mut impl FnMut(SeriesKey, i64, i64),
) -> Result<(), CodecError> {
    let reader = SegmentReader::open(bytes)?;
    for key in reader.keys().filter(|key| meanings.contains_key(key)) {
        for (at, value) in reader.points(key)? {
            take(key, at, value);
        }
    }
    Ok(())
}

fn read_recent(bytes: &[u8], take: &mut impl FnMut(SeriesKey, i64, i64)) -> Result<(), CodecError> {
    for row in tidemark_history::decode_recent(bytes)? {
        for point in row.points {
            take(point.key, row.at.unix_ms(), point.value);
        }
    }
    Ok(())
}

fn note(stretches: &mut Stretches, meaning: &Meaning, from: i64, value: i64) {
    let count = u32::try_from(value.max(0)).unwrap_or(u32::MAX);
    let (Meaning::Space(space, metric) | Meaning::Owner(space, _, metric)) = meaning;
    let stretch = stretches
        .entry(space.clone())
        .or_default()
        .entry(from)
        .or_default();
    if let Meaning::Owner(_, name, _) = meaning {
        let owner = stretch.owners.entry(Arc::clone(name)).or_default();
        if *metric == Metric::Handles {
            owner.1 = Some(count);
        } else {
            owner.0 = count;
        }
        return;
    }
    if *metric == Metric::Capacity {
        stretch.capacity = Some(count);
    } else if *metric == Metric::InUse {
        widen(&mut stretch.in_use, count);
    } else if *metric == Metric::Strong {
        widen(&mut stretch.strong, count);
    } else {
        widen(&mut stretch.bound, count);
    }
}

fn widen(extent: &mut Option<Extent>, count: u32) {
    let extent = extent.get_or_insert(Extent {
        least: count,
        greatest: count,
        last: count,
    });
    extent.least = extent.least.min(count);
    extent.greatest = extent.greatest.max(count);
    extent.last = count;
}

fn replay_space(
    stretches: &BTreeMap<i64, Stretch>,
    settings: DetectorSettings,
    fine_from: i64,
    now: Timestamp,
) -> Option<SpaceLive> {
    let mut detector = SpaceDetector::new(settings);
    let mut level = None;
    let mut last_hour = LastHour::default();
    for (from, stretch) in stretches {
        let (Some(capacity), Some(in_use), Some(strong)) =
            (stretch.capacity, stretch.in_use, stretch.strong)
        else {
            continue;
        };
        let width_ms = if *from < fine_from { COARSE_MS } else { 1 };
        let owners: Vec<OwnerReading<'_>> = stretch
            .owners
            .iter()
            .map(|(name, (ports, handles))| OwnerReading {
                name,
                incarnation: 0,
                ports: *ports,
                handles: *handles,
            })
            .collect();
        let from = Timestamp::from_unix_ms(*from);
        detector.observe_rollup(&Rollup {
            from,
            to: from.saturating_add(Duration::from_millis(width_ms.unsigned_abs())),
            booted_at: None,
            capacity,
            in_use,
            strong,
            bound: stretch.bound,
            exhaustion_events: 0,
            owners: &owners,
            unlisted_ports_max: owners.iter().map(|owner| owner.ports).min().unwrap_or(0),
        });
        last_hour.note(from, in_use.greatest);
        level = Some(Level {
            at: from,
            capacity,
            strong: strong.last,
            time_wait: in_use.last.saturating_sub(strong.last),
            bound: stretch.bound.map(|bound| bound.last),
            quality: CountQuality::Counted,
        });
    }
    let mut space = SpaceLive::new(level?, detector);
    space.last_hour = last_hour;
    space.decide(now);
    Some(space)
}
