//! Orders under grants that waited: judged by their grant when their turn comes, also after a restart of the agent.

use tidemark_model::grant::{GrantEnd, GrantId, GrantList, SignedGrantEnd};
use tidemark_model::signing::Purpose;

use super::keys::{busy, granted, key, listing, tell};
use super::*;

/// A host whose hands are busy, with a grant that holds, and what is told of an order under it that waits.
async fn waiting() -> (Place, Desk, GrantList, ActionId) {
    let witness = Witness::default();
    tell(&witness);
    let (place, desk) = busy(witness).await;
    let feed = desk.feed();
    let (list, waiting, message) = granted(2);
    feed.hand(Message::Grants(list.clone()));
    feed.hand(message);
    told(&feed, waiting, ActionState::Accepted).await;
    (place, desk, list, waiting)
}

/// The hands go on to what waits.
fn go(place: &Place) {
    fs::write(place.path().join("go"), "").unwrap();
}

#[tokio::test]
async fn what_waits_under_a_grant_that_holds_is_done() {
    let (place, desk, _, waiting) = waiting().await;
    go(&place);
    told(&desk.feed(), waiting, ActionState::Verifying).await;
    desk.stop().await.unwrap();
    assert_eq!(place.runs(), 2);
}

#[tokio::test]
async fn what_waits_under_a_grant_that_was_ended_is_not_begun() {
    let (place, desk, mut list, waiting) = waiting().await;
    let end = GrantEnd {
        grant: GrantId::from_random(7),
        issued_at_ms: Clock::System.now(),
    }
    .to_bytes();
    list.ends.push(SignedGrantEnd {
        signature: key(1).sign(Purpose::GrantEnd, &end),
        bytes: end,
    });
    desk.feed().hand(Message::Grants(list));
    go(&place);
    let refused = told(&desk.feed(), waiting, ActionState::Refused).await;
    assert_eq!(refused.refusal, Some(Refusal::NotGranted));
    assert!(refused.text.contains("it is over"), "{}", refused.text);
    desk.stop().await.unwrap();
    assert_eq!(place.runs(), 1);
}

#[tokio::test]
async fn what_had_not_begun_under_a_grant_is_judged_by_it_after_a_restart() {
    let place = listing(false);
    place.add_hook("");
    let (granted, signed) = (order(1, hook()), order(2, hook()));
    let now = Clock::System.now();
    {
        let path = place.path().join("actions.journal");
        let (mut journal, _, _) = Journal::open(&path, now).unwrap();
        for (order, grant) in [(&granted, Some(GrantId::from_random(7))), (&signed, None)] {
            let began = JournalRecord::Began {
                order: order.clone(),
                at_ms: now,
                signers: Vec::new(),
                grant,
            };
            journal.append(&began).unwrap();
        }
    }
    let desk = place.start();
    let feed = desk.feed();
    let refused = told(&feed, granted.id, ActionState::Refused).await;
    assert_eq!(refused.refusal, Some(Refusal::NotGranted));
    assert!(
        refused.text.contains("was not given it"),
        "{}",
        refused.text
    );
    feed.hand(Message::Opened);
    told(&feed, signed.id, ActionState::Verifying).await;
    desk.stop().await.unwrap();
    assert_eq!(place.runs(), 1);
}

#[cfg(target_os = "linux")]
#[tokio::test]
async fn an_undo_under_a_grant_counts_against_its_caps() {
    let place = listing(false);
    place.add_hook("");
    let id = GrantId::from_random(7);
    let done = changed_under(&place, Some(id), (fin_timeout("118", "119"), 3));
    let witness = Witness::default();
    tell(&witness);
    let desk = place.start_seeing(witness);
    let feed = desk.feed();
    let (list, next, message) = granted(2);
    feed.hand(Message::Grants(list));
    feed.hand(Message::Undo(done.id));
    // It is tried, whatever the host finds; the grant is for one execution an hour.
    told(&feed, done.id, ActionState::Verifying).await;
    feed.hand(message);
    let refused = told(&feed, next, ActionState::Refused).await;
    assert_eq!(refused.refusal, Some(Refusal::TooOften), "{}", refused.text);
    desk.stop().await.unwrap();
    assert_eq!(place.runs(), 0);
}

#[tokio::test]
async fn grants_that_come_while_the_policy_cannot_be_used_are_taken_up_when_it_can() {
    let place = listing(false);
    place.add_hook("");
    let witness = Witness::default();
    tell(&witness);
    let desk = place.start_seeing(witness);
    let feed = desk.feed();
    let file = place.path().join("policy.toml");
    let policy = fs::read_to_string(&file).unwrap();
    fs::write(&file, "profil = 1").unwrap();
    let (list, _, _) = granted(2);
    feed.hand(Message::Grants(list));
    // What comes behind the list tells that it was heard.
    let behind = order(3, hook());
    feed.hand(unsigned(&behind));
    let refused = told(&feed, behind.id, ActionState::Refused).await;
    assert_eq!(refused.refusal, Some(Refusal::PolicyUnusable));
    fs::write(&file, policy).unwrap();
    let (_, id, message) = granted(2);
    feed.hand(message);
    told(&feed, id, ActionState::Verifying).await;
    desk.stop().await.unwrap();
    assert_eq!(place.runs(), 1);
}

#[tokio::test]
async fn a_lockdown_that_finds_the_desk_busy_holds_nevertheless() {
    let place = listing(false);
    let witness = Witness::default();
    let desk = place.start_seeing(witness.clone());
    let feed = desk.feed();
    {
        // The desk waits for what was seen, and its queue fills.
        let _seen = witness.seen();
        let (_, id, message) = granted(2);
        feed.hand(message);
        while feed.hand(acked(id, ActionState::Verifying)) {}
        assert!(feed.hand(Message::Stop));
    }
    keys::told_policy(&feed, |view| view.lockdown).await;
    desk.stop().await.unwrap();
}
