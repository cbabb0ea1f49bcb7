//! What a host follows of statements about its keys, and which keys hold afterwards.

use tidemark_model::Timestamp;
use tidemark_model::action::host_policy::SUCCESSORS_MAX;
use tidemark_model::action::{KeyStanding, Profile, Tier};
use tidemark_model::key_statement::{
    KeyRevocation, KeyRotation, KeyStatement, ROTATION_VALID, SignedKeyStatement,
};
use tidemark_model::signing::{PrivateKey, Purpose};

use super::*;
use crate::actions::HostPolicy;

const NOW: Timestamp = Timestamp::from_unix_ms(100_000_000_000);

fn key(seed: u8) -> PrivateKey {
    PrivateKey::from_seed([seed; 32])
}

fn at(seconds: u64) -> Timestamp {
    NOW.saturating_add(std::time::Duration::from_secs(seconds))
}

/// A host whose policy lists keys by their seeds, each with what it may sign.
struct Host {
    policy: HostPolicy,
    changes: KeyChanges,
}

impl Host {
    fn listing(keys: &[(u8, u8)]) -> Self {
        Self::of(keys, "[keys]\nrotation = true\n")
    }

    fn of(keys: &[(u8, u8)], head: &str) -> Self {
        let mut text = head.to_owned();
        for (seed, tier) in keys {
            let public = key(*seed).public();
            text.push_str(&format!(
                "[[key]]\nname = \"k{seed}\"\npublic = \"{public}\"\ntier_max = {tier}\n"
            ));
        }
        Self {
            policy: HostPolicy::parse(&text, Profile::Full).unwrap(),
            changes: KeyChanges::default(),
        }
    }

    /// Hears a statement at `now`; whether something changed.
    fn hear(
        &mut self,
        statement: &KeyStatement,
        signers: &[u8],
        now: Timestamp,
    ) -> Result<bool, String> {
        let bytes = statement.to_bytes();
        let signatures = signers
            .iter()
            .map(|seed| key(*seed).sign(statement.purpose(), &bytes))
            .collect();
        self.take(&SignedKeyStatement { bytes, signatures }, now)
    }

    fn take(&mut self, signed: &SignedKeyStatement, now: Timestamp) -> Result<bool, String> {
        match accept(signed, &self.policy, &self.changes, now)? {
            Accepted::Before => Ok(false),
            Accepted::Changed(changes) => {
                // What is kept is what was decided.
                let kept = KeyChanges::from_records(changes.records().collect()).unwrap();
                assert_eq!(kept, *changes);
                self.changes = kept;
                Ok(true)
            }
        }
    }

    fn keys(&self) -> HeldKeys {
        self.policy.clone().with_changes(&self.changes).keys
    }

    fn holds(&self, seed: u8) -> bool {
        self.keys().get(key(seed).public().id()).is_some()
    }

    fn standing(&self, seed: u8) -> Option<KeyStanding> {
        let id = key(seed).public().id();
        self.keys().known(id).map(|known| known.standing)
    }
}

fn revoke(seed: u8) -> KeyStatement {
    revoke_since(seed, None)
}

fn revoke_since(seed: u8, since: Option<Timestamp>) -> KeyStatement {
    KeyStatement::Revocation(KeyRevocation {
        key: key(seed).public(),
        since_ms: since,
        issued_at_ms: at(100),
        reason: "lost".to_owned(),
    })
}

fn rotate(old: u8, new: u8) -> KeyStatement {
    rotate_at(old, new, NOW)
}

fn rotate_at(old: u8, new: u8, issued_at: Timestamp) -> KeyStatement {
    KeyStatement::Rotation(KeyRotation {
        old: key(old).public(),
        new: key(new).public(),
        tier_max: Tier::Reboot,
        issued_at_ms: issued_at,
        reason: "once a year".to_owned(),
    })
}

