//! Statements about operators' keys on the wire, and what hosts tell about their keys.

use tidemark_model::action::host_policy::{
    HOST_KEYS_MAX, KEY_NAME_CHARS_MAX, REFUSED_STATEMENTS_MAX,
};
use tidemark_model::action::report::REPORT_CHARS_MAX;
use tidemark_model::action::{HostKey, KeyStanding, RefusedStatement, Tier};
use tidemark_model::key_statement::{STATEMENT_BYTES_MAX, SignedKeyStatement, StatementId};
use tidemark_model::signing::PublicKey;

use super::action::{key_from_wire, malformed, signatures_to_wire, signed_from_wire};
use super::{ConvertError, cut_chars, list_at_most};
use crate::v1;

/// A statement for the wire.
#[must_use]
pub fn statement_to_wire(statement: &SignedKeyStatement) -> v1::KeyStatement {
    v1::KeyStatement {
        statement: statement.bytes.clone(),
        signatures: signatures_to_wire(&statement.signatures),
    }
}

/// A statement from the wire; what it says is not looked at yet.
///
/// # Errors
/// When it is too long, or has too many or malformed signatures.
pub fn statement_from_wire(wire: v1::KeyStatement) -> Result<SignedKeyStatement, ConvertError> {
    let limit = ("key_statement.statement", STATEMENT_BYTES_MAX);
    let (bytes, signatures) = signed_from_wire(limit, wire.statement, &wire.signatures)?;
    Ok(SignedKeyStatement { bytes, signatures })
}

pub(super) fn host_key_to_wire(key: &HostKey) -> v1::HostKey {
    let standing = match key.standing {
        KeyStanding::Holds => v1::KeyStanding::Holds,
        KeyStanding::Replaced => v1::KeyStanding::Replaced,
        KeyStanding::Revoked => v1::KeyStanding::Revoked,
    };
    v1::HostKey {
        name: cut_chars(&key.name, KEY_NAME_CHARS_MAX).to_owned(),
        public_key: key.public.as_bytes().to_vec(),
        tier_max: key.tier_max.number().into(),
        standing: standing.into(),
        rotated_from: key.rotated_from.map(|id| id.as_bytes().to_vec()),
        why: cut_chars(&key.why, REPORT_CHARS_MAX).to_owned(),
    }
}

pub(super) fn host_keys_from_wire(keys: Vec<v1::HostKey>) -> Result<Vec<HostKey>, ConvertError> {
    list_at_most("policy.keys", keys.len(), HOST_KEYS_MAX)?;
    keys.into_iter().map(host_key_from_wire).collect()
}

fn host_key_from_wire(key: v1::HostKey) -> Result<HostKey, ConvertError> {
    let bytes = key.public_key.as_slice().try_into();
    let bytes = bytes.map_err(|_| malformed("policy.keys.public_key", "it is 32 bytes long"))?;
    let public = PublicKey::from_bytes(bytes).map_err(|_| {
        malformed(
            "policy.keys.public_key",
            "it is no ed25519 key, or a weak one",
        )
    })?;
    let tier = u8::try_from(key.tier_max).ok().map(Tier::try_from);
    let standing = match v1::KeyStanding::try_from(key.standing) {
        Ok(v1::KeyStanding::Holds) => KeyStanding::Holds,
        Ok(v1::KeyStanding::Replaced) => KeyStanding::Replaced,
        Ok(v1::KeyStanding::Revoked) => KeyStanding::Revoked,
        Ok(v1::KeyStanding::Unspecified) | Err(_) => {
            return Err(malformed(
                "policy.keys.standing",
                "it is not one of this protocol's",
            ));
        }
    };
    Ok(HostKey {
        name: cut_chars(&key.name, KEY_NAME_CHARS_MAX).to_owned(),
        public,
        tier_max: tier
            .and_then(Result::ok)
            .ok_or(malformed("policy.keys.tier_max", "a tier is 0, 1, 2 or 3"))?,
        standing,
        rotated_from: key
            .rotated_from
            .map(|id| key_from_wire("policy.keys.rotated_from", &id))
            .transpose()?,
        why: cut_chars(&key.why, REPORT_CHARS_MAX).to_owned(),
    })
}

