//! What must hold for `intern`.

use std::collections::HashMap;

use super::*;
use crate::flatten::tests::{owner, sample, space};
use tidemark_model::Protocol;

const NOW: Timestamp = Timestamp::from_unix_ms(1_000_000);

fn by_text(interner: &EntityInterner) -> HashMap<String, EntityNumber> {
    let texts = interner
        .iter()
        .map(|(number, entity)| (entity.to_text(), number));
    texts.collect()
}

#[test]
fn an_entity_keeps_its_number_across_samples_and_restarts() {
    let sample = sample(vec![space(Protocol::Tcp)]);
    let mut interner = EntityInterner::new();
    let first = interner.flatten(&sample);
    assert_eq!(first.new_entities.len(), interner.len());
    let again = interner.flatten(&sample);
    assert_eq!(again.points, first.points);
    assert_eq!(again.new_entities, []);

    let mut restored = EntityInterner::restore(first.new_entities.clone(), NOW);
    assert_eq!(by_text(&restored), by_text(&interner));
    assert_eq!(restored.flatten(&sample).points, first.points);
    for (number, entity) in &first.new_entities {
        assert_eq!(interner.number(entity.into()), Some(*number));
    }
}

#[test]
fn beyond_the_limit_processes_are_counted_with_the_others() {
    let mut tcp = space(Protocol::Tcp);
    tcp.owners = (0..NAMED_ENTITIES_MAX + 10)
        .map(|index| owner(&format!("p{index:06}"), None, 2, None))
        .collect();
    let mut interner = EntityInterner::new();
    let flat = interner.flatten(&sample(vec![tcp.clone()]));
    // Ten processes, the destination and the watch group.
    assert_eq!(flat.refused, 12);
    let other = interner
        .number(EntityRef::OtherProcesses(&tcp.key))
        .expect("port spaces keep their entities in a flood of names");
    let ports = flat
        .points
        .iter()
        .find(|point| point.key == SeriesKey::new(other, Metric::Ports));
    assert_eq!(ports.unwrap().value, 33 + 10 * 2);
}

#[test]
fn forgotten_entities_make_room_and_come_back_with_another_number() {
    let early = sample(vec![space(Protocol::Tcp)]);
    let mut interner = EntityInterner::new();
    let first = interner.flatten(&early);
    let forgotten =
        interner.forget_before(early.at.saturating_add(std::time::Duration::from_secs(1)));
    assert_eq!(
        forgotten, 5,
        "two images, a service, a destination and a watch group"
    );
    let mut late = early.clone();
    late.at = Timestamp::from_unix_ms(9_000_000);
    let second = interner.flatten(&late);
    assert_eq!(second.new_entities.len(), 5);
    for (number, _) in &second.new_entities {
        assert!(first.new_entities.iter().all(|(given, _)| given != number));
    }
}

#[test]
fn numbers_that_could_not_be_stored_are_given_up() {
    let sample = sample(vec![space(Protocol::Tcp)]);
    let mut interner = EntityInterner::new();
    let lost = interner.flatten(&sample);
    let numbers: Vec<EntityNumber> = lost
        .new_entities
        .iter()
        .map(|(number, _)| *number)
        .collect();
    interner.retract(&numbers);
    assert!(interner.is_empty());
    assert_eq!(interner.flatten(&sample).new_entities.len(), numbers.len());
}
