//! How the rate of a rise goes on by one kind of course, once that has been told from the days that are known.

use std::sync::LazyLock;

use super::AHEAD_DAYS;

/// From one day ahead to the next, a trend of the rate loses this much.
const DAMPING: f64 = 0.93;

/// What a kind of course makes of the days that are known.
pub(super) enum Pace {
    Same(f64),
    /// A rate that changes from day to day, away from the middle one of the days that it is told from.
    Trend {
        mean: f64,
        gain: f64,
        middle_day: f64,
    },
    /// How much more a week-end brings, and what share of the days lay in one.
    Week {
        mean: f64,
        more: f64,
        share: f64,
    },
    /// The rate of a weekday.
    Weekdays(f64),
    /// The rates of the next seven days, as of the week before; without a week, the middle one.
    SameDay([f64; 7]),
    Pauses {
        next: f64,
        later: f64,
    },
}

impl Pace {
    /// The rate of the day `ahead`, 0 being the next, of which a share lies in a week-end.
    pub(super) fn rate(&self, ahead: usize, weekend: f64) -> f64 {
        match self {
            Self::Same(rate) => *rate,
            Self::Trend {
                mean,
                gain,
                middle_day,
            } => mean + gain * (middle_day + damped_days(ahead)),
            Self::Week { mean, more, share } => mean + more * (weekend - share),
            Self::Weekdays(rate) => rate * (1.0 - weekend),
            Self::SameDay(rates) => rates.get(ahead % 7).copied().unwrap_or(0.0),
            Self::Pauses { next, .. } if ahead == 0 => *next,
            Self::Pauses { later, .. } => *later,
        }
    }
}

/// How many days a trend is carried on until the day `ahead`, each counting for less than the one before.
fn damped_days(ahead: usize) -> f64 {
    static SUMS: LazyLock<[f64; AHEAD_DAYS]> = LazyLock::new(|| {
        let mut sum = 0.0;
        std::array::from_fn(|day| {
            sum += DAMPING.powi(day as i32);
            sum
        })
    });
    SUMS.get(ahead.min(AHEAD_DAYS - 1)).copied().unwrap_or(0.0)
}
