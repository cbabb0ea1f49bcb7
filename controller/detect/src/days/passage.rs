//! When a rising floor with this host's own peaks on top first meets capacity: three quantiles by simulation.
//!
//! After the reference detector's third stage. The noise is a fixed table, so the same history gives the same date.

use std::sync::OnceLock;

use crate::days::series::{DAY, Series, greatest, least, middle, or, part, quarter_start, spread};
use crate::memory::HOUR_MS;
use crate::stats::median;

/// Noise paths and hours in the table: 45 days.
const PATHS: usize = 16;
const HOURS_MAX: usize = 24 * 45;
/// Memory of the noise from one hour to the next.
const NOISE_MEMORY: f64 = 0.97;
/// Mid-quantiles of a normal distribution in eight parts: how the slope is varied.
pub(crate) const SLOPE_DEVIATES: [f64; 8] = [-1.53, -0.89, -0.49, -0.157, 0.157, 0.49, 0.89, 1.53];
/// Slopes change more than their scatter tells: least relative uncertainty, and inflation of the whole.
const SLOPE_ERROR_LEAST: f64 = 0.07;
const SLOPE_ERROR_FACTOR: f64 = 1.15;
/// Inflation of the workload's noise.
const NOISE_FACTOR: f64 = 0.6;
/// How many days back usual ones are looked for when the slope of a young rise is measured.
const SHORT_DAYS: i64 = 14;
/// Hours over which it is measured: a week.
const NOISE_HOURS: i64 = 168;

/// A slope in ports an hour with its standard error.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Slope {
    pub value: f64,
    pub error: f64,
}

/// Hours from now until ports run out, for 10, 50 and 90 in a hundred; infinite when not within 45 days.
pub(crate) type Passage = [f64; 3];

/// Standard normal noise, correlated from hour to hour; made once.
pub(crate) fn noise() -> &'static [Vec<f64>] {
    static TABLE: OnceLock<Vec<Vec<f64>>> = OnceLock::new();
    TABLE.get_or_init(|| {
        let mut state = 7u64;
        let mut normal = || (0..12).map(|_| uniform(&mut state)).sum::<f64>() - 6.0;
        let fresh = (1.0 - NOISE_MEMORY * NOISE_MEMORY).sqrt();
        (0..PATHS)
            .map(|_| {
                let mut value = normal();
                (0..HOURS_MAX)
                    .map(|_| {
                        value = NOISE_MEMORY * value + fresh * normal();
                        value
                    })
                    .collect()
            })
            .collect()
    })
}

/// SplitMix64 (Steele, Lea and Flood 2014), as a number from 0 to 1.
fn uniform(state: &mut u64) -> f64 {
    *state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let mut mixed = *state;
    mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    ((mixed ^ (mixed >> 31)) >> 11) as f64 / (1u64 << 53) as f64
}

/// Floors and peaks by hour, the last being the hour that ends now.
pub(crate) struct Hours {
    floor: Vec<f64>,
    peak: Vec<f64>,
}

