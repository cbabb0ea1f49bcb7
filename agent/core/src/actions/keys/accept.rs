//! What becomes of a statement about keys: judged by this host's own policy and keys alone. Who carries it does not count.

use tidemark_model::Timestamp;
use tidemark_model::action::host_policy::SUCCESSORS_MAX;
use tidemark_model::action::{KeyStanding, Tier};
use tidemark_model::key_statement::{
    KeyRevocation, KeyRotation, KeyStatement, ROTATION_VALID, SignedKeyStatement,
};
use tidemark_model::signing::{KeyId, PublicKey};

use super::{HeldKeys, KeyChanges, KnownKey, Revoked, Rotated};
use crate::actions::judge::CLOCK_TOLERANCE;
use crate::actions::policy::HostPolicy;

/// What an accepted statement changed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Accepted {
    /// Nothing: it was accepted before.
    Before,
    /// What the host's changes are with it.
    Changed(Box<KeyChanges>),
}

/// A statement and who signed it, read.
#[derive(Clone, Copy, Debug)]
pub struct Statement<'a> {
    signed: &'a SignedKeyStatement,
    read: &'a KeyStatement,
}

impl Statement<'_> {
    /// Whether this key signed it.
    fn is_signed_by(&self, key: &PublicKey) -> bool {
        let id = key.id();
        self.signed.signatures.iter().any(|signature| {
            signature.key == id
                && key
                    .verify(self.read.purpose(), &self.signed.bytes, signature)
                    .is_ok()
        })
    }
}

/// Accepts a statement, or says why not.
///
/// # Errors
/// Why it is not followed, for operators, with what to do about it.
pub fn accept(
    signed: &SignedKeyStatement,
    policy: &HostPolicy,
    changes: &KeyChanges,
    now: Timestamp,
) -> Result<Accepted, String> {
    let read = KeyStatement::from_bytes(&signed.bytes).map_err(|error| error.to_string())?;
    let statement = Statement {
        signed,
        read: &read,
    };
    let mut changed = changes.clone();
    if !changed.make_room(policy.listed_keys()) {
        return Err(
            "as many statements about keys are kept as can be; list the keys anew in policy.toml"
                .to_owned(),
        );
    }
    let keys = HeldKeys::of(policy.listed_keys(), changes);
    match &read {
        KeyStatement::Revocation(revocation) => {
            if let Some(revoked) = revoke(statement, revocation, (&keys, changes), now)? {
                changed.revoke(revoked);
                return Ok(Accepted::Changed(Box::new(changed)));
            }
        }
        KeyStatement::Rotation(rotation) => {
            if let Some(rotated) = rotate(statement, rotation, (policy, &keys, changes), now)? {
                changed.rotate(rotated);
                return Ok(Accepted::Changed(Box::new(changed)));
            }
        }
    }
    Ok(Accepted::Before)
}

/// By the key itself, however it stands, or by one that holds and may sign as much.
fn revoke(
    statement: Statement<'_>,
    revocation: &KeyRevocation,
    (keys, changes): (&HeldKeys, &KeyChanges),
    now: Timestamp,
) -> Result<Option<Revoked>, String> {
    let id = revocation.key.id();
    let known = listed(keys, &revocation.key)?;
    if changes.is_revoked_since(&revocation.key, revocation.since_ms) {
        return Ok(None);
    }
    let by = if statement.is_signed_by(&revocation.key) {
        id
    } else {
        another_of(statement, keys, known.key.tier_max, &[id])?
    };
    Ok(Some(Revoked {
        key: revocation.key,
        since_ms: revocation.since_ms,
        by,
        reason: revocation.reason.clone(),
        at_ms: now,
    }))
}

/// By the old key and the new one, and for what restarts a host by another one.
fn rotate(
    statement: Statement<'_>,
    rotation: &KeyRotation,
    (policy, keys, changes): (&HostPolicy, &HeldKeys, &KeyChanges),
    now: Timestamp,
) -> Result<Option<Rotated>, String> {
    let (old, new) = (&rotation.old, &rotation.new);
    let known = listed(keys, old)?;
    if changes
        .rotation_from(old)
        .is_some_and(|one| one.new == *new)
    {
        return Ok(None);
    }
    if !policy.rotation {
        return Err(
            "the host's policy lets no key take another one's place; an administrator of the host can allow it with \
             `rotation = true` under `[keys]` in policy.toml, or list the new key there"
                .to_owned(),
        );
    }
    if known.standing != KeyStanding::Holds {
        return Err(keys.why_not(old.id()));
    }
    if known.depth >= SUCCESSORS_MAX {
        return Err(format!(
            "{SUCCESSORS_MAX} keys have come in this place, as many as can; list the last one in policy.toml"
        ));
    }
    if keys.known_public(new).is_some() || changes.revocation_of(new).is_some() {
        return Err(format!(
            "key {} is or was a key of this host; make a new one with `tidemark key new`",
            new.id()
        ));
    }
    check_times(rotation.issued_at_ms, now)?;
    for (key, what) in [(old, "the key that steps back"), (new, "the new key")] {
        if !statement.is_signed_by(key) {
            return Err(format!("{what}, {}, did not sign it", key.id()));
        }
    }
    let tier_max = known.key.tier_max.min(rotation.tier_max);
    if tier_max == Tier::Reboot {
        another_of(statement, keys, tier_max, &[old.id(), new.id()])?;
    }
    Ok(Some(Rotated {
        old: *old,
        new: *new,
        tier_max,
        at_ms: now,
    }))
}

fn listed<'a>(keys: &'a HeldKeys, key: &PublicKey) -> Result<&'a KnownKey, String> {
    keys.known_public(key)
        .ok_or_else(|| format!("key {} is not listed in the host's policy", key.id()))
}

/// A key that holds, may sign as much, is none of these, and signed it.
fn another_of(
    statement: Statement<'_>,
    keys: &HeldKeys,
    tier: Tier,
    except: &[KeyId],
) -> Result<KeyId, String> {
    let mut others = keys
        .holding()
        .filter(|key| key.tier_max >= tier && !except.contains(&key.public.id()));
    others
        .find(|key| statement.is_signed_by(&key.public))
        .map(|key| key.public.id())
        .ok_or_else(|| {
            format!(
                "it lacks the signature of another key that holds on this host and may sign tier {}; add one with `tidemark \
                 key sign`",
                tier.number()
            )
        })
}

fn check_times(issued_at: Timestamp, now: Timestamp) -> Result<(), String> {
    if issued_at > now.saturating_add(CLOCK_TOLERANCE) {
        return Err("it was made later than now, by the host's clock".to_owned());
    }
    if issued_at.saturating_add(ROTATION_VALID) <= now {
        return Err(
            "it was made more than 90 d ago; an administrator of the host can list the new key in policy.toml".to_owned(),
        );
    }
    Ok(())
}
