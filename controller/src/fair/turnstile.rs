//! Lets so many in at once. When it is full, a newcomer takes the place of whoever has been in longest of those who have most.

use std::collections::{HashMap, VecDeque};
use std::hash::Hash;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::metrics::Metrics;

/// Who has at most so many more than a newcomer keeps them: else, when all come at once, those that share an address would put out each
/// other.
pub const MARGIN: usize = 8;

/// How many may be in.
#[derive(Clone, Copy, Debug)]
pub struct TurnstileLimits {
    /// Of all.
    pub all: usize,
    /// Of one key. One more puts out the oldest of its own.
    pub each: usize,
    /// Who has more than a newcomer by more than this loses one to it.
    pub margin: usize,
    /// But not one that has been in for less: where who is honest is quick, that keeps them in.
    pub least: Duration,
    /// Who has more than a newcomer at all loses one that has been in for as long; nobody does without.
    pub after: Option<Duration>,
}

/// Lets connections in by whose they are.
#[derive(Debug)]
pub struct Turnstile<K: Hash + Eq + Clone> {
    limits: TurnstileLimits,
    metrics: Arc<Metrics>,
    inside: Mutex<Inside<K>>,
    left: Notify,
}

#[derive(Debug)]
struct Inside<K> {
    count: usize,
    last: u64,
    /// By key, the oldest first.
    of: HashMap<K, VecDeque<Seat>>,
}

#[derive(Clone, Debug)]
struct Seat {
    number: u64,
    since: Instant,
    put_out: CancellationToken,
}

/// A place inside, until it is dropped.
#[derive(Debug)]
pub struct Place<K: Hash + Eq + Clone> {
    turnstile: Arc<Turnstile<K>>,
    key: K,
    number: u64,
    put_out: CancellationToken,
}

/// Everybody inside has about as many places as the newcomer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Full;

impl<K: Hash + Eq + Clone> Turnstile<K> {
    /// With nobody inside; who is put out is counted in `metrics`.
    #[must_use]
    pub fn new(limits: TurnstileLimits, metrics: Arc<Metrics>) -> Arc<Self> {
        Arc::new(Self {
            limits,
            metrics,
            inside: Mutex::new(Inside {
                count: 0,
                last: 0,
                of: HashMap::new(),
            }),
            left: Notify::new(),
        })
    }

    /// Lets one more of `key` in.
    ///
    /// # Errors
    /// [`Full`] when nobody has so many more that it would be fair to put one out.
    pub fn enter(self: &Arc<Self>, key: K) -> Result<Place<K>, Full> {
        let mut inside = self.inside();
        let own = inside.of.get(&key).map_or(0, VecDeque::len);
        let loser = if own >= self.limits.each {
            Some(key.clone())
        } else if inside.count < self.limits.all {
            None
        } else {
            Some(inside.who_loses_to(own, self.limits).ok_or(Full)?)
        };
        if let Some(loser) = loser {
            inside.put_out_oldest(&loser);
            self.metrics.connections_displaced.add(1);
        }
        let (number, put_out) = inside.admit(&key);
        drop(inside);
        Ok(Place {
            turnstile: Arc::clone(self),
            key,
            number,
            put_out,
        })
    }

    /// Whether there is room, or a newcomer for whom it would be fair to make some: when not, nobody needs to be tried.
    #[must_use]
    pub fn may_admit(&self) -> bool {
        let inside = self.inside();
        inside.count < self.limits.all || inside.who_loses_to(0, self.limits).is_some()
    }

    /// Lets one more of `key` in, as soon as it can.
    pub async fn wait(self: &Arc<Self>, key: K) -> Place<K> {
        loop {
            let left = self.left.notified();
            match self.enter(key.clone()) {
                Ok(place) => return place,
                Err(Full) => left.await,
            }
        }
    }

