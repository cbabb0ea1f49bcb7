//! Which keys a host does not believe, as far as statements that were brought here say.

use std::time::Duration;

use tidemark_model::Timestamp;
use tidemark_model::key_statement::{KeyRotation, SignedKeyStatement};
use tidemark_model::signing::PrivateKey;

use super::*;

const NOON: Timestamp = Timestamp::from_unix_ms(100_000_000_000);

fn key(seed: u8) -> PrivateKey {
    PrivateKey::from_seed([seed; 32])
}

fn id(seed: u8) -> KeyId {
    key(seed).public().id()
}

fn told(seed: u8, standing: KeyStanding, rotated_from: Option<u8>) -> HostKey {
    HostKey {
        name: format!("k{seed}"),
        public: key(seed).public(),
        tier_max: Tier::Disruptive,
        standing,
        rotated_from: rotated_from.map(id),
        why: String::new(),
    }
}

/// A host that lists keys 1 and 9; 2 came in the place of 1, and 3 in that of 2.
fn host(first: KeyStanding) -> HostPolicyView {
    HostPolicyView {
        keys: vec![id(3), id(9)],
        all_keys: vec![
            told(1, first, None),
            told(2, KeyStanding::Replaced, Some(1)),
            told(3, KeyStanding::Holds, Some(2)),
            told(9, KeyStanding::Holds, None),
        ],
        ..HostPolicyView::default()
    }
}

fn brought(statement: KeyStatement, by: u8, minutes: u64) -> StoredKeyStatement {
    let bytes = statement.to_bytes();
    StoredKeyStatement {
        signed: SignedKeyStatement {
            signatures: vec![key(by).sign(statement.purpose(), &bytes)],
            bytes,
        },
        statement,
        at: NOON.saturating_add(Duration::from_secs(60 * minutes)),
        author: "ann".to_owned(),
        brought: Vec::new(),
    }
}

fn revocation(seed: u8, since_minutes: Option<u64>) -> StoredKeyStatement {
    let since = since_minutes.map(|minutes| NOON.saturating_add(Duration::from_secs(60 * minutes)));
    let statement = KeyStatement::Revocation(KeyRevocation {
        key: key(seed).public(),
        since_ms: since,
        issued_at_ms: NOON,
        reason: "lost".to_owned(),
    });
    brought(statement, seed, 60)
}

fn rotation(old: u8, new: u8, minutes: u64) -> StoredKeyStatement {
    let statement = KeyStatement::Rotation(KeyRotation {
        old: key(old).public(),
        new: key(new).public(),
        tier_max: Tier::Reboot,
        issued_at_ms: NOON,
        reason: "once a year".to_owned(),
    });
    brought(statement, old, minutes)
}

fn falls(policy: &HostPolicyView, statements: &[StoredKeyStatement], seed: u8) -> bool {
    not_believed(policy, statements).contains_key(&id(seed))
}

#[test]
fn what_came_in_the_place_of_a_revoked_key_falls_with_it() {
    let rotations = [rotation(1, 2, 10), rotation(2, 3, 20)];
    let with = |revocation: StoredKeyStatement| {
        let mut all = rotations.to_vec();
        all.push(revocation);
        all
    };
    let policy = host(KeyStanding::Replaced);
    assert!(!falls(&policy, &rotations, 3));
    assert!(falls(&policy, &with(revocation(1, None)), 3));
    assert!(
        falls(&policy, &with(revocation(1, Some(10))), 3),
        "since then"
    );
    assert!(!falls(&policy, &with(revocation(1, Some(11))), 3), "before");
    assert!(falls(&policy, &with(revocation(2, Some(15))), 3));
    assert!(!falls(&policy, &with(revocation(1, None)), 9), "another's");
    let why = not_believed(&policy, &with(revocation(1, None)));
    let why = why.get(&id(3)).unwrap();
    assert!(why.contains("in the place of key"), "{why}");
    // A host that follows a revocation which spares some says itself which.
    let revoked = host(KeyStanding::Revoked);
    assert!(!falls(&revoked, &with(revocation(1, Some(10))), 3));
    assert!(falls(&revoked, &with(revocation(1, None)), 3));
}

#[test]
fn a_key_that_is_listed_and_believed_counts_up_to_its_tier() {
    let policy = host(KeyStanding::Replaced);
    let lost = not_believed(&policy, &[revocation(9, None)]);
    let why = |seed, tier| why_not((&policy, &lost), tier, id(seed));
    assert_eq!(why(3, Tier::Disruptive), None);
    for (seed, tier, part) in [
        (
            3,
            Tier::Reboot,
            "may sign up to tier 2, and this is of tier 3",
        ),
        (9, Tier::Disruptive, "k9 was revoked: lost"),
        (8, Tier::ReadOnly, "does not list key"),
    ] {
        let text = why(seed, tier).unwrap();
        assert!(text.contains(part), "{text}");
    }
}
