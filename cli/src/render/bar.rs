//! Bars and sparklines one line high.

/// Eighths of a cell, from none to full.
const EIGHTHS: [char; 9] = ['·', '▏', '▎', '▍', '▌', '▋', '▊', '▉', '█'];

/// Heights of a sparkline's cell, from the lowest to the highest.
const HEIGHTS: [char; 8] = ['▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];

/// A bar of `cells` cells filled to `share` (0 to 1, clamped); dots are what is free.
pub fn bar(share: f64, cells: usize) -> String {
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        clippy::cast_precision_loss,
        reason = "clamped to 0..=8 * cells, and a screen has few cells"
    )]
    let eighths = (share.clamp(0.0, 1.0) * (cells * 8) as f64).round() as usize;
    (0..cells)
        .map(|cell| eighths.saturating_sub(cell * 8).min(8))
        .filter_map(|filled| EIGHTHS.get(filled))
        .collect()
}

/// A sparkline of `values` between the lowest and the highest of them; unknown values are gaps.
pub fn sparkline(values: &[Option<f64>]) -> String {
    let known = || {
        values
            .iter()
            .flatten()
            .copied()
            .filter(|value| value.is_finite())
    };
    let lowest = known().fold(f64::INFINITY, f64::min);
    let span = known().fold(f64::NEG_INFINITY, f64::max) - lowest;
    let height = |value: f64| {
        // What hardly moves is drawn low and flat, not as noise blown up to full height.
        let share = if span > 0.0 {
            (value - lowest) / span
        } else {
            0.0
        };
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "a share of 0 to 1"
        )]
        let index = (share.clamp(0.0, 1.0) * 7.0).round() as usize;
        HEIGHTS.get(index).copied().unwrap_or(' ')
    };
    values
        .iter()
        .map(|value| value.filter(|value| value.is_finite()).map_or(' ', height))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bars_show_eighths_and_stay_in_their_cells() {
        assert_eq!(bar(0.0, 4), "····");
        assert_eq!(bar(0.5, 4), "██··");
        assert_eq!(bar(0.53, 4), "██▏·");
        assert_eq!(bar(7.0, 4), "████");
        assert_eq!(bar(f64::NAN, 2).chars().count(), 2);
    }

    #[test]
    fn sparklines_have_gaps_where_nothing_is_known() {
        assert_eq!(sparkline(&[Some(0.0), None, Some(7.0)]), "▁ █");
        assert_eq!(sparkline(&[Some(5.0), Some(5.0)]), "▁▁");
        assert_eq!(sparkline(&[None]), " ");
    }
}