pub(super) fn refused_statements_to_wire(
    refused: &[RefusedStatement],
) -> Vec<v1::RefusedKeyStatement> {
    let last = refused.iter().rev().take(REFUSED_STATEMENTS_MAX).rev();
    last.map(|one| v1::RefusedKeyStatement {
        statement_id: one.id.as_bytes().to_vec(),
        text: cut_chars(&one.text, REPORT_CHARS_MAX).to_owned(),
    })
    .collect()
}

pub(super) fn refused_statements_from_wire(
    refused: Vec<v1::RefusedKeyStatement>,
) -> Result<Vec<RefusedStatement>, ConvertError> {
    list_at_most(
        "policy.refused_statements",
        refused.len(),
        REFUSED_STATEMENTS_MAX,
    )?;
    let read = |one: v1::RefusedKeyStatement| {
        let id = one.statement_id.as_slice().try_into();
        let id = id.map_err(|_| {
            malformed(
                "policy.refused_statements.statement_id",
                "it is 16 bytes long",
            )
        })?;
        Ok(RefusedStatement {
            id: StatementId::from_bytes(id),
            text: cut_chars(&one.text, REPORT_CHARS_MAX).to_owned(),
        })
    };
    refused.into_iter().map(read).collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use prost::Message as _;
    use tidemark_model::signing::{KeyId, PrivateKey, Purpose};

    use super::*;

    fn host_key(standing: KeyStanding) -> HostKey {
        HostKey {
            name: "ann".to_owned(),
            public: PrivateKey::from_seed([1; 32]).public(),
            tier_max: Tier::Disruptive,
            standing,
            rotated_from: (standing == KeyStanding::Holds).then(|| KeyId::from_bytes([2; 8])),
            why: "lost".to_owned(),
        }
    }

    #[test]
    fn what_a_host_tells_about_its_keys_survives_the_wire() {
        let keys: Vec<_> = KeyStanding::ALL.iter().copied().map(host_key).collect();
        let wire: Vec<_> = keys.iter().map(host_key_to_wire).collect();
        assert_eq!(host_keys_from_wire(wire), Ok(keys));
        let mut weak = host_key_to_wire(&host_key(KeyStanding::Holds));
        weak.public_key = vec![0; 32];
        assert!(host_keys_from_wire(vec![weak]).is_err());
        let many = vec![host_key_to_wire(&host_key(KeyStanding::Holds)); HOST_KEYS_MAX + 1];
        assert!(host_keys_from_wire(many).is_err());
        let refused = vec![RefusedStatement {
            id: StatementId::of_bytes(b"x"),
            text: "not listed".to_owned(),
        }];
        let wire = refused_statements_to_wire(&refused);
        assert_eq!(refused_statements_from_wire(wire), Ok(refused));
    }

    #[test]
    fn a_statement_survives_the_wire_and_too_much_of_one_does_not() {
        let statement = SignedKeyStatement {
            bytes: b"{}".to_vec(),
            signatures: vec![PrivateKey::from_seed([1; 32]).sign(Purpose::KeyRevocation, b"{}")],
        };
        let wire = statement_to_wire(&statement);
        assert_eq!(statement_from_wire(wire.clone()), Ok(statement));
        let long = v1::KeyStatement {
            statement: vec![b' '; STATEMENT_BYTES_MAX + 1],
            ..wire
        };
        assert!(statement_from_wire(long).is_err());
    }

    proptest! {
        #[test]
        fn hostile_messages_are_refused_without_a_panic(bytes in proptest::collection::vec(any::<u8>(), 0..128)) {
            if let Ok(statement) = v1::KeyStatement::decode(bytes.as_slice()) {
                drop(statement_from_wire(statement));
            }
            if let Ok(key) = v1::HostKey::decode(bytes.as_slice()) {
                drop(host_keys_from_wire(vec![key]));
            }
        }
    }
}
