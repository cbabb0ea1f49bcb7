//! What speaks against a climb that was found: it flattens, or this host did as much before. Keeps no state.

use std::borrow::Cow;

use crate::days::series::{DAY, Series, greatest, least, middle, missing, part};
use crate::days::staircase::{DaysIn as _, net_of, profile};
use crate::stats::parabola;

/// A rise that flattens is watched, not reported, while its end is further ahead than this many times its age.
const BEND_WAIT: f64 = 0.75;
/// A rise whose last day brought less than this share of the day before flattens.
const DAY_GAIN_SHARE: f64 = 0.7;
/// A parabola counts as bent at this many standard errors.
const BEND_ERRORS: f64 = 1.0;

/// Whether the rise since `onset` flattens, and there is time to wait and see.
pub(crate) fn flattens(series: &Series<'_>, onset: i64, hours_ahead: f64) -> bool {
    let newest = series.newest();
    let length = newest - onset;
    let age = length as f64 / 4.0;
    if length < 24 || hours_ahead <= 5.0f64.max(BEND_WAIT * age) {
        return false;
    }
    if length >= 200 && newest >= 3 * DAY {
        let last = day_gain(series, newest);
        let before = day_gain(series, newest - DAY);
        if before > 0.0 && last < DAY_GAIN_SHARE * before {
            return true;
        }
    }
    let blocks = 12;
    let length = length / blocks * blocks;
    let from = newest - length + 1;
    let mut values = part(&series.floor, from, newest).to_vec();
    if length < 5 * DAY {
        let days = length.div_ceil_days();
        let usual = if from - DAY * days >= 0 {
            profile(series, from, length, days)
        } else {
            Cow::Owned(Vec::new())
        };
        if missing(&usual) < 0.2 {
            values = net_of(&values, &usual);
        } else if length >= DAY {
            return false;
        }
    }
    let points: Vec<(f64, f64)> = values
        .chunks(usize::try_from(length / blocks).unwrap_or(1))
        .map(least)
        .enumerate()
        .filter(|(_, value)| !value.is_nan())
        .map(|(index, value)| (index as f64 / (blocks - 1) as f64, value))
        .collect();
    let (Some(curve), Some((_, last))) = (parabola(&points), points.last()) else {
        return false;
    };
    if points.len() < 8 || curve.square >= -BEND_ERRORS * curve.square_error {
        return false;
    }
    let top = greatest(part(series.peak(), newest - DAY + 1, newest));
    curve
        .top_after(1.0)
        .is_some_and(|summit| summit - last < series.capacity - top)
}

/// Median gain of the day that ends at `end` over the day before.
fn day_gain(series: &Series<'_>, end: i64) -> f64 {
    let gains: Vec<f64> = (end - DAY + 1..=end)
        .map(|position| series.floor_at(position) - series.floor_at(position - DAY))
        .collect();
    middle(&gains)
}

/// The most that the floor rose by from one day to the next before `onset`, and kept for four hours.
fn change_of_a_day(series: &Series<'_>, onset: i64) -> f64 {
    let usable = series.usable();
    let changes: Vec<f64> = part(usable, DAY, onset - 1)
        .iter()
        .zip(usable)
        .map(|(later, earlier)| later - earlier)
        .collect();
    greatest_kept(&changes)
}

/// The most that the floor rose by over that many days before `onset`, kept for four hours and gave back later: a rise
/// that stayed may be the beginning of this one.
fn given_back(series: &Series<'_>, onset: i64, days: i64) -> f64 {
    let usable = series.usable();
    let lag = DAY as usize;
    // The lowest floor at the same time of day on the days after.
    let mut after = vec![f64::NAN; usable.len()];
    for position in (0..usable.len().saturating_sub(lag)).rev() {
        let next = position + lag;
        let lowest = match (usable.get(next), after.get(next)) {
            (Some(floor), Some(after)) => floor.min(*after),
            _ => f64::NAN,
        };
        if let Some(slot) = after.get_mut(position) {
            *slot = lowest;
        }
    }
    let changes: Vec<f64> = part(usable, DAY * days, onset - 1)
        .iter()
        .zip(usable)
        .zip(part(&after, DAY * days, onset - 1))
        .map(|((later, earlier), after)| {
            if after.is_nan() {
                f64::NAN
            } else {
                later - earlier.max(*after)
            }
        })
        .collect();
    greatest_kept(&changes)
}

/// The greatest of changes that lasted for four hours.
fn greatest_kept(changes: &[f64]) -> f64 {
    let skipped = changes.len() % 16;
    let minima: Vec<f64> = changes
        .get(skipped..)
        .unwrap_or_default()
        .chunks(16)
        .map(least)
        .collect();
    greatest(&minima)
}

/// Whether a rise of `gain` since `onset` is more than this host ever did before, over as long.
pub(crate) fn is_unusual(series: &Series<'_>, onset: i64, gain: f64, block_hours: f64) -> bool {
    let newest = series.newest();
    if block_hours < 24.0 {
        if onset - DAY < DAY {
            return true;
        }
        // A rise of two days is measured against what two days brought before, not against what one did.
        let days = (newest - onset).div_ceil_days();
        let usual = (2..=days)
            .map(|days| given_back(series, onset, days))
            .fold(change_of_a_day(series, onset).max(0.0), f64::max);
        return gain > 1.25 * usual;
    }
    let days = onset / DAY;
    if days < 4 {
        return true;
    }
    let floors: Vec<f64> = (0..days)
        .map(|day| {
            let begin = onset - DAY * (days - day);
            least(part(series.usable(), begin, begin + DAY - 1))
        })
        .collect();
    let span = ((newest - onset) as f64 / DAY as f64)
        .round()
        .clamp(1.0, (days - 1) as f64) as usize;
    let rises = floors.iter().enumerate().flat_map(|(index, early)| {
        floors
            .iter()
            .skip(index + 1)
            .take(span)
            .map(move |late| late - early)
    });
    let usual = rises.fold(f64::NAN, f64::max);
    usual.is_nan() || gain > 1.4 * usual.max(0.0)
}
