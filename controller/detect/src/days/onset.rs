//! When a climb began: where its line meets the level before it. Keeps no state.

use crate::days::series::{DAY, Series, least, middle, or, part, spread};
use crate::days::staircase::{Climb, net_of, profile};
use crate::stats::theil_sen;

/// Where the line of a climb meets the level before it: the position at which the leak began.
pub(crate) fn onset(series: &Series<'_>, climb: &Climb) -> i64 {
    let newest = series.newest();
    let settled = series.settled_from();
    if climb.block_hours >= 24.0 {
        return onset_by_kink(series)
            .unwrap_or(climb.from)
            .clamp(settled.min(newest - DAY), newest - DAY);
    }
    let mut values = part(&series.floor, climb.from, newest).to_vec();
    let before_from = (climb.from - DAY).max(settled);
    let mut before = part(&series.floor, before_from, climb.from - 1).to_vec();
    let mut is_profiled = false;
    if let Some(days) = climb.profile_days {
        values = net_of(&values, &profile(series, climb.from, climb.length, days));
        if before.len() >= 16 {
            let usual = profile(series, before_from, before.len() as i64, days);
            before = net_of(&before, &usual);
            is_profiled = true;
        }
    }
    let level = if is_profiled {
        middle(&before)
    } else {
        least(part(&values, 0, (climb.length / 8).max(2) - 1))
    };
    if level.is_nan() {
        return climb.from;
    }
    let noise = if is_profiled {
        or(spread(&before), 0.0)
    } else {
        0.0
    };
    let step = if climb.length >= 16 { 4 } else { 1 };
    let low = level + (1.5 * noise).max(0.08 * climb.gain);
    let last_low = values
        .chunks(step)
        .map(least)
        .enumerate()
        .rfind(|(_, value)| *value <= low);
    let found = match last_low {
        Some((index, _)) => climb.from + ((index + 1) * step) as i64,
        None => meeting_point(&values, level).map_or(climb.from, |quarters| {
            climb.from + (quarters as i64).clamp(-climb.length / 2, climb.length)
        }),
    };
    found.clamp(settled.min(newest - 4), newest - 4)
}

/// Quarter hours from the first value to where the values' line is at `level`.
fn meeting_point(values: &[f64], level: f64) -> Option<f64> {
    let points: Vec<(f64, f64)> = values
        .iter()
        .enumerate()
        .filter(|(_, value)| !value.is_nan())
        .map(|(index, value)| (index as f64, *value))
        .collect();
    let line = theil_sen(&points)?;
    (line.slope > 0.0).then(|| (level - line.origin) / line.slope)
}

/// The kink of a line that is flat and then rises, through the trailing daily floor in steps of six hours.
fn onset_by_kink(series: &Series<'_>) -> Option<i64> {
    let newest = series.newest();
    let count = ((newest + 1) / 24 - 3).clamp(0, 84);
    let floors: Vec<(i64, f64)> = (0..count)
        .rev()
        .map(|back| {
            let end = newest - 24 * back;
            (end, least(part(&series.floor, end - DAY + 1, end)))
        })
        .filter(|(_, value)| !value.is_nan())
        .collect();
    if floors.len() < 6 {
        return None;
    }
    let mut best: Option<(f64, i64)> = None;
    for (kink, _) in floors.iter().take(floors.len() - 3) {
        let points: Vec<(f64, f64)> = floors
            .iter()
            .map(|(end, value)| ((end - kink).max(0) as f64, *value))
            .collect();
        let (slope, origin) = least_squares(&points);
        let misfit: f64 = points
            .iter()
            .map(|(x, y)| (y - origin - slope * x).abs())
            .sum();
        if slope > 0.0 && best.is_none_or(|(least, _)| misfit < least) {
            best = Some((misfit, *kink));
        }
    }
    // The trailing daily floor begins to rise when its window has left the flat part: half a day is the middle.
    best.map(|(_, kink)| kink - 48)
}

/// Slope and origin of the least-squares line.
fn least_squares(points: &[(f64, f64)]) -> (f64, f64) {
    let count = points.len() as f64;
    let mean_x = points.iter().map(|(x, _)| x).sum::<f64>() / count;
    let mean_y = points.iter().map(|(_, y)| y).sum::<f64>() / count;
    let over: f64 = points
        .iter()
        .map(|(x, y)| (x - mean_x) * (y - mean_y))
        .sum();
    let under: f64 = points.iter().map(|(x, _)| (x - mean_x).powi(2)).sum();
    let slope = if under > 0.0 { over / under } else { 0.0 };
    (slope, mean_y - slope * mean_x)
}
