//! Statements about keys as people bring them: read, checked against the keys that hosts tell of, and kept with who brought
//! them. Nothing here makes one: it takes operators' keys, which the controller does not have.

use std::collections::BTreeMap;

use tidemark_model::ErrorCode;
use tidemark_model::action::{BroughtSignature, HostKey};
use tidemark_model::audit_log::Deed;
use tidemark_model::error_code::ApiError;
use tidemark_model::key_statement::{
    InvalidStatement, KeyStatement, ROTATION_VALID, StatementId, StatementKind,
};
use tidemark_model::notice::NoticeKind;
use tidemark_model::signing::{KeyId, PublicKey, SIGNATURES_MAX, Signature};
use tidemark_store::{StoreError, StoredKeyStatement, Tx};

use super::known_keys;
use crate::app::App;
use crate::incidents::text::clean;

/// Most statements that are kept.
pub const STATEMENTS_MAX: u64 = 1_024;
/// Rotations that no host takes any more and that are removed when a statement comes.
const FORGET_MAX: u32 = 100;

/// Why a statement or a signature is not taken.
#[derive(Debug, thiserror::Error)]
pub enum KeyError {
    /// It is no statement.
    #[error(transparent)]
    Invalid(#[from] InvalidStatement),
    /// No host is concerned.
    #[error(
        "no host that told its keys here lists key {0}; `tidemark get keys` shows those that are listed"
    )]
    NobodysKey(KeyId),
    /// A signer that nobody knows.
    #[error(
        "no host that told its keys here lists key {0}, which signed it; sign it with a listed key, `tidemark get keys`"
    )]
    UnknownSigner(KeyId),
    /// A signature of something else.
    #[error("the signature of key {0} does not match the statement")]
    WrongSignature(KeyId),
    /// Nobody signed it.
    #[error(
        "nobody signed it; `tidemark key revoke` and `tidemark key rotate` sign what they bring"
    )]
    Unsigned,
    /// One of the two keys of a rotation is missing.
    #[error(
        "a rotation is signed by the old key and by the new one; the signature of {0} is missing"
    )]
    HalfSigned(KeyId),
    /// That key has signed before.
    #[error("key {0} has signed it already")]
    SignedBefore(KeyId),
    /// Too many signatures.
    #[error("a statement has at most {SIGNATURES_MAX} signatures")]
    TooManySignatures,
    /// There is none.
    #[error("there is no such statement; `tidemark get key-statements` lists them")]
    Unknown,
    /// No room.
    #[error(
        "{STATEMENTS_MAX} statements about keys are kept, as many as can be; list the keys that are to hold in the hosts' policies"
    )]
    TooMany,
    /// What the database says.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl ApiError for KeyError {
    fn code(&self) -> ErrorCode {
        match self {
            Self::Invalid(_)
            | Self::UnknownSigner(_)
            | Self::WrongSignature(_)
            | Self::Unsigned
            | Self::HalfSigned(_)
            | Self::TooManySignatures => ErrorCode::InvalidArgument,
            Self::NobodysKey(_) | Self::Unknown => ErrorCode::NotFound,
            Self::SignedBefore(_) => ErrorCode::Conflict,
            Self::TooMany => ErrorCode::Exhausted,
            Self::Store(error) => error.code(),
        }
    }
}

/// Whether a statement is new.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Brought {
    /// It was not there.
    Now,
    /// The very same was brought before.
    Before,
}