#[test]
fn a_key_is_revoked_by_itself_or_by_one_that_may_as_much_and_by_nobody_else() {
    for (signer, is_followed) in [(1, true), (2, true), (3, false), (9, false)] {
        let mut host = Host::listing(&[(1, 2), (2, 2), (3, 1)]);
        let heard = host.hear(&revoke(1), &[signer], NOW);
        assert_eq!(heard.is_ok(), is_followed, "{signer}: {heard:?}");
        assert_eq!(host.holds(1), !is_followed);
    }
    let mut host = Host::listing(&[(1, 2), (2, 2)]);
    assert!(
        host.hear(&revoke(1), &[], NOW)
            .unwrap_err()
            .contains("lacks the signature")
    );
    let foreign = host.hear(&revoke(9), &[9], NOW).unwrap_err();
    assert!(foreign.contains("not listed"), "{foreign}");
    assert!(host.hear(&revoke(1), &[2], NOW).unwrap());
    assert!(
        !host.hear(&revoke(1), &[2], NOW).unwrap(),
        "replayed, it changes nothing"
    );
    let why = host.keys().why_not(key(1).public().id());
    assert!(
        why.contains("k1 was revoked by key") && why.contains("lost"),
        "{why}"
    );
    // One that fell signs nothing more, not even about others.
    host.hear(&revoke(2), &[1], NOW).unwrap_err();
}

#[test]
fn a_host_without_a_key_left_still_wants_signatures() {
    let mut host = Host::listing(&[(1, 3)]);
    host.hear(&revoke(1), &[1], NOW).unwrap();
    let view = host
        .policy
        .clone()
        .with_changes(&host.changes)
        .view(false, String::new());
    assert!(host.keys().are_wanted() && view.keys.is_empty() && view.wants_signatures());
}

#[test]
fn forged_statements_change_nothing() {
    let mut host = Host::listing(&[(1, 2), (2, 2)]);
    let statement = revoke(1);
    let bytes = statement.to_bytes();
    let mut signed_as_order = SignedKeyStatement {
        signatures: vec![key(2).sign(Purpose::Order, &bytes)],
        bytes: bytes.clone(),
    };
    host.take(&signed_as_order, NOW).unwrap_err();
    // Under the id of a listed key, by another one.
    let mut passed_off = key(9).sign(Purpose::KeyRevocation, &bytes);
    passed_off.key = key(2).public().id();
    signed_as_order.signatures = vec![passed_off];
    host.take(&signed_as_order, NOW).unwrap_err();
    let of_other_bytes = key(2).sign(Purpose::KeyRevocation, &revoke(2).to_bytes());
    signed_as_order.signatures = vec![of_other_bytes];
    host.take(&signed_as_order, NOW).unwrap_err();
    let unreadable = SignedKeyStatement {
        bytes: b"{}".to_vec(),
        signatures: Vec::new(),
    };
    host.take(&unreadable, NOW).unwrap_err();
    assert_eq!(host.changes, KeyChanges::default());
}

#[test]
fn a_rotation_takes_both_keys_and_for_restarts_another_one() {
    for (signers, is_followed) in [
        (&[1, 4][..], true),
        (&[1], false),
        (&[4], false),
        (&[2, 3, 4], false),
    ] {
        let mut host = Host::listing(&[(1, 2), (2, 3), (3, 3)]);
        let heard = host.hear(&rotate(1, 4), signers, NOW);
        assert_eq!(heard.is_ok(), is_followed, "{signers:?}: {heard:?}");
        assert_eq!((host.holds(1), host.holds(4)), (!is_followed, is_followed));
    }
    for (signers, is_followed) in [
        (&[2, 4][..], false),
        (&[2, 4, 1], false),
        (&[2, 4, 4], false),
        (&[2, 4, 3], true),
    ] {
        let mut host = Host::listing(&[(1, 2), (2, 3), (3, 3)]);
        let heard = host.hear(&rotate(2, 4), signers, NOW);
        assert_eq!(heard.is_ok(), is_followed, "{signers:?}: {heard:?}");
    }
}

#[test]
fn a_successor_may_no_more_than_the_key_in_whose_place_it_came() {
    let mut host = Host::listing(&[(1, 1)]);
    host.hear(&rotate(1, 4), &[1, 4], NOW).unwrap();
    let keys = host.keys();
    let successor = keys.get(key(4).public().id()).unwrap();
    assert_eq!(successor.tier_max, Tier::Reversible);
    assert_eq!(successor.name, "k1");
    assert_eq!(host.standing(1), Some(KeyStanding::Replaced));
    // What it replaced signs no rotation, but its own end, and with it that of what a thief made of it.
    host.hear(&rotate(1, 5), &[1, 5], NOW).unwrap_err();
    host.hear(&revoke(1), &[1], NOW).unwrap();
    assert_eq!(host.standing(4), Some(KeyStanding::Revoked));
    assert!(!host.holds(1) && !host.holds(4));
}

