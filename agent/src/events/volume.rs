//! Keeps what hosts write often from filling spool and history: of each kind so many in an hour, and the rest counted. Pure.

use std::collections::HashMap;
use std::sync::Arc;

use tidemark_model::Timestamp;
use tidemark_model::sample::EventHit;

use super::selection::SOME_AN_HOUR;

const HOUR_MS: i64 = 3_600_000;

/// What was told in the hour of each kind. There are no more kinds than are selected.
#[derive(Debug, Default)]
pub struct VolumeLimit {
    hours: HashMap<(Arc<str>, u32), Hour>,
}

#[derive(Debug)]
struct Hour {
    began: Timestamp,
    told: u32,
    left_out: u32,
}

impl VolumeLimit {
    /// The hit as it is to be told; `None` when there were enough of its kind in its hour. The first one of another hour
    /// stands for those that were left out, too.
    pub fn admit(&mut self, mut hit: EventHit) -> Option<EventHit> {
        let kind = (Arc::clone(&hit.source), hit.code);
        let fresh = Hour {
            began: hit.at,
            told: 0,
            left_out: 0,
        };
        let hour = self.hours.entry(kind).or_insert(fresh);
        // A clock that was set back begins a new hour as well.
        if !(0..HOUR_MS).contains(&hit.at.ms_since(hour.began)) {
            hour.began = hit.at;
            hour.told = 0;
        }
        if hour.told >= SOME_AN_HOUR {
            hour.left_out = hour.left_out.saturating_add(1);
            return None;
        }
        hour.told += 1;
        let left_out = std::mem::take(&mut hour.left_out);
        if left_out > 0 {
            hit.count = hit.count.saturating_add(left_out);
            hit.text = format!("{} ({left_out} like it were left out before)", hit.text).into();
        }
        Some(hit)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hit(code: u32, at_ms: i64) -> EventHit {
        EventHit {
            at: Timestamp::from_unix_ms(at_ms),
            source: "Service Control Manager".into(),
            code,
            count: 1,
            text: "a service stopped".into(),
            log: None,
        }
    }

    #[test]
    fn a_kind_is_told_so_often_in_an_hour_and_the_rest_is_counted_with_the_next() {
        let mut limit = VolumeLimit::default();
        let told = (0..30).filter(|n| limit.admit(hit(7_036, n * 1_000)).is_some());
        assert_eq!(told.count(), 20);
        // Another kind has an hour of its own.
        assert_eq!(limit.admit(hit(7_031, 31_000)).unwrap().count, 1);
        let next = limit.admit(hit(7_036, HOUR_MS)).unwrap();
        assert_eq!(next.count, 11);
        assert_eq!(
            &*next.text,
            "a service stopped (10 like it were left out before)"
        );
        assert_eq!(limit.admit(hit(7_036, HOUR_MS + 1)).unwrap().count, 1);
    }

    #[test]
    fn a_clock_that_is_set_back_silences_nobody() {
        let mut limit = VolumeLimit::default();
        for n in 0..20 {
            limit.admit(hit(7_036, HOUR_MS * 5 + n)).unwrap();
        }
        assert!(limit.admit(hit(7_036, HOUR_MS * 5 + 20)).is_none());
        assert!(limit.admit(hit(7_036, HOUR_MS)).is_some());
    }
}
