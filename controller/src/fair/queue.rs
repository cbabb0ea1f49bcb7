//! Those who wait, served in turn by whose they are: whoever has many waiting waits for them, and nobody else does.

use std::collections::{HashMap, VecDeque};
use std::hash::Hash;

/// A queue of each key, and the keys in turn.
#[derive(Debug)]
pub struct FairQueue<K, T> {
    most: usize,
    count: usize,
    of: HashMap<K, VecDeque<T>>,
    turns: VecDeque<K>,
}

impl<K: Hash + Eq + Clone, T> FairQueue<K, T> {
    /// For at most so many of all.
    #[must_use]
    pub fn new(most: usize) -> Self {
        Self {
            most,
            count: 0,
            of: HashMap::new(),
            turns: VecDeque::new(),
        }
    }

    /// Whether nobody waits.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// Lets one more wait. When it is full, the newest of whoever has most waiting is given back, which may be this one.
    pub fn push(&mut self, key: K, item: T) -> Option<T> {
        if self.count < self.most {
            self.add(key, item);
            return None;
        }
        let own = self.of.get(&key).map_or(0, VecDeque::len);
        let most = self.of.iter_mut().max_by_key(|(_, queue)| queue.len());
        let Some((_, queue)) = most.filter(|(_, queue)| queue.len() > own + 1) else {
            return Some(item);
        };
        let given_back = queue.pop_back();
        self.count -= 1;
        self.add(key, item);
        given_back
    }

    /// The next one: the first of a key that `admit` lets in, of the keys in turn, with what it says.
    pub fn pop_by<R>(&mut self, mut admit: impl FnMut(&K, &T) -> Option<R>) -> Option<(T, R)> {
        let mut turns = self.turns.iter().enumerate();
        let (turn, admitted) = turns.find_map(|(turn, key)| {
            let first = self.of.get(key)?.front()?;
            Some((turn, admit(key, first)?))
        })?;
        let key = self.turns.remove(turn)?;
        let queue = self.of.get_mut(&key)?;
        let item = queue.pop_front()?;
        if queue.is_empty() {
            self.of.remove(&key);
        } else {
            self.turns.push_back(key);
        }
        self.count -= 1;
        Some((item, admitted))
    }

    fn add(&mut self, key: K, item: T) {
        let queue = self.of.entry(key.clone()).or_default();
        if queue.is_empty() {
            self.turns.push_back(key);
        }
        queue.push_back(item);
        self.count += 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all<K: Hash + Eq + Clone>(queue: &mut FairQueue<K, i32>) -> Vec<i32> {
        let next = || queue.pop_by(|_, _| Some(())).map(|(item, ())| item);
        std::iter::from_fn(next).collect()
    }

    #[test]
    fn who_has_one_waiting_comes_before_all_but_one_of_who_has_many() {
        let mut queue = FairQueue::new(100);
        for number in 0..50 {
            assert_eq!(queue.push("many", number), None);
        }
        assert_eq!(queue.push("one", 1_000), None);
        let order = all(&mut queue);
        assert_eq!(order[..3], [0, 1_000, 1]);
        assert_eq!(order.len(), 51);
    }

    #[test]
    fn who_is_not_let_in_keeps_its_turn() {
        let mut queue = FairQueue::new(100);
        for number in 0..3 {
            assert_eq!(queue.push("many", number), None);
            assert_eq!(queue.push("few", 1_000 + number), None);
        }
        let few = |key: &&str, _: &i32| (*key == "few").then_some("come in");
        assert_eq!(queue.pop_by(few), Some((1_000, "come in")));
        assert_eq!(queue.pop_by(|_, _| None::<()>), None);
        assert_eq!(all(&mut queue), [0, 1_001, 1, 1_002, 2]);
    }

    #[test]
    fn when_it_is_full_who_has_most_waiting_loses_the_newest() {
        let mut queue = FairQueue::new(3);
        for number in 0..3 {
            assert_eq!(queue.push("many", number), None);
        }
        assert_eq!(queue.push("many", 3), Some(3));
        assert_eq!(queue.push("one", 1_000), Some(2));
        // Two and one: another of the one would have as many as the other then.
        assert_eq!(queue.push("one", 1_001), Some(1_001));
        assert_eq!(all(&mut queue), [0, 1_000, 1]);
    }
}
