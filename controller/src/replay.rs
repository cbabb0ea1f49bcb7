//! A host's stored history, read back as what its detectors would have seen. After a start and for `backtest`.
//!
//! Knows no live state. Raw points where they are kept, the 5-minute tier before them.

use std::collections::{BTreeMap, HashMap};
use std::ops::ControlFlow;
use std::sync::Arc;
use std::time::Duration;

use tidemark_detect::{Extent, OwnerReading, Rollup};
use tidemark_history::{Bucket, CodecError, EntityNumber, SegmentReader, SeriesKey};
use tidemark_model::{Entity, HostId, Metric, PortSpaceKey, Timestamp};
use tidemark_store::{Span, Store, StoreError, Tier, Tx};

/// Older samples are seen five minutes at a time, as the detector's own memory is coarser than that by then.
pub(crate) const COARSE_MS: i64 = 300_000;

/// Stored bytes and the dictionary that goes with them.
#[derive(Debug, Default)]
pub(crate) struct History {
    entities: Vec<(u32, Entity)>,
    buckets: Vec<Vec<u8>>,
    segments: Vec<Vec<u8>>,
    recent: Vec<Vec<u8>>,
    /// Where raw points begin; buckets count only before it.
    raw_from: i64,
}

/// What one stored series means to a detector.
#[derive(Clone)]
enum Meaning {
    Space(PortSpaceKey, Metric),
    Owner(PortSpaceKey, Arc<str>, Metric),
    BootedAt,
}

/// One stretch of one port space.
#[derive(Clone, Debug, Default)]
pub(crate) struct Stretch {
    capacity: Option<u32>,
    in_use: Option<Extent>,
    strong: Option<Extent>,
    bound: Option<Extent>,
    owners: BTreeMap<Arc<str>, (u32, Option<u32>)>,
}

/// The stretches of a host by port space and begin, and its boots.
#[derive(Debug, Default)]
pub(crate) struct Stretches {
    /// By the Unix milliseconds of their begin.
    pub(crate) spaces: BTreeMap<PortSpaceKey, BTreeMap<i64, Stretch>>,
    /// When the host had booted, by when that was read.
    boots: BTreeMap<i64, Timestamp>,
    /// From here on stretches are single readings.
    fine_from: i64,
}

/// Reads a host's bytes from the store.
///
/// # Errors
/// When the database fails.
pub(crate) async fn load(store: &Store, host: HostId, span: Span) -> Result<History, StoreError> {
    let mut tx = store.read().await?;
    let mut history = History {
        raw_from: i64::MAX,
        ..History::default()
    };
    for row in tx.entities_of(host).await? {
        history
            .entities
            .extend(Entity::from_text(&row.text).map(|entity| (row.number, entity)));
    }
    load_raw(&mut tx, host, span, &mut history).await?;
    let before = Span {
        from: span.from,
        to: span.to.min(Timestamp::from_unix_ms(history.raw_from)),
    };
    tx.segments_each(host, Tier::FiveMinutes, before, |segment| {
        history.buckets.push(segment.body);
        ControlFlow::Continue(())
    })
    .await?;
    Ok(history)
}

async fn load_raw(
    tx: &mut Tx,
    host: HostId,
    span: Span,
    history: &mut History,
) -> Result<(), StoreError> {
    tx.segments_each(host, Tier::Raw, span, |segment| {
        history.raw_from = history.raw_from.min(segment.span.from.unix_ms());
        history.segments.push(segment.body);
        ControlFlow::Continue(())
    })
    .await?;
    tx.recent_each(host, span, |batch| {
        history.raw_from = history.raw_from.min(batch.first_at.unix_ms());
        history.recent.push(batch.body);
        ControlFlow::Continue(())
    })
    .await
}

impl History {
    /// What the bytes say, with readings from `fine_from` on one by one. Bytes that cannot be read are left out and said
    /// in the log.
    pub(crate) fn stretches(&self, fine_from: i64) -> Stretches {
        let meanings = meanings(&self.entities);
        let mut stretches = Stretches {
            fine_from,
            ..Stretches::default()
        };
        for bytes in &self.buckets {
            let mut take = |key: SeriesKey, at: i64, bucket: Bucket| {
                if at < self.raw_from
                    && let Some(meaning) = meanings.get(&key)
                {
                    stretches.note(meaning, at, extent_of(&bucket));
                }
            };
            said(read_buckets(bytes, &meanings, &mut take));
        }
        let mut take = |key: SeriesKey, at: i64, value: i64| {
            if let Some(meaning) = meanings.get(&key) {
                let count = u32::try_from(value.max(0)).unwrap_or(u32::MAX);
                stretches.note(meaning, at, one(count));
            }
        };
        for bytes in &self.segments {
            said(read_segment(bytes, &meanings, &mut take));
        }
        for bytes in &self.recent {
            said(read_recent(bytes, &mut take));
        }
        stretches
    }
}

const fn one(count: u32) -> Extent {
    Extent {
        least: count,
        greatest: count,
        last: count,
    }
}

