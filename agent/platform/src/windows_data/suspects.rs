//! Which processes are worth a look at each of their handles: those with the most, and those that got the most more.

use std::collections::HashMap;

/// Processes that are looked at in one scan.
pub const SUSPECTS_MAX: usize = 8;
/// A process with fewer handles can hold no number of ports that matters.
pub const HANDLES_MIN: u32 = 200;

/// Handles of a process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HandleCount {
    /// Its number.
    pub process: u32,
    /// How many handles it has open.
    pub handles: u32,
}

/// At most [`SUSPECTS_MAX`] processes, by turns the one that grew most since `before` and the one with the most handles.
/// The system itself (0 and 4) is left out: it has no sockets of programs.
#[must_use]
pub fn choose(counts: &[HandleCount], before: &HashMap<u32, u32>) -> Vec<u32> {
    let mut by_size: Vec<HandleCount> = counts
        .iter()
        .copied()
        .filter(|count| count.handles >= HANDLES_MIN && !matches!(count.process, 0 | 4))
        .collect();
    by_size.sort_by_key(|count| (std::cmp::Reverse(count.handles), count.process));
    let growth = |count: &HandleCount| {
        let earlier = before.get(&count.process).copied();
        // A process that was not there before has not grown: it has begun.
        earlier.map_or(0, |earlier| count.handles.saturating_sub(earlier))
    };
    let mut by_growth: Vec<HandleCount> = by_size
        .iter()
        .copied()
        .filter(|count| growth(count) > 0)
        .collect();
    by_growth.sort_by_key(|count| std::cmp::Reverse(growth(count)));
    let mut chosen = Vec::with_capacity(SUSPECTS_MAX);
    let (mut grown, mut large) = (by_growth.into_iter(), by_size.into_iter());
    while chosen.len() < SUSPECTS_MAX {
        let next = [grown.next(), large.next()];
        if next == [None, None] {
            break;
        }
        for count in next.into_iter().flatten() {
            if chosen.len() < SUSPECTS_MAX && !chosen.contains(&count.process) {
                chosen.push(count.process);
            }
        }
    }
    chosen
}

#[cfg(test)]
mod tests {
    use super::*;

    fn counts(all: &[(u32, u32)]) -> Vec<HandleCount> {
        let of = |&(process, handles)| HandleCount { process, handles };
        all.iter().map(of).collect()
    }

    #[test]
    fn the_growing_and_the_large_are_looked_at_by_turns() {
        let now = counts(&[
            (4, 90_000),
            (10, 50),
            (20, 9_000),
            (30, 700),
            (40, 5_000),
            (50, 600),
        ]);
        let before = HashMap::from([(20, 9_000), (30, 400), (40, 5_000), (50, 599)]);
        assert_eq!(choose(&now, &before), [30, 20, 50, 40]);
        // Without a scan before nobody is known to have grown.
        assert_eq!(choose(&now, &HashMap::new()), [20, 40, 30, 50]);
        assert_eq!(choose(&[], &before), Vec::<u32>::new());
    }

    #[test]
    fn a_process_that_began_since_has_not_grown() {
        let now = counts(&[(10, 300), (20, 1_000)]);
        assert_eq!(choose(&now, &HashMap::from([(10, 299)])), [10, 20]);
    }

    #[test]
    fn no_more_are_looked_at_than_there_is_time_for() {
        let many: Vec<_> = (1..100).map(|n| (n * 8, 1_000 + n)).collect();
        let before = many.iter().map(|&(process, _)| (process, 10)).collect();
        assert_eq!(choose(&counts(&many), &before).len(), SUSPECTS_MAX);
    }
}
