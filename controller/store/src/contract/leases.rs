//! The lease: one holder at a time, an epoch that rises with each term, and transactions that end with their term.

use std::collections::BTreeSet;
use std::time::Duration;

use super::*;
use crate::store::Pools;
use crate::testing::execute;
use crate::{Backend, Lease, News, StoreError, Term, Tx};

contract!(
    a_lease_that_nobody_has_is_taken_and_renewed,
    of_three_holders_one_has_the_lease_whatever_they_do,
    a_transaction_of_a_term_that_is_over_is_refused,
    a_takeover_waits_for_the_leaders_transaction_and_a_renewal_does_not,
    others_hear_that_the_lease_was_given_back,
    a_lease_is_seized_whoever_has_it,
);

const TTL: Duration = Duration::from_secs(15);
const HOLDERS: [&str; 3] = ["a", "b", "c"];
/// More than enough to reach every state and do everything there.
const STEPS: u32 = 600;

async fn take(store: &Store, holder: &str) -> Option<Lease> {
    let mut tx = store.begin().await.unwrap();
    let taken = tx.lease_take(holder, TTL, at(50_000)).await.unwrap();
    tx.commit().await.unwrap();
    taken
}

async fn find(store: &Store) -> Lease {
    let mut tx = store.read().await.unwrap();
    tx.lease_find(at(50_000)).await.unwrap()
}

async fn holds(store: &Store, term: &Term) -> bool {
    let mut tx = store.begin().await.unwrap();
    match tx.fenced(term).await {
        Ok(()) => true,
        Err(StoreError::Fenced { epoch }) => {
            assert_eq!(epoch, term.epoch);
            false
        }
        Err(error) => panic!("{error}"),
    }
}

/// Lets the time of whoever has the lease run out, which the clock of a Postgres would need 15 s for.
async fn run_out(store: &Store) {
    execute(store, "UPDATE leases SET until = until - 15001").await;
}

fn term(holder: &str, epoch: u64) -> Term {
    Term {
        holder: holder.to_owned(),
        epoch,
    }
}

async fn a_lease_that_nobody_has_is_taken_and_renewed(store: Store) {
    let untaken = find(&store).await;
    assert_eq!((untaken.holder, untaken.epoch), (None, 0));
    let taken = take(&store, "a").await.unwrap();
    assert_eq!((taken.holder.as_deref(), taken.epoch), (Some("a"), 1));
    assert_eq!(taken.until, taken.since.saturating_add(TTL));
    assert_eq!(taken.now, taken.since);
    let renewed = take(&store, "a").await.unwrap();
    assert_eq!((renewed.epoch, renewed.since), (1, taken.since));
    assert!(renewed.until >= taken.until);
    assert_eq!(take(&store, "b").await, None);
    let found = find(&store).await;
    assert_eq!((found.holder.as_deref(), found.epoch), (Some("a"), 1));
    if store.backend() == Backend::Postgres {
        assert_ne!(taken.now, at(50_000), "the time of the caller counts");
    }
}

/// What the lease must be after each step.
#[derive(Clone, Copy, Debug, Default)]
struct Model {
    holder: Option<usize>,
    has_run_out: bool,
    epoch: u64,
    /// The last term of each.
    terms: [u64; 3],
}

#[derive(Clone, Copy, Debug)]
enum Deed {
    Take(usize),
    GiveBack(usize),
    RunOut,
}

impl Model {
    fn may_take(&self, who: usize) -> bool {
        self.has_run_out || self.holder.is_none_or(|holder| holder == who)
    }

    fn has(&self, who: usize) -> bool {
        self.holder == Some(who) && self.epoch == self.terms[who]
    }

    async fn carry_out(&mut self, store: &Store, deed: Deed) {
        match deed {
            Deed::Take(who) => {
                let taken = take(store, HOLDERS[who]).await;
                assert_eq!(taken.is_some(), self.may_take(who), "{self:?} {deed:?}");
                let Some(taken) = taken else { return };
                let is_renewal = self.holder == Some(who) && !self.has_run_out;
                self.epoch += u64::from(!is_renewal);
                assert_eq!(taken.epoch, self.epoch, "{self:?} {deed:?}");
                self.terms[who] = self.epoch;
                (self.holder, self.has_run_out) = (Some(who), false);
            }
            Deed::GiveBack(who) => {
                let mut tx = store.begin().await.unwrap();
                let own = term(HOLDERS[who], self.terms[who]);
                let given = tx.lease_give_back(&own).await.unwrap();
                tx.commit().await.unwrap();
                assert_eq!(given, self.has(who), "{self:?} {deed:?}");
                if given {
                    self.holder = None;
                }
            }
            Deed::RunOut => {
                run_out(store).await;
                self.has_run_out = true;
            }
        }
    }

    async fn check(&self, store: &Store, deed: Deed) {
        for (who, name) in HOLDERS.into_iter().enumerate() {
            let own = term(name, self.terms[who]);
            let is_held = holds(store, &own).await;
            assert_eq!(is_held, self.has(who), "{name} {self:?} {deed:?}");
        }
        let found = find(store).await;
        let holder = self.holder.map(|who| HOLDERS[who]);
        assert_eq!((found.holder.as_deref(), found.epoch), (holder, self.epoch));
    }
}

