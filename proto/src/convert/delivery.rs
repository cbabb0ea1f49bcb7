//! Gaps, spool counts and seqs on the wire.

use tidemark_model::{GapReason, RecordGap, Seq, SpoolCounts};

use super::{ConvertError, at_most};
use crate::v1;

/// Largest seq and epoch: databases have no unsigned integers.
pub const SEQ_MAX: u64 = i64::MAX as u64;

/// A gap for the wire.
#[must_use]
pub fn gap_to_wire(gap: RecordGap) -> v1::Gap {
    let reason = match gap.reason {
        GapReason::SpoolFull => v1::GapReason::SpoolFull,
        GapReason::Damaged => v1::GapReason::Damaged,
        GapReason::WriteFailed => v1::GapReason::WriteFailed,
        GapReason::Refused => v1::GapReason::Refused,
        GapReason::LostAfterAck => v1::GapReason::LostAfterAck,
    };
    v1::Gap {
        first_seq: gap.first.get(),
        last_seq: gap.last.get(),
        reason: reason.into(),
    }
}

/// A gap from the wire.
///
/// # Errors
/// When its seqs are out of order or range, or its reason is unknown.
pub fn gap_from_wire(gap: &v1::Gap) -> Result<RecordGap, ConvertError> {
    let (first, last) = seq_range("gap", gap.first_seq, gap.last_seq)?;
    let reason = match v1::GapReason::try_from(gap.reason) {
        Ok(v1::GapReason::SpoolFull) => GapReason::SpoolFull,
        Ok(v1::GapReason::Damaged) => GapReason::Damaged,
        Ok(v1::GapReason::WriteFailed) => GapReason::WriteFailed,
        Ok(v1::GapReason::Refused) => GapReason::Refused,
        Ok(v1::GapReason::LostAfterAck) => GapReason::LostAfterAck,
        Ok(v1::GapReason::Unspecified) | Err(_) => {
            return Err(ConvertError::Malformed {
                field: "gap.reason",
                reason: "it is not one of this protocol's",
            });
        }
    };
    Ok(RecordGap {
        first,
        last,
        reason,
    })
}

/// An inclusive range of seqs from the wire, as in `Gap` and `Refused`.
///
/// # Errors
/// When the range is empty, begins at 0 or ends above [`SEQ_MAX`]; `field` names it.
pub fn seq_range(field: &'static str, first: u64, last: u64) -> Result<(Seq, Seq), ConvertError> {
    if first == 0 || first > last {
        return Err(ConvertError::Malformed {
            field,
            reason: "its seqs are not first to last, counted from 1",
        });
    }
    at_most(field, last, SEQ_MAX)?;
    Ok((Seq::new(first), Seq::new(last)))
}

/// Spool counts for the wire.
#[must_use]
pub const fn counts_to_wire(counts: SpoolCounts) -> v1::SpoolStatus {
    v1::SpoolStatus {
        produced: counts.produced,
        acked: counts.acked,
        dropped: counts.dropped,
        held: counts.held,
        held_bytes: counts.held_bytes,
    }
}

/// Spool counts from the wire.
///
/// # Errors
/// When they are above [`SEQ_MAX`] or do not balance.
pub fn counts_from_wire(status: &v1::SpoolStatus) -> Result<SpoolCounts, ConvertError> {
    at_most("spool.produced", status.produced, SEQ_MAX)?;
    at_most("spool.held_bytes", status.held_bytes, SEQ_MAX)?;
    let counts = SpoolCounts {
        produced: status.produced,
        acked: status.acked,
        dropped: status.dropped,
        held: status.held,
        held_bytes: status.held_bytes,
    };
    if !counts.balances() {
        return Err(ConvertError::Malformed {
            field: "spool",
            reason: "produced is not the sum of acked, dropped and held",
        });
    }
    Ok(counts)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn every_gap_survives_the_wire() {
        for reason in GapReason::ALL {
            let gap = RecordGap {
                first: Seq::new(3),
                last: Seq::new(9),
                reason,
            };
            assert_eq!(gap_from_wire(&gap_to_wire(gap)), Ok(gap));
        }
    }

    #[test]
    fn hostile_gaps_are_refused() {
        for (first_seq, last_seq, reason) in [
            (0, 5, 1),
            (6, 5, 1),
            (1, u64::MAX, 1),
            (1, 5, 0),
            (1, 5, 99),
        ] {
            let gap = v1::Gap {
                first_seq,
                last_seq,
                reason,
            };
            assert!(gap_from_wire(&gap).is_err(), "{gap:?}");
        }
    }

    proptest! {
        #[test]
        fn only_balanced_counts_are_taken(
            produced in 0..20_u64, acked in 0..20_u64, dropped in 0..20_u64, held in 0..20_u64,
        ) {
            let status = v1::SpoolStatus { produced, acked, dropped, held, held_bytes: 1 };
            match counts_from_wire(&status) {
                Ok(counts) => prop_assert_eq!(counts_to_wire(counts), status),
                Err(_) => prop_assert_ne!(produced, acked + dropped + held),
            }
        }
    }
}
