//! Robust statistics over short series: medians, scatter and lines that outliers do not bend.
//!
//! Knows nothing of ports. Missing values are left out by the caller.

/// Up to as many values are sorted sooner than selected from.
const SMALL: usize = 16;

/// The middle value; the mean of the two middle ones of an even count. `None` of nothing.
pub(crate) fn median(values: &mut [f64]) -> Option<f64> {
    if values.is_empty() {
        return None;
    }
    let middle = values.len() / 2;
    let is_odd = values.len() % 2 == 1;
    if values.len() <= SMALL {
        values.sort_unstable_by(f64::total_cmp);
        let upper = values.get(middle).copied()?;
        let lower = values.get(middle.saturating_sub(1)).copied()?;
        return Some(if is_odd {
            upper
        } else {
            f64::midpoint(lower, upper)
        });
    }
    let (below, upper, _) = values.select_nth_unstable_by(middle, f64::total_cmp);
    let upper = *upper;
    if is_odd {
        return Some(upper);
    }
    let lower = below.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    Some(f64::midpoint(lower, upper))
}

/// Scatter about the median, scaled to the standard deviation of a normal distribution (factor 1.4826).
pub(crate) fn scatter(values: &[f64]) -> Option<f64> {
    let centre = median(&mut values.to_vec())?;
    let mut distances: Vec<f64> = values.iter().map(|value| (value - centre).abs()).collect();
    median(&mut distances).map(|distance| 1.4826 * distance)
}

/// A straight line through points, robust against outliers.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Line {
    /// Rise per unit of x.
    pub slope: f64,
    /// Value at x = 0.
    pub origin: f64,
    /// Scatter of the points about the line.
    pub residual: f64,
    /// Standard error of the slope.
    pub slope_error: f64,
}

impl Line {
    /// The line's value at `x`.
    pub(crate) fn at(&self, x: f64) -> f64 {
        self.origin + self.slope * x
    }
}

/// Theil-Sen line through `points` (x ascending). Pairs nearer than a quarter of the points are left out: their
/// slopes are mostly noise. `None` of fewer than three points.
pub(crate) fn theil_sen(points: &[(f64, f64)]) -> Option<Line> {
    let count = points.len();
    if count < 3 {
        return None;
    }
    let apart = (count / 4).max(1);
    let mut slopes = Vec::with_capacity(count * count / 2);
    for (index, &(x0, y0)) in points.iter().enumerate() {
        for &(x1, y1) in points.iter().skip(index + apart) {
            if x1 > x0 {
                slopes.push((y1 - y0) / (x1 - x0));
            }
        }
    }
    let slope = median(&mut slopes)?;
    let mut origins: Vec<f64> = points.iter().map(|&(x, y)| y - slope * x).collect();
    let origin = median(&mut origins)?;
    let residuals: Vec<f64> = points
        .iter()
        .map(|&(x, y)| y - origin - slope * x)
        .collect();
    let residual = scatter(&residuals)?;
    let mean_x = points.iter().map(|&(x, _)| x).sum::<f64>() / count as f64;
    let spread: f64 = points.iter().map(|&(x, _)| (x - mean_x).powi(2)).sum();
    let slope_error = if spread > 0.0 {
        residual / spread.sqrt()
    } else {
        f64::INFINITY
    };
    Some(Line {
        slope,
        origin,
        residual,
        slope_error,
    })
}

/// Least-squares parabola `a x^2 + b x + c` with the standard error of `a`. `None` of fewer than five points or of a
/// degenerate system.
pub(crate) fn parabola(points: &[(f64, f64)]) -> Option<Parabola> {
    if points.len() < 5 {
        return None;
    }
    let mut moments = [0.0f64; 5];
    let mut right = [0.0f64; 3];
    for &(x, y) in points {
        let mut power = 1.0;
        for (order, moment) in moments.iter_mut().enumerate() {
            *moment += power;
            if let Some(slot) = right.get_mut(order) {
                *slot += power * y;
            }
            power *= x;
        }
    }
    let [m0, m1, m2, m3, m4] = moments;
    let [r0, r1, r2] = right;
    let determinant =
        m0 * (m2 * m4 - m3 * m3) - m1 * (m1 * m4 - m3 * m2) + m2 * (m1 * m3 - m2 * m2);
    if determinant.abs() < 1e-12 {
        return None;
    }
    let constant = (r0 * (m2 * m4 - m3 * m3) - m1 * (r1 * m4 - m3 * r2) + m2 * (r1 * m3 - m2 * r2))
        / determinant;
    let linear = (m0 * (r1 * m4 - m3 * r2) - r0 * (m1 * m4 - m3 * m2) + m2 * (m1 * r2 - r1 * m2))
        / determinant;
    let square = (m0 * (m2 * r2 - r1 * m3) - m1 * (m1 * r2 - r1 * m2) + r0 * (m1 * m3 - m2 * m2))
        / determinant;
    let misfit: f64 = points
        .iter()
        .map(|&(x, y)| (y - constant - linear * x - square * x * x).powi(2))
        .sum();
    let variance = misfit / (points.len() - 3) as f64 * (m0 * m2 - m1 * m1) / determinant;
    Some(Parabola {
        square,
        linear,
        constant,
        square_error: variance.max(0.0).sqrt(),
    })
}

/// A parabola through points.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Parabola {
    /// Factor of x squared; negative when the rise flattens.
    pub square: f64,
    /// Factor of x.
    pub linear: f64,
    /// Value at x = 0.
    pub constant: f64,
    /// Standard error of `square`.
    pub square_error: f64,
}

impl Parabola {
    /// The highest value at or after `x`; `None` when it rises for ever.
    pub(crate) fn top_after(&self, x: f64) -> Option<f64> {
        if self.square >= 0.0 {
            return None;
        }
        let vertex = (-self.linear / (2.0 * self.square)).max(x);
        Some(self.constant + self.linear * vertex + self.square * vertex * vertex)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_survives_a_third_of_wild_points() {
        let points: Vec<(f64, f64)> = (0..30)
            .map(|x| {
                let x = f64::from(x);
                (
                    x,
                    if x % 5.0 == 0.0 {
                        900.0
                    } else {
                        10.0 + 3.0 * x
                    },
                )
            })
            .collect();
        let line = theil_sen(&points).unwrap();
        assert!((line.slope - 3.0).abs() < 0.2, "{line:?}");
    }

    #[test]
    fn a_parabola_is_found_exactly() {
        let points: Vec<(f64, f64)> = (0..9)
            .map(|x| {
                let x = f64::from(x) / 8.0;
                (x, 5.0 + 4.0 * x - 2.0 * x * x)
            })
            .collect();
        let found = parabola(&points).unwrap();
        assert!(
            (found.square + 2.0).abs() < 1e-9 && (found.linear - 4.0).abs() < 1e-9,
            "{found:?}"
        );
        assert!((found.top_after(0.0).unwrap() - 7.0).abs() < 1e-9);
    }

    #[test]
    fn the_median_of_an_even_count_lies_between() {
        assert_eq!(median(&mut [4.0, 1.0, 3.0, 2.0]), Some(2.5));
        assert_eq!(median(&mut []), None);
    }
}