/// Every deed in every state, on a walk whose turns are drawn by a fixed rule.
async fn of_three_holders_one_has_the_lease_whatever_they_do(store: Store) {
    let deeds = [
        Deed::Take(0),
        Deed::Take(1),
        Deed::Take(2),
        Deed::GiveBack(0),
        Deed::GiveBack(1),
        Deed::GiveBack(2),
        Deed::RunOut,
    ];
    let mut model = Model::default();
    let mut seen = BTreeSet::new();
    let mut draw = 1_u32;
    for _ in 0..STEPS {
        draw = draw.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        let place = (draw >> 16) as usize % deeds.len();
        seen.insert((model.holder, model.has_run_out, place));
        model.carry_out(&store, deeds[place]).await;
        model.check(&store, deeds[place]).await;
    }
    // Nobody, whose time has also run out, and each of the three in their time and after it.
    assert_eq!(seen.len(), 8 * deeds.len(), "{seen:?}");
}

async fn a_transaction_of_a_term_that_is_over_is_refused(store: Store) {
    let first = take(&store, "a").await.unwrap();
    run_out(&store).await;
    let own = term("a", first.epoch);
    assert!(
        holds(&store, &own).await,
        "nobody else leads: what it writes harms nobody"
    );
    let second = take(&store, "b").await.unwrap();
    assert!(second.epoch > first.epoch);
    let mut tx = store.begin().await.unwrap();
    let refused = tx.fenced(&own).await.unwrap_err();
    assert!(
        matches!(refused, StoreError::Fenced { epoch: 1 }),
        "{refused}"
    );
    drop(tx);
    // Its own time that ran out is over, also when nobody led in between.
    run_out(&store).await;
    let third = take(&store, "b").await.unwrap();
    assert!(third.epoch > second.epoch);
    assert!(!holds(&store, &term("b", second.epoch)).await);
    assert!(holds(&store, &term("b", third.epoch)).await);
}

/// Waits until so many sessions of this database wait for a lock.
async fn until_waiting(store: &Store, count: i64) {
    let Pools::Postgres(pool) = &store.pools else {
        panic!("not Postgres");
    };
    let waiting = async {
        loop {
            let now: i64 = sqlx::query_scalar(
                "SELECT count(*) FROM pg_stat_activity \
                 WHERE datname = current_database() AND wait_event_type = 'Lock'",
            )
            .fetch_one(pool)
            .await
            .unwrap();
            if now == count {
                return;
            }
            tokio::task::yield_now().await;
        }
    };
    let within = Duration::from_secs(20);
    tokio::time::timeout(within, waiting).await.unwrap();
}

async fn a_takeover_waits_for_the_leaders_transaction_and_a_renewal_does_not(store: Store) {
    if store.backend() == Backend::Sqlite {
        // It has one transaction that writes, which is enough.
        return;
    }
    let lease = take(&store, "a").await.unwrap();
    let own = term("a", lease.epoch);
    let mut led = store.begin().await.unwrap();
    led.fenced(&own).await.unwrap();
    led.host_insert(&new_host(1)).await.unwrap();
    let renewed = take(&store, "a").await.unwrap();
    assert_eq!(renewed.epoch, lease.epoch);
    run_out(&store).await;
    let takeover = take(&store, "b");
    let commit = async {
        until_waiting(&store, 1).await;
        led.commit().await.unwrap();
    };
    let (taken, ()) = tokio::join!(takeover, commit);
    assert_eq!(taken.unwrap().epoch, lease.epoch + 1);
    assert_eq!(store.read().await.unwrap().hosts_count().await.unwrap(), 1);
    // The other way round: a guard waits for a takeover, and sees it.
    let mut takes = store.begin().await.unwrap();
    run_out(&store).await;
    let taken = takes.lease_take("c", TTL, at(0)).await.unwrap().unwrap();
    let late = term("b", lease.epoch + 1);
    let guard = holds(&store, &late);
    let commit = async {
        until_waiting(&store, 1).await;
        takes.commit().await.unwrap();
    };
    let (is_held, ()) = tokio::join!(guard, commit);
    assert!(!is_held);
    assert!(holds(&store, &term("c", taken.epoch)).await);
}

async fn others_hear_that_the_lease_was_given_back(store: Store) {
    let lease = take(&store, "a").await.unwrap();
    let listener = store.listen().await.unwrap();
    let mut tx = store.begin().await.unwrap();
    let own = term("a", lease.epoch);
    assert!(tx.lease_give_back(&own).await.unwrap());
    tx.commit().await.unwrap();
    if let Some(mut listener) = listener {
        let heard = tokio::time::timeout(Duration::from_secs(20), listener.next());
        assert_eq!(heard.await.unwrap().unwrap(), Some(News::Lease));
    }
    let taken = take(&store, "b").await.unwrap();
    assert_eq!(taken.epoch, lease.epoch + 1);
}

async fn a_lease_is_seized_whoever_has_it(store: Store) {
    let lease = take(&store, "a").await.unwrap();
    let mut tx: Tx = store.begin().await.unwrap();
    let seized = tx.lease_seize("b", at(60_000)).await.unwrap();
    tx.commit().await.unwrap();
    assert_eq!(seized.epoch, lease.epoch + 1);
    assert!(!holds(&store, &term("a", lease.epoch)).await);
    assert!(holds(&store, &term("b", seized.epoch)).await);
}
