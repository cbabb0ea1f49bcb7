//! The tail of the hypergeometric distribution, in powers of ten. Knows nothing of hosts.

/// Logarithms of factorials up to a number.
pub(super) struct Tail {
    ln_factorials: Vec<f64>,
}

impl Tail {
    pub(super) fn new(greatest: usize) -> Self {
        let mut ln_factorials = Vec::with_capacity(greatest + 1);
        let mut sum = 0.0f64;
        ln_factorials.push(sum);
        for number in 1..=greatest {
            sum += (number as f64).ln();
            ln_factorials.push(sum);
        }
        Self { ln_factorials }
    }

    fn ln_choose(&self, of: usize, taken: usize) -> f64 {
        let factorial = |number: usize| {
            self.ln_factorials
                .get(number)
                .copied()
                .unwrap_or(f64::INFINITY)
        };
        factorial(of) - factorial(taken) - factorial(of.saturating_sub(taken))
    }

    /// Power of ten of the chance that of `drawn` out of `all` at least `hits` are among the `marked`.
    pub(super) fn power_at_least(
        &self,
        hits: usize,
        drawn: usize,
        marked: usize,
        all: usize,
    ) -> f64 {
        let unmarked = all.saturating_sub(marked);
        let whole = self.ln_choose(all, drawn);
        let terms: Vec<f64> = (hits..=drawn.min(marked))
            .filter(|hits| drawn - hits <= unmarked)
            .map(|hits| {
                self.ln_choose(marked, hits) + self.ln_choose(unmarked, drawn - hits) - whole
            })
            .collect();
        let Some(greatest) = terms.iter().copied().reduce(f64::max) else {
            return 0.0;
        };
        let sum: f64 = terms.iter().map(|term| (term - greatest).exp()).sum();
        ((greatest + sum.ln()) / std::f64::consts::LN_10).min(0.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_tail_is_what_counting_gives() {
        let tail = Tail::new(60);
        // All four marked of ten are among the four drawn: one way in 210.
        let all_four = tail.power_at_least(4, 4, 4, 10);
        assert!(
            (all_four - (1.0f64 / 210.0).log10()).abs() < 1e-9,
            "{all_four}"
        );
        // At least one: 1 - C(6,4)/C(10,4).
        let one = tail.power_at_least(1, 4, 4, 10);
        assert!(
            (one - (1.0f64 - 15.0 / 210.0).log10()).abs() < 1e-9,
            "{one}"
        );
        assert!(tail.power_at_least(0, 4, 4, 10).abs() < 1e-9);
        assert!(tail.power_at_least(5, 10, 10, 10).abs() < 1e-9);
    }
}
