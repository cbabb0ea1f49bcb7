//! Headroom of a port space before an action and after it: better, worse or neither. For worse, a capacity that shrank counts
//! in full, and ports in use when they grew by more than this host's own noise. Pure.

use std::collections::BTreeMap;

use tidemark_model::action::{Action, ActionSpec, Effect};
use tidemark_model::{PortSpaceKey, Timestamp};

/// Headroom must grow by this share of the capacity to be called better, and by this many ports at least: less than that
/// comes and goes by itself.
const BETTER_SHARE: u32 = 100;
const BETTER_PORTS_MIN: u32 = 8;
/// Headroom must shrink by this share of the capacity before, and by this many ports at least. Twice what is called better,
/// since an undo that was not needed disturbs the host once more.
const WORSE_SHARE: u32 = 50;
const WORSE_PORTS_MIN: u32 = 16;
/// Ports in use have grown when they grew by more than so many times what they moved within the minutes before. Twice,
/// because those minutes lie as far again before the watched time as they are long: what grows steadily comes to that by
/// itself.
const NOISE_FACTOR: u32 = 2;

/// One port space over some time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Room {
    /// Median of the capacity.
    pub(super) capacity: u32,
    /// Median of the ports in use.
    pub(super) in_use: u32,
    /// Highest ports in use less lowest.
    pub(super) spread: u32,
}

impl Room {
    pub(super) const fn headroom(self) -> u32 {
        self.capacity.saturating_sub(self.in_use)
    }

    /// By how many ports headroom is materially less in `after`; `None` when it is not.
    pub(super) fn lost_by(self, after: Self) -> Option<u32> {
        let shrunk = i64::from(self.capacity) - i64::from(after.capacity);
        let grown = i64::from(after.in_use) - i64::from(self.in_use);
        let noise = i64::from(self.spread.saturating_mul(NOISE_FACTOR));
        let grown = if (1..=noise).contains(&grown) {
            0
        } else {
            grown
        };
        let lost = shrunk.saturating_add(grown).min(i64::from(self.headroom()));
        let needed = (self.capacity / WORSE_SHARE).max(WORSE_PORTS_MIN);
        (lost >= i64::from(needed)).then_some(u32::try_from(lost).unwrap_or(u32::MAX))
    }
}

/// What two times say of a port space.
pub(super) fn effect_of(
    port_space: PortSpaceKey,
    (was, is): (&Room, &Room),
    until: Timestamp,
) -> Effect {
    let needed = (was.capacity / BETTER_SHARE).max(BETTER_PORTS_MIN);
    let ports_freed = i64::from(is.headroom()) - i64::from(was.headroom());
    let is_better = ports_freed >= i64::from(needed);
    Effect {
        port_space,
        headroom_before: was.headroom(),
        headroom_after: is.headroom(),
        needed,
        ports_freed,
        subject_ports_before: None,
        subject_ports_after: None,
        held_until_ms: is_better.then_some(until),
        holds: is_better,
    }
}

/// The port space that lost most, of those that the action can have touched.
pub(super) fn worst(
    action: &Action,
    was: &BTreeMap<PortSpaceKey, Room>,
    is: &BTreeMap<PortSpaceKey, Room>,
) -> Option<(PortSpaceKey, Room, Room)> {
    let only = if let ActionSpec::SetDynamicPortRange { protocol, .. } = &action.order.spec {
        Some(*protocol)
    } else {
        None
    };
    let both = was
        .iter()
        .filter(|(space, _)| only.is_none_or(|only| space.protocol == only))
        .filter_map(|(space, was)| Some((space, *was, *is.get(space)?)));
    let lost = both.filter_map(|(space, was, is)| Some((was.lost_by(is)?, (space, was, is))));
    let (_, (space, was, is)) = lost.max_by_key(|(lost, _)| *lost)?;
    Some((space.clone(), was, is))
}

/// An effect in a sentence.
pub(super) fn told(effect: &Effect, verdict: &str) -> String {
    let Effect {
        headroom_before,
        headroom_after,
        needed,
        ports_freed,
        ..
    } = effect;
    let protocol = effect.port_space.protocol.as_str().to_uppercase();
    let needed = if *ports_freed < 0 {
        String::new()
    } else {
        format!(", {needed} needed")
    };
    format!(
        "{verdict}: {protocol} headroom was {headroom_before} before and {headroom_after} after ({ports_freed:+} ports{needed})"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn room(capacity: u32, in_use: u32, spread: u32) -> Room {
        Room {
            capacity,
            in_use,
            spread,
        }
    }

    #[test]
    fn a_capacity_that_shrank_counts_whatever_the_noise() {
        let before = room(1_000, 500, 400);
        assert_eq!(before.lost_by(room(600, 500, 0)), Some(400));
        // Unless as many ports were freed.
        assert_eq!(before.lost_by(room(600, 95, 0)), None);
        assert_eq!(before.lost_by(room(985, 500, 0)), None, "too little");
    }

    #[test]
    fn ports_in_use_count_when_they_grew_more_than_they_move_anyway() {
        let before = room(1_000, 500, 30);
        assert_eq!(before.lost_by(room(1_000, 560, 0)), None);
        assert_eq!(before.lost_by(room(1_000, 561, 0)), Some(61));
        let quiet = room(1_000, 500, 0);
        assert_eq!(
            quiet.lost_by(room(1_000, 519, 0)),
            None,
            "less than a fiftieth"
        );
        assert_eq!(quiet.lost_by(room(1_000, 520, 0)), Some(20));
        // A small range has a floor of its own.
        assert_eq!(room(100, 50, 0).lost_by(room(100, 65, 0)), None);
        assert_eq!(room(100, 50, 0).lost_by(room(100, 66, 0)), Some(16));
    }

    #[test]
    fn what_was_not_there_cannot_be_lost() {
        assert_eq!(room(1_000, 995, 0).lost_by(room(500, 500, 0)), None);
        assert_eq!(room(1_000, 900, 0).lost_by(room(500, 500, 0)), Some(100));
    }
}
