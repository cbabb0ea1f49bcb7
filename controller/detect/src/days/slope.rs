//! How fast a floor rises: by differences of whole days over the quiet hours, or by a line while it is younger.
//!
//! Keeps no state.

use crate::days::series::{DAY, Series, greatest, least, middle, or, part, spread};

/// How many days back usual ones are looked for when the slope of a young rise is measured.
const SHORT_DAYS: i64 = 14;

/// A slope in ports an hour with its standard error.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Slope {
    pub value: f64,
    pub error: f64,
}

/// Hours that are looked at: the days of a rise that courses are told from, and a week of usual days before it.
const HOURS_MAX: usize = 24 * 24;

/// Floors and peaks by hour, the last being the hour that ends now.
pub(crate) struct Hours {
    pub(super) floor: Vec<f64>,
    pub(super) peak: Vec<f64>,
}

impl Hours {
    pub(crate) fn new(series: &Series<'_>) -> Self {
        let length = series.floor.len();
        let skipped = length - 4 * (length / 4).min(HOURS_MAX);
        let whole = |values: &[f64], reduce: fn(&[f64]) -> f64| {
            values
                .get(skipped..)
                .unwrap_or_default()
                .chunks(4)
                .map(reduce)
                .collect()
        };
        Self {
            floor: whole(&series.floor, least),
            peak: whole(series.peak(), greatest),
        }
    }
}

/// The slope by differences at lags of whole days over the quiet hours; `fallback` while the rise is younger.
pub(crate) fn slope(hours: &Hours, age_hours: f64, fallback: f64) -> Slope {
    let unsure = Slope {
        value: fallback,
        error: 0.15 * fallback.abs(),
    };
    if age_hours < 30.0 {
        return unsure;
    }
    let count = hours.floor.len();
    let days = (0.6 * age_hours / 24.0)
        .round()
        .clamp(2.0, 10.0)
        .min(((age_hours + 2.0) / 24.0).floor())
        .min((count / 24) as f64 - 1.0);
    if days < 1.0 {
        return unsure;
    }
    let days = days as usize;
    let begin = count - 24 * (days + 1);
    // Floors of before the rise are another level, perhaps that of the leak before it.
    let onset = count.saturating_sub(age_hours as usize);
    let newest: Vec<f64> = (begin..count)
        .map(|hour| match hours.floor.get(hour) {
            Some(floor) if hour >= onset => *floor,
            Some(_) | None => f64::NAN,
        })
        .collect();
    let rows: Vec<&[f64]> = newest.chunks(24).collect();
    let quiet = quiet_hours(&rows);
    let mut differences: Vec<(f64, f64)> = Vec::new();
    for lag in 1..=days {
        for (early, late) in rows.iter().zip(rows.iter().skip(lag)) {
            let rises: Vec<f64> = quiet
                .iter()
                .filter_map(|hour| Some(late.get(*hour)? - early.get(*hour)?))
                .collect();
            let rise = middle(&rises);
            if !rise.is_nan() {
                differences.push((rise / lag as f64 / 24.0, lag as f64));
            }
        }
    }
    let Some(value) = weighted_median(&mut differences) else {
        return unsure;
    };
    let daily: Vec<f64> = differences
        .iter()
        .filter(|(_, lag)| *lag < 1.5)
        .map(|(rise, _)| *rise)
        .collect();
    let error = if daily.len() > 1 {
        1.25 * or(spread(&daily), 0.0) / (daily.len() as f64).sqrt()
    } else {
        0.25 * value.abs()
    };
    Slope { value, error }
}

/// The dozen hours of the day with the lowest floors, relative to their day.
pub(super) fn quiet_hours(rows: &[&[f64]]) -> Vec<usize> {
    let medians: Vec<f64> = rows.iter().map(|row| middle(row)).collect();
    let mut levels: Vec<(usize, f64)> = (0..24)
        .map(|hour| {
            let column: Vec<f64> = rows
                .iter()
                .zip(&medians)
                .filter_map(|(row, median)| Some(row.get(hour)? - median))
                .collect();
            (hour, or(middle(&column), f64::INFINITY))
        })
        .collect();
    levels.sort_by(|one, other| one.1.total_cmp(&other.1));
    levels.into_iter().take(12).map(|(hour, _)| hour).collect()
}

fn weighted_median(values: &mut [(f64, f64)]) -> Option<f64> {
    values.sort_by(|one, other| one.0.total_cmp(&other.0));
    let half = values.iter().map(|(_, weight)| weight).sum::<f64>() / 2.0;
    let mut sum = 0.0;
    values
        .iter()
        .find(|(_, weight)| {
            sum += weight;
            sum >= half
        })
        .map(|(value, _)| *value)
}

/// The slope of a rise younger than 30 h: a robust line through its quarter hours, net of the same times before.
pub(crate) fn slope_short(series: &Series<'_>, onset: i64) -> Option<f64> {
    let newest = series.newest();
    let length = (newest - onset).clamp(8, 120);
    let from = newest - length + 1;
    let days = (length + DAY - 1) / DAY;
    let usual: Vec<f64> = (from..=newest)
        .map(|position| {
            let same: Vec<f64> = (days..days + SHORT_DAYS)
                .map(|back| position - DAY * back)
                .filter(|then| *then >= 0 && !series.is_spoilt(*then))
                .map(|then| series.floor_at(then))
                .collect();
            middle(&same)
        })
        .collect();
    let level = or(middle(&usual), 0.0);
    let points: Vec<(f64, f64)> = part(&series.floor, from, newest)
        .iter()
        .zip(&usual)
        .enumerate()
        .filter(|(_, (value, _))| !value.is_nan())
        .map(|(index, (value, usual))| (index as f64 / 4.0, value - or(*usual, level)))
        .collect();
    // Sixty points say as much as a hundred and twenty, at a quarter of the cost.
    let thinned: Vec<(f64, f64)> = points
        .iter()
        .copied()
        .step_by(points.len().div_ceil(60).max(1))
        .collect();
    crate::stats::theil_sen(&thinned).map(|line| line.slope)
}

/// The Unix epoch was a Thursday; 5 and 6 are Saturday and Sunday.
pub(super) const fn is_weekend(hour: i64) -> bool {
    (hour.div_euclid(24) + 3).rem_euclid(7) >= 5
}
