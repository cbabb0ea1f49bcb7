//! Whether the floor climbed over hours to days: materially, evenly, still, and unlike anything usual here.
//!
//! After the reference detector's second stage; its constants were tuned on the development set. Keeps no state.

use std::borrow::Cow;

use crate::days::refusal::Refusal;
use crate::days::series::{DAY, Series, greatest, least, middle, missing, or, part, spread};

/// One scale: windows of `blocks` blocks of `hours`.
#[derive(Clone, Copy, Debug)]
struct Scale {
    hours: f64,
    blocks: usize,
    /// The rise over the usual change from day to day, and over capacity.
    sigmas: f64,
    capacity_share: f64,
    /// The end lies no further ahead than this, and than this many times the window.
    hours_ahead_max: f64,
    windows_ahead_max: f64,
    /// Least share of the rise that one process must explain.
    owner_share: f64,
}

const fn scale(
    hours: f64,
    blocks: usize,
    rise: (f64, f64),
    ahead: (f64, f64),
    owner_share: f64,
) -> Scale {
    Scale {
        hours,
        blocks,
        sigmas: rise.0,
        capacity_share: rise.1,
        hours_ahead_max: ahead.0,
        windows_ahead_max: ahead.1,
        owner_share,
    }
}

/// Shortest first; the longest that passes is taken.
const SCALES: [Scale; 9] = [
    scale(0.25, 8, (8.0, 0.030), (30.0, 3.0), 0.5),
    scale(0.5, 8, (8.0, 0.030), (48.0, 3.0), 0.5),
    scale(1.0, 6, (7.0, 0.030), (72.0, 3.0), 0.5),
    scale(2.0, 6, (6.0, 0.030), (120.0, 3.0), 0.45),
    scale(4.0, 6, (5.0, 0.025), (240.0, 4.0), 0.4),
    scale(8.0, 6, (5.0, 0.025), (400.0, 5.0), 0.4),
    scale(24.0, 4, (5.0, 0.02), (504.0, 5.0), 0.3),
    scale(24.0, 6, (4.0, 0.02), (504.0, 5.0), 0.3),
    scale(48.0, 5, (4.0, 0.02), (504.0, 5.0), 0.3),
];
/// No block may hold more than this share of the rise: a step does.
const STEP_SHARE: f64 = 0.55;
/// The second half of a rise brings at least this share of the first.
const BEND_SHARE: f64 = 0.55;
/// A rise that the rate of connections explains to this share is load.
const LOAD_SHARE: f64 = 0.5;

/// Days in a profile, and how far back they are looked for.
const PROFILE_DAYS: i64 = 7;
const PROFILE_REACH_DAYS: i64 = 14;
/// With less history than this before a window, chance passes for a climb more often ...
const YOUNG: i64 = 3 * DAY;
/// ... so it must be this many times clearer.
const YOUNG_FACTOR: f64 = 1.5;

/// A climb of the floor.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Climb {
    /// Position of its first quarter hour.
    pub from: i64,
    /// Its length in quarter hours.
    pub length: i64,
    /// Hours in one of its blocks.
    pub block_hours: f64,
    /// Ports gained.
    pub gain: f64,
    /// Ports an hour.
    pub slope: f64,
    /// The block minima, net of the daily profile where there is one.
    pub steps: Vec<f64>,
    /// Least share of it that one process must explain.
    pub owner_share: f64,
    /// How many days back its profile begins; `None` without a profile.
    pub profile_days: Option<i64>,
}

/// One try at one scale.
pub(crate) struct Try {
    /// Hours in a block, and blocks.
    pub block_hours: f64,
    pub blocks: usize,
    /// Days left out between the window and what it is compared with.
    pub skipped_days: i64,
    pub outcome: Result<Climb, Refusal>,
}

/// Every try, the shortest window first; each is made when it is asked for.
pub(crate) fn tries(series: &Series<'_>, since: i64) -> impl DoubleEndedIterator<Item = Try> {
    SCALES.into_iter().flat_map(move |scale| {
        // The last two days may be spoilt by the leak itself: another try compares with the days before them.
        let is_daily = [2.0, 4.0, 8.0].contains(&scale.hours);
        let skips = [Some(0), is_daily.then_some(2)].into_iter().flatten();
        skips.map(move |skipped_days| Try {
            block_hours: scale.hours,
            blocks: scale.blocks,
            skipped_days,
            outcome: climb_at(series, since, &scale, skipped_days),
        })
    })
}

