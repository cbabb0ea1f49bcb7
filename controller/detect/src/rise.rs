//! Finds a rising floor in one ring of minutes: even, material and still going on.
//!
//! Says nothing of causes, and keeps no state.

use crate::ring::Ring;
use crate::stats::{Line, parabola, theil_sen};

/// Blocks in the windows that are tried, longest first.
const WINDOWS: [usize; 7] = [48, 34, 24, 17, 12, 8, 6];
/// A rise is at least this share of capacity ...
const MATERIAL_SHARE: f64 = 0.03;
/// ... and this many ports ...
const MATERIAL_PORTS: f64 = 12.0;
/// ... and this many times the scatter about its line.
const MATERIAL_SCATTERS: f64 = 6.0;
/// No block may hold more than this share of the rise: a step does.
const STEP_SHARE: f64 = 0.4;
/// The second half of a rise brings at least this share of the first half, once a curve confirms the bend ...
const BEND_SHARE: f64 = 0.7;
/// ... and this share in any case.
const BEND_SHARE_SURE: f64 = 0.5;
/// A parabola counts as bent when its square is this many standard errors below zero.
const BEND_ERRORS: f64 = 1.5;

/// A rising floor. Times are in milliseconds since the Unix epoch.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Rise {
    /// When it began, as far as the ring reaches back.
    pub from: f64,
    /// Start of the newest block in it.
    pub to: f64,
    /// The floor at `from`.
    pub floor_from: f64,
    /// The floor at `to`.
    pub floor_to: f64,
    /// Ports a millisecond.
    pub slope: f64,
    /// Standard error of `slope` over it.
    pub relative_error: f64,
    /// Width of its blocks.
    pub width_ms: i64,
    /// How many block-to-block steps went up, of how many.
    pub steps: (usize, usize),
}

impl Rise {
    /// How long it has lasted.
    pub(crate) fn age_ms(&self) -> f64 {
        self.to - self.from + self.width_ms as f64
    }

    /// Ports gained.
    pub(crate) fn gain(&self) -> f64 {
        self.floor_to - self.floor_from
    }

    /// The floor's line, at a time.
    pub(crate) fn floor_at(&self, at: f64) -> f64 {
        self.floor_to + self.slope * (at - self.to)
    }
}

/// The longest rise of `field` that ends in the ring's newest block and began after `since_ms`.
pub(crate) fn find<const F: usize>(
    ring: &Ring<F>,
    field: usize,
    since_ms: i64,
    capacity: f64,
) -> Option<Rise> {
    let newest = ring.newest()?;
    let oldest = ring
        .oldest()?
        .max(since_ms.div_euclid(ring.width_ms()).saturating_add(1));
    let held = usize::try_from(newest.saturating_sub(oldest))
        .ok()?
        .checked_add(1)?;
    let last = ring.get(newest, field)?;
    let least = ring.least(oldest, newest, field)?;
    if last - least < material(capacity) {
        return None;
    }
    let mut points: Vec<(f64, f64)> = Vec::with_capacity(held);
    points.extend(
        (oldest..=newest)
            .filter_map(|block| Some(((block - newest) as f64, ring.get(block, field)?))),
    );
    WINDOWS
        .iter()
        .filter(|window| **window <= held)
        .find_map(|window| judge(&points, *window, capacity))
        .map(|found| found.into_rise(ring.width_ms(), newest))
}

/// Whether a finer ring shows that `rise` loses pace over its last two thirds, or over what the ring holds of them.
pub(crate) fn is_slowing<const F: usize>(
    rise: &Rise,
    finer: &Ring<F>,
    field: usize,
    capacity: f64,
) -> bool {
    let Some(newest) = finer.newest() else {
        return false;
    };
    let width = finer.width_ms() as f64;
    let begin = ((rise.from + rise.age_ms() / 3.0) / width) as i64;
    let points: Vec<(f64, f64)> = (begin.max(finer.oldest().unwrap_or(newest))..=newest)
        .filter_map(|block| Some(((block - newest) as f64, finer.get(block, field)?)))
        .collect();
    let covers = points.first().map_or(0.0, |(begin, _)| -begin * width);
    points.len() >= 12 && covers >= rise.age_ms() / 3.0 && curve_stops(&points, capacity)
}

fn material(capacity: f64) -> f64 {
    (MATERIAL_SHARE * capacity).max(MATERIAL_PORTS)
}