impl Hours {
    pub(crate) fn new(series: &Series) -> Self {
        let skipped = series.floor.len() % 4;
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
            peak: whole(&series.peak, greatest),
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
fn quiet_hours(rows: &[&[f64]]) -> Vec<usize> {
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

/// When the floor's line plus this host's peaks by hour of day and week meets capacity.
pub(crate) fn passage(series: &Series, hours: &Hours, slope: Slope, age_hours: f64) -> Passage {
    let capacity = series.capacity;
    let count = hours.peak.len() as i64;
    let skipped = series.floor.len() as i64 - 4 * count;
    let recent_top = or(greatest(part(&hours.peak, count - 24, count - 1)), 0.0);
    let rough = ((capacity - recent_top) / slope.value.max(1e-6)).max(1.0);
    let horizon = (2.2 * rough + 60.0).clamp(30.0, HOURS_MAX as f64) as usize;
    let workload: Vec<f64> = (0..count)
        .map(|hour| {
            // Peaks of a leak that is over say nothing of the load.
            if series.is_spoilt(skipped + 4 * hour + 3) {
                return f64::NAN;
            }
            let before_now = (hour - count + 1) as f64;
            let leaked = slope.value * ((before_now + age_hours).max(0.0) - age_hours);
            hours
                .peak
                .get(hour as usize)
                .map_or(f64::NAN, |peak| peak - leaked)
        })
        .collect();
    let base = usual_peaks(&workload, hour_number(series), horizon);
    let sigma = workload_noise(&workload, capacity);
    let error = (slope.error / slope.value.max(1e-6)).hypot(SLOPE_ERROR_LEAST);
    let error = (SLOPE_ERROR_FACTOR * error).min(0.6);
    let mut times: Vec<f64> = Vec::with_capacity(PATHS * SLOPE_DEVIATES.len());
    for path in noise() {
        for deviate in SLOPE_DEVIATES {
            let gain = slope.value * (1.0 + error * deviate);
            let reached = base
                .iter()
                .zip(path)
                .enumerate()
                .find(|(hour, (base, noise))| {
                    *base + gain * (*hour as f64 + 1.0) + sigma * *noise >= capacity
                });
            times.push(reached.map_or(f64::INFINITY, |(hour, _)| hour as f64 + 0.5));
        }
    }
    quantiles(&mut times)
}

/// 10, 50 and 90 in a hundred of `times`; infinite of nothing.
pub(crate) fn quantiles(times: &mut [f64]) -> Passage {
    times.sort_by(f64::total_cmp);
    [0.1, 0.5, 0.9].map(|share: f64| {
        let position = (share * times.len().saturating_sub(1) as f64).round() as usize;
        times.get(position).copied().unwrap_or(f64::INFINITY)
    })
}

/// Number of the hour that begins now, since the Unix epoch.
fn hour_number(series: &Series) -> i64 {
    quarter_start(series.origin + series.newest() + 1)
        .unix_ms()
        .div_euclid(HOUR_MS)
}

/// The Unix epoch was a Thursday; 5 and 6 are Saturday and Sunday.
const fn is_weekend(hour: i64) -> bool {
    (hour.div_euclid(24) + 3).rem_euclid(7) >= 5
}

/// The peak that each hour ahead usually has: the median of the same hour in the weeks and on like days before.
fn usual_peaks(workload: &[f64], now: i64, horizon: usize) -> Vec<f64> {
    let count = workload.len() as i64;
    let fallback = or(middle(part(workload, count - 24, count - 1)), 0.0);
    let mut known: Vec<f64> = Vec::with_capacity(8);
    (1..=horizon as i64)
        .map(|ahead| {
            let value = |back: i64| {
                let position = count - 1 + ahead - back;
                let found = usize::try_from(position)
                    .ok()
                    .and_then(|position| workload.get(position));
                found
                    .copied()
                    .filter(|value| back >= ahead && !value.is_nan())
            };
            known.clear();
            known.extend([168, 336].into_iter().filter_map(value));
            let whole_days = (ahead + 23) / 24 * 24;
            let hour = now + ahead - 1;
            for days in 0..4 {
                let back = whole_days + 24 * days;
                if is_weekend(hour - back) == is_weekend(hour) {
                    known.extend(value(back));
                }
            }
            if ahead > 168 {
                known.extend(value((ahead + 167) / 168 * 168));
            }
            median(&mut known)
                .or_else(|| value(whole_days))
                .unwrap_or(fallback)
        })
        .collect()
}

/// How much the daily peaks differ from those of a day before: hours in the upper quarter of the last days tell, as
/// noise grows with the load and only peaks meet capacity.
fn workload_noise(workload: &[f64], capacity: f64) -> f64 {
    let count = workload.len() as i64;
    let recent = part(workload, count - NOISE_HOURS, count - 1);
    let mut levels: Vec<f64> = recent
        .iter()
        .copied()
        .filter(|level| !level.is_nan())
        .collect();
    levels.sort_unstable_by(f64::total_cmp);
    let high = levels.get(levels.len() * 3 / 4).copied();
    let changes: Vec<f64> = recent
        .iter()
        .skip(24)
        .zip(recent)
        .filter(|(late, early)| high.is_some_and(|high| **late >= high || **early >= high))
        .map(|(late, early)| late - early)
        .collect();
    let noise = if recent.len() > 48 {
        spread(&changes) / std::f64::consts::SQRT_2
    } else {
        f64::NAN
    };
    NOISE_FACTOR * or(noise, 0.02 * capacity).max(0.005 * capacity)
}

/// The slope of a rise younger than 30 h: a robust line through its quarter hours, net of the same times before.
pub(crate) fn slope_short(series: &Series, onset: i64) -> Option<f64> {
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
