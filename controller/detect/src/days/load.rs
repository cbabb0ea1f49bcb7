//! Load that grows: daily peaks that rise from day to day, with as much more TIME_WAIT, and reach capacity one day.
//!
//! A peak that is mostly TIME_WAIT is a storm of short connections; any other is growth. Knows nothing of leaks.

use std::sync::Arc;

use crate::days::passage::{self, Passage};
use crate::days::series::{DAY, Series, greatest, middle, missing, or, part, quarter_start};
use crate::owners::Owners;
use crate::stats::{median, theil_sen};

/// Days that are looked at, longest first.
const SPANS_DAYS: [i64; 4] = [21, 14, 10, 7];
/// Growth of storms is measured over this many days.
const RECENT_DAYS: i64 = 8;
/// Peaks below this share of capacity are no concern yet.
const PEAK_SHARE: f64 = 0.55;
/// Mann-Kendall statistic from which on a trend is no chance: one in two hundred.
const TREND_Z: f64 = 2.6;
/// The rise is at least this share of capacity, and this many times the scatter about its line.
const RISE_SHARE: f64 = 0.08;
const RISE_SCATTERS: f64 = 4.0;
/// Each half of the time brings at least this share of the rise: a step does not.
const HALF_SHARE: f64 = 0.3;
/// Share of weekly differences that must be positive.
const WEEKS_UP_SHARE: f64 = 0.85;
/// A date further ahead than this many hours is no reason to raise an alarm: eleven days.
const AHEAD_MAX_HOURS: f64 = 264.0;
/// ... and neither is one further ahead than this share of the days that are looked at, as load comes in waves of weeks,
/// unless it is as near as this.
const AHEAD_SHARE: f64 = 0.4;
const AHEAD_ALWAYS_HOURS: f64 = 72.0;
/// Longest look ahead, in days.
const HORIZON_DAYS: usize = 45;
/// A peak is new for as many quarter hours: the processes that made it are still known.
const NEW_PEAK: i64 = 8;
/// Checks that must agree, and how many in a row must disagree to clear.
const AGREEING: u32 = 2;
const DISAGREEING: u32 = 48;

/// Load that will reach capacity.
#[derive(Clone, Debug)]
pub(crate) struct LoadGrowth {
    /// Ports that the daily peak gains a day.
    pub per_day: f64,
    /// The daily peak at the beginning and at the end of the days looked at.
    pub peaks: (f64, f64),
    pub days: i64,
    pub is_storm: bool,
    pub culprit: Option<Arc<str>>,
    /// Hours until the end, counted from the end of `weighed`.
    pub passage: Passage,
    /// Number of the newest quarter hour that was weighed.
    pub weighed: i64,
}

/// The standing verdict on growing load.
#[derive(Clone, Debug, Default)]
pub(crate) struct Growing {
    agreed: u32,
    disagreed: u32,
    raised: Option<Box<LoadGrowth>>,
    peaked: Option<Box<Peaked>>,
}

/// The newest peak of a day, and who made it: a job that has ended is soon not known any more.
#[derive(Clone, Debug)]
struct Peaked {
    /// Number of its quarter hour.
    quarter: i64,
    by: Option<Arc<str>>,
}

impl Growing {
    pub(crate) fn raised(&self) -> Option<&LoadGrowth> {
        self.raised.as_deref()
    }

    /// Weighs a series at a whole hour.
    pub(crate) fn check(&mut self, series: &Series<'_>, owners: &Owners, is_saturated: bool) {
        let found = if has_high_peak(series) {
            self.note_peak(series, owners);
            find(series, owners, self.peaked.as_deref())
        } else {
            None
        };
        match (found, self.raised.is_some()) {
            (Some(growth), true) => {
                self.disagreed = 0;
                self.raised = Some(Box::new(growth));
            }
            (Some(growth), false) => {
                self.agreed += 1;
                if self.agreed >= AGREEING {
                    self.agreed = 0;
                    self.raised = Some(Box::new(growth));
                }
            }
            (None, true) if !is_saturated => {
                self.disagreed += 1;
                if self.disagreed > DISAGREEING {
                    self.clear();
                }
            }
            (None, _) => self.agreed = self.agreed.saturating_sub(1),
        }
    }

    /// Remembers who made the peak of the newest day while that is known.
    fn note_peak(&mut self, series: &Series<'_>, owners: &Owners) {
        let Some(peak_at) = peak_position(series) else {
            return;
        };
        if series.newest() - peak_at < NEW_PEAK {
            self.peaked = Some(Box::new(Peaked {
                quarter: series.origin + peak_at,
                by: peaking(series, owners, peak_at),
            }));
        }
    }

    /// Forgets the verdict, as after a change of capacity.
    pub(crate) fn clear(&mut self) {
        *self = Self::default();
    }

    pub(crate) fn heap_bytes(&self) -> usize {
        self.raised.as_ref().map_or(0, |_| size_of::<LoadGrowth>())
            + self.peaked.as_ref().map_or(0, |_| size_of::<Peaked>())
    }
}