/// The greatest floor of each quarter hour's time of day over a week that begins `days` days back. Spoilt days are
/// left out and days before them taken instead; when too little is left, spoilt ones count.
pub(super) fn profile<'a>(
    series: &'a Series<'_>,
    from: i64,
    length: i64,
    days: i64,
) -> Cow<'a, [f64]> {
    let count = usize::try_from(length).unwrap_or(0);
    let usable = series.usable();
    let week = series.week_profile((from, count), days);
    if !week.iter().any(|value| value.is_nan()) {
        return week;
    }
    let mut clean = week.into_owned();
    for (offset, value) in clean.iter_mut().enumerate() {
        if value.is_nan() {
            *value = profile_over_gaps(usable, (from, offset), days);
        }
    }
    if missing(&clean) < 0.2 {
        return Cow::Owned(clean);
    }
    let mut raw = vec![f64::NAN; count];
    for day in days_back(&series.floor, (from, count), days..days + PROFILE_DAYS) {
        for (raw, value) in raw.iter_mut().zip(day) {
            *raw = raw.max(*value);
        }
    }
    Cow::Owned(raw)
}

impl Series<'_> {
    /// The profile where it needs no other than the week's days; NaN where it does. That of the newest days, which every
    /// scale asks for parts of, is made once.
    fn week_profile(&self, (from, count): (i64, usize), days: i64) -> Cow<'_, [f64]> {
        let make = |from: i64, count: usize| week_profile(self.usable(), (from, count), days);
        // Windows of an odd number of days, those left out included, are of one day, others of two.
        let reach = if days % 2 == 1 { DAY } else { 2 * DAY };
        let begin = self.newest() + 1 - reach;
        let is_new = from >= begin && begin >= DAY * (days + PROFILE_DAYS - 1);
        let known = usize::try_from(days - 1)
            .ok()
            .and_then(|index| self.week_profiles.get(index));
        let Some(known) = known.filter(|_| is_new) else {
            return Cow::Owned(make(from, count));
        };
        let whole = known.get_or_init(|| make(begin, reach as usize));
        let skipped = (from - begin) as usize;
        match whole.get(skipped..skipped + count) {
            Some(part) => Cow::Borrowed(part),
            None => Cow::Owned(make(from, count)),
        }
    }
}

/// The greatest of a week of days; NaN where one of them is missing.
fn week_profile(usable: &[f64], (from, count): (i64, usize), days: i64) -> Vec<f64> {
    let mut greatest = vec![f64::NEG_INFINITY; count];
    // NaN as soon as one of the days is; both sums and comparisons without branches.
    let mut sums = vec![0.0; count];
    let mut whole_days = 0;
    for day in days_back(usable, (from, count), days..days + PROFILE_DAYS) {
        whole_days += i64::from(day.len() == count);
        for ((greatest, sum), value) in greatest.iter_mut().zip(&mut sums).zip(day) {
            *greatest = if *value > *greatest {
                *value
            } else {
                *greatest
            };
            *sum += *value;
        }
    }
    let is_whole = whole_days == PROFILE_DAYS;
    for (greatest, sum) in greatest.iter_mut().zip(&sums) {
        if !is_whole || sum.is_nan() {
            *greatest = f64::NAN;
        }
    }
    greatest
}

/// The greatest of a week of days at `offset` into a window from `from` on, as far back as it must for a week; the whole
/// window lies within what is remembered on each of them.
fn profile_over_gaps(usable: &[f64], (from, offset): (i64, usize), days: i64) -> f64 {
    (days..days + PROFILE_REACH_DAYS)
        .map_while(|day| usize::try_from(from - DAY * day).ok())
        .filter_map(|begin| usable.get(begin + offset))
        .filter(|value| !value.is_nan())
        .take(PROFILE_DAYS as usize)
        .fold(f64::NAN, |greatest, value| greatest.max(*value))
}

/// The `count` values from the time of day of `from` on, on each of the `days` before, as far back as there are.
fn days_back(
    values: &[f64],
    (from, count): (i64, usize),
    mut days: std::ops::Range<i64>,
) -> impl Iterator<Item = &[f64]> {
    std::iter::from_fn(move || {
        let begin = usize::try_from(from - DAY * days.next()?).ok()?;
        let values = values.get(begin..).unwrap_or_default();
        Some(values.get(..count).unwrap_or(values))
    })
}

