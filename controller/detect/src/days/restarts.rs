//! Leaks that restarts put right in time, and restarts that are overdue. Keeps no state.

use tidemark_model::Timestamp;

use crate::days::series::{DAY, Series, greatest, part};
use crate::days::staircase::Climb;
use crate::memory::QUARTER_MS;
use crate::owners::{Culprit, Evidence, Owners, Restart};
use crate::stats::median;

/// A restart is overdue after this many usual gaps.
const OVERDUE: f64 = 1.3;
/// A restart put something right when it freed more than this share of the process's ports.
const FREED_SHARE: f64 = 0.3;
/// A restart at a level above this share of capacity did not come in time.
const TOO_LATE_SHARE: f64 = 0.96;
/// A saw's tooth is at least this share of capacity.
const TOOTH_SHARE: f64 = 0.03;

/// A saw whose next tooth breaks.
pub(crate) struct Overdue {
    pub climb: Climb,
    pub culprit: Culprit,
}

fn position(series: &Series<'_>, at: Timestamp) -> i64 {
    at.unix_ms().div_euclid(QUARTER_MS) - series.origin
}

/// Whether ports were not nearly gone in the four hours before `position`.
fn came_in_time(series: &Series<'_>, position: i64) -> bool {
    let top = greatest(part(series.peak(), position - 16, position));
    top.is_nan() || top < TOO_LATE_SHARE * series.capacity
}

/// Positions of the restarts of a process, and of boots, that put it right in time; ascending.
fn useful(series: &Series<'_>, restarts: &[Restart]) -> Vec<i64> {
    let freed = restarts
        .iter()
        .filter(|restart| {
            f64::from(restart.before) - f64::from(restart.after)
                > FREED_SHARE * f64::from(restart.before)
        })
        .map(|restart| position(series, restart.at));
    let mut all: Vec<i64> = series.boots.iter().skip(1).copied().chain(freed).collect();
    all.sort_unstable();
    all.dedup_by(|later, earlier| *later - *earlier <= 2);
    all.retain(|position| *position >= 0 && came_in_time(series, *position));
    all
}

/// The longest of the last three gaps, in hours; `None` without two restarts.
fn usual_gap(restarts: &[i64]) -> Option<f64> {
    let gaps = restarts.windows(2).filter_map(|pair| match pair {
        [earlier, later] => Some((later - earlier) as f64 / 4.0),
        _ => None,
    });
    gaps.collect::<Vec<_>>()
        .into_iter()
        .rev()
        .take(3)
        .reduce(f64::max)
}

/// Whether the next usual restart comes before the end, `ahead` hours from now. A climb whose blocks are longer than
/// the gap rises across restarts, so they do not help.
pub(crate) fn come_in_time(
    series: &Series<'_>,
    owners: &Owners,
    culprit: Option<&Culprit>,
    (ahead, block_hours): (f64, f64),
) -> bool {
    let restarts = culprit.map_or(&[][..], |culprit| owners.restarts_of(&culprit.name));
    let restarts = useful(series, restarts);
    let (Some(gap), Some(last)) = (usual_gap(&restarts), restarts.last()) else {
        return false;
    };
    let next = (last - series.newest()) as f64 / 4.0 + OVERDUE * gap;
    block_hours < gap && next > 0.0 && ahead > 0.98 * next
}

/// The process whose restarts used to come in time and whose next one is overdue.
pub(crate) fn overdue(series: &Series<'_>, owners: &Owners) -> Option<Overdue> {
    owners
        .restarted()
        .filter_map(|(name, restarts, held)| {
            let climb = overdue_climb(series, restarts, f64::from(held))?;
            let culprit = Culprit {
                name,
                gain: climb.gain,
                share: 1.0,
                evidence: Evidence::Ports,
            };
            Some(Overdue { climb, culprit })
        })
        .max_by(|one, other| one.climb.gain.total_cmp(&other.climb.gain))
}

fn overdue_climb(series: &Series<'_>, restarts: &[Restart], held: f64) -> Option<Climb> {
    let times = useful(series, restarts);
    if times.len() < 3 {
        return None;
    }
    let gap = usual_gap(&times)?;
    let last = *times.last()?;
    let since = (series.newest() - last) as f64 / 4.0;
    let freed = restarts
        .iter()
        .rev()
        .find(|restart| position(series, restart.at) <= last + 2)?;
    let gain = held - f64::from(freed.after);
    let top = restarts
        .iter()
        .map(|restart| f64::from(restart.before))
        .fold(0.0, f64::max);
    if since < 4.0
        || since < OVERDUE * gap
        || gain < TOOTH_SHARE * series.capacity
        || held < 1.05 * top
    {
        return None;
    }
    let mut slopes: Vec<f64> = restarts
        .windows(2)
        .filter_map(|pair| match pair {
            [earlier, later] => {
                let hours = later.at.ms_since(earlier.at) as f64 / 3_600_000.0;
                let slope = (f64::from(later.before) - f64::from(earlier.after)) / hours;
                (hours > 3.0 && slope > 0.0).then_some(slope)
            }
            _ => None,
        })
        .collect();
    if since >= 24.0 {
        slopes.push(gain / since);
    }
    let slope = median(&mut slopes)?;
    Some(Climb {
        from: last + 1,
        length: (series.newest() - last).min(28 * DAY),
        block_hours: 4.0,
        gain,
        slope,
        steps: vec![f64::from(freed.after), held],
        owner_share: 0.0,
        profile_days: None,
    })
}