/// Keeps a statement in the name of whoever brings it, and has it carried to the hosts that it concerns.
///
/// # Errors
/// [`KeyError`]; nothing is kept then.
pub async fn bring(
    app: &App,
    (bytes, signatures): (&[u8], &[Signature]),
    by: &str,
) -> Result<(StoredKeyStatement, Brought), KeyError> {
    let statement = KeyStatement::from_bytes(bytes)?;
    let id = StatementId::of_bytes(bytes);
    let by = clean(by);
    let now = app.clock.now();
    // What every host told is read, and signatures are held against it, while nobody has to wait.
    let mut tx = app.store.read().await?;
    if let Some(before) = tx.key_statement(id).await? {
        return Ok((before, Brought::Before));
    }
    let known = known_keys(&mut tx).await?;
    drop(tx);
    check(&statement, bytes, signatures, &known)?;
    let mut tx = app.store.begin().await?;
    // Somebody else may have brought it meanwhile.
    if let Some(before) = tx.key_statement(id).await? {
        return Ok((before, Brought::Before));
    }
    tx.key_statements_forget(now.saturating_sub(ROTATION_VALID), FORGET_MAX)
        .await?;
    if tx.key_statement_counts().await?.0 >= STATEMENTS_MAX {
        return Err(KeyError::TooMany);
    }
    tx.key_statement_insert(&statement, (now, &by)).await?;
    for signature in signatures {
        let brought = BroughtSignature {
            signature: *signature,
            at: now,
            author: by.clone(),
        };
        tx.key_statement_sign(id, &brought).await?;
    }
    let stored = tx.key_statement(id).await?.ok_or(KeyError::Unknown)?;
    app.record(Deed::KeyStatementBring, "key-statements", id)
        .with("key", statement.key().id())
        .with("signatures", signatures.len())
        .keep(&mut tx)
        .await?;
    tx.commit().await?;
    tell(app, &stored, &by, &known);
    Ok((stored, Brought::Now))
}

/// Adds a signature to a statement that waits for one.
///
/// # Errors
/// [`KeyError`]; nothing is kept then.
pub async fn sign(
    app: &App,
    id: StatementId,
    signature: Signature,
    by: &str,
) -> Result<(), KeyError> {
    let by = clean(by);
    let mut tx = app.store.read().await?;
    let stored = tx.key_statement(id).await?.ok_or(KeyError::Unknown)?;
    let known = known_keys(&mut tx).await?;
    drop(tx);
    check_one(&stored.statement, &stored.signed.bytes, &signature, &known)?;
    let mut tx = app.store.begin().await?;
    let stored = tx.key_statement(id).await?.ok_or(KeyError::Unknown)?;
    if stored.signed.signers().any(|key| key == signature.key) {
        return Err(KeyError::SignedBefore(signature.key));
    }
    if stored.signed.signatures.len() >= SIGNATURES_MAX {
        return Err(KeyError::TooManySignatures);
    }
    let brought = BroughtSignature {
        signature,
        at: app.clock.now(),
        author: by.clone(),
    };
    tx.key_statement_sign(id, &brought).await?;
    let stored = tx.key_statement(id).await?.ok_or(KeyError::Unknown)?;
    let record = app.record(Deed::KeyStatementSign, "key-statements", id);
    record.with("key", signature.key).keep(&mut tx).await?;
    tx.commit().await?;
    tell(app, &stored, &by, &known);
    Ok(())
}

/// The newest statements.
///
/// # Errors
/// When the database fails.
pub async fn newest(tx: &mut Tx) -> Result<Vec<StoredKeyStatement>, StoreError> {
    tx.key_statements(u32::try_from(STATEMENTS_MAX).unwrap_or(u32::MAX))
        .await
}

fn check(
    statement: &KeyStatement,
    bytes: &[u8],
    signatures: &[Signature],
    known: &BTreeMap<KeyId, HostKey>,
) -> Result<(), KeyError> {
    let about = statement.key().id();
    if !known.contains_key(&about) {
        return Err(KeyError::NobodysKey(about));
    }
    if signatures.is_empty() {
        return Err(KeyError::Unsigned);
    }
    if signatures.len() > SIGNATURES_MAX {
        return Err(KeyError::TooManySignatures);
    }
    for (index, signature) in signatures.iter().enumerate() {
        let before = signatures.iter().take(index);
        if before.into_iter().any(|one| one.key == signature.key) {
            return Err(KeyError::SignedBefore(signature.key));
        }
        check_one(statement, bytes, signature, known)?;
    }
    if let KeyStatement::Rotation(rotation) = statement {
        for key in [rotation.old.id(), rotation.new.id()] {
            if !signatures.iter().any(|one| one.key == key) {
                return Err(KeyError::HalfSigned(key));
            }
        }
    }
    Ok(())
}

/// Whether one signature is of this statement, by a key that it names or that a host lists.
fn check_one(
    statement: &KeyStatement,
    bytes: &[u8],
    signature: &Signature,
    known: &BTreeMap<KeyId, HostKey>,
) -> Result<(), KeyError> {
    let named: &[&PublicKey] = match statement {
        KeyStatement::Revocation(revocation) => &[&revocation.key],
        KeyStatement::Rotation(rotation) => &[&rotation.old, &rotation.new],
    };
    let key = named
        .iter()
        .copied()
        .find(|key| key.id() == signature.key)
        .or_else(|| known.get(&signature.key).map(|key| &key.public))
        .ok_or(KeyError::UnknownSigner(signature.key))?;
    key.verify(statement.purpose(), bytes, signature)
        .map_err(|_| KeyError::WrongSignature(signature.key))
}