/// Whether the newest day is known and its peak high enough to be a concern.
fn has_high_peak(series: &Series<'_>) -> bool {
    let today = series.peaks_of_today();
    or(greatest(&today), 0.0) >= PEAK_SHARE * series.capacity && missing(&today) <= 0.5
}

fn find(series: &Series<'_>, owners: &Owners, peaked: Option<&Peaked>) -> Option<LoadGrowth> {
    let newest = series.newest();
    // Days before and in a leak tell nothing of the load after it.
    let since = series
        .spoilt
        .iter()
        .rposition(|spoilt| *spoilt)
        .map_or(0, |position| position as i64 + 1);
    let have = (newest + 1 - since) / DAY;
    SPANS_DAYS
        .into_iter()
        .filter(|days| *days <= have)
        .find_map(|days| find_over(series, (owners, peaked), days))
}

/// The process that makes the peak at `peak_at`.
fn peaking(series: &Series<'_>, owners: &Owners, peak_at: i64) -> Option<Arc<str>> {
    owners.peaking(
        quarter_start(series.origin + peak_at),
        is_storm(series, peak_at),
    )
}

/// The greatest of each of the last `days` days.
fn daily(values: &[f64], newest: i64, days: i64) -> Vec<f64> {
    (0..days)
        .map(|day| {
            let end = newest - DAY * (days - 1 - day);
            greatest(part(values, end - DAY + 1, end))
        })
        .collect()
}

fn find_over(
    series: &Series<'_>,
    (owners, peaked): (&Owners, Option<&Peaked>),
    days: i64,
) -> Option<LoadGrowth> {
    let newest = series.newest();
    let capacity = series.capacity;
    let peaks = daily(series.peak(), newest, days);
    let points: Vec<(f64, f64)> = peaks
        .iter()
        .enumerate()
        .filter(|(_, peak)| !peak.is_nan())
        .map(|(day, peak)| (day as f64, *peak))
        .collect();
    if points.len() < 6 || mann_kendall(&points) < TREND_Z {
        return None;
    }
    let slope = daily_slope(&points, &peaks, days)?;
    let mut origins: Vec<f64> = points
        .iter()
        .map(|(day, peak)| peak - slope * day)
        .collect();
    let origin = median(&mut origins)?;
    let residuals: Vec<f64> = points
        .iter()
        .map(|(day, peak)| peak - origin - slope * day)
        .collect();
    let scatter = crate::stats::scatter(&residuals)?.max(0.006 * capacity);
    let rise = slope * (points.len() - 1) as f64;
    let values: Vec<f64> = points.iter().map(|(_, peak)| *peak).collect();
    let [early, mid, late] = thirds(&values)?;
    if slope <= 0.0
        || rise < RISE_SHARE * capacity
        || rise < RISE_SCATTERS * scatter
        || (mid - early).min(late - mid) < HALF_SHARE * (late - early)
        || !time_wait_agrees(series, days, late / early)
    {
        return None;
    }
    let peak_at = peak_position(series)?;
    let is_storm = is_storm(series, peak_at);
    let slope = if is_storm {
        // Jobs run every day, so weeks do not matter, and days before the growth began only dilute it.
        slope.max(recent_slope(&points, days).unwrap_or(slope))
    } else {
        slope
    };
    let level = level(&points, slope, days)?;
    let factor = if is_storm {
        None
    } else {
        Some((level - 0.5 * rise).max(0.3 * capacity))
    };
    let passage = days_ahead((level, slope, rise), (scatter, factor), capacity)
        .map(|days| (days - 1.0) * 24.0 + (DAY + peak_at - newest) as f64 / 4.0);
    let most = (AHEAD_SHARE * 24.0 * days as f64).max(AHEAD_ALWAYS_HOURS);
    if passage[1] >= AHEAD_MAX_HOURS.min(most) {
        return None;
    }
    let quarter = series.origin + peak_at;
    let culprit = peaked
        .filter(|peaked| (peaked.quarter - quarter).abs() < NEW_PEAK)
        .map_or_else(
            || peaking(series, owners, peak_at),
            |peaked| peaked.by.clone(),
        );
    Some(LoadGrowth {
        per_day: slope,
        peaks: (early, late),
        days,
        is_storm,
        culprit,
        passage,
        weighed: series.origin + newest,
    })
}

/// The Mann-Kendall statistic of a rising trend, as a normal deviate.
fn mann_kendall(points: &[(f64, f64)]) -> f64 {
    let count = points.len() as f64;
    let mut score = 0.0;
    for (index, (_, early)) in points.iter().enumerate() {
        for (_, late) in points.iter().skip(index + 1) {
            score += (late - early)
                .partial_cmp(&0.0)
                .map_or(0.0, |order| f64::from(order as i8));
        }
    }
    (score - 1.0) / (count * (count - 1.0) * (2.0 * count + 5.0) / 18.0).sqrt()
}

