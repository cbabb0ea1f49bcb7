//! Grants on the wire: what a controller lists for a host, and which of it holds there.

use tidemark_model::grant::{
    GRANT_BYTES_MAX, GRANT_SIGNATURES_MAX, GrantId, GrantList, HOST_GRANT_ENDS_MAX,
    HOST_GRANTS_MAX, SignedGrant, SignedGrantEnd,
};

use super::action::{signatures_from_wire, signatures_to_wire};
use super::{ConvertError, list_at_most};
use crate::v1;

/// Largest signed end of a grant: its id and a time.
const GRANT_END_BYTES_MAX: usize = 256;

/// A list of grants for the wire.
#[must_use]
pub fn list_to_wire(list: &GrantList) -> v1::GrantList {
    let grants = list.grants.iter().take(HOST_GRANTS_MAX);
    let ends = list.ends.iter().take(HOST_GRANT_ENDS_MAX);
    v1::GrantList {
        grants: grants
            .map(|one| v1::SignedGrant {
                grant: one.bytes.clone(),
                signatures: signatures_to_wire(&one.signatures),
            })
            .collect(),
        ends: ends
            .map(|one| v1::SignedGrantEnd {
                end: one.bytes.clone(),
                signature: signatures_to_wire(&[one.signature]).pop(),
            })
            .collect(),
    }
}

/// A list of grants from the wire; what they say is not looked at.
///
/// # Errors
/// When there are too many, one is too long, or a signature is missing or malformed.
pub fn list_from_wire(list: v1::GrantList) -> Result<GrantList, ConvertError> {
    list_at_most("grants.grants", list.grants.len(), HOST_GRANTS_MAX)?;
    list_at_most("grants.ends", list.ends.len(), HOST_GRANT_ENDS_MAX)?;
    let grants = list.grants.into_iter().map(|one| {
        list_at_most("grants.grant", one.grant.len(), GRANT_BYTES_MAX)?;
        list_at_most(
            "grants.signatures",
            one.signatures.len(),
            GRANT_SIGNATURES_MAX,
        )?;
        Ok(SignedGrant {
            signatures: signatures_from_wire(&one.signatures)?,
            bytes: one.grant,
        })
    });
    let ends = list.ends.into_iter().map(|one| {
        list_at_most("grants.end", one.end.len(), GRANT_END_BYTES_MAX)?;
        let signature = signatures_from_wire(one.signature.as_slice())?.pop();
        Ok(SignedGrantEnd {
            bytes: one.end,
            signature: signature.ok_or(ConvertError::Malformed {
                field: "grants.ends.signature",
                reason: "an end of a grant has one",
            })?,
        })
    });
    Ok(GrantList {
        grants: grants.collect::<Result<_, ConvertError>>()?,
        ends: ends.collect::<Result<_, ConvertError>>()?,
    })
}

/// Ids for the wire.
#[must_use]
pub fn ids_to_wire(ids: &[GrantId]) -> Vec<Vec<u8>> {
    let ids = ids.iter().take(HOST_GRANTS_MAX);
    ids.map(|id| id.as_bytes().to_vec()).collect()
}

/// Ids from the wire.
///
/// # Errors
/// When there are more than a host can keep, or one is not 16 bytes.
pub fn ids_from_wire(ids: &[Vec<u8>]) -> Result<Vec<GrantId>, ConvertError> {
    list_at_most("grant_ids", ids.len(), HOST_GRANTS_MAX)?;
    ids.iter().map(|id| id_from_wire(id)).collect()
}

/// A grant's id from the wire.
///
/// # Errors
/// When it is not 16 bytes.
pub fn id_from_wire(bytes: &[u8]) -> Result<GrantId, ConvertError> {
    let id = bytes.try_into().map(GrantId::from_bytes);
    id.map_err(|_| ConvertError::Malformed {
        field: "grant_id",
        reason: "it is 16 bytes long",
    })
}

#[cfg(test)]
mod tests {
    use tidemark_model::signing::{PrivateKey, Purpose};

    use super::*;

    fn list(grants: usize) -> GrantList {
        let key = PrivateKey::from_seed([1; 32]);
        let bytes = b"{}".to_vec();
        let signature = key.sign(Purpose::Grant, &bytes);
        let one = SignedGrant {
            bytes: bytes.clone(),
            signatures: vec![signature; 3],
        };
        GrantList {
            grants: vec![one; grants],
            ends: vec![SignedGrantEnd { bytes, signature }],
        }
    }

    #[test]
    fn a_list_survives_the_wire_and_its_limits_are_held() {
        let full = list(HOST_GRANTS_MAX);
        let wire = list_to_wire(&full);
        assert_eq!(list_from_wire(wire.clone()), Ok(full));
        let mut long = wire.clone();
        long.grants[0].grant = vec![b' '; GRANT_BYTES_MAX + 1];
        let mut many = wire.clone();
        many.grants.push(wire.grants[0].clone());
        let mut signed = wire.clone();
        let signature = signed.grants[0].signatures[0].clone();
        signed.grants[0].signatures.push(signature);
        let mut bare = wire;
        bare.ends[0].signature = None;
        for refused in [long, many, signed, bare] {
            assert!(list_from_wire(refused).is_err());
        }
        assert!(id_from_wire(&[0; 15]).is_err());
    }

    #[test]
    fn the_largest_list_fits_a_frame_of_the_session() {
        use prost::Message as _;

        let mut full = list(HOST_GRANTS_MAX);
        for grant in &mut full.grants {
            grant.bytes = vec![b' '; GRANT_BYTES_MAX];
        }
        full.ends = vec![full.ends[0].clone(); HOST_GRANT_ENDS_MAX];
        for end in &mut full.ends {
            end.bytes = vec![b' '; 80];
        }
        let bytes = list_to_wire(&full).encoded_len();
        assert!(bytes < 64 * 1024, "{bytes}");
    }
}