/// Takes the daily profile out of `values`; where it is unknown, its median.
pub(super) fn net_of(values: &[f64], profile: &[f64]) -> Vec<f64> {
    net(values, profile).collect()
}

fn net<'a>(values: &'a [f64], profile: &'a [f64]) -> impl Iterator<Item = f64> + 'a {
    let usual = if profile.iter().any(|value| value.is_nan()) {
        middle(profile)
    } else {
        f64::NAN
    };
    let pairs = values.iter().zip(profile);
    pairs.map(move |(value, profile)| value - or(*profile, usual))
}

fn climb_at(
    series: &Series<'_>,
    since: i64,
    scale: &Scale,
    skipped_days: i64,
) -> Result<Climb, Refusal> {
    let newest = series.newest();
    let length = (scale.hours * 4.0) as i64 * scale.blocks as i64;
    let from = newest - length + 1;
    if from < since.max(0) {
        return Err(Refusal::TooLittleHistory);
    }
    if series.has_boot(from, newest) {
        return Err(Refusal::Booted);
    }
    let (values, profile_days) = if scale.hours < 24.0 {
        net_values(series, scale, (from, length), skipped_days)?
    } else {
        (Cow::Borrowed(part(&series.floor, from, newest)), None)
    };
    let is_young = from < YOUNG;
    let steps = even_steps(series, scale, &values, profile_days.is_none() || is_young)?;
    let gain = gain_of(&steps);
    let usual = usual_change(series, if scale.hours < 24.0 { from } else { newest });
    let age_factor = if is_young { YOUNG_FACTOR } else { 1.0 };
    let sigmas = age_factor * scale.sigmas * if scale.hours >= 24.0 { 0.5 } else { 0.6 };
    if gain < sigmas * usual {
        let least = sigmas * usual;
        return Err(Refusal::Noise { gain, least });
    }
    let explained = load_explains(series, length);
    if explained > LOAD_SHARE * gain {
        return Err(Refusal::Load { explained, gain });
    }
    let slope = gain / ((steps.len() - 1) as f64 * scale.hours);
    let top = greatest(part(series.peak(), newest - DAY + 1, newest));
    let hours = (series.capacity - top).max(0.0) / slope;
    let most = scale
        .hours_ahead_max
        .min(scale.windows_ahead_max * length as f64 / 4.0);
    if hours > most {
        return Err(Refusal::Far { hours, most });
    }
    Ok(Climb {
        from,
        length,
        block_hours: scale.hours,
        gain,
        slope,
        steps,
        owner_share: scale.owner_share,
        profile_days,
    })
}

/// The floor of a window of hours net of the daily profile before it, and how many days back that begins.
fn net_values<'a>(
    series: &'a Series<'_>,
    scale: &Scale,
    (from, length): (i64, i64),
    skipped_days: i64,
) -> Result<(Cow<'a, [f64]>, Option<i64>), Refusal> {
    let values = part(&series.floor, from, from + length - 1);
    let days = length.div_ceil_days() + skipped_days;
    let reaches_back = from - DAY * days >= 0;
    if skipped_days > 0 && !reaches_back {
        return Err(Refusal::TooLittleHistory);
    }
    if reaches_back {
        may_rise(series, scale, (from, length), days)?;
        let usual = profile(series, from, length, days);
        if missing(&usual) <= 0.2 {
            return Ok((Cow::Owned(net_of(values, &usual)), Some(days)));
        }
    }
    if length < DAY {
        return Err(Refusal::TooLittleHistory);
    }
    Ok((Cow::Borrowed(values), None))
}

fn gain_of(steps: &[f64]) -> f64 {
    match (steps.first(), steps.last()) {
        (Some(first), Some(last)) => last - first,
        _ => 0.0,
    }
}

/// Cheap screen: the last block must lie above the first, both net of their profile, by half of what counts.
fn may_rise(
    series: &Series<'_>,
    scale: &Scale,
    (from, length): (i64, i64),
    days: i64,
) -> Result<(), Refusal> {
    let block = length / scale.blocks as i64;
    let least_net = |begin: i64| {
        let values = part(&series.floor, begin, begin + block - 1);
        net(values, &profile(series, begin, block, days)).fold(f64::NAN, f64::min)
    };
    let gain = least_net(from + length - block) - least_net(from);
    let material = scale.capacity_share * series.capacity;
    if gain < 0.5 * material {
        let least = material;
        return Err(Refusal::Small { gain, least });
    }
    Ok(())
}

