//! Gathers the facts of a topic: what is there is known, what is not set is absent, what cannot be read is unknown.

use std::error::Error;
use std::fmt::Write as _;

use tidemark_model::PortRange;
use tidemark_model::audit::{
    AuditFact, FactKey, FactName, FactState, FactValue, ITEMS_MAX, RANGES_MAX,
};

/// Facts of one topic.
#[derive(Debug, Default)]
pub(crate) struct FactList(Vec<AuditFact>);

impl FactList {
    /// Adds how a fact of the host stands.
    pub(crate) fn set(&mut self, name: FactName, state: FactState) {
        let key = FactKey::of(name);
        self.0.push(AuditFact { key, state });
    }

    /// Adds how a fact of one of several things stands.
    pub(crate) fn set_of(&mut self, name: FactName, item: &str, state: FactState) {
        let key = FactKey::of_item(name, item);
        self.0.push(AuditFact { key, state });
    }

    /// The facts. Of the things of a topic the first [`ITEMS_MAX`] by name are kept, of two of one name the first.
    pub(crate) fn finish(self) -> Vec<AuditFact> {
        let mut facts = self.0;
        facts.sort_by(|one, other| one.key.cmp(&other.key));
        facts.dedup_by(|later, first| later.key == first.key);
        let mut items: Vec<_> = facts
            .iter()
            .filter_map(|fact| fact.key.item.clone())
            .collect();
        items.sort_unstable();
        items.dedup();
        if let Some(first_left_out) = items.get(ITEMS_MAX) {
            let is_kept = |fact: &AuditFact| fact.key.item.as_ref() < Some(first_left_out);
            facts.retain(is_kept);
        }
        facts
    }
}

/// A number that is known, or not set.
pub(crate) fn number(number: Option<u64>) -> FactState {
    number.map_or(FactState::Absent, |number| {
        FactState::Known(FactValue::Number(number))
    })
}

/// Something that is known to be on or off, or is not set.
pub(crate) fn flag(flag: Option<bool>) -> FactState {
    flag.map_or(FactState::Absent, |flag| {
        FactState::Known(FactValue::Flag(flag))
    })
}

/// A text that is known, or not set; an empty one is not set.
pub(crate) fn text(text: Option<&str>) -> FactState {
    match text.map(str::trim).filter(|text| !text.is_empty()) {
        Some(text) => FactState::Known(FactValue::text(text)),
        None => FactState::Absent,
    }
}

/// Ranges that are known: ascending, joined where they touch. Unknown when there are more than are kept.
pub(crate) fn ranges(mut ranges: Vec<PortRange>) -> FactState {
    ranges.sort_unstable();
    ranges.dedup_by(|next, before| {
        let touches = u32::from(next.first) <= u32::from(before.last) + 1;
        if touches {
            before.last = before.last.max(next.last);
        }
        touches
    });
    if ranges.len() > RANGES_MAX {
        return FactState::unknown(&format!(
            "{} ranges; at most {RANGES_MAX} are told",
            ranges.len()
        ));
    }
    FactState::Known(FactValue::Ranges(ranges))
}

/// Unknown because of an error, with its causes.
pub(crate) fn unknown(error: &(dyn Error + 'static)) -> FactState {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        // Writing to a String cannot fail.
        write!(text, ": {error}").ok();
        cause = error.source();
    }
    FactState::unknown(&text)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn range(first: u16, last: u16) -> PortRange {
        PortRange::new(first, last).unwrap()
    }

    #[test]
    fn ranges_that_touch_are_one_and_too_many_are_unknown() {
        let told = ranges(vec![
            range(30, 40),
            range(10, 19),
            range(20, 29),
            range(50, 50),
        ]);
        assert_eq!(told.ranges(), Some(&[range(10, 40), range(50, 50)][..]));
        assert_eq!(ranges(Vec::new()).ranges(), Some(&[][..]));
        let many = (0..=256).map(|port| range(port * 2, port * 2)).collect();
        assert_eq!(
            ranges(many),
            FactState::unknown("257 ranges; at most 256 are told")
        );
    }

    #[test]
    fn a_host_with_very_many_cards_tells_whole_ones_of_some() {
        let mut facts = FactList::default();
        for card in 0..1_000 {
            let item = format!("card {card:04}");
            facts.set_of(FactName::NicRss, &item, flag(Some(true)));
            facts.set_of(FactName::NicDriver, &item, text(Some("x")));
            facts.set_of(FactName::NicDriver, &item, text(Some("told twice")));
        }
        let facts = facts.finish();
        assert_eq!(facts.len(), 2 * ITEMS_MAX);
        let last = facts.last().unwrap();
        assert_eq!(last.key.item.as_deref(), Some("card 0255"));
        assert!(
            facts
                .iter()
                .all(|fact| fact.state.text() != Some("told twice"))
        );
    }
}
