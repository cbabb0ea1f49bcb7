//! Statements about keys on a host: followed by its own policy's keys, through restarts, and for what already waits.

use tidemark_model::action::{HostPolicyView, KeyStanding, Tier};
use tidemark_model::grant::{
    ActionTemplate, Grant, GrantId, GrantList, Scope, SignedGrant, Trigger,
};
use tidemark_model::key_statement::{KeyRevocation, KeyRotation, KeyStatement, SignedKeyStatement};
use tidemark_model::sample::EventHit;
use tidemark_model::signing::Purpose;

use super::*;

const BOTH: &[u8] = &[1, 2];

pub(super) fn key(seed: u8) -> PrivateKey {
    PrivateKey::from_seed([seed; 32])
}

/// A host whose policy lists the keys 1 and 2, and lets hooks run.
pub(super) fn listing(rotation: bool) -> Place {
    let mut policy =
        format!("profile = \"full\"\n[limits]\ncooldown = \"0s\"\n[keys]\nrotation = {rotation}\n");
    for seed in BOTH {
        let public = key(*seed).public();
        policy.push_str(&format!(
            "[[key]]\nname = \"k{seed}\"\npublic = \"{public}\"\ntier_max = 2\n"
        ));
    }
    Place::with(&policy)
}

fn signed(statement: &KeyStatement, signers: &[u8]) -> Message {
    let bytes = statement.to_bytes();
    let sign = |seed: &u8| key(*seed).sign(statement.purpose(), &bytes);
    Message::KeyStatement(SignedKeyStatement {
        signatures: signers.iter().map(sign).collect(),
        bytes,
    })
}

fn revoke(seed: u8) -> KeyStatement {
    KeyStatement::Revocation(KeyRevocation {
        key: key(seed).public(),
        since_ms: None,
        issued_at_ms: Clock::System.now(),
        reason: "left in a train".to_owned(),
    })
}

fn rotate(old: u8, new: u8) -> KeyStatement {
    KeyStatement::Rotation(KeyRotation {
        old: key(old).public(),
        new: key(new).public(),
        tier_max: Tier::Reboot,
        issued_at_ms: Clock::System.now(),
        reason: "once a year".to_owned(),
    })
}

fn order_by(number: u128, seed: u8) -> (ActionId, Message) {
    let order = order(number, hook());
    let bytes = order.to_bytes();
    let signature = key(seed).sign(Purpose::Order, &bytes);
    let message = Message::Order(SignedOrder {
        id: order.id,
        bytes,
        signatures: vec![signature],
    });
    (order.id, message)
}

/// The policy as soon as it is told so.
pub(super) async fn told_policy(
    feed: &ActionFeed,
    is_so: impl Fn(&HostPolicyView) -> bool,
) -> HostPolicyView {
    let wait = async {
        loop {
            if let Some(policy) = feed.take().policy.filter(|policy| is_so(policy)) {
                return policy;
            }
            feed.changed().await;
        }
    };
    tokio::time::timeout(PATIENCE, wait).await.unwrap()
}

fn standing(view: &HostPolicyView, seed: u8) -> Option<KeyStanding> {
    view.key(key(seed).public().id()).map(|key| key.standing)
}

#[cfg(unix)]
#[tokio::test]
async fn what_a_revoked_key_signed_is_refused_through_restarts() {
    let place = listing(false);
    place.add_hook("");
    let desk = place.start();
    desk.feed().hand(signed(&revoke(1), &[2]));
    let view = told_policy(&desk.feed(), |view| view.keys.len() == 1).await;
    assert_eq!(standing(&view, 1), Some(KeyStanding::Revoked));
    desk.stop().await.unwrap();
    let desk = place.start();
    let (id, message) = order_by(1, 1);
    desk.feed().hand(message);
    let refused = told(&desk.feed(), id, ActionState::Refused).await;
    assert_eq!(refused.refusal, Some(Refusal::UnknownKey));
    assert!(refused.text.contains("left in a train"), "{}", refused.text);
    let (id, message) = order_by(2, 2);
    desk.feed().hand(message);
    told(&desk.feed(), id, ActionState::Verifying).await;
    desk.stop().await.unwrap();
    assert_eq!(place.runs(), 1);
}

