//! When a rising floor with this host's own peaks on top first meets capacity: three quantiles by simulation.
//!
//! After the reference detector's third stage. The noise is a fixed table, so the same history gives the same date.

use std::sync::OnceLock;

use crate::days::outlook::{Course, Outlook};
use crate::days::series::{Series, greatest, middle, or, part, quarter_start, spread};
use crate::days::slope::{Hours, is_weekend, quiet_hours};
use crate::memory::HOUR_MS;
use crate::stats::median;

/// Noise paths and hours in the table: 45 days.
const PATHS: usize = 16;
const HOURS_MAX: usize = 24 * 45;
/// Memory of the noise from one hour to the next.
const NOISE_MEMORY: f64 = 0.97;
/// Mid-quantiles of a normal distribution in eight parts: how the slope is varied.
pub(crate) const SLOPE_DEVIATES: [f64; 8] = [-1.53, -0.89, -0.49, -0.157, 0.157, 0.49, 0.89, 1.53];
/// Slopes change more than their scatter tells: least relative uncertainty of a course.
const SLOPE_ERROR_LEAST: f64 = 0.06;
/// Inflation of the workload's noise.
const NOISE_FACTOR: f64 = 0.6;
/// The last quantile.
const LAST_SHARE: f64 = 0.9;
/// Days back whose peaks and floors are looked at: the same hour two weeks before. From what share of capacity on another
/// floor counts.
const DAYS_BACK: usize = 15;
const LEVEL_SHARE: f64 = 0.04;
/// Hours over which it is measured: a week.
const NOISE_HOURS: i64 = 168;

/// Hours from now until ports run out, for 10, 50 and 90 in a hundred; infinite when not within 45 days.
pub(crate) type Passage = [f64; 3];

/// What happens within an hour is put in its middle.
const HALF_HOUR: f64 = 0.5;

/// Hours of a day.
const DAY_HOURS: usize = 24;

/// A path of noise: its hours, and the greatest of each day.
pub(crate) struct Path {
    pub hours: Vec<f64>,
    tops: Vec<f64>,
}

