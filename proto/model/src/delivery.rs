//! What becomes of a spool's records: delivered, lost for a reason, or still held. Knows neither disk nor wire.

use serde::{Deserialize, Serialize};

use crate::Seq;

/// Why an agent cannot deliver a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum GapReason {
    /// The spool was at its limit of bytes, age or share of the disk.
    SpoolFull,
    /// Damaged on disk.
    Damaged,
    /// Could not be written: disk full or failing, or the record is too large.
    WriteFailed,
    /// The controller refused the record.
    Refused,
    /// Acked once and given up by the agent; the controller asks for it again, so it lost it (a restored backup).
    /// Never among an agent's own drops.
    LostAfterAck,
}

impl GapReason {
    /// Every reason.
    pub const ALL: [Self; 5] = [
        Self::SpoolFull,
        Self::Damaged,
        Self::WriteFailed,
        Self::Refused,
        Self::LostAfterAck,
    ];

    /// The lower-case name used everywhere.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::SpoolFull => "spool_full",
            Self::Damaged => "damaged",
            Self::WriteFailed => "write_failed",
            Self::Refused => "refused",
            Self::LostAfterAck => "lost_after_ack",
        }
    }

    /// The reason of that name.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|reason| reason.as_str() == name)
    }
}

/// Records that cannot be delivered, `first <= last`, both included.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RecordGap {
    /// The first of them.
    pub first: Seq,
    /// The last of them.
    pub last: Seq,
    /// Why.
    pub reason: GapReason,
}

impl RecordGap {
    /// How many records it stands for, at least 1.
    #[must_use]
    pub const fn records(self) -> u64 {
        self.last
            .get()
            .saturating_sub(self.first.get())
            .saturating_add(1)
    }
}

/// Counts of one spool since its epoch began: `produced = acked + dropped + held`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct SpoolCounts {
    /// Records that got a seq.
    pub produced: u64,
    /// Records that the controller has made durable.
    pub acked: u64,
    /// Records lost for good.
    pub dropped: u64,
    /// Records still to be acked.
    pub held: u64,
    /// Bytes that the spool occupies on disk.
    pub held_bytes: u64,
}

impl SpoolCounts {
    /// Whether every record is accounted for.
    #[must_use]
    pub fn balances(&self) -> bool {
        self.acked
            .checked_add(self.dropped)
            .and_then(|sum| sum.checked_add(self.held))
            == Some(self.produced)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_reason_is_found_by_its_name() {
        for reason in GapReason::ALL {
            assert_eq!(GapReason::from_name(reason.as_str()), Some(reason));
        }
        assert_eq!(GapReason::from_name("Refused"), None);
    }

    #[test]
    fn counts_that_overflow_do_not_balance() {
        let counts = SpoolCounts {
            produced: 1,
            acked: u64::MAX,
            dropped: 1,
            held: 1,
            held_bytes: 0,
        };
        assert!(!counts.balances());
    }
}