/// Ports a day: by weekly differences where there are enough, so that weekends do not count.
fn daily_slope(points: &[(f64, f64)], peaks: &[f64], days: i64) -> Option<f64> {
    let line = {
        let mut slopes: Vec<f64> = Vec::with_capacity(points.len() * points.len() / 2);
        for (index, (day, peak)) in points.iter().enumerate() {
            for (later, higher) in points.iter().skip(index + 1) {
                slopes.push((higher - peak) / (later - day));
            }
        }
        median(&mut slopes)?
    };
    if days < 10 {
        return Some(line);
    }
    let mut weekly: Vec<f64> = peaks
        .iter()
        .skip(7)
        .zip(peaks)
        .map(|(late, early)| late - early)
        .filter(|change| !change.is_nan())
        .collect();
    let up = weekly.iter().filter(|change| **change > 0.0).count() as f64;
    if weekly.is_empty() || up < WEEKS_UP_SHARE * weekly.len() as f64 {
        return None;
    }
    let week = median(&mut weekly)? / 7.0;
    Some(if days < 15 {
        f64::midpoint(line, week)
    } else {
        week
    })
}

/// Ports a day over the newest days alone.
fn recent_slope(points: &[(f64, f64)], days: i64) -> Option<f64> {
    let from = points.partition_point(|(day, _)| *day < (days - RECENT_DAYS) as f64);
    theil_sen(points.get(from..)?).map(|line| line.slope)
}

/// The peak of the newest day, as the last four say.
fn level(points: &[(f64, f64)], slope: f64, days: i64) -> Option<f64> {
    let last = points.len().saturating_sub(4);
    let mut levels: Vec<f64> = points
        .iter()
        .skip(last)
        .map(|(day, peak)| peak - slope * (day - (days - 1) as f64))
        .collect();
    median(&mut levels)
}

/// Medians of the first, the middle and the last third.
fn thirds(values: &[f64]) -> Option<[f64; 3]> {
    let count = values.len();
    let third = (count / 3).max(2);
    let centre = (count - third) / 2;
    Some([
        median(&mut values.get(..third)?.to_vec())?,
        median(&mut values.get(centre..centre + third)?.to_vec())?,
        median(&mut values.get(count - third..)?.to_vec())?,
    ])
}

/// Load that grows leaves more TIME_WAIT behind, at least half as much more as the peaks.
fn time_wait_agrees(series: &Series<'_>, days: i64, growth: f64) -> bool {
    let values: Vec<f64> = daily(series.time_wait(), series.newest(), days)
        .into_iter()
        .filter(|value| !value.is_nan())
        .map(|value| value.max(1.0))
        .collect();
    thirds(&values).is_some_and(|[early, _, late]| late / early - 1.0 >= 0.5 * (growth - 1.0))
}

/// Position of the greatest peak of the last day.
fn peak_position(series: &Series<'_>) -> Option<i64> {
    let newest = series.newest();
    let from = (newest - DAY + 1).max(0);
    part(series.peak(), from, newest)
        .iter()
        .enumerate()
        .filter(|(_, peak)| !peak.is_nan())
        .max_by(|one, other| one.1.total_cmp(other.1))
        .map(|(offset, _)| from + offset as i64)
}

/// Whether the peak stands out by its TIME_WAIT.
fn is_storm(series: &Series<'_>, peak_at: i64) -> bool {
    let newest = series.newest();
    let day = |values: &[f64]| middle(part(values, newest - DAY + 1, newest));
    let at_peak = |values: &[f64]| or(greatest(part(values, peak_at, peak_at)), 0.0);
    let time_wait = at_peak(series.time_wait()) - or(day(series.time_wait()), 0.0);
    time_wait > 0.5 * (at_peak(series.peak()) - or(day(series.peak()), 0.0))
}

/// Days until a daily peak meets capacity: 10, 50 and 90 in a hundred. Storms grow by a fixed number a day, load by a
/// fixed share.
fn days_ahead(
    (level, slope, rise): (f64, f64, f64),
    (scatter, base): (f64, Option<f64>),
    capacity: f64,
) -> Passage {
    let error = (1.6 * scatter / rise.max(1.0)).hypot(0.12);
    let mut times = Vec::new();
    for path in passage::noise() {
        for deviate in passage::SLOPE_DEVIATES {
            let gain = slope * (1.0 + error * deviate);
            let reached = path
                .hours
                .iter()
                .step_by(24)
                .take(HORIZON_DAYS)
                .enumerate()
                .find(|(day, noise)| {
                    let ahead = *day as f64 + 1.0;
                    let peak = match base {
                        None => level + gain * ahead,
                        Some(base) => level * (gain / base * ahead).exp(),
                    };
                    peak + scatter * *noise >= capacity
                });
            times.push(reached.map_or(f64::INFINITY, |(day, _)| day as f64 + 1.0));
        }
    }
    passage::quantiles(&mut times)
}
