//! Checkpoints of the audit log: what a controller offers, and what a host holds.

use tidemark_model::audit_log::{
    Digest, NOTE_BYTES_MAX, Offered, PROOF_HASHES_MAX, REFUSED_CHARS_MAX, Reported,
};

use super::{ConvertError, at_most, cut_chars, list_at_most};
use crate::v1;

/// What a controller offers.
///
/// # Errors
/// When it is out of limits.
pub fn offered_from_wire(wire: v1::Checkpoint) -> Result<Offered, ConvertError> {
    let v1::Checkpoint { note, key, proof } = wire;
    at_most("checkpoint.note", note.len() as u64, NOTE_BYTES_MAX as u64)?;
    at_most("checkpoint.key", key.len() as u64, NOTE_BYTES_MAX as u64)?;
    list_at_most("checkpoint.proof", proof.len(), PROOF_HASHES_MAX)?;
    let hash = |bytes: Vec<u8>| {
        let bytes = bytes.try_into().map_err(|_| ConvertError::Malformed {
            field: "checkpoint.proof",
            reason: "a hash has 32 bytes",
        })?;
        Ok(Digest::from_bytes(bytes))
    };
    Ok(Offered {
        note,
        key,
        proof: proof.into_iter().map(hash).collect::<Result<_, _>>()?,
    })
}

/// What a controller offers, for the wire.
#[must_use]
pub fn offered_to_wire(offered: &Offered) -> v1::Checkpoint {
    v1::Checkpoint {
        note: offered.note.clone(),
        key: offered.key.clone(),
        proof: offered
            .proof
            .iter()
            .map(|hash| hash.as_bytes().to_vec())
            .collect(),
    }
}

/// What a host holds.
///
/// # Errors
/// When it is out of limits.
pub fn reported_from_wire(wire: v1::CheckpointReport) -> Result<Reported, ConvertError> {
    let v1::CheckpointReport { note, refused } = wire;
    at_most(
        "checkpoint_report.note",
        note.len() as u64,
        NOTE_BYTES_MAX as u64,
    )?;
    let refused = cut_chars(&refused, REFUSED_CHARS_MAX).to_owned();
    Ok(Reported {
        note,
        refused: (!refused.is_empty()).then_some(refused),
    })
}

/// What a host holds, for the wire.
#[must_use]
pub fn reported_to_wire(reported: &Reported) -> v1::CheckpointReport {
    v1::CheckpointReport {
        note: reported.note.clone(),
        refused: reported.refused.clone().unwrap_or_default(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_ways_lead_back_and_what_is_too_large_is_named() {
        let offered = Offered {
            note: "note".to_owned(),
            key: "key".to_owned(),
            proof: vec![Digest::from_bytes([3; 32])],
        };
        let wire = offered_to_wire(&offered);
        assert_eq!(offered_from_wire(wire.clone()), Ok(offered));
        for (field, wrong) in [
            (
                "checkpoint.note",
                v1::Checkpoint {
                    note: "x".repeat(5_000),
                    ..wire.clone()
                },
            ),
            (
                "checkpoint.key",
                v1::Checkpoint {
                    key: "x".repeat(5_000),
                    ..wire.clone()
                },
            ),
            (
                "checkpoint.proof",
                v1::Checkpoint {
                    proof: vec![vec![1; 31]],
                    ..wire.clone()
                },
            ),
            (
                "checkpoint.proof",
                v1::Checkpoint {
                    proof: vec![vec![1; 32]; 128],
                    ..wire
                },
            ),
        ] {
            let error = offered_from_wire(wrong).unwrap_err().to_string();
            assert!(error.contains(field), "{error}");
        }
        let reported = Reported {
            note: String::new(),
            refused: Some("smaller".to_owned()),
        };
        assert_eq!(
            reported_from_wire(reported_to_wire(&reported)),
            Ok(reported)
        );
        let long = v1::CheckpointReport {
            note: String::new(),
            refused: "y".repeat(9_000),
        };
        let cut = reported_from_wire(long).unwrap().refused.unwrap();
        assert_eq!(cut.len(), REFUSED_CHARS_MAX);
    }
}