    fn inside(&self) -> MutexGuard<'_, Inside<K>> {
        self.inside.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<K: Hash + Eq + Clone> Inside<K> {
    /// Who has most, if it is fair that a newcomer who has `own` takes one of theirs.
    fn who_loses_to(&self, own: usize, limits: TurnstileLimits) -> Option<K> {
        // Nobody can have so many more.
        if limits.each <= own + limits.margin && limits.after.is_none() {
            return None;
        }
        let (key, seats) = self.of.iter().max_by_key(|(_, seats)| seats.len())?;
        let (count, age) = (seats.len(), seats.front()?.since.elapsed());
        let has_many = count > own + limits.margin && age >= limits.least;
        let had_its_time = count > own && limits.after.is_some_and(|after| age >= after);
        (has_many || had_its_time).then(|| key.clone())
    }

    fn admit(&mut self, key: &K) -> (u64, CancellationToken) {
        self.last = self.last.wrapping_add(1);
        self.count += 1;
        let put_out = CancellationToken::new();
        let seats = self.of.entry(key.clone()).or_default();
        seats.push_back(Seat {
            number: self.last,
            since: Instant::now(),
            put_out: put_out.clone(),
        });
        (self.last, put_out)
    }

    fn put_out_oldest(&mut self, key: &K) {
        let oldest = self.of.get(key).and_then(VecDeque::front);
        if let Some(seat) = oldest.cloned() {
            seat.put_out.cancel();
            self.remove(key, seat.number);
        }
    }

    /// Whoever was put out is gone already.
    fn remove(&mut self, key: &K, number: u64) {
        let Some(seats) = self.of.get_mut(key) else {
            return;
        };
        if let Some(index) = seats.iter().position(|seat| seat.number == number) {
            seats.remove(index);
            self.count -= 1;
        }
        if seats.is_empty() {
            self.of.remove(key);
        }
    }
}

impl<K: Hash + Eq + Clone> Place<K> {
    /// Cancelled when this place is given to another.
    #[must_use]
    pub const fn put_out(&self) -> &CancellationToken {
        &self.put_out
    }
}

impl<K: Hash + Eq + Clone> Drop for Place<K> {
    fn drop(&mut self) {
        self.turnstile.inside().remove(&self.key, self.number);
        self.turnstile.left.notify_waiters();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with(limits: TurnstileLimits) -> Arc<Turnstile<u32>> {
        Turnstile::new(limits, Arc::default())
    }

    fn turnstile(all: usize, each: usize) -> Arc<Turnstile<u32>> {
        with(TurnstileLimits {
            all,
            each,
            margin: 8,
            least: Duration::ZERO,
            after: None,
        })
    }

    fn enter(turnstile: &Arc<Turnstile<u32>>, key: u32) -> Place<u32> {
        turnstile.enter(key).unwrap()
    }

    fn count(turnstile: &Turnstile<u32>) -> usize {
        turnstile.inside().count
    }

    fn displaced(turnstile: &Turnstile<u32>) -> u64 {
        turnstile.metrics.connections_displaced.get()
    }

    #[test]
    fn a_newcomer_takes_the_oldest_place_of_who_has_most() {
        let turnstile = turnstile(20, 100);
        let modest = enter(&turnstile, 1);
        let greedy: Vec<_> = (0..19).map(|_| enter(&turnstile, 2)).collect();
        assert_eq!(displaced(&turnstile), 0);
        let newcomer = enter(&turnstile, 3);
        assert_eq!(displaced(&turnstile), 1);
        assert!(greedy[0].put_out().is_cancelled());
        assert!(!greedy[1].put_out().is_cancelled());
        assert!(!modest.put_out().is_cancelled() && !newcomer.put_out().is_cancelled());
        assert_eq!(count(&turnstile), 20);
        assert!(turnstile.may_admit());
    }

    #[test]
    fn who_has_most_gets_no_place_of_others() {
        let turnstile = turnstile(20, 100);
        let places: Vec<_> = (0..20).map(|key| enter(&turnstile, key / 4)).collect();
        assert_eq!(turnstile.enter(0).unwrap_err(), Full);
        // Nor does a newcomer put out one of a few that share an address.
        assert_eq!(turnstile.enter(9).unwrap_err(), Full);
        assert!(!turnstile.may_admit());
        assert!(places.iter().all(|place| !place.put_out().is_cancelled()));
    }

    #[test]
    fn who_has_only_just_come_is_not_put_out() {
        let turnstile = with(TurnstileLimits {
            all: 20,
            each: 100,
            margin: 8,
            least: Duration::from_secs(3_600),
            after: None,
        });
        let places: Vec<_> = (0..20).map(|_| enter(&turnstile, 1)).collect();
        assert!(!turnstile.may_admit());
        assert_eq!(turnstile.enter(2).unwrap_err(), Full);
        assert!(places.iter().all(|place| !place.put_out().is_cancelled()));
    }

    #[test]
    fn who_has_one_more_loses_it_once_it_had_its_time() {
        let limits = TurnstileLimits {
            all: 20,
            each: 100,
            margin: 8,
            least: Duration::ZERO,
            after: Some(Duration::ZERO),
        };
        let turnstile = with(limits);
        let places: Vec<_> = (0..20).map(|key| enter(&turnstile, key)).collect();
        let newcomer = enter(&turnstile, 100);
        let put_out = places.iter().filter(|place| place.put_out().is_cancelled());
        assert_eq!(put_out.count(), 1);
        assert!(!newcomer.put_out().is_cancelled());
        // With as many as the others, one waits as they do.
        assert_eq!(turnstile.enter(100).unwrap_err(), Full);
    }

    #[test]
    fn one_more_than_one_may_have_puts_out_its_own_oldest() {
        let turnstile = turnstile(20, 2);
        let other = enter(&turnstile, 2);
        let first = enter(&turnstile, 1);
        let second = enter(&turnstile, 1);
        let third = enter(&turnstile, 1);
        assert!(first.put_out().is_cancelled());
        assert!(!second.put_out().is_cancelled() && !third.put_out().is_cancelled());
        assert!(!other.put_out().is_cancelled());
    }

    #[test]
    fn a_place_is_free_once_it_is_left_and_only_once() {
        let turnstile = turnstile(1, 1);
        let first = enter(&turnstile, 1);
        let second = enter(&turnstile, 1);
        // It was put out, and its place is another's: its end frees nothing.
        drop(first);
        assert_eq!(count(&turnstile), 1);
        drop(second);
        assert_eq!(count(&turnstile), 0);
        let before = displaced(&turnstile);
        let _third = enter(&turnstile, 2);
        assert_eq!(displaced(&turnstile), before);
    }

    #[tokio::test]
    async fn who_waits_comes_in_when_another_leaves() {
        let turnstile = turnstile(1, 1);
        let first = enter(&turnstile, 1);
        let mut waiting = std::pin::pin!(turnstile.wait(2));
        assert!(futures::poll!(waiting.as_mut()).is_pending());
        drop(first);
        let _second = waiting.await;
        assert_eq!(displaced(&turnstile), 0);
    }
}
