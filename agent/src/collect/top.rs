//! The greatest of many, by a heap of bounded size.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

/// The `limit` greatest of `items`, greatest first.
pub(super) fn greatest<T: Ord>(items: impl Iterator<Item = T>, limit: usize) -> Vec<T> {
    let mut heap = BinaryHeap::with_capacity(limit.saturating_add(1));
    for item in items {
        if heap.len() < limit {
            heap.push(Reverse(item));
        } else if heap.peek().is_some_and(|Reverse(least)| *least < item) {
            heap.pop();
            heap.push(Reverse(item));
        }
    }
    // Sorted ascending by `Reverse` is descending by item.
    let sorted = heap.into_sorted_vec();
    sorted.into_iter().map(|Reverse(item)| item).collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn the_greatest_are_what_sorting_says(items: Vec<u8>, limit in 0_usize..12) {
            let mut sorted = items.clone();
            sorted.sort_unstable_by(|a, b| b.cmp(a));
            sorted.truncate(limit);
            prop_assert_eq!(greatest(items.into_iter(), limit), sorted);
        }
    }
}