#[test]
fn a_host_that_does_not_allow_rotation_says_what_it_needs() {
    let mut host = Host::of(&[(1, 1)], "");
    let why = host.hear(&rotate(1, 4), &[1, 4], NOW).unwrap_err();
    assert!(
        why.contains("`rotation = true` under `[keys]` in policy.toml"),
        "{why}"
    );
    assert!(host.holds(1));
}

#[test]
fn a_revocation_fells_what_took_the_place_since_then() {
    for (since, successor_stays) in [(None, false), (Some(at(10)), false), (Some(at(11)), true)] {
        let mut host = Host::listing(&[(1, 1), (2, 1)]);
        host.hear(&rotate(1, 4), &[1, 4], at(10)).unwrap();
        host.hear(&rotate(4, 5), &[4, 5], at(20)).unwrap();
        host.hear(&revoke_since(1, since), &[2], at(30)).unwrap();
        assert_eq!(host.standing(1), Some(KeyStanding::Revoked));
        assert_eq!(host.holds(5), successor_stays, "{since:?}");
        // One that fells more counts, one that fells less does not.
        host.hear(&revoke_since(1, Some(at(50))), &[2], at(60))
            .unwrap();
        assert_eq!(host.holds(5), successor_stays);
        host.hear(&revoke(1), &[2], at(70)).unwrap();
        assert!(!host.holds(5));
    }
}

#[test]
fn revoked_and_known_keys_come_back_under_no_other_one() {
    let mut host = Host::listing(&[(1, 1), (2, 1), (3, 1)]);
    host.hear(&revoke(2), &[2], NOW).unwrap();
    for known in [2, 3] {
        let why = host.hear(&rotate(1, known), &[1, known], NOW).unwrap_err();
        assert!(why.contains("is or was a key of this host"), "{why}");
    }
    // Also one whose administrators have taken the revoked key off the list meanwhile.
    let mut later = Host::listing(&[(1, 1)]);
    later.changes = host.changes;
    later.hear(&rotate(1, 2), &[1, 2], NOW).unwrap_err();
    let mut listed_again = Host::listing(&[(2, 3)]);
    listed_again.changes = later.changes;
    assert!(!listed_again.holds(2));
}

#[test]
fn a_successor_that_the_policy_lists_stands_on_its_own() {
    let mut host = Host::listing(&[(1, 1), (2, 1)]);
    host.hear(&rotate(1, 4), &[1, 4], NOW).unwrap();
    let mut listed = Host::listing(&[(1, 1), (2, 1), (4, 3)]);
    listed.changes = host.changes;
    listed.hear(&revoke(1), &[2], NOW).unwrap();
    assert!(listed.holds(4));
    let all = listed.keys().view();
    assert_eq!(all.len(), 3);
}

#[test]
fn rotations_are_taken_for_a_time_and_so_often() {
    let mut host = Host::listing(&[(1, 1)]);
    let late = NOW.saturating_sub(ROTATION_VALID);
    let why = host.hear(&rotate_at(1, 4, late), &[1, 4], NOW).unwrap_err();
    assert!(why.contains("90 d"), "{why}");
    host.hear(&rotate_at(1, 4, at(121)), &[1, 4], NOW)
        .unwrap_err();
    let places = u8::try_from(SUCCESSORS_MAX).unwrap();
    for turn in 0..places {
        host.hear(&rotate(10 + turn, 11 + turn), &[10 + turn, 11 + turn], NOW)
            .unwrap_err();
    }
    let mut host = Host::listing(&[(10, 1)]);
    for turn in 0..places {
        let pair = [10 + turn, 11 + turn];
        assert!(host.hear(&rotate(pair[0], pair[1]), &pair, NOW).unwrap());
        assert!(!host.hear(&rotate(pair[0], pair[1]), &pair, NOW).unwrap());
    }
    let pair = [10 + places, 11 + places];
    let why = host
        .hear(&rotate(pair[0], pair[1]), &pair, NOW)
        .unwrap_err();
    assert!(why.contains("list the last one in policy.toml"), "{why}");
    assert!(host.holds(10 + places));
}

#[test]
fn a_record_that_was_cut_is_known_as_such() {
    let mut host = Host::listing(&[(1, 1), (2, 1)]);
    host.hear(&revoke(1), &[2], NOW).unwrap();
    let mut records: Vec<_> = host.changes.records().collect();
    assert_eq!(records.len(), 2);
    records.pop();
    assert_eq!(KeyChanges::from_records(records), None);
    assert_eq!(KeyChanges::from_records(Vec::new()), None);
}
