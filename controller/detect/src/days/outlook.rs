//! How a rise may go on: several courses of its rate, weighed by how well each would have told the days that are known.
//!
//! A leak may be steady, have changed its pace, speed up or slow down, or keep the week. Keeps no state.

mod pace;

use crate::days::series::{middle, or, spread};
use crate::days::slope::{Hours, Slope, is_weekend, quiet_hours};
use crate::stats::median;
use pace::Pace;

/// Days of the rise that are looked at.
const DAYS_MAX: usize = 14;
/// Days that a trend of the rate is measured over.
const TREND_DAYS: usize = 7;
/// Days of which each kind must be known before another course than a steady one is thought of.
const DAYS_LEAST: usize = 3;
/// Weight of a day against the one after it, for courses that follow the newest days.
const RECENT: f64 = 0.5;
/// How many days lie between a day and those that it is told from, when courses are weighed.
const HORIZONS: [usize; 2] = [0, 2];
/// ... and when the courses are weighed by what they would have told.
const MEMORY: f64 = 0.9;
/// A miss counts no more than as many standard deviations.
const MISS_MAX: f64 = 4.0;
/// Least standard deviation of a day's rate, relative to the rate of the rise.
const RATE_ERROR_LEAST: f64 = 0.1;
/// A day that brought less than this share of the greatest was a pause.
const PAUSED_SHARE: f64 = 0.3;
/// Hours that a host's week may be ahead of UTC, and how much better one must explain its days.
const WEEK_SHIFTS: [i64; 4] = [-8, -4, 4, 8];
const SHIFT_GAIN: f64 = 0.5;
/// Courses of less weight are left out.
const WEIGHT_LEAST: f64 = 0.05;
/// Days ahead.
pub(super) const AHEAD_DAYS: usize = 45;

/// One way in which the rate may go on.
#[derive(Clone, Debug)]
pub(crate) struct Course {
    /// All courses' weights add up to 1.
    pub weight: f64,
    /// Ports an hour for each day ahead.
    pub rates: Vec<f64>,
    /// Relative standard error of them all.
    pub error: f64,
}

/// What is known of a rise's rate.
#[derive(Clone, Debug)]
pub(crate) struct Outlook {
    /// Ports an hour over each of the last days, the newest first.
    pub days: Vec<f64>,
    /// Ports an hour before them.
    pub slope: f64,
    pub courses: Vec<Course>,
    /// Whether the newest day is one of rest in a rise that keeps the week.
    pub rests: bool,
}

impl Outlook {
    /// A rise that goes on as it did.
    pub(crate) fn steady(slope: Slope) -> Self {
        let error = slope.error / slope.value.max(1e-6);
        Self {
            days: Vec::new(),
            slope: slope.value,
            rests: false,
            courses: vec![Course {
                weight: 1.0,
                rates: vec![slope.value; AHEAD_DAYS],
                error,
            }],
        }
    }

    /// The courses of a rise that is `age_hours` old; `now` is the number of the hour that begins.
    pub(crate) fn new(hours: &Hours, slope: Slope, age_hours: f64, now: i64) -> Self {
        let steady = Self::steady(slope);
        let Some((days, sigma)) = rates_by_day(hours, age_hours) else {
            return steady;
        };
        if days.len() < DAYS_LEAST {
            return steady;
        }
        let sigma = sigma.max(RATE_ERROR_LEAST * slope.value.abs());
        let shift = best_shift(&days, now);
        let weekends: Vec<f64> = (0..days.len() as i64)
            .map(|back| weekend_share(now + shift - 24 * (back + 1)))
            .collect();
        let known = Known {
            days: &days,
            weekends: &weekends,
            sigma,
        };
        let weights = known.weights();
        let ahead: Vec<f64> = (0..AHEAD_DAYS as i64)
            .map(|day| weekend_share(now + shift + 24 * day))
            .collect();
        let courses = KINDS
            .into_iter()
            .zip(&weights)
            .filter(|(_, weight)| **weight >= WEIGHT_LEAST)
            .map(|((kind, _), weight)| known.course(kind, slope, (&ahead, *weight)));
        let mut courses: Vec<Course> = courses.collect();
        let sum: f64 = courses.iter().map(|course| course.weight).sum();
        for course in &mut courses {
            course.weight /= sum;
        }
        let keeps_week: f64 = KINDS
            .into_iter()
            .zip(&weights)
            .filter(|((kind, _), _)| matches!(kind, Kind::Week | Kind::Weekdays | Kind::SameDay))
            .map(|(_, weight)| weight)
            .sum();
        let rests = keeps_week > 0.5 && weekends.first().is_some_and(|share| *share >= 0.5);
        Self {
            days,
            slope: slope.value,
            courses,
            rests,
        }
    }