/// Wakes the carrier, and tells operators' lists.
fn tell(app: &App, stored: &StoredKeyStatement, by: &str, known: &BTreeMap<KeyId, HostKey>) {
    app.keys.changed.notify_one();
    // What waits may wait for another signature from here on.
    app.remediation.changed.notify_one();
    let id = stored.statement.key().id();
    let name = known.get(&id).map_or("", |key| key.name.as_str());
    let signers: Vec<_> = stored.signed.signers().map(|key| key.to_string()).collect();
    let what = match stored.statement.kind() {
        StatementKind::Revocation => "revoked",
        StatementKind::Rotation => "to be replaced",
    };
    let text = format!(
        "key {id} ({name}) is {what}: {}; signed by {}, brought by {by}",
        stored.statement.reason(),
        signers.join(", ")
    );
    app.note(None, NoticeKind::KeyStatement, clean(&text));
}

#[cfg(test)]
mod tests {
    use tidemark_model::Timestamp;
    use tidemark_model::action::{KeyStanding, Tier};
    use tidemark_model::key_statement::{KeyRevocation, KeyRotation};
    use tidemark_model::signing::{PrivateKey, Purpose};

    use super::*;

    fn key(seed: u8) -> PrivateKey {
        PrivateKey::from_seed([seed; 32])
    }

    fn known(seeds: &[u8]) -> BTreeMap<KeyId, HostKey> {
        let told = |seed: &u8| {
            let public = key(*seed).public();
            let told = HostKey {
                name: "ann".to_owned(),
                public,
                tier_max: Tier::Reboot,
                standing: KeyStanding::Holds,
                rotated_from: None,
                why: String::new(),
            };
            (public.id(), told)
        };
        seeds.iter().map(told).collect()
    }

    fn checked(statement: &KeyStatement, signers: &[u8]) -> Result<(), KeyError> {
        let bytes = statement.to_bytes();
        let sign = |seed: &u8| key(*seed).sign(statement.purpose(), &bytes);
        let signatures: Vec<_> = signers.iter().map(sign).collect();
        check(statement, &bytes, &signatures, &known(&[1, 2]))
    }

    #[test]
    fn only_what_keys_of_hosts_signed_is_taken() {
        let revoke = |seed: u8| {
            KeyStatement::Revocation(KeyRevocation {
                key: key(seed).public(),
                since_ms: None,
                issued_at_ms: Timestamp::from_unix_ms(5),
                reason: "lost".to_owned(),
            })
        };
        checked(&revoke(1), &[1]).unwrap();
        checked(&revoke(1), &[2]).unwrap();
        let refused = |signers: &[u8]| checked(&revoke(1), signers).unwrap_err();
        assert!(matches!(refused(&[]), KeyError::Unsigned));
        assert!(matches!(refused(&[9]), KeyError::UnknownSigner(_)));
        assert!(matches!(refused(&[1, 1]), KeyError::SignedBefore(_)));
        let foreign = checked(&revoke(9), &[9]);
        assert!(matches!(foreign, Err(KeyError::NobodysKey(_))));
        let bytes = revoke(1).to_bytes();
        let other = key(1).sign(Purpose::Order, &bytes);
        let wrong = check(&revoke(1), &bytes, &[other], &known(&[1]));
        assert!(matches!(wrong, Err(KeyError::WrongSignature(_))));
    }

    #[test]
    fn a_rotation_comes_with_both_its_keys() {
        let rotation = KeyStatement::Rotation(KeyRotation {
            old: key(1).public(),
            new: key(3).public(),
            tier_max: Tier::Reboot,
            issued_at_ms: Timestamp::from_unix_ms(5),
            reason: "once a year".to_owned(),
        });
        checked(&rotation, &[1, 3]).unwrap();
        checked(&rotation, &[1, 3, 2]).unwrap();
        for half in [&[1][..], &[3], &[3, 2]] {
            let refused = checked(&rotation, half);
            assert!(matches!(refused, Err(KeyError::HalfSigned(_))), "{half:?}");
        }
    }
}
