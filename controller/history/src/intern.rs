//! The numbers of one host's entities, so that points and columns carry four bytes instead of a text.

use hashbrown::{DefaultHashBuilder, HashTable};
use std::hash::BuildHasher;

use tidemark_model::entity::EntityKind;
use tidemark_model::{Entity, Metric, PortSpaceKey, Sample, Timestamp};

use crate::flatten::{EntityRef, flatten};
use crate::{EntityNumber, Point, SeriesKey};

/// Named entities (processes, services, destinations, watch groups) that one host may have at a time.
pub const NAMED_ENTITIES_MAX: usize = 20_000;

/// Further entities of one host: itself, its probes and port spaces, which outlast any flood of names.
pub const FIXED_ENTITIES_MAX: usize = 1_024;

#[derive(Clone, Debug)]
struct Slot {
    entity: Entity,
    number: EntityNumber,
    seen_at: Timestamp,
}

/// One sample as numbered points.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct FlatSample {
    /// The points, entity by entity.
    pub points: Vec<Point>,
    /// Entities that got a number with this sample: to be stored in the same transaction as the points.
    pub new_entities: Vec<(EntityNumber, Entity)>,
    /// Entities without a number because the host has too many. Processes among them are counted in
    /// [`Entity::OtherProcesses`]; of the others nothing is kept.
    pub refused: u32,
}

/// Entity to number, of one host.
///
/// Numbers grow and are never given twice, so an entity that was forgotten gets another number when it comes back:
/// one entity may have several numbers in the dictionary, and readers join them by the entity itself.
#[derive(Clone, Debug, Default)]
pub struct EntityInterner {
    slots: HashTable<Slot>,
    hasher: DefaultHashBuilder,
    named: usize,
    next: u32,
}

impl EntityInterner {
    /// Of a host without any.
    #[must_use]
    pub fn new() -> Self {
        Self::restore([], Timestamp::EPOCH)
    }

    /// From what the store holds, in any order; of several numbers of one entity the highest stays.
    /// Everything counts as seen at `now`.
    #[must_use]
    pub fn restore(
        known: impl IntoIterator<Item = (EntityNumber, Entity)>,
        now: Timestamp,
    ) -> Self {
        let mut interner = Self {
            next: 1,
            ..Self::default()
        };
        for (number, entity) in known {
            interner.next = interner.next.max(number.get().saturating_add(1));
            let hash = interner.hash(EntityRef::from(&entity));
            let wanted = EntityRef::from(&entity);
            match interner
                .slots
                .find_mut(hash, |slot| EntityRef::from(&slot.entity) == wanted)
            {
                Some(slot) => slot.number = slot.number.max(number),
                None => interner.insert(hash, entity, number, now),
            }
        }
        interner
    }

    /// How many entities have a number.
    #[must_use]
    pub fn len(&self) -> usize {
        self.slots.len()
    }