    /// Ports an hour over the next day, as the courses expect.
    pub(crate) fn rate(&self) -> f64 {
        let weighted =
            |course: &Course| course.weight * course.rates.first().copied().unwrap_or(0.0);
        self.courses.iter().map(weighted).sum()
    }

    /// What the last days brought.
    pub(crate) fn gained(&self) -> Gained<'_> {
        let mut sum = 0.0;
        let before = self.days.iter().map(|rate| {
            let before = sum;
            sum += rate * 24.0;
            before
        });
        Gained {
            outlook: self,
            before: before.collect(),
            whole: sum,
        }
    }
}

/// What a rise brought over its last days.
pub(crate) struct Gained<'a> {
    outlook: &'a Outlook,
    /// Ports that came after each of the days, and in all of them.
    before: Vec<f64>,
    whole: f64,
}

impl Gained<'_> {
    /// By how many ports the floor was lower `hours` ago.
    pub(crate) fn since(&self, hours: f64) -> f64 {
        let day = ((hours / 24.0).ceil() - 1.0).max(0.0);
        let mut days = self.before.iter().zip(&self.outlook.days);
        match days.nth(day as usize) {
            Some((before, rate)) => before + rate * (hours - 24.0 * day),
            None => self.whole + self.outlook.slope * (hours - 24.0 * self.before.len() as f64),
        }
    }
}

/// Share of the 24 hours from `hour` on that lies in a week-end.
fn weekend_share(hour: i64) -> f64 {
    let into = hour.rem_euclid(24) as f64 / 24.0;
    let share = |hour| f64::from(u8::from(is_weekend(hour)));
    share(hour) * (1.0 - into) + share(hour + 24) * into
}

/// By how many hours the host's week is ahead of UTC, as its days tell: the least that explains them best.
fn best_shift(days: &[f64], now: i64) -> i64 {
    let misfit = |shift: i64| {
        let points: Vec<(f64, f64)> = (1..)
            .zip(days)
            .map(|(back, day)| (weekend_share(now + shift - 24 * back), *day))
            .collect();
        let count = points.len() as f64;
        let mean_x = points.iter().map(|(x, _)| x).sum::<f64>() / count;
        let mean_y = points.iter().map(|(_, y)| y).sum::<f64>() / count;
        let mut squares = [1e-9, 0.0, 0.0];
        for (x, y) in points {
            squares[0] += (x - mean_x).powi(2);
            squares[1] += (x - mean_x) * (y - mean_y);
            squares[2] += (y - mean_y).powi(2);
        }
        squares[2] - squares[1] * squares[1] / squares[0]
    };
    let known = misfit(0);
    WEEK_SHIFTS
        .into_iter()
        .map(|shift| (shift, misfit(shift)))
        .filter(|(_, misfit)| *misfit < SHIFT_GAIN * known)
        .min_by(|one, other| one.1.total_cmp(&other.1))
        .map_or(0, |(shift, _)| shift)
}

