//! When to renew a certificate: at half life with jitter, in time for many attempts; after its end the identity key proves
//! itself. Knows times, not keys.

use std::time::Duration;

use tidemark_model::Timestamp;

use crate::backoff::uniform;

/// What is to be done about the certificate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CertificateStep {
    /// It is good; look again at `until`.
    Keep {
        /// When it is to be renewed.
        until: Timestamp,
    },
    /// It is to be renewed; sessions go on with it meanwhile.
    Renew,
    /// It is not valid by this host's clock: no session is possible, only a renewal by the identity key.
    ProveIdentity,
}

/// The plan for one certificate. A new certificate gets a new plan.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CertificatePlan {
    not_before: Timestamp,
    not_after: Timestamp,
    renew_at: Timestamp,
}

impl CertificatePlan {
    /// A plan for a certificate that is valid from `not_before` to `not_after`: it is renewed at 40 to 60 % of its life,
    /// spread by `draw`, so that hosts that enrolled together do not renew together.
    #[must_use]
    pub fn new(not_before: Timestamp, not_after: Timestamp, draw: u64) -> Self {
        let life_ms = u64::try_from(not_after.ms_since(not_before)).unwrap_or(0);
        let life = Duration::from_millis(life_ms);
        let age = life * 2 / 5 + uniform(draw, life / 5);
        Self {
            not_before,
            not_after,
            renew_at: not_before.saturating_add(age),
        }
    }

    /// What is to be done at `now`, by the host's clock. A clock before the certificate's begin is wrong or was; the
    /// controller, whose clock counts, decides: the identity proof works at any time.
    #[must_use]
    pub fn step(&self, now: Timestamp) -> CertificateStep {
        if now < self.not_before || now >= self.not_after {
            CertificateStep::ProveIdentity
        } else if now >= self.renew_at {
            CertificateStep::Renew
        } else {
            CertificateStep::Keep {
                until: self.renew_at,
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const HOUR_MS: i64 = 3_600_000;

    fn at(hours: i64) -> Timestamp {
        Timestamp::from_unix_ms(hours * HOUR_MS)
    }

    #[test]
    fn a_72_hour_certificate_goes_through_these_steps() {
        let plan = CertificatePlan::new(at(0), at(72), u64::MAX / 2);
        let CertificateStep::Keep { until } = plan.step(at(1)) else {
            panic!("a fresh certificate is kept");
        };
        assert_eq!(until.unix_ms() / HOUR_MS, 36);
        assert_eq!(plan.step(until), CertificateStep::Renew);
        assert_eq!(plan.step(at(71)), CertificateStep::Renew);
        assert_eq!(plan.step(at(72)), CertificateStep::ProveIdentity);
        assert_eq!(plan.step(at(-1)), CertificateStep::ProveIdentity);
    }

    #[test]
    fn a_certificate_whose_times_are_the_wrong_way_round_asks_for_a_proof() {
        let plan = CertificatePlan::new(at(72), at(0), 7);
        assert_eq!(plan.step(at(1)), CertificateStep::ProveIdentity);
        assert_eq!(plan.step(at(80)), CertificateStep::ProveIdentity);
    }

    proptest! {
        #[test]
        fn renewals_lie_between_40_and_60_per_cent_of_the_life(draw: u64, begin in -1_000_000..1_000_000_i64, life in 1..10_000_i64) {
            let plan = CertificatePlan::new(at(begin), at(begin + life), draw);
            let share = plan.renew_at.ms_since(at(begin)) as f64 / (life * HOUR_MS) as f64;
            prop_assert!((0.399..=0.601).contains(&share), "{share}");
        }

        #[test]
        fn no_clock_makes_it_panic(begin: i64, end: i64, now: i64, draw: u64) {
            let time = Timestamp::from_unix_ms;
            let step = CertificatePlan::new(time(begin), time(end), draw).step(time(now));
            let valid = begin <= now && now < end;
            prop_assert_eq!(step == CertificateStep::ProveIdentity, !valid);
        }
    }
}