/// A rise in units of blocks, 0 being the newest.
struct Found {
    line: Line,
    first: f64,
    steps: (usize, usize),
}

impl Found {
    fn into_rise(self, width_ms: i64, newest: i64) -> Rise {
        let width = width_ms as f64;
        let to = newest as f64 * width;
        Rise {
            from: to + self.first * width,
            to,
            floor_from: self.line.at(self.first).max(0.0),
            floor_to: self.line.at(0.0),
            slope: self.line.slope / width,
            relative_error: self.line.slope_error / self.line.slope,
            width_ms,
            steps: self.steps,
        }
    }
}

/// The rise over the last `window` blocks, reaching back as far as its line holds.
fn judge(points: &[(f64, f64)], window: usize, capacity: f64) -> Option<Found> {
    let begin = 1.0 - window as f64;
    let start = points.partition_point(|(x, _)| *x < begin);
    let inside = points.get(start..)?;
    if inside.len() < 5 || inside.len() * 4 < window * 3 || !is_even(inside, capacity) {
        return None;
    }
    let line = theil_sen(inside)?;
    let gain = line.slope * (window - 1) as f64;
    if gain < MATERIAL_SCATTERS * line.residual {
        return None;
    }
    let tolerance = (3.0 * line.residual).max(0.06 * gain);
    let reach = points
        .get(..start)?
        .iter()
        .rev()
        .take_while(|(x, y)| (y - line.at(*x)).abs() <= tolerance)
        .count();
    let whole = points.get(start - reach..)?;
    let line = if reach > 0 { theil_sen(whole)? } else { line };
    if line.slope <= 0.0 || flattens(whole, capacity) {
        return None;
    }
    Some(Found {
        line,
        first: whole.first()?.0,
        steps: steps_up(whole),
    })
}

fn steps_up(points: &[(f64, f64)]) -> (usize, usize) {
    let up = points
        .windows(2)
        .filter(|pair| matches!(pair, [(_, before), (_, after)] if after > before))
        .count();
    (up, points.len().saturating_sub(1))
}

/// Whether the points climb a staircase: nearly every step up, none too high, still going on.
fn is_even(points: &[(f64, f64)], capacity: f64) -> bool {
    let (Some((_, first)), Some((_, last))) = (points.first(), points.last()) else {
        return false;
    };
    let gain = last - first;
    let (up, of) = steps_up(points);
    if gain < material(capacity) || up + of / 6 < of {
        return false;
    }
    let highest = points
        .windows(2)
        .filter_map(|pair| match pair {
            [(_, before), (_, after)] => Some(after - before),
            _ => None,
        })
        .fold(0.0, f64::max);
    let third = points.len() - 1 - of / 3;
    let late = points.get(third).map_or(0.0, |(_, value)| last - value);
    highest <= STEP_SHARE * gain && late >= 0.5 * gain / 3.0
}

/// Whether a rise loses pace and would never reach capacity, as a whole or in its last two thirds: a flat beginning
/// hides a bend.
fn flattens(points: &[(f64, f64)], capacity: f64) -> bool {
    let recent = points.get(points.len() / 3..).unwrap_or_default();
    bends(points, capacity) || (recent.len() >= 5 && curve_stops(recent, capacity))
}

/// Whether the second half brings too little of what the first brought.
fn bends(points: &[(f64, f64)], capacity: f64) -> bool {
    let (Some((_, first)), Some((_, middle)), Some((_, last))) =
        (points.first(), points.get(points.len() / 2), points.last())
    else {
        return true;
    };
    let (early, late) = (middle - first, last - middle);
    late < BEND_SHARE_SURE * early || curve_stops(points, capacity)
}

/// Whether a parabola through the points is certainly bent and loses pace, or ends below capacity.
fn curve_stops(points: &[(f64, f64)], capacity: f64) -> bool {
    let span = points
        .first()
        .map_or(1.0, |(start, _)| start.abs().max(1.0));
    let scaled: Vec<(f64, f64)> = points.iter().map(|(x, y)| (x / span, *y)).collect();
    let Some(curve) = parabola(&scaled) else {
        return false;
    };
    // What the curve gains from -1/2 to 0, and from -1 to -1/2.
    let late = curve.linear / 2.0 - curve.square / 4.0;
    let early = curve.linear / 2.0 - 3.0 * curve.square / 4.0;
    curve.square < -BEND_ERRORS * curve.square_error
        && (late < BEND_SHARE * early || curve.top_after(0.0).is_some_and(|top| top < capacity))
}