/// Ports an hour over each of the last days, the newest first, with their standard deviation by the days before.
fn rates_by_day(hours: &Hours, age_hours: f64) -> Option<(Vec<f64>, f64)> {
    let count = hours.floor.len();
    let inside = (age_hours / 24.0).floor() as usize;
    let known = count / 24;
    let rows: Vec<&[f64]> = (1..=known.min(inside.min(DAYS_MAX) + 1 + 8))
        .filter_map(|back| hours.floor.get(count - 24 * back..count - 24 * (back - 1)))
        .collect();
    let inside = inside.min(DAYS_MAX).min(rows.len());
    if inside < DAYS_LEAST {
        return None;
    }
    let quiet = quiet_hours(rows.get(..inside)?);
    let rate = |late: &[f64], early: &[f64]| {
        let rises: Vec<f64> = quiet
            .iter()
            .filter_map(|hour| Some(late.get(*hour)? - early.get(*hour)?))
            .collect();
        middle(&rises) / 24.0
    };
    let mut rates: Vec<f64> = Vec::with_capacity(rows.len());
    for pair in rows.windows(2) {
        if let [late, early] = pair {
            rates.push(rate(late, early));
        }
    }
    // The day in which it began counts only in part.
    let begun = inside - 1;
    let before = rates.get(begun + 2..).unwrap_or_default();
    let usual = if before.len() >= 3 {
        spread(before)
    } else {
        f64::NAN
    };
    let inside = rates.get(..begun)?;
    let mut days: Vec<f64> = Vec::with_capacity(begun);
    for rate in inside {
        if rate.is_nan() {
            break;
        }
        days.push(*rate);
    }
    let changes: Vec<f64> = days
        .windows(2)
        .filter_map(|pair| match pair {
            [late, early] => Some(late - early),
            _ => None,
        })
        .collect();
    let own = spread(&changes) / std::f64::consts::SQRT_2;
    let sigma = or(usual, or(own, 0.0));
    Some((days, sigma))
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    /// As fast as over all of it.
    Steady,
    /// As on the middle one of its days.
    Usual,
    /// As lately.
    Recent,
    /// As on the newest day.
    Newest,
    /// Faster or slower from day to day.
    Trend,
    /// One rate on weekdays, another at week-ends.
    Week,
    /// Weekdays only.
    Weekdays,
    /// As on the same day a week before.
    SameDay,
    /// With pauses.
    Pauses,
}

/// The kinds of course, and what speaks for each beforehand.
const KINDS: [(Kind, f64); 9] = [
    (Kind::Steady, 0.35),
    (Kind::Usual, 0.1),
    (Kind::Recent, 0.12),
    (Kind::Newest, 0.05),
    (Kind::Trend, 0.13),
    (Kind::Week, 0.08),
    (Kind::Weekdays, 0.05),
    (Kind::SameDay, 0.05),
    (Kind::Pauses, 0.07),
];

/// The days that are known, the newest first.
struct Known<'a> {
    days: &'a [f64],
    weekends: &'a [f64],
    sigma: f64,
}

