//! `FILETIME`: 100 ns since 1601-01-01 UTC.

use tidemark_model::Timestamp;

/// 1601-01-01 to 1970-01-01 in milliseconds.
const EPOCH_MS: i64 = 11_644_473_600_000;
/// Units in a millisecond.
const UNITS_PER_MS: u64 = 10_000;

/// The time that `units` stand for; `None` for 0, which means that there is none.
#[must_use]
pub fn timestamp(units: u64) -> Option<Timestamp> {
    if units == 0 {
        return None;
    }
    let ms = i64::try_from(units / UNITS_PER_MS).ok()?;
    Some(Timestamp::from_unix_ms(ms.saturating_sub(EPOCH_MS)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_those_of_the_unix_clock_and_zero_is_none() {
        // Documented with RtlTimeToSecondsSince1970.
        let epoch = 116_444_736_000_000_000;
        assert_eq!(timestamp(epoch), Some(Timestamp::EPOCH));
        assert_eq!(timestamp(epoch + 15_000), Some(Timestamp::from_unix_ms(1)));
        assert_eq!(timestamp(1).unwrap().unix_ms(), -11_644_473_600_000);
        assert_eq!(timestamp(0), None);
        assert!(timestamp(u64::MAX).is_some());
    }
}