/// Standard normal noise, correlated from hour to hour; made once.
pub(crate) fn noise() -> &'static [Path] {
    static TABLE: OnceLock<Vec<Path>> = OnceLock::new();
    TABLE.get_or_init(|| {
        let mut state = 7u64;
        let mut normal = || (0..12).map(|_| uniform(&mut state)).sum::<f64>() - 6.0;
        let fresh = (1.0 - NOISE_MEMORY * NOISE_MEMORY).sqrt();
        (0..PATHS)
            .map(|_| {
                let mut value = normal();
                let hours: Vec<f64> = (0..HOURS_MAX)
                    .map(|_| {
                        value = NOISE_MEMORY * value + fresh * normal();
                        value
                    })
                    .collect();
                let tops = hours.chunks(24).map(greatest).collect();
                Path { hours, tops }
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

/// When the floor's courses plus this host's peaks by hour of day and week meet capacity. Infinite when the middle one is
/// further ahead than `believed_hours`: most rises are not believed, and the way there is long.
pub(crate) fn passage(
    series: &Series<'_>,
    hours: &Hours,
    outlook: &Outlook,
    (age_hours, believed_hours): (f64, f64),
) -> Passage {
    let capacity = series.capacity;
    let count = hours.peak.len() as i64;
    let skipped = series.floor.len() as i64 - 4 * count;
    let recent_top = or(greatest(part(&hours.peak, count - 24, count - 1)), 0.0);
    let rough = ((capacity - recent_top) / outlook.rate().max(1e-6)).max(1.0);
    let horizon = (2.2 * rough + 60.0).clamp(30.0, HOURS_MAX as f64) as usize;
    let gained = outlook.gained();
    let since_onset = gained.since(age_hours);
    let earlier = Earlier::new(hours, age_hours, capacity);
    let from = (count - (DAYS_BACK * DAY_HOURS) as i64).max(0);
    let workload: Vec<f64> = (from..count)
        .map(|hour| {
            // Peaks of a leak that is over say nothing of the load.
            if series.is_spoilt(skipped + 4 * hour + 3) {
                return f64::NAN;
            }
            let before_now = (count - 1 - hour) as f64;
            let lower = if before_now < age_hours {
                gained.since(before_now)
            } else {
                since_onset + earlier.lower_than_onset(before_now)
            };
            hours
                .peak
                .get(hour as usize)
                .map_or(f64::NAN, |peak| peak + lower)
        })
        .collect();
    let peaks = UsualPeaks::new(&workload, hour_number(series));
    let sigma = workload_noise(&workload, capacity);
    meetings(
        outlook,
        &peaks,
        (horizon, believed_hours),
        (sigma, capacity),
    )
}

/// The ways of one course at one slope: they differ by their noise.
struct Walks<'a> {
    course: &'a Course,
    factor: f64,
    /// Ports an hour on the day, and what the floor had risen by before it and at its end.
    rate: f64,
    risen_before: f64,
    risen: f64,
    /// Which paths of noise have not met capacity, a bit each.
    going: u16,
}

/// What a day brings to all walks.
struct Day {
    number: usize,
    /// The usual peaks of its hours; hours beyond the horizon have none.
    base: [f64; DAY_HOURS],
    /// The greatest of `base`, and of the noise of all paths.
    top: f64,
    noise_top: f64,
}

impl<'a> Walks<'a> {
    /// The walks of a course at each slope.
    fn of(course: &'a Course) -> [Self; SLOPE_DEVIATES.len()] {
        let error = course.error.hypot(SLOPE_ERROR_LEAST).min(0.6);
        SLOPE_DEVIATES.map(|deviate| Self {
            course,
            factor: 1.0 + error * deviate,
            rate: 0.0,
            risen_before: 0.0,
            risen: 0.0,
            going: u16::MAX,
        })
    }

    /// Lets the floor rise by a day.
    fn rise(&mut self, day: usize) {
        let rates = &self.course.rates;
        self.rate = self.factor * rates.get(day).or(rates.last()).unwrap_or(&0.0);
        self.risen_before = self.risen;
        self.risen += 24.0 * self.rate;
    }

    /// Gives the hours of the day in which paths meet capacity.
    fn meet(&mut self, day: &Day, (sigma, capacity): (f64, f64), met: &mut Vec<usize>) {
        if day.top + self.risen + day.noise_top * sigma < capacity {
            return;
        }
        let mut levels = [f64::NEG_INFINITY; DAY_HOURS];
        let mut highest = f64::NEG_INFINITY;
        for (hour, (level, base)) in levels.iter_mut().zip(&day.base).enumerate() {
            *level = *base + self.risen_before + self.rate * (hour as f64 + 1.0);
            highest = highest.max(*level);
        }
        for (bit, path) in noise().iter().enumerate() {
            let noise_top = path.tops.get(day.number).copied().unwrap_or(0.0);
            if self.going & (1 << bit) == 0 || highest + noise_top * sigma < capacity {
                continue;
            }
            let noise = path.hours.get(DAY_HOURS * day.number..);
            let Some(noise) = noise.and_then(|noise| noise.first_chunk::<DAY_HOURS>()) else {
                continue;
            };
            // Hours before the one that meets it are several times as many: sums without branches tell whether to look.
            let meets = |(level, noise): (&f64, &f64)| level + sigma * noise >= capacity;
            let hours = levels.iter().zip(noise).map(meets);
            if hours.fold(0u64, |sum, meets| sum + u64::from(meets)) > 0 {
                self.going &= !(1 << bit);
                met.extend(levels.iter().zip(noise).position(meets));
            }
        }
    }
}

/// Hours until capacity is met, for 10, 50 and 90 in a hundred of the walks by their weight.
fn meetings(
    outlook: &Outlook,
    peaks: &UsualPeaks<'_>,
    (horizon, believed_hours): (usize, f64),
    limits: (f64, f64),
) -> Passage {
    let mut walks: Vec<Walks<'_>> = outlook.courses.iter().flat_map(Walks::of).collect();
    let every = walks.iter().flat_map(|walks| [walks.course.weight; PATHS]);
    let whole: f64 = every.sum();
    // Weight of the walks that meet capacity in each hour.
    let mut met_in: Vec<f64> = vec![0.0; horizon.next_multiple_of(DAY_HOURS)];
    let mut hours: Vec<usize> = Vec::with_capacity(PATHS);
    let mut met = 0.0;
    for number in 0..horizon.div_ceil(DAY_HOURS) {
        let first = DAY_HOURS * number;
        if first as f64 + HALF_HOUR > believed_hours && met < 0.5 * whole {
            return [f64::INFINITY; 3];
        }
        let mut highest = f64::NEG_INFINITY;
        for walks in &mut walks {
            walks.rise(number);
            highest = highest.max(walks.risen);
        }
        let noise_top = noise_top(number);
        let (sigma, capacity) = limits;
        if peaks.greatest + highest + noise_top * sigma < capacity {
            continue;
        }
        let mut base = [f64::NEG_INFINITY; DAY_HOURS];
        let ahead = first + 1..=horizon.min(first + DAY_HOURS);
        for (base, ahead) in base.iter_mut().zip(ahead) {
            *base = peaks.at(ahead as i64);
        }
        let day = Day {
            number,
            top: greatest(&base),
            base,
            noise_top,
        };
        for walks in &mut walks {
            walks.meet(&day, limits, &mut hours);
            for hour in hours.drain(..) {
                if let Some(weight) = met_in.get_mut(first + hour) {
                    *weight += walks.course.weight;
                }
                met += walks.course.weight;
            }
        }
        walks.retain(|walks| walks.going != 0);
        // Later ones are beyond the last quantile.
        if met > LAST_SHARE * whole {
            break;
        }
    }
    weighted_quantiles(&met_in, whole)
}

/// The greatest noise of all paths on one of the days ahead.
fn noise_top(day: usize) -> f64 {
    noise()
        .iter()
        .map(|path| path.tops.get(day).copied().unwrap_or(0.0))
        .fold(0.0, f64::max)
}

/// By how much the floor before the rise stood lower or higher than when it began: the teeth of a saw, or other loads.
struct Earlier {
    /// By half days back from the day before the rise.
    halves: Vec<f64>,
    /// Where they begin, in hours before now.
    from: f64,
}

impl Earlier {
    fn new(hours: &Hours, age_hours: f64, capacity: f64) -> Self {
        let count = hours.floor.len();
        let begun = (age_hours / 24.0).floor() as usize + 1;
        let day = |back: usize| {
            let begin = count.checked_sub(24 * (back + 1))?;
            hours.floor.get(begin..begin + 24)
        };
        let mut halves = Vec::new();
        if let Some(onset) = day(begun) {
            let quiet = quiet_hours(&[onset]);
            for back in begun..DAYS_BACK {
                let Some(row) = day(back) else { break };
                for half in [12..24, 0..12] {
                    let lower: Vec<f64> = quiet
                        .iter()
                        .filter(|hour| half.contains(*hour))
                        .filter_map(|hour| Some(onset.get(*hour)? - row.get(*hour)?))
                        .collect();
                    let lower = or(middle(&lower), 0.0);
                    let counts = lower.abs() > LEVEL_SHARE * capacity;
                    halves.push(if counts { lower } else { 0.0 });
                }
            }
        }
        Self {
            halves,
            from: 24.0 * begun as f64,
        }
    }

    fn lower_than_onset(&self, before_now: f64) -> f64 {
        if before_now < self.from {
            return 0.0;
        }
        let half = ((before_now - self.from) / 12.0) as usize;
        self.halves.get(half).copied().unwrap_or(0.0)
    }
}

/// 10, 50 and 90 in a hundred of hours with their weights.
fn weighted_quantiles(weights: &[f64], whole: f64) -> Passage {
    [0.1, 0.5, LAST_SHARE].map(|share| {
        let mut sum = 0.0;
        let found = weights.iter().position(|weight| {
            sum += weight;
            *weight > 0.0 && sum >= share * whole
        });
        found.map_or(f64::INFINITY, |hour| hour as f64 + HALF_HOUR)
    })
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
pub(super) fn hour_number(series: &Series<'_>) -> i64 {
    quarter_start(series.origin + series.newest() + 1)
        .unix_ms()
        .div_euclid(HOUR_MS)
}

/// The peak that an hour ahead usually has: the median of the same hour in the weeks and on like days before.
struct UsualPeaks<'a> {
    workload: &'a [f64],
    /// Number of the hour that begins now.
    now: i64,
    fallback: f64,
    /// No peak is higher.
    greatest: f64,
}

impl<'a> UsualPeaks<'a> {
    fn new(workload: &'a [f64], now: i64) -> Self {
        let count = workload.len() as i64;
        let fallback = or(middle(part(workload, count - 24, count - 1)), 0.0);
        Self {
            workload,
            now,
            fallback,
            greatest: or(greatest(workload), fallback).max(fallback),
        }
    }

    /// The peak of the hour `ahead`, 1 being the one that begins now.
    fn at(&self, ahead: i64) -> f64 {
        let count = self.workload.len() as i64;
        let value = |back: i64| {
            let position = usize::try_from(count - 1 + ahead - back).ok()?;
            let found = self.workload.get(position).copied();
            found.filter(|value| back >= ahead && !value.is_nan())
        };
        let mut known = [0.0; 7];
        let mut filled = 0;
        let mut take = |value: Option<f64>| {
            if let Some((slot, value)) = known.get_mut(filled).zip(value) {
                *slot = value;
                filled += 1;
            }
        };
        take(value(168));
        take(value(336));
        let whole_days = (ahead + 23) / 24 * 24;
        let hour = self.now + ahead - 1;
        for days in 0..4 {
            let back = whole_days + 24 * days;
            if is_weekend(hour - back) == is_weekend(hour) {
                take(value(back));
            }
        }
        if ahead > 168 {
            take(value((ahead + 167) / 168 * 168));
        }
        median(known.get_mut(..filled).unwrap_or_default())
            .or_else(|| value(whole_days))
            .unwrap_or(self.fallback)
    }
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
