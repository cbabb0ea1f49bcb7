//! What a controller believes about its own lead, and when tasks have their turn; the time stands still until it is moved.

use std::pin::pin;
use std::task::Poll;

use futures::poll;

use super::*;

const FENCE: Duration = Duration::from_secs(10);
const HOUR: Duration = Duration::from_secs(3_600);

fn leader() -> Leader {
    Leader::new(&Entropy::seeded(1), Arc::default())
}

/// Leads in that term, with a renewal that begins at this moment.
fn lead(leader: &Leader, epoch: u64) -> Term {
    let term = Term {
        holder: leader.holder.clone(),
        epoch,
    };
    leader.stand(Standing::Here(Lead {
        term: term.clone(),
        since: Timestamp::EPOCH,
        fence_at: Some(Instant::now() + FENCE),
    }));
    term
}

#[tokio::test(start_paused = true)]
async fn a_controller_that_cannot_renew_stops_believing_that_it_leads() {
    let leader = leader();
    assert_eq!(leader.term(), None);
    let term = lead(&leader, 3);
    tokio::time::advance(FENCE.saturating_sub(Duration::from_millis(1))).await;
    assert_eq!(leader.term(), Some(term));
    assert_eq!(leader.metrics.leads.get(), 1);
    // Nothing but the time says so: what looks after the lease may be stopped as well.
    tokio::time::advance(Duration::from_millis(1)).await;
    assert_eq!(leader.term(), None);
    assert_eq!(leader.view(), LeaderView::default());
    leader.show();
    assert_eq!(leader.metrics.leads.get(), 0);
    assert_eq!(leader.metrics.lease_epoch.get(), 3);
}

#[tokio::test(start_paused = true)]
async fn a_renewal_moves_the_fence() {
    let leader = leader();
    let term = lead(&leader, 3);
    tokio::time::advance(FENCE / 2).await;
    lead(&leader, 3);
    tokio::time::advance(FENCE / 2).await;
    assert_eq!(leader.term(), Some(term));
}

#[tokio::test(start_paused = true)]
async fn a_refused_write_ends_its_own_term_and_no_other() {
    let leader = leader();
    let (former, term) = (lead(&leader, 3), lead(&leader, 5));
    leader.refused(&former);
    assert_eq!(leader.term(), Some(term.clone()));
    leader.refused(&term);
    assert_eq!(leader.term(), None);
    assert_eq!(leader.metrics.led_writes_refused.get(), 2);
    assert_eq!(leader.metrics.leads.get(), 0);
    // The lease is looked at at once.
    leader.asked.notified().await;
}

#[tokio::test(start_paused = true)]
async fn a_task_has_its_turn_when_leadership_comes_and_then_by_its_period() {
    let leader = leader();
    let mut first = pin!(leader.turn(None, HOUR));
    assert!(poll!(&mut first).is_pending());
    let term = lead(&leader, 1);
    assert_eq!(poll!(&mut first), Poll::Ready(term.clone()));
    let mut second = pin!(leader.turn(Some(&term), FENCE / 2));
    assert!(poll!(&mut second).is_pending());
    lead(&leader, 1);
    assert!(poll!(&mut second).is_pending(), "a renewal is no news");
    tokio::time::advance(FENCE / 2).await;
    assert_eq!(poll!(&mut second), Poll::Ready(term.clone()));
    let mut third = pin!(leader.turn(Some(&term), HOUR));
    assert!(poll!(&mut third).is_pending());
    leader.stand(Standing::Unknown);
    assert!(poll!(&mut third).is_pending());
    let again = lead(&leader, 3);
    assert_eq!(poll!(&mut third), Poll::Ready(again));
}

#[tokio::test(start_paused = true)]
async fn a_task_whose_period_is_over_waits_until_it_leads() {
    let leader = leader();
    let term = lead(&leader, 1);
    let mut turn = pin!(leader.turn(Some(&term), HOUR));
    assert!(poll!(&mut turn).is_pending());
    leader.stand(Standing::Unknown);
    tokio::time::advance(HOUR).await;
    assert!(poll!(&mut turn).is_pending());
    let term = lead(&leader, 2);
    assert_eq!(poll!(&mut turn), Poll::Ready(term));
}

#[test]
fn others_are_told_who_leads_while_they_do() {
    let leader = leader();
    let lease = Lease {
        holder: Some("other/1".to_owned()),
        epoch: 4,
        since: Timestamp::from_unix_ms(1_000),
        until: Timestamp::from_unix_ms(9_000),
        now: Timestamp::from_unix_ms(2_000),
    };
    leader.stand(Standing::Elsewhere(lease.clone()));
    let view = LeaderView {
        is_this: false,
        holder: Some("other/1".to_owned()),
        epoch: Some(4),
        since_ms: Some(1_000),
    };
    assert_eq!(leader.view(), view);
    let nobody = LeaderView {
        holder: None,
        since_ms: None,
        ..view
    };
    let over = Lease {
        now: lease.until,
        ..lease.clone()
    };
    let given_back = Lease {
        holder: None,
        ..lease
    };
    for lease in [over, given_back] {
        leader.stand(Standing::Elsewhere(lease));
        assert_eq!(leader.view(), nobody);
    }
}
