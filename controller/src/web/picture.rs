//! The small pictures of a row as SVG figures: the headroom bar and the sparkline. Attributes only, because the content
//! security policy forbids styles in the page.

use std::fmt::Write as _;

use tidemark_model::view::PortSpaceView;

/// Width of a bar in its own units.
const BAR_WIDTH: f64 = 1_000.0;

/// How far ahead the bar shows the forecast's reach.
const REACH_HOURS: f64 = 24.0;

/// Height of a sparkline in its own units; its width is one a minute.
const SPARK_HEIGHT: f64 = 20.0;

/// A headroom bar: strong, then TIME_WAIT, then where the floor's rise reaches within a day; the rest is headroom.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Bar {
    /// Width of strong.
    pub strong: f64,
    /// Where TIME_WAIT begins.
    pub time_wait_at: f64,
    /// Its width.
    pub time_wait: f64,
    /// Where the reach begins.
    pub reach_at: f64,
    /// Its width; 0 without a rise.
    pub reach: f64,
}

impl Bar {
    /// Of a port space.
    #[must_use]
    pub fn of(space: &PortSpaceView) -> Self {
        let scale = |ports: f64| {
            if space.capacity == 0 {
                return 0.0;
            }
            let width = ports / f64::from(space.capacity) * BAR_WIDTH;
            // A port that is held is seen, however large the range.
            let width = if ports > 0.0 { width.max(4.0) } else { 0.0 };
            (width.min(BAR_WIDTH) * 10.0).round() / 10.0
        };
        let strong = scale(f64::from(space.strong));
        let in_use = scale(f64::from(space.in_use)).max(strong);
        // Without an ETA the floor's movement is noise that nothing should be drawn from.
        let rise = space
            .floor_ports_per_hour
            .filter(|rate| space.eta_ms.is_some() && *rate > 0.0 && rate.is_finite())
            .unwrap_or(0.0);
        let reach_end = scale(f64::from(space.in_use) + rise * REACH_HOURS).max(in_use);
        Self {
            strong,
            time_wait_at: strong,
            time_wait: in_use - strong,
            reach_at: in_use,
            reach: reach_end - in_use,
        }
    }
}

/// The path of a sparkline: a line through the minutes that have a value, broken where there is none. Its scale is its
/// own, but never finer than 2 % of the capacity, so that noise looks like noise. Empty without any value.
#[must_use]
pub fn spark(minutes: &[Option<u32>], capacity: u32) -> String {
    let known = || minutes.iter().flatten().map(|value| f64::from(*value));
    let (lowest, highest) = known().fold((f64::MAX, f64::MIN), |(low, high), value| {
        (low.min(value), high.max(value))
    });
    if lowest > highest {
        return String::new();
    }
    let span = (highest - lowest).max(f64::from(capacity) * 0.02).max(4.0);
    let middle = f64::midpoint(lowest, highest);
    let height = |value: f64| {
        let share = (value - middle) / span + 0.5;
        ((1.0 - share) * (SPARK_HEIGHT - 4.0) + 2.0).clamp(2.0, SPARK_HEIGHT - 2.0)
    };
    let mut path = String::new();
    let mut pen_is_down = false;
    for (minute, value) in minutes.iter().enumerate() {
        let Some(value) = value else {
            pen_is_down = false;
            continue;
        };
        let command = if pen_is_down { 'L' } else { 'M' };
        let y = height(f64::from(*value));
        // Writing to a String cannot fail.
        write!(path, "{command}{minute} {y:.1}").ok();
        if !pen_is_down {
            // A lone minute is a dot: a line of no length with round ends.
            write!(path, "h.01").ok();
        }
        pen_is_down = true;
    }
    path
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_gap_in_the_minutes_is_a_gap_in_the_line() {
        let path = spark(&[Some(10), Some(10), None, Some(10)], 100);
        assert_eq!(path, "M0 10.0h.01L1 10.0M3 10.0h.01");
        assert_eq!(spark(&[None, None], 100), "");
    }

    #[test]
    fn a_line_stays_within_its_box_and_rises_upwards() {
        let path = spark(&[Some(0), Some(u32::MAX)], 10);
        assert_eq!(path, "M0 18.0h.01L1 2.0");
    }
}