impl Known<'_> {
    /// How much each kind of course is believed, by what it would have told of each day from the days before it.
    fn weights(&self) -> Vec<f64> {
        let mut losses = [0.0; KINDS.len()];
        let mut weight = 1.0;
        let paces: Vec<Option<[Pace; KINDS.len()]>> = (0..self.days.len())
            .map(|day| {
                let before = self.before(day);
                (day > 0 && before.days.len() >= 2).then(|| before.paces())
            })
            .collect();
        for day in 0..self.days.len().saturating_sub(2) {
            let (Some(actual), Some(share)) = (self.days.get(day), self.weekends.get(day)) else {
                break;
            };
            for horizon in HORIZONS {
                let Some(Some(paces)) = paces.get(day + 1 + horizon) else {
                    continue;
                };
                for (loss, pace) in losses.iter_mut().zip(paces) {
                    let told = pace.rate(horizon, *share);
                    let miss = ((told - actual) / self.sigma).abs().min(MISS_MAX);
                    *loss += weight * miss * miss / (2 * HORIZONS.len()) as f64;
                }
            }
            weight *= MEMORY;
        }
        let least = losses.iter().copied().fold(f64::INFINITY, f64::min);
        let weights = KINDS
            .into_iter()
            .zip(losses)
            .map(|((_, prior), loss)| prior * (least - loss).exp());
        let weights: Vec<f64> = weights.collect();
        let sum: f64 = weights.iter().sum();
        weights.into_iter().map(|weight| weight / sum).collect()
    }

    fn before(&self, day: usize) -> Known<'_> {
        Known {
            days: self.days.get(day..).unwrap_or_default(),
            weekends: self.weekends.get(day..).unwrap_or_default(),
            sigma: self.sigma,
        }
    }

    fn course(&self, kind: Kind, slope: Slope, (ahead, weight): (&[f64], f64)) -> Course {
        if kind == Kind::Steady {
            let error = slope.error / slope.value.max(1e-6);
            let rates = vec![slope.value; ahead.len()];
            return Course {
                weight,
                rates,
                error,
            };
        }
        let pace = self.pace(kind, self.usual());
        let rates: Vec<f64> = ahead
            .iter()
            .enumerate()
            .map(|(day, share)| pace.rate(day, *share).max(0.0))
            .collect();
        let level = rates.iter().take(7).sum::<f64>() / 7.0;
        let count = match kind {
            Kind::Newest => 1.0,
            Kind::Recent => 3.0,
            Kind::SameDay => 2.0,
            Kind::Steady
            | Kind::Usual
            | Kind::Trend
            | Kind::Week
            | Kind::Weekdays
            | Kind::Pauses => self.days.len() as f64,
        };
        Course {
            weight,
            rates,
            error: self.sigma / f64::sqrt(count) / level.max(1e-6),
        }
    }

    /// The rate of the middle day.
    fn usual(&self) -> f64 {
        middle(self.days)
    }

    fn paces(&self) -> [Pace; KINDS.len()] {
        let usual = self.usual();
        KINDS.map(|(kind, _)| self.pace(kind, usual))
    }

    /// How a kind of course goes on from these days, of which `usual` is the middle one's rate.
    fn pace(&self, kind: Kind, usual: f64) -> Pace {
        match kind {
            Kind::Steady => Pace::Same(self.mean()),
            Kind::Usual => Pace::Same(usual),
            Kind::SameDay => Pace::SameDay(std::array::from_fn(|ahead| {
                self.days.get(6 - ahead).copied().unwrap_or(usual)
            })),
            Kind::Newest => Pace::Same(self.newest(usual)),
            Kind::Recent => {
                let mut weight = 1.0;
                let (mut sum, mut weights) = (0.0, 0.0);
                for day in self.days {
                    sum += weight * day;
                    weights += weight;
                    weight *= RECENT;
                }
                Pace::Same(sum / weights)
            }
            Kind::Trend => self.trend(),
            Kind::Week => self.week(),
            Kind::Weekdays => self.weekdays(usual),
            Kind::Pauses => self.pauses(),
        }
    }

    fn mean(&self) -> f64 {
        self.days.iter().sum::<f64>() / self.days.len() as f64
    }

    /// The line through the newest days, flattened the more the less it stands out of the noise.
    fn trend(&self) -> Pace {
        let days = self
            .days
            .get(..TREND_DAYS.min(self.days.len()))
            .unwrap_or_default();
        let count = days.len() as f64;
        let middle_day = (count - 1.0) / 2.0;
        let mean = days.iter().sum::<f64>() / count;
        let mut over = 0.0;
        let mut under = 0.0;
        for (back, day) in days.iter().enumerate() {
            let x = middle_day - back as f64;
            over += x * (day - mean);
            under += x * x;
        }
        if under <= 0.0 {
            return Pace::Same(mean);
        }
        let gain = over / under;
        let doubt = self.sigma * self.sigma / under;
        let gain = gain * gain * gain / (gain * gain + doubt);
        Pace::Trend {
            mean,
            gain,
            middle_day,
        }
    }

    /// The rate of weekdays and of week-ends, as far as both were seen.
    fn week(&self) -> Pace {
        let count = self.days.len() as f64;
        let share = self.weekends.iter().sum::<f64>() / count;
        let mean = self.mean();
        let mut over = 0.0;
        let mut under = 0.3;
        for (day, weekend) in self.days.iter().zip(self.weekends) {
            over += (weekend - share) * (day - mean);
            under += (weekend - share).powi(2);
        }
        Pace::Week {
            mean,
            more: over / under,
            share,
        }
    }

    /// The rate of weekdays, when nothing is gained at week-ends.
    fn weekdays(&self, usual: f64) -> Pace {
        let whole: f64 = self.weekends.iter().map(|share| 1.0 - share).sum();
        let gained: f64 = self.days.iter().sum();
        if whole < 1.0 {
            return Pace::Same(usual);
        }
        Pace::Weekdays(gained / whole)
    }

    /// The rate of the newest day; of one that rests, the middle one.
    fn newest(&self, usual: f64) -> f64 {
        let newest = self.days.first().copied();
        newest
            .filter(|newest| *newest > PAUSED_SHARE * usual)
            .unwrap_or(usual)
    }

    /// The rate between pauses: tomorrow it goes on or rests as today, then as often as it did.
    fn pauses(&self) -> Pace {
        let greatest = self.days.iter().copied().fold(0.0, f64::max);
        let mut going: Vec<f64> = self
            .days
            .iter()
            .copied()
            .filter(|day| *day > PAUSED_SHARE * greatest)
            .collect();
        let share = (going.len() as f64 + 2.0) / (self.days.len() as f64 + 2.0);
        let rate = median(&mut going).unwrap_or(0.0);
        let is_going = self
            .days
            .first()
            .is_some_and(|day| *day > PAUSED_SHARE * greatest);
        Pace::Pauses {
            next: if is_going { rate } else { 0.0 },
            later: rate * share,
        }
    }
}