    /// Whether none has.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.slots.is_empty()
    }

    /// The number of `entity`, if it has one.
    #[must_use]
    pub fn number(&self, entity: EntityRef<'_>) -> Option<EntityNumber> {
        let found = self.slots.find(self.hash(entity), |slot| {
            EntityRef::from(&slot.entity) == entity
        });
        found.map(|slot| slot.number)
    }

    /// The entities with their numbers, in no order.
    pub fn iter(&self) -> impl Iterator<Item = (EntityNumber, &Entity)> {
        self.slots.iter().map(|slot| (slot.number, &slot.entity))
    }

    /// Numbers everything in `sample`, giving new numbers where there are none.
    pub fn flatten(&mut self, sample: &Sample) -> FlatSample {
        let mut flat = FlatSample::default();
        flat.points.reserve(64);
        let mut folded = Folded::default();
        flatten(sample, &mut |entity, metrics| {
            let Some(number) = self.intern(entity, sample.at, &mut flat.new_entities) else {
                flat.refused = flat.refused.saturating_add(1);
                folded.add(entity, metrics);
                return;
            };
            let extra = folded.take_for(entity);
            flat.points
                .extend(metrics.iter().map(|(metric, value)| Point {
                    key: SeriesKey::new(number, *metric),
                    value: value.saturating_add(extra.of(*metric)),
                }));
        });
        flat
    }

    /// The points of one entity outside a sample, as of events counted by the controller; empty when it is refused.
    pub fn points(
        &mut self,
        entity: EntityRef<'_>,
        metrics: &[(Metric, i64)],
        at: Timestamp,
    ) -> FlatSample {
        let mut flat = FlatSample::default();
        match self.intern(entity, at, &mut flat.new_entities) {
            Some(number) => {
                flat.points
                    .extend(metrics.iter().map(|(metric, value)| Point {
                        key: SeriesKey::new(number, *metric),
                        value: *value,
                    }));
            }
            None => flat.refused = 1,
        }
        flat
    }

    /// Takes back numbers that could not be stored; they are not given again.
    pub fn retract(&mut self, numbers: &[EntityNumber]) {
        self.keep(|slot| !numbers.contains(&slot.number));
    }

    /// Forgets named entities last seen before `cutoff`, and says how many. Their stored history stays readable.
    pub fn forget_before(&mut self, cutoff: Timestamp) -> usize {
        let before = self.slots.len();
        self.keep(|slot| !is_named(slot.entity.kind()) || slot.seen_at >= cutoff);
        before - self.slots.len()
    }

    fn intern(
        &mut self,
        entity: EntityRef<'_>,
        at: Timestamp,
        new: &mut Vec<(EntityNumber, Entity)>,
    ) -> Option<EntityNumber> {
        let hash = self.hash(entity);
        if let Some(slot) = self
            .slots
            .find_mut(hash, |slot| EntityRef::from(&slot.entity) == entity)
        {
            slot.seen_at = slot.seen_at.max(at);
            return Some(slot.number);
        }
        let has_room = if is_named(entity.kind()) {
            self.named < NAMED_ENTITIES_MAX
        } else {
            self.slots.len() - self.named < FIXED_ENTITIES_MAX
        };
        if !has_room || self.next == u32::MAX {
            return None;
        }
        let number = EntityNumber::new(self.next);
        self.next += 1;
        let owned = entity.to_entity();
        new.push((number, owned.clone()));
        self.insert(hash, owned, number, at);
        Some(number)
    }

    fn insert(&mut self, hash: u64, entity: Entity, number: EntityNumber, seen_at: Timestamp) {
        self.named += usize::from(is_named(entity.kind()));
        let hasher = &self.hasher;
        let slot = Slot {
            entity,
            number,
            seen_at,
        };
        self.slots.insert_unique(hash, slot, |slot| {
            hasher.hash_one(EntityRef::from(&slot.entity))
        });
    }

    fn keep(&mut self, mut stays: impl FnMut(&Slot) -> bool) {
        self.slots.retain(|slot| stays(slot));
        let named = |slot: &&Slot| is_named(slot.entity.kind());
        self.named = self.slots.iter().filter(named).count();
    }

    fn hash(&self, entity: EntityRef<'_>) -> u64 {
        self.hasher.hash_one(entity)
    }
}

const fn is_named(kind: EntityKind) -> bool {
    match kind {
        EntityKind::Process
        | EntityKind::Service
        | EntityKind::Destination
        | EntityKind::WatchGroup => true,
        EntityKind::Host
        | EntityKind::PortSpace
        | EntityKind::OtherProcesses
        | EntityKind::Probe => false,
    }
}

/// Counts of refused processes, until the other processes of their port space take them over.
#[derive(Default)]
struct Folded<'a> {
    space: Option<&'a PortSpaceKey>,
    extra: Extra,
}

/// What is added to a port space's other processes.
#[derive(Clone, Copy, Default)]
struct Extra {
    ports: i64,
    bound: i64,
    close_wait: i64,
    sockets: i64,
}

impl Extra {
    fn of(self, metric: Metric) -> i64 {
        if metric == Metric::Ports {
            self.ports
        } else if metric == Metric::PortsBound {
            self.bound
        } else if metric == Metric::CloseWait {
            self.close_wait
        } else if metric == Metric::Sockets {
            self.sockets
        } else {
            0
        }
    }
}

impl<'a> Folded<'a> {
    fn add(&mut self, entity: EntityRef<'a>, metrics: &[(Metric, i64)]) {
        let EntityRef::Process { space, .. } = entity else {
            return;
        };
        self.space = Some(space);
        for (metric, value) in metrics {
            let sum = if *metric == Metric::Ports {
                &mut self.extra.ports
            } else if *metric == Metric::PortsBound {
                &mut self.extra.bound
            } else if *metric == Metric::CloseWait {
                &mut self.extra.close_wait
            } else if *metric == Metric::Sockets {
                &mut self.extra.sockets
            } else {
                continue;
            };
            *sum = sum.saturating_add(*value);
        }
    }

    fn take_for(&mut self, entity: EntityRef<'_>) -> Extra {
        match (entity, self.space) {
            (EntityRef::OtherProcesses(space), Some(folded)) if space == folded => {
                std::mem::take(self).extra
            }
            _ => Extra::default(),
        }
    }
}

#[cfg(test)]
mod tests;
