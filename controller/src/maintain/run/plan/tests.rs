//! Waves of a plan, the name of what it is made from, and expected durations.

use tidemark_model::run::{SignedAhead, Wave};
use tidemark_model::{HostId, Timestamp};

use super::pick::hash_of;
use super::*;

/// When the plan is made.
const AT: Timestamp = Timestamp::from_unix_ms(7);

fn pick(number: u32) -> Pick {
    Pick {
        id: HostId::of_identity_spki(&number.to_be_bytes()),
        name: format!("web-{number}"),
        spread: Some("a".to_owned()),
        eta: None,
        wants_signatures: false,
        ahead: None,
        is_connected: true,
        times: Vec::new(),
    }
}

fn spec() -> RunSpec {
    serde_json::from_value(serde_json::json!({
        "name": "weekly", "reason": "patches", "hosts": ["host=*"], "waves": ["1", "10%"],
        "actions": [{"action": "recycle_app_pool", "pool": "Shop"}],
    }))
    .unwrap()
}

#[test]
fn hosts_go_into_waves_in_their_order_and_none_is_lost() {
    let picked: Vec<Pick> = (0..500).map(pick).collect();
    let hosts = hosts_of(&spec().check().unwrap(), &picked, (5, AT));
    let of = |wave| hosts.iter().filter(|host| host.body.wave == wave).count();
    assert_eq!([of(0), of(1), of(2), of(3)], [1, 50, 449, 0]);
    assert!(hosts.iter().map(|host| host.body.wave).is_sorted());
    let few = hosts_of(&spec().check().unwrap(), &picked[..1], (5, AT));
    assert_eq!(few.len(), 1);
    let rules = RunRules {
        waves: vec![Wave::Rest],
        ..spec().check().unwrap()
    };
    let all = hosts_of(&rules, &picked, (5, AT));
    assert!(all.iter().all(|host| host.body.wave == 0));
    let since_the_plan = |host: &RunHost| host.body.state_at_ms == AT;
    assert!(all.iter().all(since_the_plan));
}

#[test]
fn a_plan_is_named_by_what_it_is_made_from_and_not_by_the_moment() {
    let hash = |spec: &RunSpec, picked: &[Pick]| hash_of(spec, picked, &[]);
    let (one, two) = (pick(1), pick(2));
    let base = hash(&spec(), &[pick(1), pick(2)]);
    assert_eq!(base, hash(&spec(), &[pick(2), pick(1)]));
    let later = Pick {
        eta: Some(Timestamp::EPOCH),
        is_connected: false,
        ..one
    };
    assert_eq!(base, hash(&spec(), &[later, two]));
    let elsewhere = Pick {
        spread: Some("b".to_owned()),
        ..pick(2)
    };
    assert_ne!(base, hash(&spec(), &[pick(1), elsewhere]));
    assert_ne!(base, hash(&spec(), &[pick(1)]));
    let signed = |from_ms| Pick {
        wants_signatures: true,
        ahead: Some(SignedAhead {
            from_ms: Timestamp::from_unix_ms(from_ms),
            until_ms: Timestamp::from_unix_ms(9),
            undo_within_s: None,
        }),
        ..pick(2)
    };
    let first = hash(&spec(), &[pick(1), signed(1)]);
    assert_ne!(base, first, "it wants signatures");
    assert_ne!(
        first,
        hash(&spec(), &[pick(1), signed(2)]),
        "at other times"
    );
    let other = RunSpec {
        concurrency: 2,
        ..spec()
    };
    assert_ne!(base, hash(&other, &[pick(1), pick(2)]));
}

#[test]
fn hosts_that_cannot_be_signed_ahead_say_which_limit_keeps_them() {
    let ahead = SignedAhead {
        from_ms: AT,
        until_ms: Timestamp::from_unix_ms(9),
        undo_within_s: None,
    };
    let wanting = |number, ahead| Pick {
        wants_signatures: true,
        ahead,
        ..pick(number)
    };
    let picked = [
        pick(0),
        wanting(1, Some(ahead)),
        wanting(2, Some(ahead)),
        wanting(3, None),
    ];
    let mut hosts = hosts_of(&spec().check().unwrap(), &picked, (5, AT));
    // Its orders are beyond those that one plan can have.
    hosts[2].body.ahead = None;
    let [signable, beyond, late] = signing(&hosts, &picked);
    assert_eq!(signable.0, ["web-1"]);
    assert_eq!(beyond.0, ["web-2"]);
    assert!(beyond.1.contains("10000 orders at most"), "{}", beyond.1);
    assert_eq!(late.0, ["web-3"]);
    assert!(late.1.contains("further away"), "{}", late.1);
}