fn extent_of(bucket: &Bucket) -> Extent {
    let count = |value: i64| u32::try_from(value.max(0)).unwrap_or(u32::MAX);
    Extent {
        least: count(bucket.min),
        greatest: count(bucket.max),
        last: count(bucket.last),
    }
}

fn said(read: Result<(), CodecError>) {
    if let Err(error) = read {
        tracing::error!(%error, "a part of a host's history cannot be read and is left out of its forecast");
    }
}

fn meanings(entities: &[(u32, Entity)]) -> HashMap<SeriesKey, Meaning> {
    const OF_SPACE: [Metric; 4] = [
        Metric::Capacity,
        Metric::InUse,
        Metric::Strong,
        Metric::Bound,
    ];
    let mut meanings = HashMap::new();
    for (number, entity) in entities {
        let number = EntityNumber::new(*number);
        if let Entity::PortSpace(space) = entity {
            for metric in OF_SPACE {
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
        if matches!(entity, Entity::Host) {
            meanings.insert(SeriesKey::new(number, Metric::BootedAt), Meaning::BootedAt);
        }
    }
    meanings
}

fn read_buckets(
    bytes: &[u8],
    meanings: &HashMap<SeriesKey, Meaning>,
    take: &mut impl FnMut(SeriesKey, i64, Bucket),
) -> Result<(), CodecError> {
    let reader = SegmentReader::open(bytes)?;
    for key in reader.keys().filter(|key| meanings.contains_key(key)) {
        for (at, bucket) in reader.buckets(key)? {
            take(key, at, bucket);
        }
    }
    Ok(())
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

impl Stretches {
    fn note(&mut self, meaning: &Meaning, at: i64, extent: Extent) {
        let from = if at < self.fine_from {
            at.div_euclid(COARSE_MS) * COARSE_MS
        } else {
            at
        };
        match meaning {
            Meaning::BootedAt => {
                let booted = Timestamp::from_unix_ms(i64::from(extent.last).saturating_mul(1_000));
                self.boots.insert(from, booted);
            }
            Meaning::Space(space, metric) => self.stretch(space, from).note(*metric, extent),
            Meaning::Owner(space, name, metric) => {
                let stretch = self.stretch(space, from);
                let owner = stretch.owners.entry(Arc::clone(name)).or_default();
                if *metric == Metric::Handles {
                    owner.1 = Some(extent.last);
                } else {
                    owner.0 = extent.last;
                }
            }
        }
    }

    fn stretch(&mut self, space: &PortSpaceKey, from: i64) -> &mut Stretch {
        if !self.spaces.contains_key(space) {
            self.spaces.insert(space.clone(), BTreeMap::new());
        }
        self.spaces
            .entry(space.clone())
            .or_default()
            .entry(from)
            .or_default()
    }

    /// Shows the stretches of one port space to `visit`, in time order, as a detector takes them.
    pub(crate) fn each(&self, space: &PortSpaceKey, mut visit: impl FnMut(&Rollup<'_>)) {
        for (from, stretch) in self.spaces.get(space).into_iter().flatten() {
            self.show(*from, stretch, &mut visit);
        }
    }

    /// Shows one stretch, unless what a detector must know of it is not stored.
    pub(crate) fn show(&self, from: i64, stretch: &Stretch, visit: &mut impl FnMut(&Rollup<'_>)) {
        let (Some(capacity), Some(in_use), Some(strong)) =
            (stretch.capacity, stretch.in_use, stretch.strong)
        else {
            return;
        };
        let width_ms: u64 = if from < self.fine_from {
            COARSE_MS.unsigned_abs()
        } else {
            1
        };
        let owners: Vec<OwnerReading<'_>> = stretch
            .owners
            .iter()
            .map(|(name, (ports, handles))| OwnerReading {
                name,
                incarnation: None,
                ports: *ports,
                handles: *handles,
            })
            .collect();
        let booted_at = self.boots.get(&from).copied();
        let from = Timestamp::from_unix_ms(from);
        visit(&Rollup {
            from,
            to: from.saturating_add(Duration::from_millis(width_ms)),
            booted_at,
            capacity,
            in_use,
            strong,
            bound: stretch.bound,
            exhaustion_events: 0,
            owners: &owners,
            unlisted_ports_max: owners.iter().map(|owner| owner.ports).min().unwrap_or(0),
        });
    }
}

impl Stretch {
    fn note(&mut self, metric: Metric, extent: Extent) {
        if metric == Metric::Capacity {
            self.capacity = Some(extent.last);
        } else if metric == Metric::InUse {
            widen(&mut self.in_use, extent);
        } else if metric == Metric::Strong {
            widen(&mut self.strong, extent);
        } else if metric == Metric::Bound {
            widen(&mut self.bound, extent);
        }
    }
}

fn widen(extent: &mut Option<Extent>, later: Extent) {
    let extent = extent.get_or_insert(later);
    extent.least = extent.least.min(later.least);
    extent.greatest = extent.greatest.max(later.greatest);
    extent.last = later.last;
}