/// A host whose hands are at an order of the key 2 until there is a file `go`.
#[cfg(unix)]
pub(super) async fn busy(witness: Witness) -> (Place, Desk) {
    let place = listing(false);
    let go = place.path().join("go");
    place.add_hook(&format!(
        "while [ ! -e {} ]; do sleep 0.05; done",
        go.display()
    ));
    let desk = place.start_seeing(witness);
    let (running, message) = order_by(1, 2);
    desk.feed().hand(message);
    told(&desk.feed(), running, ActionState::Running).await;
    (place, desk)
}

#[cfg(unix)]
#[tokio::test]
async fn what_waits_under_a_revoked_key_is_not_begun() {
    let (place, desk) = busy(Witness::default()).await;
    let feed = desk.feed();
    let (waiting, message) = order_by(2, 1);
    feed.hand(message);
    told(&feed, waiting, ActionState::Accepted).await;
    feed.hand(signed(&revoke(1), &[1]));
    told_policy(&feed, |view| view.keys.len() == 1).await;
    fs::write(place.path().join("go"), "").unwrap();
    let refused = told(&feed, waiting, ActionState::Refused).await;
    assert_eq!(refused.refusal, Some(Refusal::UnknownKey));
    assert!(refused.text.contains("left in a train"), "{}", refused.text);
    desk.stop().await.unwrap();
    assert_eq!(place.runs(), 1);
}

#[cfg(unix)]
#[tokio::test]
async fn what_waits_under_a_key_that_the_policy_lists_no_more_is_not_begun() {
    let (place, desk) = busy(Witness::default()).await;
    let feed = desk.feed();
    let (waiting, message) = order_by(2, 1);
    feed.hand(message);
    told(&feed, waiting, ActionState::Accepted).await;
    let file = place.path().join("policy.toml");
    let both = fs::read_to_string(&file).unwrap();
    let other = both.replace(&key(1).public().to_string(), &key(3).public().to_string());
    fs::write(&file, other).unwrap();
    fs::write(place.path().join("go"), "").unwrap();
    let refused = told(&feed, waiting, ActionState::Refused).await;
    assert_eq!(refused.refusal, Some(Refusal::UnknownKey));
    assert!(refused.text.contains("not listed"), "{}", refused.text);
    desk.stop().await.unwrap();
    assert_eq!(place.runs(), 1);
}

/// A grant for the hook, of the key 1, and an order of the controller's own under it.
#[cfg(unix)]
pub(super) fn granted(number: u128) -> (GrantList, ActionId, Message) {
    let now = Clock::System.now();
    let grant = Grant {
        id: GrantId::from_random(7),
        policy: "night".to_owned(),
        rule: "ab".repeat(32),
        action: ActionTemplate::of(&hook()),
        hosts: Scope {
            ids: vec![host()],
            names: Vec::new(),
        },
        trigger: Trigger::Event {
            source: "Tcpip".to_owned(),
            code: 4231,
            within_s: 600,
        },
        per_hour: 1,
        per_day: 1,
        issued_at_ms: now,
        not_before_ms: now,
        expires_at_ms: now.saturating_add(Duration::from_secs(3_600)),
        issuer: "k1".to_owned(),
        reason: "it leaks".to_owned(),
    };
    let bytes = grant.to_bytes();
    let signed = SignedGrant {
        signatures: [9, 1]
            .map(|seed| key(seed).sign(Purpose::Grant, &bytes))
            .into(),
        bytes,
    };
    let list = GrantList {
        grants: vec![signed],
        ends: Vec::new(),
    };
    let order = order(number, hook());
    let unsigned = SignedOrder {
        id: order.id,
        bytes: order.to_bytes(),
        signatures: Vec::new(),
    };
    (list, order.id, Message::Granted(unsigned, grant.id))
}