pub(super) trait DaysIn {
    fn div_ceil_days(self) -> i64;
}

impl DaysIn for i64 {
    /// Whole days that hold this many quarter hours.
    fn div_ceil_days(self) -> i64 {
        (self + DAY - 1) / DAY
    }
}

/// The block minima when they climb evenly and still.
fn even_steps(
    series: &Series<'_>,
    scale: &Scale,
    values: &[f64],
    is_strict: bool,
) -> Result<Vec<f64>, Refusal> {
    let width = values.len() / scale.blocks;
    let minima: Vec<f64> = values.chunks(width.max(1)).map(least).collect();
    if minima.last().is_none_or(|last| last.is_nan()) {
        return Err(Refusal::NotCounted);
    }
    let steps: Vec<f64> = minima.into_iter().filter(|value| !value.is_nan()).collect();
    if steps.len() < 3 || steps.len() + (scale.blocks / 4).max(1) < scale.blocks {
        return Err(Refusal::NotCounted);
    }
    let gain = gain_of(&steps);
    let material = scale.capacity_share * series.capacity;
    if gain < material {
        let least = material;
        return Err(Refusal::Small { gain, least });
    }
    let rises: Vec<f64> = steps
        .windows(2)
        .filter_map(|pair| match pair {
            [before, after] => Some(after - before),
            _ => None,
        })
        .collect();
    let of = rises.len();
    let is_strict = (is_strict && scale.hours < 24.0) || of <= 4;
    let up = rises.iter().filter(|rise| **rise > 0.0).count();
    let last = rises.last().copied().unwrap_or(0.0);
    if up + usize::from(!is_strict) < of || last <= 0.2 * gain / of as f64 {
        return Err(Refusal::Halting { up, of, last });
    }
    let highest = rises.iter().copied().fold(0.0, f64::max);
    if highest > STEP_SHARE * gain {
        return Err(Refusal::Step { highest, gain });
    }
    let half = of / 2;
    let early = rises.iter().take(half).sum::<f64>() / half as f64;
    let late = rises.iter().skip(half).sum::<f64>() / (of - half) as f64;
    if early > 0.0 && late / early < BEND_SHARE {
        return Err(Refusal::Bends { early, late });
    }
    Ok(steps)
}

/// Standard deviation of the change from one day to the next, over the week before `from`.
pub(crate) fn usual_change(series: &Series<'_>, from: i64) -> f64 {
    let begin = DAY.max(from - 7 * DAY);
    let changes: Vec<f64> = (begin..from)
        .step_by(4)
        .filter(|position| !series.is_spoilt(*position) && !series.is_spoilt(position - DAY))
        .map(|position| series.floor_at(position) - series.floor_at(position - DAY))
        .collect();
    let change = if from - begin >= 48 && changes.len() >= 12 {
        spread(&changes)
    } else {
        f64::NAN
    };
    let least = 0.002 * series.capacity;
    if !change.is_nan() {
        return change.max(least);
    }
    // Without enough of them: what two readings of the noise of before would differ by.
    let clean: Vec<f64> = (0..from)
        .filter(|position| !series.is_spoilt(*position))
        .map(|position| series.floor_at(position))
        .collect();
    let noise = std::f64::consts::SQRT_2 * or(spread(&clean), 0.0);
    noise.max(0.015 * series.capacity)
}

/// How much of a rise the rate of connections accounts for: TIME_WAIT over what it was, times the floor that was.
fn load_explains(series: &Series<'_>, length: i64) -> f64 {
    let newest = series.newest();
    let span = (length / 4).clamp(4, DAY);
    let lag = DAY.max((length - span).div_ceil_days() * DAY);
    let then_from = newest - span + 1 - lag;
    if then_from < 0 {
        return 0.0;
    }
    let now = middle(part(series.time_wait(), newest - span + 1, newest));
    let then = middle(part(series.time_wait(), then_from, newest - lag));
    if now.is_nan() || then.is_nan() || then < 20.0 {
        return 0.0;
    }
    (now / then - 1.0).max(0.0) * or(middle(part(&series.floor, then_from, newest - lag)), 0.0)
}
