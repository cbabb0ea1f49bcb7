//! The last hour of one figure, a value a minute: what a sparkline draws.

use tidemark_model::Timestamp;

/// Minutes that are kept.
pub const MINUTES: usize = 60;

const MINUTE_MS: i64 = 60_000;

/// The highest value of each of the last 60 minutes; a minute without any is a gap.
#[derive(Clone, Debug)]
pub struct LastHour {
    newest_minute: i64,
    /// The value of minute `m` stands at `m % 60`.
    values: [Option<u32>; MINUTES],
}

impl Default for LastHour {
    fn default() -> Self {
        Self {
            newest_minute: i64::MIN,
            values: [None; MINUTES],
        }
    }
}

impl LastHour {
    /// Takes a value in; one that is older than the hour before the newest is left out.
    pub fn note(&mut self, at: Timestamp, value: u32) {
        let minute = at.unix_ms().div_euclid(MINUTE_MS);
        let newest = self.newest_minute.max(minute);
        if minute <= newest.saturating_sub(MINUTES as i64) {
            return;
        }
        let first_new = self
            .newest_minute
            .max(newest.saturating_sub(MINUTES as i64));
        for skipped in first_new.saturating_add(1)..=newest {
            if let Some(slot) = self.values.get_mut(place(skipped)) {
                *slot = None;
            }
        }
        self.newest_minute = newest;
        if let Some(slot) = self.values.get_mut(place(minute)) {
            *slot = Some(slot.map_or(value, |highest| highest.max(value)));
        }
    }

    /// Takes another's values in, as from stored history.
    pub fn absorb(&mut self, other: &Self) {
        let newest = Timestamp::from_unix_ms(other.newest_minute.saturating_mul(MINUTE_MS));
        for (back, value) in other.until(newest).into_iter().rev().enumerate() {
            let back_ms = (back as i64).saturating_mul(MINUTE_MS);
            if let Some(value) = value {
                let at = newest.unix_ms().saturating_sub(back_ms);
                self.note(Timestamp::from_unix_ms(at), value);
            }
        }
    }

    /// The values up to `now`, oldest first.
    #[must_use]
    pub fn until(&self, now: Timestamp) -> [Option<u32>; MINUTES] {
        let last = now.unix_ms().div_euclid(MINUTE_MS);
        let mut values = [None; MINUTES];
        for (back, slot) in values.iter_mut().rev().enumerate() {
            let minute = last.saturating_sub(back as i64);
            let is_kept = minute <= self.newest_minute
                && minute > self.newest_minute.saturating_sub(MINUTES as i64);
            if is_kept {
                *slot = self.values.get(place(minute)).copied().flatten();
            }
        }
        values
    }
}

const fn place(minute: i64) -> usize {
    minute.rem_euclid(MINUTES as i64) as usize
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at_minute(minute: i64) -> Timestamp {
        Timestamp::from_unix_ms(minute * MINUTE_MS + 1)
    }

    #[test]
    fn a_minute_keeps_its_highest_value_and_a_silent_one_is_a_gap() {
        let mut hour = LastHour::default();
        hour.note(at_minute(100), 5);
        hour.note(at_minute(100), 3);
        hour.note(at_minute(102), 7);
        hour.note(at_minute(101), 6);
        hour.note(at_minute(40), 9);
        let values = hour.until(at_minute(103));
        assert_eq!(values[56..], [Some(5), Some(6), Some(7), None]);
        assert_eq!(values[..56], [None; 56]);
    }

    #[test]
    fn stored_minutes_fill_the_gaps_of_fresh_ones() {
        let (mut fresh, mut stored) = (LastHour::default(), LastHour::default());
        fresh.note(at_minute(102), 7);
        stored.note(at_minute(100), 5);
        stored.note(at_minute(102), 6);
        fresh.absorb(&stored);
        fresh.absorb(&LastHour::default());
        let values = fresh.until(at_minute(102));
        assert_eq!(values[57..], [Some(5), None, Some(7)]);
    }

    #[test]
    fn what_is_older_than_an_hour_is_forgotten() {
        let mut hour = LastHour::default();
        hour.note(at_minute(0), 1);
        hour.note(at_minute(59), 2);
        assert_eq!(hour.until(at_minute(59))[0], Some(1));
        hour.note(at_minute(60), 3);
        assert_eq!(hour.until(at_minute(60))[0], None);
        hour.note(at_minute(600), 4);
        let values = hour.until(at_minute(600));
        assert_eq!((values[59], values[58]), (Some(4), None));
        assert_eq!(hour.until(at_minute(10_000)), [None; MINUTES]);
    }
}