/// Its log tells of the grant's trigger.
#[cfg(unix)]
pub(super) fn tell(witness: &Witness) {
    let now = Clock::System.now();
    let hit = EventHit {
        at: now,
        source: Arc::from("Tcpip"),
        code: 4231,
        count: 1,
        text: Arc::from(""),
        log: None,
    };
    witness.event(&hit, now);
}

#[cfg(unix)]
#[tokio::test]
async fn what_waits_under_a_grant_of_a_revoked_key_is_not_begun() {
    let witness = Witness::default();
    tell(&witness);
    let (place, desk) = busy(witness).await;
    let feed = desk.feed();
    let (list, waiting, message) = granted(2);
    feed.hand(Message::Grants(list));
    feed.hand(message);
    told(&feed, waiting, ActionState::Accepted).await;
    feed.hand(signed(&revoke(1), &[1]));
    told_policy(&feed, |view| view.keys.len() == 1).await;
    fs::write(place.path().join("go"), "").unwrap();
    let refused = told(&feed, waiting, ActionState::Refused).await;
    assert_eq!(refused.refusal, Some(Refusal::UnknownKey));
    assert!(refused.text.contains("left in a train"), "{}", refused.text);
    desk.stop().await.unwrap();
    assert_eq!(place.runs(), 1);
}

#[cfg(unix)]
#[tokio::test]
async fn a_rotated_key_signs_in_place_of_the_old_one_where_the_policy_allows_it() {
    let place = listing(true);
    place.add_hook("");
    let desk = place.start();
    let feed = desk.feed();
    // By a lone thief of the old key, who has no other to prove: forged.
    feed.hand(signed(&rotate(1, 9), &[1]));
    let view = told_policy(&feed, |view| !view.refused_statements.is_empty()).await;
    assert!(view.refused_statements[0].text.contains("did not sign it"));
    feed.hand(signed(&rotate(1, 3), &[1, 3]));
    let view = told_policy(&feed, |view| standing(view, 3).is_some()).await;
    assert_eq!(standing(&view, 1), Some(KeyStanding::Replaced));
    desk.stop().await.unwrap();
    let desk = place.start();
    let feed = desk.feed();
    let (old, message) = order_by(1, 1);
    feed.hand(message);
    let refused = told(&feed, old, ActionState::Refused).await;
    assert!(
        refused.text.contains("was replaced by key"),
        "{}",
        refused.text
    );
    let (new, message) = order_by(2, 3);
    feed.hand(message);
    told(&feed, new, ActionState::Verifying).await;
    desk.stop().await.unwrap();
}

#[tokio::test]
async fn a_host_whose_policy_says_nothing_of_rotation_keeps_its_keys() {
    let place = listing(false);
    let desk = place.start();
    let feed = desk.feed();
    feed.hand(signed(&rotate(1, 3), &[1, 3, 2]));
    let view = told_policy(&feed, |view| !view.refused_statements.is_empty()).await;
    assert!(view.refused_statements[0].text.contains("policy.toml"));
    assert_eq!(standing(&view, 1), Some(KeyStanding::Holds));
    desk.stop().await.unwrap();
}

#[tokio::test]
async fn a_damaged_record_of_keys_stops_everything_that_is_signed() {
    let place = listing(false);
    let desk = place.start();
    desk.feed().hand(signed(&revoke(1), &[2]));
    told_policy(&desk.feed(), |view| view.keys.len() == 1).await;
    let file = place.path().join("keys.accepted");
    fs::write(&file, "0").unwrap();
    let (id, message) = order_by(1, 2);
    desk.feed().hand(message);
    let refused = told(&desk.feed(), id, ActionState::Refused).await;
    assert!(
        refused.text.contains("keys.accepted is damaged"),
        "{}",
        refused.text
    );
    desk.stop().await.unwrap();
}
